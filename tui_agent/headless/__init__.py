"""Sessions without a screen: one prompt, or the protocol for another program; both are `tui-agent run`.

Answers go to stdout, what happens beside them to stderr. Nobody is there to ask, so the session is opened
unattended: what would ask is denied, and said so. Ending signals interrupt the run, which leaves a history
that the next request can build on. Uses the session room only.
"""

from tui_agent.headless.progress import ExitCode
from tui_agent.headless.protocol import run_protocol
from tui_agent.headless.run import run_headless

__all__ = ["ExitCode", "run_headless", "run_protocol"]
