"""Markdown as people write it in criteria, made safe to show."""

from __future__ import annotations

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

_markdown = MarkdownIt("commonmark", {"html": False})


def markdown(text: str) -> Markup:
    """Render Markdown that people wrote; HTML in it is shown as text, and links carry nothing along."""
    return Markup(nh3.clean(_markdown.render(text), link_rel="noopener nofollow"))  # noqa: S704 (cleaned by nh3)
