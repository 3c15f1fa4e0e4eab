"""Northbound rows, computed without any daemon."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pileus.drivers.network.ovn import names
from pileus.drivers.network.ovn.dhcp import dhcp_options
from pileus.drivers.network.ovn.router import GATEWAY_CHASSIS, router_rows
from pileus.drivers.network.ovn.security import SECURED, rule_match, secured_rows, security_group_rows
from pileus.drivers.network.ovn.switch import metadata_port_id, network_rows, port_rows
from pileus.drivers.network.ovn.wanted import Wanted, difference
from pileus.drivers.ovsdb import Uuid, canonical
from pileus.services.network.driver import FloatingIp, NetworkError
from pileus.testing.network import (
    new_gateway,
    new_id,
    new_network,
    new_port,
    new_router,
    new_rule,
    new_security_group,
    new_subnet,
)

change = msgspec.structs.replace


def of_table(wanted: Wanted, table: str) -> dict[str, dict[str, Any]]:
    return {row_id: columns for (row_table, row_id), columns in wanted.rows.items() if row_table == table}


class TestNetwork:
    def test_a_switch_with_a_metadata_port_and_dhcp(self) -> None:
        network = new_network("10.0.0.0/24", "fd00::/64")
        wanted = network_rows(network, 3, "public")
        (switch,) = of_table(wanted, names.SWITCH).values()
        assert switch["name"] == network.id
        assert switch["external_ids"][names.EPOCH] == "3"
        assert list(of_table(wanted, names.DHCP)) == [network.subnets[0].id]
        ports = of_table(wanted, names.SWITCH_PORT)
        assert [port["type"] for port in ports.values()] == ["localport"]
        assert list(ports) == [metadata_port_id(network.id)]
        member = (names.SWITCH, network.id, "ports", metadata_port_id(network.id))
        assert wanted.members == {member}

    def test_a_network_without_subnets_needs_no_metadata(self) -> None:
        assert not of_table(network_rows(new_network(subnets=()), 1, "public"), names.SWITCH_PORT)

    def test_an_external_network_leads_to_the_bridge(self) -> None:
        ports = of_table(network_rows(new_network(subnets=(), external=True), 1, "public"), names.SWITCH_PORT)
        (port,) = ports.values()
        assert (port["type"], port["addresses"]) == ("localnet", ["unknown"])
        assert port["options"] == {"network_name": "public"}


class TestPort:
    def test_its_addresses_and_no_others(self) -> None:
        network = new_network("10.0.0.0/24", "fd00::/64")
        port = new_port(
            network, "10.0.0.5", "fd00::5", mac="fa:16:3e:00:00:01", host="host-1", dns_name="web"
        )
        wanted = port_rows(port, network, 1)
        row = of_table(wanted, names.SWITCH_PORT)[port.id]
        assert row["addresses"] == ["fa:16:3e:00:00:01 10.0.0.5 fd00::5"]
        assert row["port_security"] == ["fa:16:3e:00:00:01 10.0.0.5 fd00::5 fe80::f816:3eff:fe00:1"]
        assert row["dhcpv4_options"] == {network.subnets[0].id}
        assert row["dhcpv6_options"] == frozenset()
        assert row["options"] == {"requested-chassis": "host-1", "hostname": '"web"'}
        assert (names.GROUP, SECURED, "ports", port.id) in wanted.members

    def test_allowed_pairs(self) -> None:
        network = new_network()
        pairs = (("10.0.0.128/25", "fa:16:3e:00:00:01"), ("10.0.0.9", "fa:16:3e:00:00:02"))
        port = new_port(network, "10.0.0.5", mac="fa:16:3e:00:00:01", allowed_address_pairs=pairs)
        row = of_table(port_rows(port, network, 1), names.SWITCH_PORT)[port.id]
        assert row["port_security"] == [
            "fa:16:3e:00:00:01 10.0.0.5 10.0.0.128/25",
            "fa:16:3e:00:00:02 10.0.0.9",
        ]
        assert row["addresses"] == ["fa:16:3e:00:00:01 10.0.0.5", "fa:16:3e:00:00:02"]

    def test_without_port_security_all_may_pass(self) -> None:
        network = new_network()
        group = new_id()
        port = new_port(network, "10.0.0.5", port_security_enabled=False, security_group_ids=(group,))
        wanted = port_rows(port, network, 1)
        row = of_table(wanted, names.SWITCH_PORT)[port.id]
        assert row["addresses"][-1] == "unknown"
        assert row["port_security"] == []
        assert not any(table == names.GROUP for table, *_ in wanted.members)

    def test_a_secured_port_without_addresses_may_use_none(self) -> None:
        network = new_network()
        port = new_port(network, mac="fa:16:3e:00:00:01")
        row = of_table(port_rows(port, network, 1), names.SWITCH_PORT)[port.id]
        assert row["port_security"] == ["fa:16:3e:00:00:01 0.0.0.0"]

    def test_dhcp_options_of_its_own(self) -> None:
        network = new_network()
        port = new_port(network, "10.0.0.5", dhcp_options={"ntp-server": "10.0.0.9", "no-such": "1"})
        wanted = port_rows(port, network, 1)
        ((row_id, row),) = of_table(wanted, names.DHCP).items()
        assert row["options"]["ntp_server"] == "10.0.0.9"
        assert of_table(wanted, names.SWITCH_PORT)[port.id]["dhcpv4_options"] == {row_id}

    @pytest.mark.parametrize(("of_port", "of_network"), [(False, True), (True, False)])
    def test_it_is_off_when_it_or_its_network_is(self, of_port: bool, of_network: bool) -> None:
        network = new_network(admin_state_up=of_network)
        port = new_port(network, "10.0.0.5", admin_state_up=of_port)
        assert of_table(port_rows(port, network, 1), names.SWITCH_PORT)[port.id]["enabled"] is False

    def test_its_name_is_found_with_and_without_the_domain(self) -> None:
        network = new_network(dns_domain="Cloud.example.")
        port = new_port(network, "10.0.0.5", dns_name="Web")
        ((_, row),) = of_table(port_rows(port, network, 1), names.DNS).items()
        assert row["records"] == {"web": "10.0.0.5", "web.cloud.example": "10.0.0.5"}


class TestDhcp:
    def test_ipv4(self) -> None:
        subnet = new_subnet(
            "10.0.0.0/24", dns_nameservers=("10.0.0.2",), host_routes=(("10.8.0.0/16", "10.0.0.8"),)
        )
        network = new_network(subnets=(subnet,), mtu=1442, dns_domain="cloud.example.")
        options = dhcp_options(network, subnet)
        assert options is not None
        assert options["mtu"] == "1442"
        assert options["dns_server"] == "{10.0.0.2}"
        assert options["domain_name"] == '"cloud.example"'
        assert options["classless_static_route"] == (
            "{169.254.169.254/32,0.0.0.0, 10.8.0.0/16,10.0.0.8, 0.0.0.0/0,10.0.0.1}"
        )

    @pytest.mark.parametrize("mode", ["slaac", None])
    def test_no_ipv6_lease_where_guests_make_their_own_address(self, mode: str | None) -> None:
        subnet = new_subnet("fd00::/64", ipv6_address_mode=mode, ipv6_ra_mode=mode)
        assert dhcp_options(new_network(subnets=(subnet,)), subnet) is None

    def test_a_value_cannot_end_its_quotes(self) -> None:
        network = new_network()
        options = dhcp_options(network, network.subnets[0], {"domain-name": 'a"; b'})
        assert options is not None
        assert options["domain_name"] == '"a; b"'


class TestSecurityGroups:
    @pytest.mark.parametrize(
        ("rule", "match"),
        [
            (new_rule("ingress"), "outport == @pg_g && ip4"),
            (new_rule("egress", "IPv6"), "inport == @pg_g && ip6"),
            (
                new_rule("ingress", protocol="tcp", port_range_min=22, port_range_max=22),
                "outport == @pg_g && ip4 && tcp && tcp.dst == 22",
            ),
            (
                new_rule("egress", protocol="17", port_range_min=1, port_range_max=9),
                "inport == @pg_g && ip4 && udp && udp.dst >= 1 && udp.dst <= 9",
            ),
            (
                new_rule("ingress", remote_ip_prefix="10.1.2.3/8"),
                "outport == @pg_g && ip4 && ip4.src == 10.0.0.0/8",
            ),
            (new_rule("ingress", remote_ip_prefix="0.0.0.0/0"), "outport == @pg_g && ip4"),
            (new_rule("egress", remote_group_id="a-b"), "inport == @pg_g && ip4 && ip4.dst == $pg_a_b_ip4"),
            (
                new_rule("ingress", protocol="icmp", port_range_min=8, port_range_max=0),
                "outport == @pg_g && ip4 && icmp4 && icmp4.type == 8 && icmp4.code == 0",
            ),
            (new_rule("ingress", "IPv6", protocol="icmp"), "outport == @pg_g && ip6 && icmp6"),
            (new_rule("ingress", protocol="vrrp"), "outport == @pg_g && ip4 && ip.proto == 112"),
            (new_rule("ingress", protocol="200"), "outport == @pg_g && ip4 && ip.proto == 200"),
        ],
    )
    def test_rules_as_matches(self, rule: Any, match: str) -> None:
        assert rule_match("g", rule) == match

    def test_what_cannot_be_told_apart_is_refused(self) -> None:
        rule = new_rule("ingress", protocol="dccp", port_range_min=1, port_range_max=2)
        with pytest.raises(NetworkError, match="dccp"):
            rule_match("g", rule)

    @pytest.mark.parametrize(("stateful", "action"), [(True, "allow-related"), (False, "allow-stateless")])
    def test_a_group_and_its_rules(self, stateful: bool, action: str) -> None:
        group = new_security_group(new_rule("ingress"), stateful=stateful)
        wanted = security_group_rows(group, {})
        acls = of_table(wanted, names.ACL)
        assert set(acls) == {rule.id for rule in group.rules}
        assert {acl["action"] for acl in acls.values()} == {action}
        (row,) = of_table(wanted, names.GROUP).values()
        assert set(row["acls"]) == set(acls)

    def test_what_no_rule_allows_is_dropped_in_both_directions(self) -> None:
        acls = of_table(secured_rows(), names.ACL).values()
        lowest = min(acl["priority"] for acl in acls)
        last = {(acl["direction"], acl["action"]) for acl in acls if acl["priority"] == lowest}
        assert last == {("from-lport", "drop"), ("to-lport", "drop")}


class TestRouter:
    def test_interfaces_gateway_and_translation(self) -> None:
        inner, outer = new_network("10.0.0.0/24", "fd00::/64"), new_network("172.24.4.0/24", external=True)
        floating = FloatingIp(id=new_id(), floating_ip="172.24.4.9", fixed_ip="10.0.0.5", port_id=new_id())
        gateway = new_gateway(outer, "172.24.4.5/24")
        router = new_router(
            inner, gateway=gateway, floating_ips=(floating,), routes=(("10.9.0.0/16", "10.0.0.7"),)
        )
        wanted = router_rows(router, {inner.id: inner, outer.id: outer}, {})
        ports = of_table(wanted, names.ROUTER_PORT)
        assert ports[router.interfaces[0].port_id]["networks"] == ["10.0.0.1/24", "fd00::1/64"]
        assert ports[gateway.port_id]["ha_chassis_group"] == {GATEWAY_CHASSIS}
        nats = {
            (nat["type"], nat["logical_ip"], nat["external_ip"])
            for nat in of_table(wanted, names.NAT).values()
        }
        assert nats == {
            ("snat", "10.0.0.0/24", "172.24.4.5"),
            ("dnat_and_snat", "10.0.0.5", "172.24.4.9"),
        }
        routes = {(each["ip_prefix"], each["nexthop"]) for each in of_table(wanted, names.ROUTE).values()}
        assert routes == {("0.0.0.0/0", "172.24.4.1"), ("10.9.0.0/16", "10.0.0.7")}
        assert all(port["type"] == "router" for port in of_table(wanted, names.SWITCH_PORT).values())

    def test_without_snat_only_floating_ips_are_translated(self) -> None:
        inner, outer = new_network(), new_network("172.24.4.0/24", external=True)
        gateway = change(new_gateway(outer, "172.24.4.5/24"), enable_snat=False)
        wanted = router_rows(new_router(inner, gateway=gateway), {inner.id: inner, outer.id: outer}, {})
        assert not of_table(wanted, names.NAT)

    @pytest.mark.parametrize(
        ("mode", "told"),
        [
            ("slaac", "slaac"),
            ("dhcpv6-stateful", "dhcpv6_stateful"),
            ("dhcpv6-stateless", "dhcpv6_stateless"),
            (None, None),
        ],
    )
    def test_router_advertisements(self, mode: str | None, told: str | None) -> None:
        network = new_network(subnets=(new_subnet("fd00::/64", ipv6_ra_mode=mode),), mtu=1400)
        router = new_router(network)
        wanted = router_rows(router, {network.id: network}, {})
        config = of_table(wanted, names.ROUTER_PORT)[router.interfaces[0].port_id]["ipv6_ra_configs"]
        assert config.get("address_mode") == told
        assert config.get("mtu") == (told and "1400")

    def test_packets_are_measured_only_before_a_narrower_link(self) -> None:
        inner, outer = new_network(mtu=9000), new_network("172.24.4.0/24", external=True, mtu=1500)
        gateway = new_gateway(outer, "172.24.4.5/24")
        wanted = router_rows(new_router(inner, gateway=gateway), {inner.id: inner, outer.id: outer}, {})
        assert of_table(wanted, names.ROUTER_PORT)[gateway.port_id]["options"] == {"gateway_mtu": "1500"}


class TestDifference:
    def test_what_is_as_wanted_needs_nothing(self) -> None:
        wanted = Wanted()
        wanted.add("T", "a", {"name": "x", "tags": ["p", "q"], "map": {"k": "v"}})
        have = {"T": {"a": {"name": canonical("x"), "tags": frozenset({"q", "p"}), "map": {"k": "v"}}}}
        assert difference(have, wanted, wanted) == []

    def test_only_what_differs_is_written(self) -> None:
        wanted = Wanted()
        wanted.add("T", "a", {"name": "x", "size": 2})
        have = {"T": {"a": {"name": canonical("x"), "size": canonical(1), "other": canonical("kept")}}}
        (operation,) = difference(have, wanted, wanted)
        assert operation["row"] == {"size": 2}

    def test_what_is_no_longer_wanted_goes(self) -> None:
        before, after = Wanted(), Wanted()
        before.add("T", "a", {"name": "x"}, member_of=("S", "s"))
        operations = difference({"T": {"a": {"name": canonical("x")}}}, before, after)
        assert [operation["op"] for operation in operations] == ["mutate", "delete"]
        assert operations[0]["mutations"] == [["ports", "delete", ["set", [["uuid", "a"]]]]]

    def test_a_lost_row_is_made_again(self) -> None:
        wanted = Wanted()
        wanted.add("T", "a", {"refers": Uuid("b")})
        (operation,) = difference({"T": {}}, wanted, wanted)
        assert operation == {"op": "insert", "table": "T", "uuid": "a", "row": {"refers": ["uuid", "b"]}}


class TestNames:
    @pytest.mark.parametrize("mac", ["fa:16:3e:12:34:56", "02:00:00:00:00:01"])
    def test_link_local_addresses_tell_the_mac(self, mac: str) -> None:
        assert names.mac_of_link_local(names.link_local_of(mac)) == mac

    @pytest.mark.parametrize("ip", ["10.0.0.1", "fd00::1", "fe80::1"])
    def test_other_addresses_do_not(self, ip: str) -> None:
        assert names.mac_of_link_local(ip) is None
