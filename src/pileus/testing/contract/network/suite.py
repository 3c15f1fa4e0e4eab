"""The tests of the contract: state declared and asserted through the protocol alone."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from pileus.services.network.driver import (
    FloatingIp,
    Inventory,
    NetworkEngine,
    NetworkError,
    Port,
    StaleEpoch,
)
from pileus.testing.contract.network.rig import Rig
from pileus.testing.contract.story import story
from pileus.testing.network import (
    new_gateway,
    new_id,
    new_network,
    new_port,
    new_router,
    new_rule,
    new_security_group,
)
from pileus.testing.waiting import until

change = msgspec.structs.replace


def inventory(**kinds: set[str]) -> Inventory:
    empty = dict.fromkeys(("networks", "ports", "routers", "security_groups"), frozenset[str]())
    return Inventory(**{**empty, **{kind: frozenset(ids) for kind, ids in kinds.items()}})


async def declare_one_of_each(engine: NetworkEngine) -> tuple[Inventory, Port]:
    """A network with a port in a security group, and a router to an external network with a floating IP."""
    inner, outer = new_network("10.0.0.0/24", "fd00::/64"), new_network("172.24.4.0/24", external=True)
    group = new_security_group(new_rule("ingress", protocol="tcp", port_range_min=22, port_range_max=22))
    port = new_port(inner, "10.0.0.5", "fd00::5", security_group_ids=(group.id,), dns_name="one")
    floating = FloatingIp(id=new_id(), floating_ip="172.24.4.9", fixed_ip="10.0.0.5", port_id=port.id)
    gateway = new_gateway(outer, "172.24.4.5/24")
    router = new_router(
        inner, gateway=gateway, floating_ips=(floating,), routes=(("10.9.0.0/16", "10.0.0.7"),)
    )
    for network in (inner, outer):
        await engine.ensure_network(network, 1)
    await engine.ensure_security_group(group, 1)
    await engine.ensure_port(port, 1)
    await engine.ensure_router(router, 1)
    all_of_it = inventory(
        networks={inner.id, outer.id}, ports={port.id}, routers={router.id}, security_groups={group.id}
    )
    return all_of_it, port


class NetworkContract:
    """Subclass it with a `rig` fixture."""

    @story
    async def test_it_says_what_it_can_carry(self, rig: Rig) -> None:
        capabilities = await rig.new_engine().start()
        assert 1280 <= capabilities.max_mtu <= 65_535
        assert capabilities.engine
        assert capabilities.physical_network

    @story
    async def test_the_inventory_names_what_was_declared(self, rig: Rig) -> None:
        engine = await rig.start()
        assert await engine.inventory() == inventory()
        declared, _ = await declare_one_of_each(engine)
        assert await engine.inventory() == declared

    @story
    async def test_another_engine_over_the_same_host_finds_all_of_it(self, rig: Rig) -> None:
        engine = await rig.start()
        declared, port = await declare_one_of_each(engine)
        await rig.boot(engine, port)
        await engine.close()
        successor = await rig.start()
        assert await successor.inventory() == declared
        assert await successor.is_up(port.id)

    @story
    async def test_to_ensure_again_changes_nothing(self, rig: Rig) -> None:
        engine = await rig.start()
        network, group = new_network(), new_security_group()
        port = new_port(network, "10.0.0.5", security_group_ids=(group.id,))
        router = new_router(network)
        for epoch in (1, 1, 2):
            await engine.ensure_network(network, epoch)
            await engine.ensure_security_group(group, epoch)
            await engine.ensure_port(port, epoch)
            await engine.ensure_router(router, epoch)
        assert await engine.inventory() == inventory(
            networks={network.id}, ports={port.id}, routers={router.id}, security_groups={group.id}
        )

    @story
    async def test_everything_can_be_changed(self, rig: Rig) -> None:
        engine = await rig.start()
        network = new_network("10.0.0.0/24", "10.0.1.0/24")
        other = new_network("10.2.0.0/24")
        group, group_2 = new_security_group(), new_security_group()
        port = new_port(network, "10.0.0.5", security_group_ids=(group.id,))
        router = new_router(network)
        for each in (network, other):
            await engine.ensure_network(each, 1)
        for each_group in (group, group_2):
            await engine.ensure_security_group(each_group, 1)
        await engine.ensure_port(port, 1)
        await engine.ensure_router(router, 1)
        await engine.ensure_network(
            change(network, mtu=1400, subnets=network.subnets[:1], dns_domain="x.y."), 2
        )
        await engine.ensure_security_group(change(group, rules=(new_rule("ingress", "IPv6"),)), 2)
        await engine.ensure_port(
            change(
                port,
                addresses=(change(port.addresses[0], ip="10.0.0.6"),),
                security_group_ids=(group_2.id,),
                allowed_address_pairs=(("10.0.0.128/25", port.mac),),
                dns_name="two",
                dhcp_options={"ntp-server": "10.0.0.9"},
            ),
            2,
        )
        await engine.ensure_port(change(port, port_security_enabled=False), 3)
        await engine.ensure_router(change(router, interfaces=new_router(other).interfaces), 2)
        assert await engine.inventory() == inventory(
            networks={network.id, other.id},
            ports={port.id},
            routers={router.id},
            security_groups={group.id, group_2.id},
        )

    @story
    async def test_routers_may_hand_over_in_any_order(self, rig: Rig) -> None:
        engine = await rig.start()
        left, right = new_network("10.0.0.0/24"), new_network("10.0.1.0/24")
        outer = new_network("172.24.4.0/24", external=True)
        for network in (left, right, outer):
            await engine.ensure_network(network, 1)
        floating = FloatingIp(id=new_id(), floating_ip="172.24.4.9", fixed_ip="10.0.0.5", port_id=new_id())
        first = new_router(left, gateway=new_gateway(outer, "172.24.4.5/24"))
        second = new_router(right, gateway=new_gateway(outer, "172.24.4.6/24"))
        moved = change(floating, fixed_ip="10.0.1.5")
        await engine.ensure_router(change(first, floating_ips=(floating,)), 1)
        await engine.ensure_router(change(second, floating_ips=(moved,)), 1)
        await engine.ensure_router(first, 2)
        await engine.ensure_router(change(first, floating_ips=(floating,)), 3)
        await engine.ensure_router(second, 2)
        await engine.delete_router(first.id, 4)
        assert (await engine.inventory()).routers == {second.id}

    @story
    async def test_a_port_may_become_a_routers_interface(self, rig: Rig) -> None:
        engine = await rig.start()
        network = new_network()
        await engine.ensure_network(network, 1)
        router = new_router(network)
        port = new_port(network, "10.0.0.1", id=router.interfaces[0].port_id)
        await engine.ensure_port(port, 1)
        await engine.delete_port(port.id, 2)
        await engine.ensure_router(router, 1)
        await engine.delete_port(port.id, 3)
        assert await engine.inventory() == inventory(networks={network.id}, routers={router.id})
        await engine.ensure_router(change(router, interfaces=()), 2)
        await engine.ensure_port(port, 4)
        assert (await engine.inventory()).ports == {port.id}

    @story
    async def test_all_that_is_deleted_is_gone(self, rig: Rig) -> None:
        engine = await rig.start()
        declared, _ = await declare_one_of_each(engine)
        for router_id in declared.routers:
            await engine.delete_router(router_id, 2)
        for port_id in declared.ports:
            await engine.delete_port(port_id, 2)
            assert not await engine.is_up(port_id)
        for network_id in declared.networks:
            await engine.delete_network(network_id, 2)
        for group_id in declared.security_groups:
            await engine.delete_security_group(group_id, 2)
        assert await engine.inventory() == inventory()

    @story
    async def test_deleting_what_is_not_there_is_no_error(self, rig: Rig) -> None:
        engine = await rig.start()
        for _ in range(2):
            await engine.delete_router(new_id(), 1)
            await engine.delete_port(new_id(), 1)
            await engine.delete_network(new_id(), 1)
            await engine.delete_security_group(new_id(), 1)
        assert not await engine.is_up(new_id())
        assert await engine.inventory() == inventory()

    @story
    async def test_a_network_takes_along_what_is_on_it(self, rig: Rig) -> None:
        engine = await rig.start()
        going, staying = new_network(), new_network("10.1.0.0/24")
        for network in (going, staying):
            await engine.ensure_network(network, 1)
        lost = new_port(going, "10.0.0.5", dns_name="lost", dhcp_options={"mtu": "1300"})
        kept = new_port(staying, "10.1.0.5")
        for port in (lost, kept):
            await engine.ensure_port(port, 1)
        router = new_router(going, staying)
        await engine.ensure_router(router, 1)
        await engine.delete_network(going.id, 2)
        assert await engine.inventory() == inventory(
            networks={staying.id}, ports={kept.id}, routers={router.id}
        )
        await engine.delete_port(lost.id, 2)
        await engine.ensure_router(change(router, interfaces=router.interfaces[1:]), 2)

    @story
    async def test_a_security_group_leaves_its_members_and_remote_rules(self, rig: Rig) -> None:
        engine = await rig.start()
        network, group = new_network(), new_security_group()
        friend = new_security_group(new_rule("ingress", remote_group_id=group.id))
        port = new_port(network, "10.0.0.5", security_group_ids=(group.id, friend.id))
        await engine.ensure_network(network, 1)
        # In an order in which a rule names a group that is not there yet.
        for each in (friend, group):
            await engine.ensure_security_group(each, 1)
        await engine.ensure_port(port, 1)
        await engine.delete_security_group(group.id, 2)
        assert await engine.inventory() == inventory(
            networks={network.id}, ports={port.id}, security_groups={friend.id}
        )
        await engine.ensure_port(change(port, security_group_ids=(friend.id,)), 2)

    @story
    async def test_what_refers_to_nothing_is_refused_and_leaves_nothing(self, rig: Rig) -> None:
        engine = await rig.start()
        network, nowhere = new_network(), new_network()
        await engine.ensure_network(network, 1)
        with pytest.raises(NetworkError, match=nowhere.id):
            await engine.ensure_port(new_port(nowhere, "10.0.0.5"), 1)
        group_id = new_id()
        with pytest.raises(NetworkError, match=group_id):
            await engine.ensure_port(new_port(network, "10.0.0.5", security_group_ids=(group_id,)), 1)
        with pytest.raises(NetworkError, match=nowhere.id):
            await engine.ensure_router(new_router(network, nowhere), 1)
        with pytest.raises(NetworkError, match=nowhere.id):
            await engine.ensure_router(new_router(network, gateway=new_gateway(nowhere, "10.0.0.2/24")), 1)
        assert await engine.inventory() == inventory(networks={network.id})

    @story
    async def test_an_overtaken_epoch_is_refused(self, rig: Rig) -> None:
        engine = await rig.start()
        network, group = new_network(), new_security_group()
        port, router = new_port(network, "10.0.0.5"), new_router(network)
        await engine.ensure_network(network, 7)
        await engine.ensure_security_group(group, 7)
        await engine.ensure_port(port, 7)
        await engine.ensure_router(router, 7)
        held = await engine.inventory()
        for attempt in (
            engine.ensure_network(network, 6),
            engine.ensure_security_group(group, 6),
            engine.ensure_port(port, 6),
            engine.ensure_router(router, 6),
            engine.delete_router(router.id, 6),
            engine.delete_port(port.id, 6),
            engine.delete_security_group(group.id, 6),
            engine.delete_network(network.id, 6),
        ):
            with pytest.raises(StaleEpoch):
                await attempt
        assert await engine.inventory() == held
        # Also by another process that has seen none of it.
        with pytest.raises(StaleEpoch):
            await (await rig.start()).ensure_port(port, 6)
        await engine.ensure_port(port, 7)

    @story
    async def test_an_overtaken_worker_cannot_bring_back_what_was_deleted(self, rig: Rig) -> None:
        engine = await rig.start()
        network = new_network()
        await engine.ensure_network(network, 1)
        port = new_port(network, "10.0.0.5")
        await engine.ensure_port(port, 2)
        await engine.delete_port(port.id, 3)
        with pytest.raises(StaleEpoch):
            await engine.ensure_port(port, 2)
        never_made = new_port(network, "10.0.0.6")
        await engine.delete_port(never_made.id, 3)
        with pytest.raises(StaleEpoch):
            await engine.ensure_port(never_made, 2)
        assert (await engine.inventory()).ports == frozenset()
        await engine.ensure_port(port, 4)
        assert (await engine.inventory()).ports == {port.id}

    @story
    async def test_a_port_is_up_while_a_guest_is_plugged_in(self, rig: Rig) -> None:
        engine = await rig.start()
        heard: list[str] = []

        async def hear(port_id: str) -> None:
            heard.append(port_id)

        engine.watch(hear)
        network = new_network()
        await engine.ensure_network(network, 1)
        port, other = new_port(network, "10.0.0.5"), new_port(network, "10.0.0.6")
        for each in (port, other):
            await engine.ensure_port(each, 1)
        assert not await engine.is_up(port.id)
        await rig.boot(engine, port)
        assert not await engine.is_up(other.id)

        async def told() -> bool:
            return port.id in heard

        await until(told, rig.up_seconds)
        assert set(heard) == {port.id}
        await engine.ensure_port(change(port, admin_state_up=False), 2)

        async def is_down() -> bool:
            return not await engine.is_up(port.id)

        await until(is_down, rig.up_seconds)
        await engine.ensure_port(port, 3)
        await until(lambda: engine.is_up(port.id), rig.up_seconds)
        await engine.ensure_network(change(network, admin_state_up=False), 2)
        await until(is_down, rig.up_seconds)
        await engine.ensure_network(network, 3)
        await until(lambda: engine.is_up(port.id), rig.up_seconds)
        await engine.delete_port(port.id, 4)
        assert not await engine.is_up(port.id)

    @story
    async def test_many_changes_at_once_all_take_place(self, rig: Rig) -> None:
        engine, rival = await rig.start(), await rig.start()
        network = new_network()
        await engine.ensure_network(network, 1)
        ports = [new_port(network, f"10.0.0.{number}", dns_name=f"n{number}") for number in range(10, 40)]
        await asyncio.gather(*(each.ensure_port(port, 1) for port in ports for each in (engine, rival)))
        assert (await engine.inventory()).ports == {port.id for port in ports}
        await asyncio.gather(*(each.delete_port(port.id, 2) for port in ports for each in (engine, rival)))
        assert (await engine.inventory()).ports == frozenset()
