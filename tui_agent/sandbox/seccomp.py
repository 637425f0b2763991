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
    # name: (audit architecture, refused calls, socket, socketpair, clone, ioctl)
    "x86_64": (0xC000003E, _X86_64 | _EVERYWHERE, 41, 53, 56, 16),
    "aarch64": (0xC00000B7, _AARCH64 | _EVERYWHERE, 198, 199, 220, 29),
}

_CHANGING = {
    "x86_64": {
        "shmget": 29, "shmat": 30, "shmctl": 31, "semget": 64, "semop": 65, "semctl": 66, "msgget": 68, "msgsnd": 69,
        "msgrcv": 70, "msgctl": 71, "truncate": 76, "chmod": 90, "fchmod": 91, "chown": 92, "fchown": 93,
        "lchown": 94, "utime": 132, "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197,
        "lremovexattr": 198, "fremovexattr": 199, "semtimedop": 220, "utimes": 235, "mq_open": 240, "mq_unlink": 241,
        "fchownat": 260, "futimesat": 261, "fchmodat": 268, "utimensat": 280, "fchmodat2": 452, "setxattrat": 463,
        "removexattrat": 466, "file_setattr": 469,
    },
    "aarch64": {
        "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "removexattr": 14, "lremovexattr": 15, "fremovexattr": 16,
        "truncate": 45, "fchmod": 52, "fchmodat": 53, "fchownat": 54, "fchown": 55, "utimensat": 88, "mq_open": 180,
        "mq_unlink": 181, "msgget": 186, "msgctl": 187, "msgrcv": 188, "msgsnd": 189, "semget": 190, "semctl": 191,
        "semtimedop": 192, "semop": 193, "shmget": 194, "shmctl": 195, "shmat": 196, "fchmodat2": 452,
        "setxattrat": 463, "removexattrat": 466, "file_setattr": 469,
    },
}  # fmt: skip
"""What changes something that Landlock does not look at: modes, owners, times, attributes, and memory and queues that
all processes of a user share."""

_SIGNALS = {
    "x86_64": {"kill": 62, "rt_sigqueueinfo": 129, "tkill": 200, "tgkill": 234, "rt_tgsigqueueinfo": 297},
    "aarch64": {"kill": 129, "tkill": 130, "tgkill": 131, "rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240},
}
_PIDFD_SEND_SIGNAL = 424

_FILE_ATTRIBUTES = (0x40086602, 0x40046602, 0x401C5820)
"""FS_IOC_SETFLAGS, FS_IOC32_SETFLAGS, FS_IOC_FSSETXATTR: they need no file that is open for writing."""
_CLONE3 = 435
_X32 = 0x40000000

_NEW_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""

_TERMINAL_INJECTION = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX: input for the terminal as if it had been typed."""

_AF_UNIX = 1
_SOCK_DGRAM = 2
_AF_ALG, _AF_VSOCK = 38, 40
"""Crypto in the kernel, and a way from a virtual machine to its host that no network namespace closes."""

_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000

_LOAD, _AND, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24
"""Offsets in the kernel's `struct seccomp_data`; of an argument, its low half (little endian)."""


class UnsupportedMachine(Exception):
    """There is no table of system calls for this machine."""


def seccomp_program(
    *, internet: bool, unix: bool = True, changes: bool = True, signals: bool = True, machine: str = ""
) -> bytes:
    """Return the filter, an array of `struct sock_filter`.

    `internet` off refuses all sockets but Unix ones. `unix` off refuses these, but for connected pairs: with it no
    socket in the file system is reached, whose path no filter could see. `changes` off refuses what changes modes,
    owners, times and attributes of files, `signals` off all signals. Raises `UnsupportedMachine` for others than
    x86_64 and aarch64. `machine` is this one's unless given.
    """
    machine = machine or platform.machine()
    if machine not in _ARCHITECTURES:
        raise UnsupportedMachine(f"no seccomp filter is known for {machine}")
    architecture, known, socket, socketpair, clone, ioctl = _ARCHITECTURES[machine]
    refused = set(known.values())
    refused |= set() if changes else set(_CHANGING[machine].values())
    refused |= set() if signals else {*_SIGNALS[machine].values(), _PIDFD_SEND_SIGNAL}
    permission = _ERRNO | errno.EPERM
    code = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        code += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]
    for number in sorted(refused):
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
    requests = _TERMINAL_INJECTION if changes else (*_TERMINAL_INJECTION, *_FILE_ATTRIBUTES)
    code += [(_EQUAL, 0, 2 * len(requests) + 2, ioctl), (_LOAD, 0, 0, _SECOND_ARGUMENT)]
    for request in requests:
        code += [(_EQUAL, 0, 1, request), (_RETURN, 0, 0, permission)]
    code += [(_RETURN, 0, 0, _ALLOW)]
    if not unix:
        # A pair of datagram sockets could be connected to a path afterwards.
        code += [(_EQUAL, 0, 4, socketpair), (_LOAD, 0, 0, _SECOND_ARGUMENT), (_AND, 0, 0, 0xF)]
        code += [(_EQUAL, 0, 1, _SOCK_DGRAM), (_RETURN, 0, 0, permission)]
        code += [(_LOAD, 0, 0, _NUMBER)]
    if internet:
        families = (_AF_ALG, _AF_VSOCK) if unix else (_AF_UNIX, _AF_ALG, _AF_VSOCK)
        code += [(_EQUAL, 0, 2 * len(families) + 1, socket), (_LOAD, 0, 0, _FIRST_ARGUMENT)]
        for family in families:
            code += [(_EQUAL, 0, 1, family), (_RETURN, 0, 0, permission)]
    elif unix:
        code += [(_EQUAL, 0, 3, socket), (_LOAD, 0, 0, _FIRST_ARGUMENT)]
        code += [(_EQUAL, 1, 0, _AF_UNIX), (_RETURN, 0, 0, permission)]
    else:
        code += [(_EQUAL, 0, 1, socket), (_RETURN, 0, 0, permission)]
    code += [(_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *line) for line in code)
