"""The picture that other sites show beside a link to a badge: 1,200 × 630 pixels, as Open Graph's readers take them.

It is typeset as the certificate is, with the same letters for the same scripts: long names wrap and shrink."""

from __future__ import annotations

import functools
import importlib.resources
import json
import tempfile
from dataclasses import dataclass

import typst

from lti_tool.credentials.certificate import FONTS, WESTERN, breakable, fonts_for, ground, letters
from lti_tool.errors import PreviewFailed

WIDTH, HEIGHT = 1200, 630


@dataclass(frozen=True, slots=True)
class Preview:
    """What the picture says. `holder` is empty where her name is not shown, `state` where the badge is in force."""

    name: str
    kind: str  # what sort of badge, and its level
    issuer: str
    day: str
    to: str  # "awarded to"
    holder: str
    state: str
    picture: str  # SVG
    slug: str
    accent: str
    language: str
    badge_language: str


def link_preview(preview: Preview) -> bytes:
    """Return the picture as PNG. Raises PreviewFailed where the typesetter gives up."""
    data = {
        "fonts": list(FONTS),
        "language": letters(preview.language),
        "badge_language": letters(preview.badge_language),
        "name": breakable(preview.name),
        "kind": breakable(preview.kind),
        "issuer": breakable(preview.issuer),
        "day": preview.day,
        "holder": breakable(preview.holder),
        "state": preview.state,
        "accent": preview.accent,
        "picture": preview.picture,
        "rosette": ground(preview.slug, preview.accent),
        "words": {"to": preview.to},
    }
    text = json.dumps(data, ensure_ascii=False)
    shown = json.dumps({**data, "picture": ""}, ensure_ascii=False)
    with tempfile.TemporaryDirectory(prefix="preview-") as nowhere:
        try:
            compiler = typst.Compiler(
                _template(),
                root=nowhere,
                font_paths=fonts_for(WESTERN.fullmatch(shown) is None),
                sys_inputs={"data": text},
                package_path=nowhere,
                package_cache_path=nowhere,
            )
            pages = compiler.compile(format="png", ppi=72)
        except typst.TypstError as error:
            raise PreviewFailed(f"the typesetter: {str(error)[:200]}") from None
    page = pages[0] if isinstance(pages, list) else pages
    if not isinstance(page, bytes):
        raise PreviewFailed("the typesetter made nothing")
    return page


@functools.cache
def _template() -> bytes:
    return importlib.resources.files("lti_tool.credentials").joinpath("link_preview.typ").read_bytes()
