"""The network cards of a guest that runs: put in and taken out as its NICs come and go.

What is plugged in is asked of QEMU itself, so that whoever comes after a crash goes on where it happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence

from pileus.drivers import vif
from pileus.drivers.hypervisor.qemu.runner import Runner
from pileus.lib.qemu_argv import NetworkCard, cable_id, cable_options, card_id, card_options
from pileus.services.compute.driver import HypervisorError, Nic

_LOOKS, _LOOK_SECONDS = 40, 0.05
"""How long a guest is given to let go of a card."""


def card_of(nic: Nic, tap: vif.Tap | None, fd: int | str | None) -> NetworkCard:
    return NetworkCard(
        port_id=nic.port_id,
        mac=nic.mac,
        mtu=nic.mtu,
        tap_fd=fd,
        offloads=tap is None or tap.offloads,
    )


async def put_in(runner: Runner, nics: Sequence[Nic]) -> None:
    """Every NIC has its card, on its network. Raises `HypervisorError` where QEMU has no room for another one, or the guest has
    not let go of the card that the same port had before."""
    plugged = await _devices(runner) if nics else set()
    for nic in nics:
        if card_id(nic.port_id) not in plugged:
            await _put_in(runner, nic)
        elif not await _is_connected(runner, nic):
            raise HypervisorError(
                f"The guest has not let go of the card that port {nic.port_id} had before; stop and start it."
            )
        else:
            await vif.keep_plugged(nic)


async def take_out(runner: Runner, nics: Sequence[Nic]) -> None:
    """The NICs' cards are disconnected, and gone as soon as the guest lets go of them: at once as a rule, but at
    its next start where its system does not listen."""
    for nic in nics:
        # Asked already, or never there.
        with contextlib.suppress(HypervisorError):
            await runner.execute("device_del", id=card_id(nic.port_id))
    leaving = {card_id(nic.port_id) for nic in nics}
    for _ in range(_LOOKS):
        if not leaving & await _devices(runner):
            break
        await asyncio.sleep(_LOOK_SECONDS)
    for nic in nics:
        await _disconnect(runner, nic)


async def _devices(runner: Runner) -> set[str]:
    found = await runner.execute("qom-list", path="/machine/peripheral")
    return {each["name"] for each in found}


async def _is_connected(runner: Runner, nic: Nic) -> bool:
    try:
        await runner.execute("set_link", name=cable_id(nic.port_id), up=True)
    except HypervisorError:
        return False
    return True


async def _disconnect(runner: Runner, nic: Nic) -> None:
    # QEMU refuses where there is nothing to disconnect.
    with contextlib.suppress(HypervisorError):
        await runner.execute("netdev_del", id=cable_id(nic.port_id))


async def _put_in(runner: Runner, nic: Nic) -> None:
    await _disconnect(runner, nic)
    tap = await vif.plug_tap(nic)
    if tap is not None:
        try:
            await runner.give(tap.name, tap.fd)
        finally:
            os.close(tap.fd)
    card = card_of(nic, tap, tap.name if tap is not None else None)
    await runner.execute("netdev_add", **cable_options(card))
    try:
        await runner.execute("device_add", **card_options(card))
    except BaseException:
        await _disconnect(runner, nic)
        raise
