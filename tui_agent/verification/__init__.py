"""Verification: of a tool's effect by reading it back, of the journal by its chain and its fold."""

from tui_agent.verification.read_back import check_read_back

__all__ = ["check_read_back"]
