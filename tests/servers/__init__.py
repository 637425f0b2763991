"""Runs against other programs' servers, by `python -m tests.servers`; no part of the default tests."""
