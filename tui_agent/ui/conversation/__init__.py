"""The conversation pane: one virtual widget over the session's items. Knows nothing of the app around it."""

from tui_agent.ui.conversation.view import ConversationView, Source

__all__ = ["ConversationView", "Source"]
