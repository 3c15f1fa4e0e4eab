"""The system calls that a container server is refused, as data, in the notation of OCI's runtime spec.

A system container runs a whole distribution: its init, services, package manager. A list of what is allowed
would break with each new libc, so this is a list of what is denied: what reaches past the namespaces (kernel
keyrings, file handles, the kernel log, clocks), what loads code into the kernel, and large interfaces with a
record of holes that a server does without. The user namespace and the capabilities left out are the first
line; this is the second.
"""

from __future__ import annotations

import errno
from typing import Any

import msgspec

_EPERM = errno.EPERM
_ENOSYS = errno.ENOSYS
"""Told where programs know how to do without: they then take their older path."""

_LOW_WORD = 0xFFFFFFFF


class Argument(msgspec.Struct, frozen=True):
    """A call is denied only when the low 32 bits of this argument have this value."""

    index: int
    value: int


class Denial(msgspec.Struct, frozen=True):
    why: str
    names: tuple[str, ...]
    answer: int = _EPERM
    """The error number that the call gives."""
    when: Argument | None = None


DENIED: tuple[Denial, ...] = (
    Denial("replaces the running kernel", ("kexec_load", "kexec_file_load")),
    Denial("loads code into the kernel", ("init_module", "finit_module", "delete_module", "create_module")),
    Denial("opens files by handle, past every mount", ("open_by_handle_at",)),
    Denial("reads the host's kernel log", ("syslog",)),
    Denial("sets the host's clock", ("settimeofday", "stime", "clock_settime", "clock_settime64")),
    Denial("adjusts the host's clock", ("adjtimex", "clock_adjtime", "clock_adjtime64")),
    Denial("changes what the host swaps on", ("swapon", "swapoff")),
    Denial("changes what the host accounts for and limits", ("acct", "quotactl", "quotactl_fd")),
    Denial("touches hardware ports", ("iopl", "ioperm")),
    Denial("the kernel's keyrings know no namespace", ("add_key", "request_key", "keyctl"), _ENOSYS),
    Denial("programs in the kernel, tracing of the host", ("bpf", "perf_event_open", "lookup_dcookie")),
    Denial("faults handled by a program make kernel races winnable", ("userfaultfd",)),
    Denial(
        "a second way around this very filter, with a long record of holes",
        ("io_uring_setup", "io_uring_enter", "io_uring_register"),
        _ENOSYS,
    ),
    Denial("16-bit code and its segments", ("vm86", "vm86old")),
    Denial("obsolete", ("_sysctl", "sysfs", "uselib", "ustat", "nfsservctl"), _ENOSYS),
    Denial("obsolete", ("get_kernel_syms", "query_module"), _ENOSYS),
    Denial("types into the terminal of another (TIOCSTI)", ("ioctl",), when=Argument(1, 0x5412)),
    Denial("pastes into a console of the host (TIOCLINUX)", ("ioctl",), when=Argument(1, 0x541C)),
    Denial("talks to the hypervisor below the host (AF_VSOCK)", ("socket",), when=Argument(0, 40)),
    Denial("the kernel's ciphers, with a record of holes (AF_ALG)", ("socket",), when=Argument(0, 38)),
)


_ARCHITECTURES: dict[str, tuple[str, ...]] = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
}
"""All the ways into one kernel: a filter that forgot the 32-bit ones would be no filter."""


def profile(machine: str) -> dict[str, Any]:
    """`linux.seccomp` of an OCI configuration for a kernel of this `machine` (as `uname -m` says)."""
    if machine not in _ARCHITECTURES:
        raise ValueError(f"no system call filter for {machine}; there is one for {', '.join(_ARCHITECTURES)}")
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": list(_ARCHITECTURES[machine]),
        "syscalls": [_rule(denial) for denial in DENIED],
    }


def _rule(denial: Denial) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "names": list(denial.names),
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": denial.answer,
    }
    if denial.when is not None:
        # The kernel looks at 32 bits only, so a value hidden under set high bits is the same value.
        rule["args"] = [
            {
                "index": denial.when.index,
                "value": _LOW_WORD,
                "valueTwo": denial.when.value,
                "op": "SCMP_CMP_MASKED_EQ",
            }
        ]
    return rule
