"""What every hypervisor driver keeps: see `Hypervisor` for the promises."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest

from pileus.services.compute.driver import (
    Guest,
    GuestNotFound,
    GuestState,
    HypervisorError,
    Power,
    StaleEpoch,
)
from pileus.testing.contract.hypervisor.rig import Rig
from pileus.testing.contract.story import story
from pileus.testing.waiting import until


class HypervisorContract:
    @story
    async def test_an_image_is_fetched_once(self, rig: Rig) -> None:
        driver = await rig.start()
        images = list(rig.new_images().values())
        for image in images:
            await asyncio.gather(*(driver.ensure_image(image, rig.open_image) for _ in range(3)))
            await driver.ensure_image(image, rig.open_image)
        await (await rig.start()).ensure_image(images[0], rig.open_image)
        assert rig.downloads == {image.id: 1 for image in images}

    @story
    async def test_a_damaged_image_is_refused_and_can_be_fetched_again(self, rig: Rig) -> None:
        driver = await rig.start()
        image = rig.new_images()["image"]
        whole = rig.contents[image.id]
        rig.contents[image.id] = whole[:-1] + bytes([whole[-1] ^ 1])
        with pytest.raises(HypervisorError, match=image.id):
            await driver.ensure_image(image, rig.open_image)
        rig.contents[image.id] = whole
        await driver.ensure_image(image, rig.open_image)
        assert rig.downloads[image.id] == 2

    @story
    async def test_an_image_whose_source_fails_can_be_fetched_again(self, rig: Rig) -> None:
        driver = await rig.start()
        image = rig.new_images()["image"]

        async def broken(image_id: str) -> AsyncIterator[bytes]:
            yield rig.contents[image_id][:10]
            raise ConnectionResetError("the image service went away")

        with pytest.raises(ConnectionResetError):
            await driver.ensure_image(image, broken)
        await driver.ensure_image(image, rig.open_image)

    @story
    async def test_a_guest_needs_its_image(self, rig: Rig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        absent = msgspec.structs.replace(guest.image, id=str(uuid.uuid4()))
        with pytest.raises(HypervisorError, match=absent.id):
            await driver.ensure(msgspec.structs.replace(guest, image=absent), Power.RUNNING, 1)
        await driver.destroy(guest.id, 1)
        assert rig.traces(guest.id) == []

    @story
    async def test_a_guest_boots_and_the_same_again_changes_nothing(self, rig: Rig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        assert await driver.observe(guest.id) is None
        expected = GuestState(id=guest.id, power=Power.RUNNING)
        assert await driver.ensure(guest, Power.RUNNING, 1) == expected
        boot = await rig.boot_of(guest.id)
        await rig.until_console(driver, guest.id, rig.ready_text)
        assert await driver.ensure(guest, Power.RUNNING, 1) == expected
        assert await driver.observe(guest.id) == expected
        assert await rig.boot_of(guest.id) == boot
        assert (await driver.console_log(guest.id)).count(rig.ready_text) == 1

    @story
    async def test_a_snapshot_is_an_image_and_leaves_nothing(self, rig: Rig) -> None:
        driver = await rig.start()
        with pytest.raises(GuestNotFound):
            async with driver.snapshot(str(uuid.uuid4())):
                pass
        guest = await rig.new_guest(driver)
        for power in (Power.RUNNING, Power.STOPPED):
            await driver.ensure(guest, power, 1)
            before = rig.traces(guest.id)
            for _ in range(2):
                async with driver.snapshot(guest.id) as taken:
                    content = b"".join([chunk async for chunk in taken.chunks])
            assert rig.traces(guest.id) == before
            assert (await driver.observe(guest.id)) == GuestState(id=guest.id, power=power)
            form = "rootfs" if taken.container_format == "docker" else taken.disk_format
            image = rig.new_image(content, form)
            await driver.ensure_image(image, rig.open_image)
        # Another guest can start from it.
        twin = msgspec.structs.replace(guest, id=str(uuid.uuid4()), image=image, nics=())
        rig.guest_ids.append(twin.id)
        assert (await driver.ensure(twin, Power.RUNNING, 1)).power is Power.RUNNING

    @story
    async def test_ensure_at_the_same_time_makes_one_guest(self, rig: Rig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        states = await asyncio.gather(*(driver.ensure(guest, Power.RUNNING, 1) for _ in range(3)))
        assert {state.power for state in states} == {Power.RUNNING}
        await rig.until_console(driver, guest.id, rig.ready_text)
        assert (await driver.console_log(guest.id)).count(rig.ready_text) == 1

    @story
    async def test_a_new_driver_adopts_what_runs(self, rig: Rig) -> None:
        first = await rig.start()
        guest = await rig.new_guest(first)
        await first.ensure(guest, Power.RUNNING, 1)
        boot = await rig.boot_of(guest.id)
        await first.close()
        second = await rig.start()
        assert await second.list_guests() == [GuestState(id=guest.id, power=Power.RUNNING)]
        await second.ensure(guest, Power.RUNNING, 2)
        assert await rig.boot_of(guest.id) == boot
        await rig.until_console(second, guest.id, rig.ready_text)
        await second.ensure(guest, Power.STOPPED, 2)
        state = await second.observe(guest.id)
        assert state is not None
        assert state.power is Power.STOPPED

    @story
    async def test_a_driver_that_was_never_closed_is_succeeded(self, rig: Rig) -> None:
        first = await rig.start()
        guest = await rig.new_guest(first)
        await first.ensure(guest, Power.RUNNING, 1)
        boot = await rig.boot_of(guest.id)
        second = await rig.start()
        assert await second.observe(guest.id) == GuestState(id=guest.id, power=Power.RUNNING)
        assert await rig.boot_of(guest.id) == boot
        await second.destroy(guest.id, 2)
        assert rig.traces(guest.id) == []

    @story
    async def test_stop_and_start(self, rig: Rig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        assert (await driver.ensure(guest, Power.STOPPED, 1)).power is Power.STOPPED
        assert (await driver.ensure(guest, Power.RUNNING, 1)).power is Power.RUNNING
        boot = await rig.boot_of(guest.id)
        await rig.until_console(driver, guest.id, rig.ready_text)
        for _ in range(2):
            assert (await driver.ensure(guest, Power.STOPPED, 1)).power is Power.STOPPED
        assert [state.power for state in await driver.list_guests()] == [Power.STOPPED]
        assert (await driver.ensure(guest, Power.RUNNING, 1)).power is Power.RUNNING
        assert await rig.boot_of(guest.id) != boot
        await rig.until_console(driver, guest.id, rig.ready_text)

    @story
    async def test_reset_boots_anew(self, rig: Rig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.RUNNING, 1)
        await rig.until_console(driver, guest.id, rig.ready_text)
        boot = await rig.boot_of(guest.id)
        await driver.reset(guest.id, 1)
        assert await driver.observe(guest.id) == GuestState(id=guest.id, power=Power.RUNNING)
        assert await rig.boot_of(guest.id) != boot
        await rig.until_console(driver, guest.id, rig.ready_text, times=2)

    @story
    async def test_reset_starts_what_is_stopped(self, rig: Rig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.STOPPED, 1)
        await driver.reset(guest.id, 1)
        assert await driver.observe(guest.id) == GuestState(id=guest.id, power=Power.RUNNING)
        await rig.until_console(driver, guest.id, rig.ready_text)

    @story
    async def test_a_guest_that_is_asked_to_powers_off_and_is_seen(self, rig: Rig) -> None:
        driver = await rig.start()
        seen: list[str] = []

        async def changed(guest_id: str) -> None:
            seen.append(guest_id)

        driver.watch(changed)
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.RUNNING, 1)
        await rig.until_console(driver, guest.id, rig.ready_text)
        await driver.shut_down(guest.id, 1)
        state = await rig.until_power(driver, guest.id, Power.STOPPED)
        assert state.reason is not None
        await until(lambda: _told(seen, guest), rig.boot_seconds)
        await driver.shut_down(guest.id, 1)
        assert (await driver.ensure(guest, Power.RUNNING, 1)).power is Power.RUNNING

    @story
    async def test_a_crash_is_seen_told_and_mended(self, rig: Rig) -> None:
        driver = await rig.start()
        seen: list[str] = []

        async def changed(guest_id: str) -> None:
            seen.append(guest_id)

        driver.watch(changed)
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.RUNNING, 1)
        await rig.crash(guest.id)
        await until(lambda: _told(seen, guest), rig.boot_seconds)
        state = await rig.until_power(driver, guest.id, Power.CRASHED)
        assert state.reason
        assert await driver.list_guests() == [state]
        assert (await driver.ensure(guest, Power.RUNNING, 1)).power is Power.RUNNING
        await rig.until_console(driver, guest.id, rig.ready_text)

    @story
    async def test_a_crash_while_nobody_looked_is_seen_later(self, rig: Rig) -> None:
        first = await rig.start()
        guest = await rig.new_guest(first)
        await first.ensure(guest, Power.RUNNING, 1)
        await first.close()
        await rig.crash(guest.id)
        second = await rig.start()
        state = await rig.until_power(second, guest.id, Power.CRASHED)
        assert state.reason
        assert (await second.ensure(guest, Power.STOPPED, 2)).power is Power.STOPPED

    @story
    async def test_destroy_from_every_state_leaves_nothing(self, rig: Rig) -> None:
        driver = await rig.start()

        async def crashed(guest: Guest) -> None:
            await driver.ensure(guest, Power.RUNNING, 1)
            await rig.crash(guest.id)
            await rig.until_power(driver, guest.id, Power.CRASHED)

        async def stopped(guest: Guest) -> None:
            await driver.ensure(guest, Power.RUNNING, 1)
            await driver.ensure(guest, Power.STOPPED, 1)

        async def nothing(guest: Guest) -> None:
            pass

        ways: list[Callable[[Guest], Awaitable[object]]] = [
            lambda guest: driver.ensure(guest, Power.RUNNING, 1),
            lambda guest: driver.ensure(guest, Power.STOPPED, 1),
            stopped,
            crashed,
            nothing,
        ]
        for way in ways:
            guest = await rig.new_guest(driver, config_drive={"openstack/latest/meta_data.json": b"{}"})
            await way(guest)
            for _ in range(2):
                await driver.destroy(guest.id, 1)
                assert rig.traces(guest.id) == []
                assert await driver.observe(guest.id) is None
        assert await driver.list_guests() == []

    @story
    async def test_who_is_out_of_date_is_refused(self, rig: Rig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.STOPPED, 5)
        driver = await rig.start()
        for stale in (
            driver.ensure(guest, Power.RUNNING, 4),
            driver.shut_down(guest.id, 4),
            driver.reset(guest.id, 4),
            driver.destroy(guest.id, 4),
        ):
            with pytest.raises(StaleEpoch):
                await stale
        assert await driver.observe(guest.id) == GuestState(id=guest.id, power=Power.STOPPED)
        await driver.destroy(guest.id, 6)
        with pytest.raises(StaleEpoch):
            await driver.ensure(guest, Power.RUNNING, 5)
        assert await driver.observe(guest.id) is None

    @story
    async def test_what_is_not_there_is_told(self, rig: Rig) -> None:
        driver = await rig.start()
        nobody = str(uuid.uuid4())
        await driver.destroy(nobody, 1)
        assert await driver.observe(nobody) is None
        for missing in (
            driver.console_log(nobody),
            driver.shut_down(nobody, 1),
            driver.reset(nobody, 1),
        ):
            with pytest.raises(GuestNotFound, match=nobody):
                await missing
        assert rig.traces(nobody) == []

    @story
    async def test_the_end_of_the_console(self, rig: Rig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.STOPPED, 1)
        assert await driver.console_log(guest.id) == ""
        await driver.ensure(guest, Power.RUNNING, 1)
        await rig.until_console(driver, guest.id, rig.ready_text)
        await driver.ensure(guest, Power.STOPPED, 1)
        log = await driver.console_log(guest.id)
        lines = log.splitlines(keepends=True)
        assert await driver.console_log(guest.id, 2) == "".join(lines[-2:])
        assert await driver.console_log(guest.id, 0) == ""
        assert await driver.console_log(guest.id, len(lines) + 10) == log

    @story
    async def test_several_guests_stand_beside_each_other(self, rig: Rig) -> None:
        driver = await rig.start()
        one, two = await rig.new_guest(driver), await rig.new_guest(driver)
        await asyncio.gather(*(driver.ensure(guest, Power.RUNNING, 1) for guest in (one, two)))
        assert {state.id for state in await driver.list_guests()} == {one.id, two.id}
        boot = await rig.boot_of(two.id)
        await driver.destroy(one.id, 1)
        assert await driver.list_guests() == [GuestState(id=two.id, power=Power.RUNNING)]
        assert await rig.boot_of(two.id) == boot

    @story
    async def test_an_image_is_forgotten_once_no_guest_needs_it(self, rig: Rig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.STOPPED, 1)
        await driver.forget_image(guest.image.id)
        assert (await driver.ensure(guest, Power.RUNNING, 1)).power is Power.RUNNING
        await driver.destroy(guest.id, 1)
        await driver.forget_image(guest.image.id)
        await driver.forget_image(guest.image.id)
        await driver.ensure_image(guest.image, rig.open_image)
        assert rig.downloads[guest.image.id] == 2


async def _told(seen: list[str], guest: Guest) -> bool:
    return guest.id in seen
