"""The smallest program that makes one system call and exits with the error it gave: for x86-64."""

from __future__ import annotations

import struct

_BASE = 0x400000
_HEADERS_LENGTH = 64 + 56


def system_call(number: int, first: int = 0, second: int = 0, *, legacy: bool = False) -> bytes:
    """An ELF executable whose exit status is the call's error number; `legacy` calls as i386 programs do."""
    code = b"\x48\xbf" + struct.pack("<Q", first)  # mov rdi, first
    code += b"\x48\xbe" + struct.pack("<Q", second)  # mov rsi, second
    code += b"\xb8" + struct.pack("<I", number)  # mov eax, number
    code += b"\xcd\x80" if legacy else b"\x0f\x05"  # int 0x80, or syscall
    code += b"\xf7\xd8\x89\xc7"  # neg eax; mov edi, eax
    code += b"\xb8\x3c\x00\x00\x00\x0f\x05"  # exit
    length = _HEADERS_LENGTH + len(code)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",
        *(2, 62, 1, _BASE + _HEADERS_LENGTH, 64, 0, 0, 64, 56, 1, 0, 0, 0),
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, length, length, 0x1000)
    return header + segment + code
