"""Work inside a network namespace: what runs there has a thread of its own, which ends with it."""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_SIOCETHTOOL = 0x8946
_ETHTOOL_STXCSUM = 0x17
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def path_of(netns: str) -> str:
    """The file of a namespace given by name (in /run/netns) or already by path; "" is this process' own."""
    if not netns:
        return "/proc/self/ns/net"
    return netns if "/" in netns else f"/run/netns/{netns}"


def exists(netns: str) -> bool:
    return os.path.exists(path_of(netns))


async def run_in(netns: str, work: Callable[[], T]) -> T:
    """Run `work` in a thread inside the namespace ("" for this process' own) and give what it returns.

    Raises `FileNotFoundError` when the namespace is not there. The thread is not one of a pool: a thread
    that has changed its namespace must not run anyone else's work.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(outcome: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(outcome)  # type: ignore[arg-type]  # no error means an outcome, maybe None

    def body() -> None:
        try:
            if netns:
                enter(netns)
            outcome = work()
        except BaseException as error:
            loop.call_soon_threadsafe(settle, None, error)
        else:
            loop.call_soon_threadsafe(settle, outcome, None)

    threading.Thread(target=body, name=f"netns {netns or 'host'}", daemon=True).start()
    return await done


def enter(netns: str) -> None:
    """Move the calling thread, and it alone, into the namespace, for good."""
    fd = os.open(path_of(netns), os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(fd, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path_of(netns))
    finally:
        os.close(fd)


def set_sysctl(name: str, value: str) -> None:
    """Set `net.NAME` (`ipv4/ip_forward`) of the calling thread's namespace; the kernel shows each its own."""
    with open(f"/proc/sys/net/{name}", "w", encoding="ascii") as file:
        file.write(value)


def checksum_in_software(link: str) -> None:
    """What `ethtool -K LINK tx off` does, in the calling thread's namespace; segmentation offload, which
    builds on it, goes with it."""
    value = ctypes.create_string_buffer(struct.pack("II", _ETHTOOL_STXCSUM, 0))
    request = struct.pack("16sP16x", link.encode(), ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCETHTOOL, request)
