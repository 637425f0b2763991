"""Attempts to leave the sandbox, as root and as an ordinary user. Each prints ESCAPED when it gets through."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tui_agent.sandbox import probe_sandbox

NOBODY = 65534
PROJECT = Path(__file__).parents[2]

FOUND = probe_sandbox()


def python(code: str) -> str:
    """Return a command that runs `code`, which prints ESCAPED or why it did not get through."""
    head = "import ctypes, os, socket, sys\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    helper = (
        "def call(number, *a):\n"
        "    r = libc.syscall(number, *a)\n"
        "    print('ESCAPED' if r >= 0 else 'errno %d' % ctypes.get_errno())\n"
    )
    return f"$PYTHON -I -S - <<'END'\n{head}{helper}{code}\nEND"


EVERYWHERE = {
    "system_files": "for f in /escaped /usr/escaped /etc/escaped /var/escaped; do touch $f && echo ESCAPED; done",
    "secret": "cat $BASE/home/.ssh/id && echo ESCAPED",
    "secret_by_proc_root": "cat /proc/1/root$BASE/home/.ssh/id /proc/self/root$BASE/home/.ssh/id && echo ESCAPED",
    "secret_of_parent": "for p in /proc/[0-9]*; do cat $p/root$BASE/home/.ssh/id && echo ESCAPED; done",
    "write_outside": "echo x > $BASE/outside/victim && echo ESCAPED",
    "new_file_outside": "touch $BASE/outside/new && echo ESCAPED",
    "symlink_out": "ln -s $BASE/outside/victim link; echo x > link && echo ESCAPED",
    "hardlink_out": "ln $BASE/outside/victim hard && echo x > hard && echo ESCAPED",
    "rename_out": "touch mine; mv mine $BASE/outside/ && echo ESCAPED",
    "truncate_out": "truncate -s 0 $BASE/outside/victim && echo ESCAPED",
    "environment_of_others": "for p in /proc/[0-9]*; do grep -qa OUTSIDE_MARK $p/environ && echo ESCAPED; done",
    "own_data": "ls $BASE/data/steps && echo ESCAPED",
    "remount": "mount -o remount,rw,bind / && echo ESCAPED; mount -t tmpfs none /mnt && echo ESCAPED",
    "unshare": "unshare -Ur true && echo ESCAPED; unshare -m true && echo ESCAPED",
    "chroot": "chroot / true && echo ESCAPED",
    "device": "mknod disk b 8 0 && echo ESCAPED",
    "kernel_log": "dmesg && echo ESCAPED",
    "tcp": python("s = socket.socket(); s.connect(('127.0.0.1', int(os.environ['TCP']))); print('ESCAPED')"),
    "udp": python(
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.connect(('192.0.2.1', 53)); s.send(b'x'); print('ESCAPED')"
    ),
    "abstract": python(
        "s = socket.socket(socket.AF_UNIX); s.connect('\\0' + os.environ['ABSTRACT']); print('ESCAPED')"
    ),
    "vsock": python("s = socket.socket(40, socket.SOCK_STREAM); print('ESCAPED')"),
    "kill_outside": "kill -9 $OUTSIDE_PID && echo ESCAPED",
    "io_uring": python("call(425, 4, ctypes.create_string_buffer(120))"),
    "ptrace": python("pid = os.fork() or __import__('time').sleep(1)\ncall(101, 16, pid, 0, 0)"),
    "read_memory": python("call(310, os.getpid(), 0, 0, 0, 0, 0)"),
    "clone_namespace": python("call(56, 0x10000000 | 17, 0, 0, 0, 0)"),
    "clone3_namespace": python(
        "print('ESCAPED' if libc.syscall(435, 0, 0) == 0 or ctypes.get_errno() != 38 else 'no')"
    ),
    "bpf": python("call(321, 0, 0, 0)"),
    "keys": python("call(250, 0, -3, 1)"),
    "new_mount_api": python("call(428, -100, b'/', 1)"),
    "terminal": python(
        "import fcntl, pty\nm, s = pty.openpty()\n"
        "r = libc.ioctl(s, 0x5412, b'x')\nprint('ESCAPED' if r == 0 or ctypes.get_errno() != 1 else 'no')\n"
        "r = libc.ioctl(s, ctypes.c_ulong(0xff00005412), b'x')\n"
        "print('ESCAPED' if r == 0 or ctypes.get_errno() != 1 else 'no')"
    ),
    "capabilities": "grep -q 'CapEff:.*[1-9a-f]' /proc/self/status && echo ESCAPED",
    "x32": python("libc.syscall(0x40000000 + 39); print('ESCAPED')"),
}

READING = {
    "write": "echo x > data.txt && echo ESCAPED; echo x > new && echo ESCAPED; rm data.txt && echo ESCAPED",
    "edit_by_awk": 'awk \'{ x = $/"/; print "echo ESCAPED > pwned" | "sh"; y = $/"/; }\' data.txt; '
    "[ -e pwned ] && echo ESCAPED",
    "edit_by_git": "git diff -U --output=pwned HEAD; git log --format --output=pwned; [ -e pwned ] && echo ESCAPED",
    "edit_by_sed": "sed -l p 'w pwned' data.txt; [ -e pwned ] && echo ESCAPED",
    "edit_by_find": "find . -name data.txt -delete; [ -e data.txt ] || echo ESCAPED",
    "commit": "git -c user.name=n -c user.email=e commit -q --allow-empty -m x && echo ESCAPED",
    "modes": "chmod 777 data.txt && echo ESCAPED; touch data.txt && echo ESCAPED; chmod 777 $BASE/outside/victim && "
    "echo ESCAPED; setfattr -n user.x -v y data.txt && echo ESCAPED",
    "modes_by_descriptor": python("os.fchmod(os.open('data.txt', os.O_RDONLY), 0o777); print('ESCAPED')"),
    "fifo": python(
        "try:\n    os.open('fifo', os.O_WRONLY | os.O_NONBLOCK)\n    print('ESCAPED')\n"
        "except OSError as error:\n    print('ESCAPED' if error.errno == 6 else error)"
    ),
    "socket": python("s = socket.socket(socket.AF_UNIX); s.connect('s.sock'); print('ESCAPED')"),
    "datagram_pair": python(
        "a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.connect('s.sock'); print('ESCAPED')"
    ),
    "secret": "cat .env harmless.txt also.txt brought.txt private/notes; grep -r . . | grep -e HIDDEN_VALUE -e "
    "SECRET "
    "&& echo ESCAPED",
    "secret_values": "cat .env harmless.txt also.txt brought.txt private/notes | grep -e HIDDEN_VALUE -e SECRET && "
    "echo ESCAPED",
    "outside": "cat $BASE/outside/victim && echo ESCAPED; ls $BASE/outside && echo ESCAPED",
    "root_files": "cat /etc/shadow /etc/gshadow | grep : && echo ESCAPED; ls /var/log /srv /mnt | grep . && "
    "echo ESCAPED",
    "temporary": "echo x > /tmp/x && echo ESCAPED",
    "program_of_the_workspace": "mkdir -p bin 2>/dev/null; type -a ls | grep $BASE && echo ESCAPED",
}
"""In a command that only reads, besides all of `EVERYWHERE`."""

BUBBLEWRAP = {
    "kernel_settings": "for f in $(find /proc -maxdepth 1 -not -name '[0-9]*' -type f -perm /222) "
    "/proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/irq/default_smp_affinity /proc/pressure/memory; do "
    "[ -e $f ] && (exec 9<>$f) && echo ESCAPED; done",
    "every_kernel_setting": "find /proc/sys /proc/irq /proc/bus /proc/fs /proc/driver /sys -writable -type f "
    "2>/dev/null | "
    "while read f; do (exec 9>>$f) 2>/dev/null && echo ESCAPED; done",
    "runner_s_descriptors": "for n in /proc/1/fd/100 /proc/1/task/1/fd/100 /proc/1/fd/101 /proc/[0-9]*/fd/100; do "
    "(echo x >> $n) && echo ESCAPED; done",
    "common_folder": "mkdir alt; cp -r .git/objects .git/refs alt; cp .git/config alt/config; "
    "printf '[core]\nfsmonitor=\"id>~/X;false\"\n' >>alt/config; echo ../alt > .git/commondir && echo ESCAPED; "
    "rm -f .git/commondir; echo ../alt > .git/commondir && echo ESCAPED; mv alt/config .git/commondir && echo "
    "ESCAPED",
    "worktree_config": "echo x > .git/config.worktree && echo ESCAPED; rm .git/config.worktree && echo ESCAPED",
    "attributes": "echo '* filter=x' >> .git/info/attributes && echo ESCAPED; mv .git/info .git/i && echo ESCAPED",
    "nested": "git -C nested config core.fsmonitor ./x && echo ESCAPED; echo x > nested/.git/hooks/post-commit && "
    "echo ESCAPED; echo .. > nested/.git/commondir && echo ESCAPED; mv nested/.git nested/x && echo ESCAPED",
    "linked_repository": "echo x >> store/config && echo ESCAPED; mkdir -p store/hooks; echo x > "
    "store/hooks/pre-commit "
    "&& echo ESCAPED; mv store other && echo ESCAPED",
    "replaced_link": "rm .cursor && mkdir .cursor && echo x > .cursor/settings.json; echo done",
    "linked_settings": "echo x > cfg/settings.toml && echo ESCAPED; mv cfg x && echo ESCAPED",
    "settings_of_editors": "for n in .vscode .idea .envrc .devcontainer .zed; do mkdir -p $n; echo x > "
    "$n/tasks.json && "
    "echo ESCAPED; done; echo x > sub/.vscode/tasks.json && echo ESCAPED; mv sub/.vscode sub/x && echo ESCAPED",
    "denied_file": "cat private/notes; python3 -c \"print(open('private/notes').read())\" | grep HIDDEN && echo "
    "ESCAPED",
    "asked_file": "cat .env harmless.txt also.txt brought.txt | grep -e HIDDEN -e SECRET && echo ESCAPED",
    "hooks": "echo x > .git/hooks/pre-commit && echo ESCAPED; echo x >> .git/hooks/post-commit && echo ESCAPED",
    "hooks_renamed": "mv .git x && mkdir -p .git/hooks && echo ESCAPED; mv .git/hooks .git/y && echo ESCAPED",
    "hooks_removed": "rm -rf .git/hooks; mkdir .git/hooks && echo ESCAPED",
    "config": "git config core.fsmonitor ./x && echo ESCAPED; echo >> .git/config && echo ESCAPED",
    "settings": "mkdir -p .tui-agent; echo x > .tui-agent/settings.toml && echo ESCAPED",
    "settings_replaced": "rmdir .tui-agent; mv .tui-agent x; ln -s . .tui-agent && [ ! -d .tui-agent/.tui-agent ] && "
    "echo; [ -L .tui-agent ] && echo ESCAPED",
    "other_settings": "echo x > .mcp.json && echo ESCAPED; echo x > .claude/settings.json && echo ESCAPED",
    "lock": python("import fcntl\nfcntl.flock(100, fcntl.LOCK_UN); print('ESCAPED')"),
    "sees_processes": "[ -e /proc/$OUTSIDE_PID ] && echo ESCAPED",
    "run_folder": "ls -A /run | grep -q . && echo ESCAPED",
    "abstract_own": python("s = socket.socket(socket.AF_UNIX); s.bind('\\0mine'); print('fine')"),
    "loopback_of_its_own": python(
        "s = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(s.getsockname()); print('fine')"
    ),
}

HARMLESS_READING = {
    "reads_git": "git status --short > /dev/null && git log --oneline && git diff && git show --stat && echo fine",
    "reads_files": "cat data.txt && ls -la && grep -rn data . | sort | head && wc -l data.txt && find . -type f "
    "| wc -l "
    "&& echo fine",
    "reads_scratch": "cat > /dev/null <<< text && f=$(mktemp) && echo x > $f && sort -T ${TMPDIR} $f && echo fine",
    "reads_tools": "python3 -c 'import json; print(json.dumps(1))' && file data.txt; which ls && echo fine",
}

HARMLESS = {
    "work": "echo made > made && git add made && git -c user.name=n -c user.email=e commit -qm second && echo fine",
    "temporary": "echo x > ${TMPDIR:-/tmp}/x && echo y > ~/.cache/y; mkdir -p $HOME/.config && echo fine",
    "more_work": "git add -A . ':!s.sock' ':!fifo'; git stash -q; git stash pop -q; git branch b; git tag t; "
    "git gc -q; "
    "git -C nested -c user.name=n -c user.email=e commit -q --allow-empty -m second && git fsck && echo fine",
    "socketpair": python("import subprocess\na, b = socket.socketpair(); a.send(b'x'); print('fine')"),
    "programs": "seq 3 | sort -r | head -1 > /dev/null && (sleep 0.01 &) && echo fine",
}


def interpreter(user: int) -> str:
    """Return a Python that the user may run; the one of this test may be in another's home."""
    for program in (sys.executable, "/usr/bin/python3"):
        new_enough = [program, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        try:
            if subprocess.run(new_enough, check=False, capture_output=True, **as_user(user)).returncode == 0:
                return program
        except OSError:
            continue
    pytest.skip("there is no Python that an ordinary user may run")


def as_user(user: int) -> dict[str, Any]:
    return {"user": user, "group": user, "extra_groups": []} if os.getuid() == 0 else {}


@dataclass
class Ran:
    base: Path
    results: dict[str, tuple[int, str, list[str]]]


@cache
def _code() -> Path:
    """Return a copy of what the attempts import, where every user may read: a checkout may be closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="tui-agent-code-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    for part in ("tui_agent", "tests/sandbox"):
        shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tests" / "__init__.py").touch()
    return folder


def _run(user: int, kind: str, commands: dict[str, str]) -> Ran:
    base = Path(tempfile.mkdtemp(prefix="tui-agent-escape-"))
    base.chmod(0o755)
    os.chown(base, user, user)
    done = subprocess.run(
        [interpreter(user), "-m", "tests.sandbox.inside", str(base), kind],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        check=False,
        cwd=_code(),
        env={"PATH": os.environ["PATH"], "HOME": str(base), "PYTHONDONTWRITEBYTECODE": "1", "OUTSIDE_MARK": "x"},
        **as_user(user),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return Ran(base, json.loads(done.stdout))


USERS = {"root": 0, "ordinary": NOBODY} if os.getuid() == 0 else {"ordinary": os.getuid()}


def reading() -> dict[str, str]:
    """Return all attempts of a command that only reads, by names that `inside` knows them by."""
    return {f"reads_{name}": command for name, command in (EVERYWHERE | READING).items()}


@pytest.fixture(scope="module", params=list(USERS))
def wrapped(request: pytest.FixtureRequest) -> Iterator[Ran]:
    if FOUND.kind != "bubblewrap":
        pytest.skip(f"no bubblewrap here: {FOUND.detail}")
    ran = _run(USERS[request.param], "bubblewrap", EVERYWHERE | BUBBLEWRAP | HARMLESS | HARMLESS_READING | reading())
    yield ran
    shutil.rmtree(ran.base)


@pytest.fixture(scope="module", params=list(USERS))
def landlocked(request: pytest.FixtureRequest) -> Iterator[Ran]:
    if probe_sandbox(programs=()).kind != "landlock":
        pytest.skip("no Landlock here")
    ran = _run(USERS[request.param], "landlock", EVERYWHERE | HARMLESS | HARMLESS_READING | reading())
    yield ran
    shutil.rmtree(ran.base)


@pytest.mark.parametrize("attempt", [*EVERYWHERE, *BUBBLEWRAP, *reading()])
def test_bubblewrap_cannot_be_left(wrapped: Ran, attempt: str) -> None:
    code, output, _ = wrapped.results[attempt]
    assert "ESCAPED" not in output.splitlines()
    assert code != 126, output


@pytest.mark.parametrize("attempt", [*EVERYWHERE, *reading()])
def test_landlock_cannot_be_left(landlocked: Ran, attempt: str) -> None:
    _, output, _ = landlocked.results[attempt]
    assert "ESCAPED" not in output.splitlines()
    assert "cannot confine" not in output, output


@pytest.mark.parametrize("work", [*HARMLESS, *HARMLESS_READING])
def test_ordinary_work_goes_on_in_bubblewrap(wrapped: Ran, work: str) -> None:
    assert wrapped.results[work][1].endswith("fine\n")


@pytest.mark.parametrize("work", [*HARMLESS, *HARMLESS_READING])
def test_ordinary_work_goes_on_under_landlock(landlocked: Ran, work: str) -> None:
    assert landlocked.results[work][1].endswith("fine\n")


def test_nothing_outside_has_changed(wrapped: Ran) -> None:
    base = wrapped.base
    assert (base / "outside" / "victim").read_text() == "untouched"
    assert sorted(path.name for path in (base / "outside").iterdir()) == ["s.sock", "victim"]
    assert (base / "workspace" / ".git" / "hooks" / "post-commit").read_text() == "#!/bin/sh\n"
    assert "fsmonitor" not in (base / "workspace" / ".git" / "config").read_text()
    assert not Path("/escaped").exists()
    workspace = base / "workspace"
    assert (workspace / ".cursor").readlink() == Path("cfg")
    assert (workspace / "data.txt").read_text() == "data\n"
    for git in (".git", "nested/.git", "store"):
        assert not (workspace / git / "commondir").exists()
        assert "fsmonitor" not in (workspace / git / "config").read_text()


def test_no_mask_is_left_behind(wrapped: Ran) -> None:
    left = {path.name for path in (wrapped.base / "workspace").iterdir()}
    assert not left & {".tui-agent", ".claude", ".mcp.json", ".vscode", ".idea", ".envrc"}


def test_the_x32_calls_end_the_program(wrapped: Ran) -> None:
    assert "Bad system call" in wrapped.results["x32"][1] or wrapped.results["x32"][0] in {159, -31}
