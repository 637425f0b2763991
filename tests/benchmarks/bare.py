"""The floor: the smallest Textual app that one can type into."""

from textual.app import App, ComposeResult
from textual.widgets import TextArea


class BareApp(App[None]):
    def compose(self) -> ComposeResult:
        yield TextArea()


if __name__ == "__main__":
    BareApp().run()
