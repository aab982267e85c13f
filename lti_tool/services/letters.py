"""What each mail says: a letter from the values it was asked for with, to be said in its reader's language.

Values are what JSON keeps; a sentence among them as `sentence.kept` has it, a moment as ISO 8601."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lti_tool.sentence import Sentence

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Letter:
    """A mail in sentences, before it has a language. `link`: what to press, and the address it opens.

    `why`: why its reader gets it, at the end."""

    subject: str
    paragraphs: tuple[str, ...]
    link: tuple[str, str] | None = None
    why: str = ""


def _test(_values: Values) -> Letter:
    return Letter(
        subject=Sentence("A test mail of the badge tool"),
        paragraphs=(
            Sentence("This mail shows that the badge tool reaches its mail server, and that its mail arrives."),
        ),
        why=Sentence("You get this mail because an administrator of the badge tool asked for it."),
    )


def _own_confirm(values: Values) -> Letter:
    return Letter(
        subject=Sentence("Confirm this address for your badges"),
        paragraphs=(
            Sentence("This address was entered in Badges, to keep access to badges when a course or an account ends."),
            Sentence("If that was you, open this address and press the button there. It works once, within 24 hours."),
            Sentence("If it was not you, do nothing: nothing changes then, and the address is forgotten."),
        ),
        link=(Sentence("Confirm the address"), values["link"]),
        why=Sentence("You get this mail because this address was entered in Badges."),
    )


def _own_link(values: Values) -> Letter:
    return Letter(
        subject=Sentence("The link to your badges"),
        paragraphs=(
            Sentence("Here is the link to your badges that was asked for. It works once, within 15 minutes."),
            Sentence("If you did not ask for it, do nothing. Whoever asked sees nothing without this mail."),
        ),
        link=(Sentence("Open my badges"), values["link"]),
        why=Sentence("You get this mail because you confirmed this address for access to your badges."),
    )


def _own_confirmed(_values: Values) -> Letter:
    return Letter(
        subject=Sentence("Your badges can be opened from another address"),
        paragraphs=(
            Sentence("An e-mail address was confirmed that opens your badges without your LMS."),
            Sentence(
                "If that was you, there is nothing to do. If not, open Badges in your course, choose “Keep access after"
                " the course”, and remove the address there."
            ),
        ),
        why=Sentence("You get this mail because your LMS names this address as yours."),
    )


def _own_moved(_values: Values) -> Letter:
    return Letter(
        subject=Sentence("This address no longer opens your badges"),
        paragraphs=(
            Sentence("Another e-mail address was confirmed for access to your badges, in the place of this one."),
            Sentence(
                "If that was you, there is nothing to do. If not, open Badges in your course, choose “Keep access after"
                " the course”, and remove the address there; without an LMS account, write to the institution."
            ),
        ),
        why=Sentence("You get this mail because this address opened your badges until now."),
    )


# By the name a mail is asked for with. One that is gone would leave mails that wait unsaid.
LETTERS: dict[str, Callable[[Values], Letter]] = {
    "test": _test,
    "own_confirm": _own_confirm,
    "own_link": _own_link,
    "own_confirmed": _own_confirmed,
    "own_moved": _own_moved,
}
