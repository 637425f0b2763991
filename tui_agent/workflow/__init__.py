"""Workflow state, apart from the conversation: every step's state, effect class and recovery.

Knows nothing of models or of the screen.
"""
