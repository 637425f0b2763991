"""tui-agent: a full-screen terminal agent on a crash-proof journal."""

__version__ = "0.1.0"
