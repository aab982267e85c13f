"""Sentences, numbers, days and durations as people say them, in the language of the page that is being made.

Outside a page (jobs, commands) that is English."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Context, Decimal
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from unicodedata import bidirectional, combining, normalize

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.support import NullTranslations, Translations
from flask_babel import get_locale, ngettext
from flask_babel import gettext as _

from lti_tool.domain.badge import months_days_hours
from lti_tool.sentence import Day, Moment, Number, Sentence, Value

ENGLISH = Locale("en")
FOLDER = Path(__file__).parent.parent / "translations"
LANGUAGES = ("en", *sorted(path.parent.parent.name for path in FOLDER.glob("*/LC_MESSAGES/messages.po")))
RIGHT_TO_LEFT = ("R", "AL", "AN", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI", "FSI", "PDF", "PDI")


def said(text: str) -> str:
    """Say a sentence that was made elsewhere. Any other text stays as it is: it may be what a person wrote."""
    if isinstance(text, Number):
        return decimal(text)
    if isinstance(text, Moment):
        return moment(text.when)
    if isinstance(text, Day):
        return format_date(text.when, "d MMMM y", locale=get_locale() or ENGLISH)
    if not isinstance(text, Sentence):
        return text
    values = {name: _value(value) for name, value in text.values.items()}
    if text.many:
        return ngettext(text.words, text.many, **values)
    return _(text.words, **values)


def numbered(name: str) -> tuple[tuple[int, str], ...]:
    """Return what sorts names so that a number in one counts as such: 10 after 9."""
    parts = re.split(r"(\d+)", name.casefold())
    return tuple((int(each), "") if each.isdecimal() else (0, each) for each in parts)


@lru_cache(maxsize=16)
def translations(language: str) -> NullTranslations:
    """Return the words of a language; English, which the program is written in, has none."""
    path = FOLDER / language / "LC_MESSAGES" / "messages.po"
    if not path.exists():
        return NullTranslations()
    with path.open("rb") as file:
        catalog = read_po(file, locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return Translations(compiled)


def said_in(language: str, text: str) -> str:
    """Say a sentence in one of LANGUAGES, whatever page is being made: for a file that is the same for every reader."""
    locale = Locale(language)
    if isinstance(text, Day):
        return format_date(text.when, "d MMMM y" if language == ENGLISH.language else "long", locale=locale)
    if isinstance(text, Number):
        return _decimal(text, locale)
    if not isinstance(text, Sentence):
        return text
    values = {name: said_in(language, each) if isinstance(each, str) else each for name, each in text.values.items()}
    told: str = translations(language).gettext(text.words)
    return told % values if values else told


def told_in(language: str, text: str) -> str:
    """Say a sentence to somebody in one of LANGUAGES, whatever page is being made: for a mail."""
    locale = Locale(language)
    if isinstance(text, Moment):
        return format_datetime(text.when.astimezone(UTC), "d MMM y, HH:mm 'UTC'", locale=locale)
    if not isinstance(text, Sentence):
        return said_in(language, text)

    def value_in(value: Value) -> str | int:
        if isinstance(value, int):
            return value
        if isinstance(value, Sentence | Number | Day | Moment):
            return told_in(language, value)
        return name(value) if isinstance(value, str) else ", ".join(told_in(language, each) for each in value)

    values = {key: value_in(value) for key, value in text.values.items()}
    found = translations(language)
    if text.many:
        told: str = found.ngettext(text.words, text.many, int(str(text.values["num"])))
    else:
        told = found.gettext(text.words)
    return told % values if values else told


def _value(value: Value) -> str | int:
    if isinstance(value, str):
        return said(value) if isinstance(value, Sentence | Number | Day | Moment) else name(value)
    return value if isinstance(value, int) else ", ".join(said(each) for each in value)


def name(text: str) -> str:
    """Set a name apart from its sentence where its letters run from right to left, or make others do so."""
    return f"\u2068{text}\u2069" if any(bidirectional(each) in RIGHT_TO_LEFT for each in text) else text


# Letters that Unicode does not take apart, as a list in several languages has them
_NO_ACCENT = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)


def collation(text: str) -> str:
    """Return what a name is sorted by, accents and capitals left aside; no name at all comes last."""
    folded = text.casefold()
    if not folded.isascii():
        folded = "".join(each for each in normalize("NFKD", folded) if not combining(each)).translate(_NO_ACCENT)
    return folded or "\uffff"


# An award's states as instructors and administrators read them
STATUS_WORDS = {
    "pending": Sentence("Being signed"),
    "review": Sentence("Waits for you"),
    "held": Sentence("Earned, not released"),
    "issued": Sentence("Issued"),
    "expired": Sentence("Expired"),
    "revoked": Sentence("Withdrawn"),
    "superseded": Sentence("Replaced"),
}


def status_word(status: str) -> str:
    """Return an award's state in words."""
    return said(STATUS_WORDS[status])


def words(number: int, *, capital: bool = False) -> str:
    """Write a number below ten as a word."""
    below_ten = (
        *(_("no"), _("one"), _("two"), _("three"), _("four")),
        *(_("five"), _("six"), _("seven"), _("eight"), _("nine")),
    )
    word = below_ten[number] if 0 <= number < len(below_ten) else str(number)
    return word[:1].upper() + word[1:] if capital else word


def decimal(text: str) -> str:
    """Write a number that stands as decimal text: 2.5; what is no number stays as it is."""
    return _decimal(text, get_locale() or ENGLISH) if "." in text else text


@lru_cache(maxsize=10_000)
def _decimal(text: str, locale: Locale) -> str:
    try:
        # Cut, not rounded: 2.999… must not read as 3.
        number = Decimal(text).quantize(Decimal("1E-15"), ROUND_FLOOR, Context(prec=100))
        return format_decimal(number, format="0.###############", locale=locale)
    except ArithmeticError:
        return text


def plain_clicks(clicks: Iterable[str]) -> list[str]:
    """Write what to click as plain text: a label of the LMS, written [[Save]], in quotes."""
    return [said(each).replace("[[", "“").replace("]]", "”") for each in clicks]


def language(tag: str) -> str:
    """Name a language in the words of the page: English, Spanish; a tag that nobody knows stays as it is."""
    try:
        return Locale.parse(tag.replace("_", "-"), sep="-").get_display_name(get_locale() or ENGLISH) or tag
    except (UnknownLocaleError, ValueError):
        return tag


def day(when: datetime) -> str:
    """Write a day: 16 Nov 2026."""
    return _pattern(when, "d MMM y")


def moment(when: datetime) -> str:
    """Write a moment: 16 Nov 2026, 10:18 UTC."""
    return _pattern(when, "d MMM y, HH:mm 'UTC'")


def month(when: datetime) -> str:
    """Write a month: November 2026."""
    return _pattern(when, "LLLL y")


def _pattern(when: datetime, pattern: str) -> str:
    return format_datetime(when.astimezone(UTC), pattern, locale=get_locale() or ENGLISH)


def ago(when: datetime, now: datetime) -> str:
    """Say how long ago: 3 min ago; after two days, the day."""
    minutes = int((now - when).total_seconds() // 60)
    if minutes < 1:
        return _("just now")
    if minutes < 60:
        return _("%(minutes)s min ago", minutes=minutes)
    if minutes < 48 * 60:
        return _("%(hours)s h ago", hours=minutes // 60)
    return day(when)


def time_parts(duration: str) -> list[str]:
    """Say the years, months, days and hours of an ISO 8601 duration, each by itself."""
    months, days, hours = months_days_hours(duration)
    years, months = divmod(months, 12)
    parts = []
    if years:
        parts.append(ngettext("one year", "%(some)s years", years, some=words(years)))
    if months:
        parts.append(ngettext("one month", "%(some)s months", months, some=words(months)))
    if days:
        parts.append(ngettext("one day", "%(some)s days", days, some=words(days)))
    if hours:
        parts.append(ngettext("one hour", "%(some)s hours", hours, some=words(hours)))
    return parts


def days_words(days: int) -> str:
    """Say a number of days, in years where it is whole ones: "five years"."""
    return time_parts(f"P{days // 365}Y" if days and not days % 365 else f"P{days}D")[0]


def lasts(duration: str) -> str:
    """Say how long a badge is valid: "lasts three years"; empty where it has no end."""
    if not duration:
        return ""
    parts = time_parts(duration)
    if len(parts) == 1:
        return _("lasts %(time)s", time=parts[0])
    return _("lasts %(time)s and %(more)s", time=", ".join(parts[:-1]), more=parts[-1])
