"""Try the app against real servers of others: llama.cpp's and the LiteLLM proxy.

`python -m tests.servers` starts what is installed here: `llama-server` with the model file that `--gguf` names, and
`litellm` (`pip install 'litellm[proxy]'`, in an environment of its own: name it with `--litellm-program`) in front of
the offline model. `--llama-server URL` and `--litellm URL` take servers that run already. What is missing is said and
makes the exit code 3; a check that fails makes it 1.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.terminal import Terminal
from tui_agent.models.offline import OfflineServer

START_SECONDS = 180.0
"""How long a server may take to start: LiteLLM imports for a minute on a slow machine."""

RUN_SECONDS = 600.0

MODEL = "claude-sonnet-5-5"


@dataclass(frozen=True)
class Server:
    """A server to try: its address, the model to ask for, whether the offline model is behind it."""

    name: str
    url: str
    model: str
    told: bool
    key: str = "none"


def main() -> int:
    """Run what can be run; return 0, 1 for a failed check, 3 where a server was not to be had."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__)
    parser.add_argument("--llama-server", metavar="URL", help="a llama.cpp server that runs already")
    parser.add_argument("--llama-program", default="llama-server", help="llama.cpp's server program")
    parser.add_argument("--gguf", type=Path, help="a model file for it, e.g. of a 0.5B to 4B instruct model")
    parser.add_argument("--litellm", metavar="URL", help="a LiteLLM proxy that runs already")
    parser.add_argument("--litellm-program", default="litellm", help="the proxy's program")
    parser.add_argument("--litellm-model", default=MODEL, help="the model to ask the proxy for")
    parser.add_argument("--litellm-key", default="none", help="the key of a proxy that runs already")
    given = parser.parse_args()
    missing: list[str] = []
    failed: list[str] = []
    for make in (llama_server, litellm_server):
        with ExitStack() as stack:
            server = stack.enter_context(make(given))
            if isinstance(server, str):
                missing.append(server)
                continue
            print(f"{server.name} at {server.url}", flush=True)
            for check in (answers, uses_a_tool, streams_on_the_screen):
                problem = tried(check, server)
                print(
                    f"  {'FAILED' if problem else 'ok':<7}{check.__name__.replace('_', ' ')}  {problem}", flush=True
                )
                failed += [f"{server.name}: {check.__name__}"] if problem else []
    for reason in missing:
        print(f"NOT RUN  {reason}")
    return 1 if failed else 3 if missing else 0


# The servers


@contextmanager
def llama_server(given: argparse.Namespace) -> Iterator[Server | str]:
    """Yield llama.cpp's server, or why there is none."""
    if given.llama_server:
        yield Server("llama.cpp", given.llama_server.rstrip("/"), "local", told=False)
        return
    program = shutil.which(given.llama_program)
    if program is None or given.gguf is None:
        lacks = [] if program else [f"no program {given.llama_program!r}"]
        lacks += [] if given.gguf else ["no model file (--gguf FILE)"]
        yield f"llama.cpp: {', '.join(lacks)}. Or name one that runs: --llama-server URL."
        return
    port = free_port()
    command = [program, "--model", str(given.gguf), "--port", str(port), "--jinja", "--ctx-size", "16384"]
    with started(command, f"http://127.0.0.1:{port}/health", {}):
        yield Server("llama.cpp", f"http://127.0.0.1:{port}", "local", told=False)


@contextmanager
def litellm_server(given: argparse.Namespace) -> Iterator[Server | str]:
    """Yield the LiteLLM proxy, in front of the offline model where it is started here, or why there is none."""
    if given.litellm:
        yield Server("LiteLLM", given.litellm.rstrip("/"), given.litellm_model, told=False, key=given.litellm_key)
        return
    program = shutil.which(given.litellm_program)
    if program is None:
        lacks = f"no program {given.litellm_program!r}"
        yield f"LiteLLM: {lacks} (pip install 'litellm[proxy]'). Or name one that runs: --litellm URL."
        return
    port = free_port()
    with OfflineServer() as behind, tempfile.TemporaryDirectory() as folder:
        route = {"model": f"anthropic/{MODEL}", "api_base": behind.base_url, "api_key": "offline"}
        config = {"model_list": [{"model_name": MODEL, "litellm_params": route}]}
        file = Path(folder, "config.yaml")
        file.write_text(json.dumps(config))  # JSON is YAML
        command = [program, "--config", str(file), "--host", "127.0.0.1", "--port", str(port)]
        quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
        key = f"sk-{secrets.token_hex(32)}"  # without one the proxy does not start
        with started(command, f"http://127.0.0.1:{port}/health/liveliness", {**quiet, "LITELLM_MASTER_KEY": key}):
            yield Server("LiteLLM", f"http://127.0.0.1:{port}", MODEL, told=True, key=key)


@contextmanager
def started(command: list[str], health: str, more: dict[str, str]) -> Iterator[None]:
    """Run a server while the block runs; it is there when its health can be asked for."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **more})
        try:
            end = time.monotonic() + START_SECONDS
            while not healthy(health):
                if process.poll() is not None or time.monotonic() > end:
                    output.seek(0)
                    raise SystemExit(f"{command[0]} did not start:\n{output.read().decode(errors='replace')[-3000:]}")
                time.sleep(0.5)
            yield
        finally:
            process.terminate()
            process.wait(30)


def healthy(url: str) -> bool:
    """Whether a server answers at its address of health."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # an address of ours
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# The checks: each returns what was wrong, empty if nothing


def tried(check: Callable[[Server, Path], str], server: Server) -> str:
    """Run a check in folders of its own."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for name in ("workspace", "config", "data"):
            (home / name).mkdir()
        (home / "workspace/notes.txt").write_text("The word is marzipan.\n")
        (home / "config/settings.toml").write_text("max_cost = 0\n")
        kept = dict(os.environ)
        os.environ.update({
            "HOME": folder, "TUI_AGENT_CONFIG_DIR": str(home / "config"), "TUI_AGENT_DATA_DIR": str(home / "data"),
            "ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": server.key, "TERM": "xterm-256color",
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        })  # fmt: skip
        try:
            return check(server, home)
        except (AssertionError, subprocess.TimeoutExpired, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        finally:
            os.environ.clear()
            os.environ.update(kept)


def headless(server: Server, home: Path, prompt: str) -> dict[str, object]:
    """Return the result of a headless run."""
    command = [sys.executable, "-m", "tui_agent", "run", "--model", server.model, "--mode", "sandboxed"]
    command += ["--output", "json", "-p", prompt]
    done = subprocess.run(
        command, cwd=home / "workspace", capture_output=True, text=True, timeout=RUN_SECONDS, check=False
    )
    if not done.stdout.strip():
        raise ValueError(f"exit code {done.returncode}: {done.stderr[-500:]}")
    found: dict[str, object] = json.loads(done.stdout)
    return found


def answers(server: Server, home: Path) -> str:
    """A headless run ends with an answer and with figures of what it used."""
    found = headless(server, home, "say 5" if server.told else "Reply with the single word: marzipan")
    usage = found.get("usage")
    used = usage.get("output_tokens") if isinstance(usage, dict) else None
    return "" if found["outcome"] == "completed" and found["answer"] and used else json.dumps(found)[:600]


def uses_a_tool(server: Server, home: Path) -> str:
    """A headless run reads a file and says what is in it; a small model may fail at that."""
    found = headless(
        server, home, "read notes.txt" if server.told else "Read notes.txt with the read tool. The word?"
    )
    right = found["outcome"] == "completed" and "marzipan" in str(found["answer"]).lower()
    return "" if right else json.dumps(found)[:600]


def streams_on_the_screen(server: Server, home: Path) -> str:
    """The screen in a pty shows the answer and that the run is done."""
    program = [sys.executable, "-m", "tui_agent", "--model", server.model]
    terminal = Terminal(home / "workspace", program=program)
    try:
        terminal.until("What should I do?")
        terminal.type("read notes.txt\r" if server.told else "Reply with the single word: marzipan\r")
        terminal.until("✓ done")
        assert terminal.text.lower().count("marzipan") >= (1 if server.told else 2), terminal.text
    finally:
        terminal.close()
    return ""


if __name__ == "__main__":
    sys.exit(main())
