"""What each mail says: a letter from the values it was asked for with, to be said in its reader's language.

Values are what JSON keeps; a sentence among them as `sentence.kept` has it, a moment as ISO 8601."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from lti_tool.sentence import Day, Sentence, counted

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


# -- about badges -----------------------------------------------------------------------------------------------


WHY = Sentence("You get this mail because badges are awarded in a course of yours.")
NOBODY_SEES = Sentence(
    "Until you decide otherwise, only you and those who teach the course see it. It needs no account."
)


def told(kind: str, values: Values) -> tuple[str, str]:
    """Return what an event is called, and more of it where there is some, as tool and mail say it."""
    badge, more = str(values.get("badge") or ""), ""
    until = Day(datetime.fromisoformat(values["until"]).date()) if values.get("until") else None
    if kind == "earned":
        return Sentence("You have earned %(badge)s", badge=badge), ""
    if kind == "confirmed":
        return Sentence("Your teacher has confirmed %(badge)s: it is yours", badge=badge), ""
    if kind == "renewed":
        if until is None:
            return Sentence("%(badge)s was renewed", badge=badge), ""
        return Sentence("%(badge)s was renewed and is valid until %(day)s", badge=badge, day=until), ""
    if kind == "reissued":
        more = Sentence("Files that you passed on before do not check any more: the new ones are on your badge’s page.")
        return Sentence("%(badge)s was corrected and issued again", badge=badge), more
    if kind == "revoked":
        reason = str(values.get("reason") or "")
        more = Sentence("The reason that was given: %(reason)s", reason=reason) if reason else ""
        return Sentence("%(badge)s was withdrawn", badge=badge), more
    if kind == "expiring" and until is not None:
        more = Sentence("After that day it does not check any more. Ask those who teach how to renew it.")
        return Sentence("%(badge)s is valid until %(day)s", badge=badge, day=until), more
    if kind == "unclaimed":
        return Sentence("%(badge)s waits for you to claim it", badge=badge), ""
    raise KeyError(kind)


def _about_a_badge(kind: str, values: Values) -> Letter:
    subject, more = told(kind, values)
    course = str(values.get("course") or "")
    first = {
        "earned": Sentence("%(badge)s is yours now.", badge=str(values.get("badge") or "")),
        "confirmed": Sentence("%(badge)s is yours now.", badge=str(values.get("badge") or "")),
        "unclaimed": Sentence("You earned %(badge)s some time ago.", badge=str(values.get("badge") or "")),
    }.get(kind, Sentence("%(sentence)s.", sentence=subject))
    closed = kind in ("earned", "confirmed", "unclaimed")
    return Letter(
        subject=subject,
        paragraphs=tuple(each for each in (first, more, NOBODY_SEES if closed else "", _where(kind, course)) if each),
        why=WHY,
    )


def _where(kind: str, course: str) -> str:
    """Say where to go. A mail holds no address of her pages: only a launch from the LMS opens them."""
    if kind in ("earned", "confirmed", "unclaimed"):
        if course:
            return Sentence("To claim it, open Badges in your course %(course)s.", course=course)
        return Sentence("To claim it, open Badges in your course.")
    if kind == "revoked":
        if course:
            return Sentence("If you think that is wrong, ask those who teach %(course)s.", course=course)
        return Sentence("If you think that is wrong, ask those who teach the course.")
    if course:
        return Sentence("You find it under Badges in your course %(course)s.", course=course)
    return Sentence("You find it under Badges in your course.")


# -- to those who teach -----------------------------------------------------------------------------------------


def _digest(values: Values) -> Letter:
    """Say what is new in a course: counts and badges, and no learner's name."""
    lines: list[str] = [
        counted(
            "%(badge)s: one learner has earned it.", "%(badge)s: %(num)s learners have earned it.", num, badge=badge
        )
        for badge, num in values.get("earned", ())
    ]
    lines += [
        counted(
            "%(badge)s: one award waits for you to confirm it.",
            "%(badge)s: %(num)s awards wait for you to confirm them.",
            num,
            badge=badge,
        )
        for badge, num in values.get("waiting", ())
    ]
    lines += [
        counted(
            "%(badge)s: the grades of one learner do not carry it any more. It stays until you decide.",
            "%(badge)s: the grades of %(num)s learners do not carry it any more. It stays until you decide.",
            num,
            badge=badge,
        )
        for badge, num in values.get("doubted", ())
    ]
    if num := values.get("broken", 0):
        lines.append(
            counted(
                "In the LMS, one thing is not as it was set up.",
                "In the LMS, %(num)s things are not as they were set up.",
                num,
            )
        )
    if num := values.get("not_posted", 0):
        lines.append(
            counted("One mark did not get into the gradebook.", "%(num)s marks did not get into the gradebook.", num)
        )
    course = str(values.get("course") or "")
    where = Sentence("Open Badges in the course to see who they are, and to decide.")
    return Letter(
        subject=Sentence("Badges in %(course)s: what is new", course=course)
        if course
        else Sentence("Badges: what is new"),
        paragraphs=(*lines, where),
        why=Sentence(
            "You get this mail, at most once a day, because you have opened Badges as a teacher of this course."
        ),
    )


# -- to whoever keeps access after the course -----------------------------------------------------------------


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
KINDS = ("earned", "confirmed", "renewed", "reissued", "revoked", "expiring", "unclaimed")
LETTERS: dict[str, Callable[[Values], Letter]] = {
    "test": _test,
    "digest": _digest,
    **{kind: partial(_about_a_badge, kind) for kind in KINDS},
    "own_confirm": _own_confirm,
    "own_link": _own_link,
    "own_confirmed": _own_confirmed,
    "own_moved": _own_moved,
}
# What previews and tests fill them with
SAMPLES: dict[str, dict[str, Any]] = {
    "test": {},
    "digest": {
        "course": "Writing 101",
        "earned": [["Oral Communication", 3], ["Careful Work", 1]],
        "waiting": [["Oral Communication", 2]],
        "doubted": [["Careful Work", 1]],
        "broken": 1,
        "not_posted": 2,
    },
    **{
        kind: {
            "badge": "Oral Communication",
            "course": "Writing 101",
            **({"reason": "Awarded to the wrong person."} if kind == "revoked" else {}),
            **({"until": "2029-06-30T00:00:00+00:00"} if kind in ("renewed", "expiring") else {}),
        }
        for kind in KINDS
    },
    "own_confirm": {"link": "https://badges.example.edu/own/confirm/…"},
    "own_link": {"link": "https://badges.example.edu/own/open/…"},
    "own_confirmed": {},
    "own_moved": {},
}
