"""Crash tests: the app killed at every failpoint and at random instants, and power loss simulated.

`python -m tests.crash` runs the long form and prints a table; `pytest tests/crash` the time-boxed one.
"""
