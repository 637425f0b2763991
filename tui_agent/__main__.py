"""`python -m tui_agent` is `tui-agent`."""

from tui_agent.cli import main

main()
