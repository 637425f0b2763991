"""The launcher for commands under Landlock: confines itself by the order it is given, then becomes the command.

Run as `python -I -S -E confine.py ORDER COMMAND...`; standard library only. ORDER is JSON: `read` and `write`,
lists of paths, and `list`, folders whose names alone are seen; `network`; `seccomp`, the filter in hex. Anything that
cannot be applied ends it with 126 and nothing is run. Numbers are from the kernel's include/uapi/linux/landlock.h.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import struct
import sys

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
_ALL_V1 = (1 << 13) - 1
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_MAKE_DEVICES = 1 << 6 | 1 << 11
_READING = EXECUTE | READ_FILE | READ_DIR
_FOR_FILES = EXECUTE | WRITE_FILE | READ_FILE | _TRUNCATE | _IOCTL_DEV
_TCP = 3
_SCOPES = 3
"""No signals to, and no abstract sockets of, processes outside (from version 6)."""

_CAPABILITY_VERSION_3 = 0x20080522
_PR_CAPBSET_DROP, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _FILTER = 24, 22, 38, 2


def main(order: dict[str, object], argv: list[str]) -> None:
    """Confine this process and become `argv`. Raises `OSError` if it cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    version = _checked(libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1), "Landlock is not in this kernel")
    handled = _ALL_V1
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        if version >= since:
            handled |= right
    tcp = _TCP if version >= 4 and not order["network"] else 0
    attributes = struct.pack("=QQQ", handled, tcp, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _checked(libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0), "landlock_create_ruleset")
    for path in order["read"]:  # type: ignore[attr-defined]  # a list by the order's form
        _allow(libc, ruleset, path, handled & (_READING | _IOCTL_DEV))
    for path in order["list"]:  # type: ignore[attr-defined]  # a list by the order's form
        _allow(libc, ruleset, path, READ_DIR)
    for path in order["write"]:  # type: ignore[attr-defined]  # a list by the order's form
        _allow(libc, ruleset, path, handled & ~_MAKE_DEVICES)
    _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    _drop_capabilities(libc)
    _checked(libc.syscall(_RESTRICT_SELF, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)
    code = bytes.fromhex(str(order["seccomp"]))
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    _checked(libc.prctl(_PR_SET_SECCOMP, _FILTER, program, 0, 0), "PR_SET_SECCOMP")
    os.execv(argv[0], argv)


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Give up all capabilities. Root gets those back with the next program that are in the bounding set."""
    number = 0
    while libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) == 0:
        number += 1
    if ctypes.get_errno() == errno.EPERM and os.geteuid() == 0:
        _checked(-1, "PR_CAPBSET_DROP")
    header, data = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), bytes(24)
    _checked(libc.capset(header, data), "capset")


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not os.path.isdir(path):
            access &= _FOR_FILES
        rule = struct.pack("=Qi", access, descriptor)
        _checked(libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0), f"landlock_add_rule for {path}")
    finally:
        os.close(descriptor)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]), sys.argv[2:])
    except OSError as error:
        sys.stderr.write(f"cannot confine the command: {error}\n")
        os._exit(126)
