"""The system calls that a sandboxed command is refused, as a BPF program for the kernel.

Refused is what a program in a workspace does not need and what sandboxes have been left through: other
processes' memory, mounts and namespaces, io_uring (which does file and network work that no filter sees),
kernel keys, modules, BPF, and typing into the terminal.
"""

from __future__ import annotations

import errno
import platform
import struct

# From the kernel's tables (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h).
_X86_64 = {
    "ptrace": 101, "syslog": 103, "pivot_root": 155, "adjtimex": 159, "chroot": 161, "acct": 163, "settimeofday": 164,
    "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169, "iopl": 172, "ioperm": 173,
    "init_module": 175, "delete_module": 176, "quotactl": 179, "kexec_load": 246, "add_key": 248, "request_key": 249,
    "keyctl": 250, "clock_settime": 227, "unshare": 272, "perf_event_open": 298, "open_by_handle_at": 304,
    "clock_adjtime": 305, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
    "finit_module": 313, "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323,
}  # fmt: skip
_AARCH64 = {
    "umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51, "quotactl": 60, "acct": 89, "unshare": 97,
    "kexec_load": 104, "init_module": 105, "delete_module": 106, "clock_settime": 112, "syslog": 116, "ptrace": 117,
    "reboot": 142, "settimeofday": 170, "adjtimex": 171, "add_key": 217, "request_key": 218, "keyctl": 219,
    "swapon": 224, "swapoff": 225, "perf_event_open": 241, "open_by_handle_at": 265, "clock_adjtime": 266,
    "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "finit_module": 273, "bpf": 280,
    "userfaultfd": 282, "kexec_file_load": 294,
}  # fmt: skip
_EVERYWHERE = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_getfd": 438, "mount_setattr": 442,
    "open_tree_attr": 467,
}  # fmt: skip

_ARCHITECTURES = {
    # name: (audit architecture, refused calls, socket, clone, ioctl)
    "x86_64": (0xC000003E, _X86_64 | _EVERYWHERE, 41, 56, 16),
    "aarch64": (0xC00000B7, _AARCH64 | _EVERYWHERE, 198, 220, 29),
}
_CLONE3 = 435
_X32 = 0x40000000

_NEW_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""

_TERMINAL_INJECTION = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX: input for the terminal as if it had been typed."""

_AF_UNIX = 1
_AF_ALG, _AF_VSOCK = 38, 40
"""Crypto in the kernel, and a way from a virtual machine to its host that no network namespace closes."""

_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24
"""Offsets in the kernel's `struct seccomp_data`; of an argument, its low half (little endian)."""


class UnsupportedMachine(Exception):
    """There is no table of system calls for this machine."""


def seccomp_program(*, internet: bool, machine: str = "") -> bytes:
    """Return the filter, an array of `struct sock_filter`. `internet` off refuses all sockets but Unix ones.

    Raises `UnsupportedMachine` for others than x86_64 and aarch64. `machine` is this one's unless given.
    """
    machine = machine or platform.machine()
    if machine not in _ARCHITECTURES:
        raise UnsupportedMachine(f"no seccomp filter is known for {machine}")
    architecture, refused, socket, clone, ioctl = _ARCHITECTURES[machine]
    permission = _ERRNO | errno.EPERM
    code = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        code += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]
    for number in sorted(refused.values()):
        code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, permission)]
    # Its flags are in memory, where no filter can look; the C library falls back to clone.
    code += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    code += [
        (_EQUAL, 0, 4, clone),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 0, 1, _NEW_NAMESPACES),
        (_RETURN, 0, 0, permission),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code += [(_EQUAL, 0, 2 * len(_TERMINAL_INJECTION) + 2, ioctl), (_LOAD, 0, 0, _SECOND_ARGUMENT)]
    for request in _TERMINAL_INJECTION:
        code += [(_EQUAL, 0, 1, request), (_RETURN, 0, 0, permission)]
    code += [(_RETURN, 0, 0, _ALLOW)]
    if internet:
        code += [(_EQUAL, 0, 5, socket), (_LOAD, 0, 0, _FIRST_ARGUMENT)]
        for family in (_AF_ALG, _AF_VSOCK):
            code += [(_EQUAL, 0, 1, family), (_RETURN, 0, 0, permission)]
    else:
        code += [(_EQUAL, 0, 3, socket), (_LOAD, 0, 0, _FIRST_ARGUMENT)]
        code += [(_EQUAL, 1, 0, _AF_UNIX), (_RETURN, 0, 0, permission)]
    code += [(_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *line) for line in code)
