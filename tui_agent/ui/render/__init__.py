"""Items drawn as lines of styled text: plain functions and small objects, no widgets.

Everything from outside goes through `tui_agent.text.inert` here, and never through markup. Importing
`palette` and `lines` is cheap; `items` (events), `markdown` (markdown-it) and Pygments load when first used.
"""
