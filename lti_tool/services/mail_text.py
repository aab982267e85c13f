"""A letter as the two forms of a mail: plain text, and the same as simple HTML without anything to be fetched."""

from __future__ import annotations

from babel import Locale
from markupsafe import Markup, escape

from lti_tool.sentence import Sentence
from lti_tool.services.letters import Letter
from lti_tool.services.words import told_in

STOP = Sentence("Stop these mails")
LOOK = "font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:0 auto;padding:16px"
SMALL = "font-size:14px;border-top:1px solid;padding-top:12px"


def as_text(letter: Letter, language: str, sender: str, stop: str = "") -> str:
    """Return a letter as plain text."""
    parts = [told_in(language, each) for each in letter.paragraphs]
    if letter.link is not None:
        parts.append(f"{told_in(language, letter.link[0])}:\n{letter.link[1]}")
    end = [told_in(language, letter.why)] if letter.why else []
    if stop:
        end.append(f"{told_in(language, STOP)}: {stop}")
    if sender:
        end.append(sender)
    if end:
        parts.append("\n".join(["-- ", *end]))  # what mail programs know as the end (RFC 3676, 4.3)
    return "\n\n".join(parts) + "\n"


def as_html(letter: Letter, language: str, sender: str, stop: str = "") -> str:
    """Return the same as HTML: text and addresses to press, no picture, nothing that tells when it is opened."""
    parts = [Markup("<p>{}</p>").format(told_in(language, each)) for each in letter.paragraphs]
    if letter.link is not None:
        words, address = letter.link
        parts.append(Markup('<p><a href="{}">{}</a></p>').format(address, told_in(language, words)))
    end = [escape(told_in(language, letter.why))] if letter.why else []
    if stop:
        end.append(Markup('<a href="{}">{}</a>').format(stop, told_in(language, STOP)))
    if sender:
        end.append(escape(sender))
    if end:
        parts.append(Markup('<p style="{}">{}</p>').format(SMALL, Markup("<br>").join(end)))
    direction = Locale(language).text_direction
    page = Markup(
        '<!doctype html>\n<html lang="{}" dir="{}">\n<head><meta charset="utf-8">'
        '<title>{}</title></head>\n<body style="{}">\n{}\n</body>\n</html>\n'
    )
    return str(page.format(language, direction, told_in(language, letter.subject), LOOK, Markup("\n").join(parts)))
