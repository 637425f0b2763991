"""The tools that the model can call. Each is two files: `NAME.toml`, its metadata, and `NAME.py`, what it does.

What every tool is, is defined by the workflow room (`workflow/tool.py`). A tool never asks for permission,
never writes the journal and never talks to the model: the workflow does. Importing this room imports none.
"""
