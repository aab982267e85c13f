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


# By the name a mail is asked for with. One that is gone would leave mails that wait unsaid.
LETTERS: dict[str, Callable[[Values], Letter]] = {"test": _test}
