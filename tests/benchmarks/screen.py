"""The whole app in a pseudo-terminal, side by side with a bare Textual app, against a model server on loopback.

Each function measures one thing and returns its figures. Medians of several starts, app and floor in turns, so
that what else the machine does strikes both alike.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sqlite3
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.figures import Figure, cpu_seconds, memory, percentile
from tests.benchmarks.program import APP, BARE, PATIENCE, RAW_MODE, NothingCame, Place, Program
from tests.benchmarks.sessions import LAST_ANSWER, make_session
from tui_agent.models.offline.prose import markdown

STARTS = 9
"""Starts of each program that a median is taken of."""

PROBE = "Z"
"""The key typed at a starting program: it stands nowhere else on the screen."""
PROBE_EVERY = 0.02
TYPED_AFTER = 1.5
"""Seconds for which typing goes on after the first echo, while the rest of the app is loaded behind it."""

LETTERS = [chr(code) for code in range(0x0100, 0x0178) if chr(code).isalpha()]
"""Keys of which each is typed once, so that its echo cannot be mistaken."""

BURST_TOKENS = 20_000
SPEED = 150
LONG = 10_000
TURNS = 190
READS = " then ".join(["read a.txt"] * TURNS)
"""A prompt of so many tool turns."""


def is_open(screen: str) -> bool:
    """Say whether a session is open: only then does the header know the mode."""
    return "ask mode" in screen or "BYPASS" in screen


def is_idle(screen: str) -> bool:
    """Say whether no run is in progress."""
    return is_open(screen) and "working" not in screen


def opened(program: Program, rest: float = 0.0) -> float:
    """Wait until a session is open; return the moment."""
    moment = program.wait_for(is_open)
    program.rest(rest)
    return moment


@dataclass(frozen=True)
class Start:
    """How a start went: seconds and CPU until the first echo, keys typed, keys kept."""

    seconds: float
    cpu: float
    typed: int
    kept: int


def first_echo(place: Place, command: list[str]) -> Start:
    """Type at a program from its start on; return when the first key was echoed by it, and how many came."""
    with place.run(command) as program:
        typed, echoed, cpu, seen, raw = 0, 0.0, 0.0, b"", False
        while program.now < (echoed + TYPED_AFTER if echoed else 60):
            program.press(PROBE)
            typed += 1
            until = program.now + PROBE_EVERY
            while program.now < until:
                seen = seen[-len(RAW_MODE) :] + program.read(until - program.now)
                if not raw and RAW_MODE in seen:
                    raw, seen = True, seen.partition(RAW_MODE)[2]
                if raw and not echoed and PROBE.encode() in seen:
                    echoed, cpu = program.chunks[-1][0], cpu_seconds(program.pid)
        program.rest(1.0)
        return Start(echoed, cpu, typed, program.text().count(PROBE))


def ready(place: Place) -> list[Figure]:
    """Ready for typing, against a bare app, and whether what was typed before that was kept."""
    with place.server():
        first_echo(place, APP), first_echo(place, BARE)  # fill the file cache
        starts = [(first_echo(place, APP), first_echo(place, BARE)) for _ in range(STARTS)]
    app, bare = [start[0] for start in starts], [start[1] for start in starts]
    return [
        Figure(
            "ready for typing",
            statistics.median(start.seconds for start in app),
            "s",
            floor=statistics.median(start.seconds for start in bare),
            floor_name="bare Textual",
            aim_ratio=1.4,
        ),
        Figure(
            "CPU until then",
            statistics.median(start.cpu for start in app),
            "s",
            floor=statistics.median(start.cpu for start in bare),
            floor_name="bare Textual",
        ),
        Figure(
            "keys typed before and after that are kept",
            100 * sum(start.kept for start in app) / sum(start.typed for start in app),
            "%",
            floor=100 * sum(start.kept for start in bare) / sum(start.typed for start in bare),
            floor_name="bare Textual",
            aim_least=100,
        ),
    ]


def echoes(program: Program, keys: list[str]) -> list[float]:
    """Type keys at the pace of a user; return the milliseconds until each was echoed."""
    pauses = random.Random(1)
    times = []
    for key in keys:
        program.rest(pauses.uniform(0.06, 0.16))
        wanted, seen = key.encode(), b""
        program.press(key)
        began = time.perf_counter()
        while wanted not in seen:
            if time.perf_counter() - began > 5:
                raise NothingCame(f"No echo of {key!r}. The screen:\n{program.text()}")
            seen = seen[-8:] + program.read(5)
        times.append(1000 * (time.perf_counter() - began))
    return times


def echo(place: Place) -> list[Figure]:
    """Key to echo, idle and while an answer streams in."""
    idle: list[float] = []
    busy: list[float] = []
    bare: list[float] = []
    with place.server("--speed", str(SPEED)):
        for _ in range(2):
            bare += _bare_echoes(place)
            with place.run(APP) as program:
                opened(program, 4.0)
                idle += echoes(program, LETTERS)
            with place.run([*APP, f"say {60 * SPEED}"]) as program:
                opened(program, 4.0)
                busy += echoes(program, LETTERS)
                if "working" not in program.text():
                    raise NothingCame(f"The answer ended before the typing did:\n{program.text()}")
    return [
        *_echo_figures("idle", idle, bare, aim=15),
        *_echo_figures(f"{SPEED} tokens/s", busy, bare, aim=15),
    ]


def echo_after_turns(place: Place) -> list[Figure]:
    """Key to echo in a session that has run many tool turns and waits for a prompt."""
    bare: list[float] = []
    after: list[float] = []
    with place.server(), place.run([*APP, "--max-turns", "400", READS]) as program:
        program.wait_for(_has_run)
        program.rest(2.0)
        for _ in range(2):
            bare += _bare_echoes(place)
            after += echoes(program, LETTERS)
            program.press("\x15" * 4)  # Ctrl+U: the letters are typed again
            program.rest(0.5)
    return _echo_figures(f"after {TURNS} tool turns", after, bare, aim=12)


def _bare_echoes(place: Place) -> list[float]:
    with place.run(BARE) as program:
        program.rest(1.5)
        return echoes(program, LETTERS)


def _echo_figures(when: str, times: list[float], bare: list[float], aim: float) -> list[Figure]:
    """Return p95, which has an aim, and the median of milliseconds to the echo, against those of a bare app."""
    return [
        Figure(f"key to echo, {when}, p95", percentile(times, 95), "ms", percentile(bare, 95), "bare Textual", aim),
        Figure(f"key to echo, {when}, median", percentile(times, 50), "ms", percentile(bare, 50), "bare Textual"),
    ]


def _has_run(screen: str) -> bool:
    """Say whether the run of `READS` is over."""
    return is_idle(screen) and "✓ done" in screen


def resume(place: Place) -> list[Figure]:
    """The last answer of a session of many tool turns on screen after a start: it was killed, or closed before."""
    killed = place.folder / "killed"
    times: dict[str, list[float]] = {"killed": [], "closed": []}
    cpus: dict[str, list[float]] = {kind: [] for kind in times}
    answer = " ".join(markdown(30).split()[-3:])
    with place.server():
        with place.run([*APP, "--max-turns", "400", f"{READS} then say 30"]) as program:
            program.wait_for(_has_run)
            program.rest(1.0)
        shutil.copytree(place.data, killed)
        for number in range(STARTS + 1):
            for kind, moments in times.items():
                if kind == "killed":
                    shutil.rmtree(place.data)
                    shutil.copytree(killed, place.data)
                with place.run([*APP, "--continue"]) as program:
                    # Drawn afterwards: a terminal emulator in Python would take the CPU the app needs.
                    cpu = _cpu_until(program, answer.encode().rpartition(b" ")[2])
                    moment = program.wait_for(lambda screen: answer in screen)
                    program.rest(1.0)
                    program.quit()
                if number:  # the first fills the file cache
                    moments.append(moment)
                    cpus[kind].append(cpu)
    return [
        figure
        for kind, moments in times.items()
        for figure in (
            Figure(f"last answer of a {kind} session of {TURNS} turns", statistics.median(moments), "s", aim=0.7),
            Figure(f"CPU until then, {kind}", statistics.median(cpus[kind]), "s"),
        )
    ]


def _cpu_until(program: Program, wanted: bytes) -> float:
    """Read until the program has written `wanted`; return its CPU seconds by then."""
    seen = b""
    while wanted not in seen:
        if program.now > PATIENCE:
            raise NothingCame(f"No {wanted!r}. The screen:\n{program.text()}")
        seen += program.read(0.1)
    return cpu_seconds(program.pid)


def burst(place: Place) -> list[Figure]:
    """20,000 tokens as fast as they come: until the end of the answer shows, and the app's CPU."""
    end = " ".join(markdown(BURST_TOKENS).split()[-3:])
    walls, cpus, floors = [], [], []
    with place.server() as url:
        for _ in range(5):
            floors.append(_drain(url, place.folder))
            with place.run(APP) as program:
                opened(program, 4.0)
                program.press(f"say {BURST_TOKENS}")
                program.rest(0.5)
                before, began = cpu_seconds(program.pid), program.now
                program.press("\r")
                # Drawn afterwards: a terminal emulator in Python would take the CPU the app needs.
                program.rest(2.5)
                cpus.append(cpu_seconds(program.pid) - before)
                walls.append(program.wait_for(lambda screen: end in screen and is_idle(screen)) - began)
    floor = statistics.median(floors)
    return [
        Figure("20,000 tokens at once, wall", statistics.median(walls), "s", floor, "server alone", aim=0.6),
        Figure("20,000 tokens at once, CPU", statistics.median(cpus), "s", aim=1.0),
    ]


def _drain(url: str, folder: Path) -> float:
    """Return the seconds that the server alone takes for the same answer: a socket that throws it away."""
    import socket
    from urllib.parse import urlsplit

    where = urlsplit(url)
    body = {
        "model": "claude-sonnet-5-5",
        "max_tokens": 32_000,
        "stream": True,
        "messages": [{"role": "user", "content": f"say {BURST_TOKENS}"}],
    }
    data = json.dumps(body).encode()
    head = (
        f"POST /v1/messages HTTP/1.1\r\nhost: {where.netloc}\r\nx-api-key: benchmark\r\nconnection: close\r\n"
        f"anthropic-version: 2023-06-01\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    began = time.perf_counter()
    with socket.create_connection((where.hostname or "", where.port or 0), PATIENCE) as connection:
        connection.sendall(head.encode() + data)
        received = b""
        while b"message_stop" not in received:
            got = connection.recv(1 << 16)
            if not got:
                raise NothingCame(f"The server ended with {received[-300:]!r}")
            received = received[-64:] + got
    return time.perf_counter() - began


def long_session(place: Place) -> list[Figure]:
    """A session of 10,000 items on the screen after a start, against an empty one; the memory of both."""
    with place.server():
        empty = asyncio.run(make_session(place.data, place.workspace, 0, "session_empty"))
        long = asyncio.run(make_session(place.data, place.workspace, LONG, "session_long"))
        shows: dict[str, Callable[[str], bool]] = {
            empty: is_open,
            long: lambda screen: is_open(screen) and LAST_ANSWER in screen,
        }
        times: dict[str, list[float]] = {empty: [], long: []}
        cpus: dict[str, list[float]] = {empty: [], long: []}
        for number in range(STARTS + 1):
            for name, shown in shows.items():
                with place.run([*APP, "--resume", name]) as program:
                    program.rest(2.5)
                    cpu = cpu_seconds(program.pid)
                    moment = program.wait_for(shown)
                    program.quit()  # one that is killed says so at the next start, at the end
                    if number:  # the first fills the file cache
                        times[name].append(moment)
                        cpus[name].append(cpu)
        sizes = {}
        for name, shown in shows.items():
            with place.run([*APP, "--resume", name]) as program:
                program.wait_for(shown)
                program.rest(6.0)
                sizes[name] = memory(program.pid)
                if name == long:
                    program.press("\x1b[17~")  # F6: to the conversation
                    for _ in range(100):
                        program.press("\x1b[5~")
                        program.rest(0.04)
                    program.rest(1.0)
                    scrolled = memory(program.pid)
    return [
        Figure(
            "10,000 items on screen after a start",
            statistics.median(times[long]),
            "s",
            statistics.median(times[empty]),
            "empty session",
            aim_ratio=1.5,
        ),
        Figure(
            "CPU of the first 2.5 s, 10,000 items",
            statistics.median(cpus[long]),
            "s",
            statistics.median(cpus[empty]),
            "empty session",
        ),
        Figure("memory idle, RSS", sizes[empty].rss, "MB", aim=130, note=f"PSS {sizes[empty].pss:.0f}"),
        Figure("memory with 10,000 items, RSS", sizes[long].rss, "MB", aim=160, note=f"PSS {sizes[long].pss:.0f}"),
        Figure("memory after 100 pages up in it, RSS", scrolled.rss, "MB", aim=160, note=f"PSS {scrolled.pss:.0f}"),
    ]


def turns(place: Place) -> list[Figure]:
    """CPU of a turn (a request, an answer, a file read) around the 20th and up to the 200th, means of 20 turns.

    Also the size of the first request, as the server counts it.
    """
    last = 199  # the last that reads a file: an agent stops at 200
    prompt = " then ".join(["read a.txt"] * last)
    early, late = [], []
    for _ in range(3):
        samples, tokens = _turn_samples(place, prompt, last)
        early.append(1000 * _turn_cost(samples, 10, 30))
        late.append(1000 * _turn_cost(samples, last - 20, last))
    floor = statistics.median(early)
    return [
        Figure("CPU of turn 200", statistics.median(late), "ms", floor, "turn 20", aim_ratio=1.2),
        # What counts is the head of the request: this prompt is longer than people's.
        Figure("first request, its prompt left out", tokens - len(prompt) // 4, "tokens", aim=4000),
    ]


def written(place: Place) -> list[Figure]:
    """Bytes to the terminal: 190 turns that read a file, and 1,000 tokens that stream in."""
    with place.server(), place.run([*APP, "--max-turns", "400", READS]) as program:
        program.wait_for(_has_run)
        turns = program.received
    with place.server("--speed", str(SPEED)), place.run(APP) as program:
        opened(program, 2.0)
        before = program.received
        program.press("say 1000\r")
        program.wait_for(_has_run)
        streamed = program.received - before
    return [
        Figure(f"bytes to the terminal, {TURNS} tool turns", turns / 1e6, "MB", aim=0.2),
        Figure(f"bytes to the terminal, 1,000 tokens at {SPEED}/s", streamed / 1e3, "kB"),
    ]


def idle(place: Place) -> list[Figure]:
    """What a session at rest writes to the terminal, and its CPU."""
    with place.server(), place.run([*APP, "read a.txt"]) as program:
        program.wait_for(_has_run)
        program.rest(3.0)
        before, cpu, began = program.received, cpu_seconds(program.pid), program.now
        program.rest(20.0)
        seconds = program.now - began
        written, spent = program.received - before, cpu_seconds(program.pid) - cpu
    return [
        Figure("bytes to the terminal at rest", written / seconds, "/s", aim=0),
        Figure("CPU at rest", 100 * spent / seconds, "%", aim=0.3),
    ]


def _turn_samples(place: Place, prompt: str, last: int) -> tuple[list[tuple[int, float]], int]:
    """Run a prompt of many turns; return (turns, CPU seconds) as they went, and the first request's tokens."""
    samples: list[tuple[int, float]] = []
    with place.server(), place.run([*APP, "--max-turns", "400", prompt]) as program:
        opened(program)
        with closing(sqlite3.connect(f"file:{place.newest_session()}?mode=ro", uri=True)) as session:
            query = "SELECT count(*) FROM event WHERE type = 'turn.finished'"
            until = program.now + PATIENCE
            while not samples or samples[-1][0] < last:
                program.rest(0.01)
                samples.append((int(session.execute(query).fetchone()[0]), cpu_seconds(program.pid)))
                if program.now > until:
                    raise NothingCame(f"{samples[-1][0]} turns in {PATIENCE:g} s. The screen:\n{program.text()}")
            first = "SELECT body FROM event WHERE type = 'turn.finished' ORDER BY seq"
            usage = json.loads(session.execute(first).fetchone()[0])["usage"]
    return samples, usage["input_tokens"] + usage["cache_read_tokens"] + usage["cache_write_tokens"]


def _turn_cost(samples: list[tuple[int, float]], first: int, last: int) -> float:
    """Return the CPU seconds of a turn between two counts of turns, from samples of count and CPU."""
    began = next(cpu for count, cpu in samples if count >= first)
    ended = next(cpu for count, cpu in samples if count >= last)
    return (ended - began) / (last - first)
