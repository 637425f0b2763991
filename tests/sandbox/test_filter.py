"""The system call filter, run by an interpreter of the BPF it is written in, and the rules for macOS."""

from __future__ import annotations

import errno
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_agent.sandbox.macos import macos_profile
from tui_agent.sandbox.profile import Profile
from tui_agent.sandbox.seccomp import _ARCHITECTURES, UnsupportedMachine, seccomp_program

ALLOW, KILL = 0x7FFF0000, 0x80000000
DENY = 0x00050000 | errno.EPERM


def run(program: bytes, number: int, *arguments: int, architecture: int) -> int:
    """Return what the filter says to a call."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, *(*arguments, *[0] * (6 - len(arguments))))
    code = [struct.unpack_from("=HBBI", program, n) for n in range(0, len(program), 8)]
    at = value = 0
    while True:
        kind, yes, no, k = code[at]
        at += 1
        match kind:
            case 0x20:
                (value,) = struct.unpack_from("=I", data, k)
            case 0x15:
                at += yes if value == k else no
            case 0x35:
                at += yes if value >= k else no
            case 0x54:
                value &= k
            case 0x45:
                at += yes if value & k else no
            case 0x06:
                return k


@pytest.mark.parametrize("internet", [True, False])
@pytest.mark.parametrize("machine", list(_ARCHITECTURES))
def test_the_calls_that_are_refused(machine: str, internet: bool) -> None:
    architecture, refused, socket, socketpair, clone, ioctl = _ARCHITECTURES[machine]
    program = seccomp_program(internet=internet, machine=machine)

    def said(number: int, *arguments: int) -> int:
        return run(program, number, *arguments, architecture=architecture)

    assert all(said(number) == DENY for number in refused.values())
    assert said(435) == 0x00050000 | errno.ENOSYS
    assert said(clone, 17) == ALLOW
    for flag in (0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert said(clone, flag | 17) == DENY
    assert said(ioctl, 0, 0x5401) == ALLOW
    assert said(ioctl, 0, 0x5412) == DENY
    assert said(ioctl, 0, 0xFFFFFFFF_00005412) == DENY
    assert said(ioctl, 0, 0x541C) == DENY
    assert said(socket, 1) == ALLOW
    assert said(socket, 2) == (ALLOW if internet else DENY)
    assert said(socket, 10) == (ALLOW if internet else DENY)
    assert said(socket, 40) == DENY
    assert said(socket, 38) == DENY
    assert said(socketpair, 1, 2) == ALLOW


@pytest.mark.parametrize("internet", [True, False])
@pytest.mark.parametrize("machine", list(_ARCHITECTURES))
def test_without_unix_sockets_connected_pairs_are_left(machine: str, internet: bool) -> None:
    architecture, _, socket, socketpair, *_ = _ARCHITECTURES[machine]
    program = seccomp_program(internet=internet, unix=False, machine=machine)

    def said(number: int, *arguments: int) -> int:
        return run(program, number, *arguments, architecture=architecture)

    assert said(socket, 1) == DENY
    assert [said(socket, family) for family in (2, 10)] == [ALLOW if internet else DENY] * 2
    assert [said(socket, family) for family in (38, 40)] == [DENY, DENY]
    assert said(socketpair, 1, 1 | 0o2000000) == ALLOW
    assert said(socketpair, 1, 2 | 0o2000000) == DENY
    assert said(0 if machine == "x86_64" else 63) == ALLOW


@pytest.mark.parametrize("machine", list(_ARCHITECTURES))
def test_a_command_that_only_reads_changes_no_mode_and_signals_nobody(machine: str) -> None:
    architecture, *_, ioctl = _ARCHITECTURES[machine]
    program = seccomp_program(internet=False, unix=False, changes=False, signals=False, machine=machine)
    calls = {"x86_64": [90, 91, 268, 452, 62, 234, 424], "aarch64": [52, 53, 452, 129, 424]}[machine]
    assert {run(program, number, architecture=architecture) for number in calls} == {DENY}
    assert run(program, ioctl, 3, 0x40086602, architecture=architecture) == DENY
    assert run(program, ioctl, 3, 0x5401, architecture=architecture) == ALLOW


@given(st.integers(0, 2**32 - 1))
def test_any_other_call_passes_and_any_other_architecture_is_the_end(number: int) -> None:
    architecture, refused, *special = _ARCHITECTURES["x86_64"]
    program = seccomp_program(internet=True, machine="x86_64")
    answer = run(program, number, architecture=architecture)
    if number >= 0x40000000:
        assert answer == KILL
    elif number not in {*refused.values(), 435, *special}:
        assert answer == ALLOW
    assert run(program, number, architecture=0x40000003) == KILL


def test_an_unknown_machine_has_no_filter() -> None:
    with pytest.raises(UnsupportedMachine):
        seccomp_program(internet=True, machine="pdp11")


def test_the_rules_for_macos() -> None:
    profile = Profile(
        home=Path("/Users/me"),
        scratch=Path("/Users/me/data/scratch"),
        writable=(Path('/Users/me/a "b"'),),
        hidden=(Path("/Users/me"),),
        readable=(Path("/Users/me/.cargo/bin"),),
        pinned=(Path('/Users/me/a "b"/.git'),),
        fixed=(Path('/Users/me/a "b"/.git/hooks'),),
        masked=(Path('/Users/me/a "b"/.tui-agent'),),
    )
    lines = macos_profile(profile, network=False).splitlines()
    assert lines[:2] == ["(version 1)", "(deny default)"]
    order = [
        '(deny file-read* file-write* (subpath "/Users/me"))',
        '(allow file-read* (subpath "/Users/me/.cargo/bin"))',
        '(allow file-read* file-write* (subpath "/Users/me/a \\"b\\""))',
        '(deny file-write-unlink (literal "/Users/me/a \\"b\\"/.git"))',
        '(deny file-write* (subpath "/Users/me/a \\"b\\"/.git/hooks"))',
        '(deny file-write* (subpath "/Users/me/a \\"b\\"/.tui-agent"))',
    ]
    places = [lines.index(line) for line in order]
    assert places == sorted(places)
    assert not any("network" in line for line in lines)
    assert "(allow network*)" in macos_profile(profile, network=True)
