"""The certificate of an award: a PDF for people that carries the signed credential as its attachment.

It is made of the signed document and nothing that may change, so that it says what the credential says: PDF/A-3 for the
archive, PDF/UA for who listens to it. The texts of people go to the typesetter as data and never as its code; it reads
no file, asks no network, and writes the credential's date instead of today's.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import segno
import typst

from lti_tool.credentials.picture import rosette
from lti_tool.credentials.untrusted import objects, strings, text_of
from lti_tool.domain.badge import MICRO_CREDENTIAL
from lti_tool.errors import CertificateFailed
from lti_tool.sentence import Day, Number, Sentence

# Tried in this order: archive and accessibility ask that every letter can be drawn, and a name may hold one that no
# font here has. Then a sheet with a box in the place of that letter is better than none.
STANDARDS: tuple[typst.PDFStandards, ...] = (["a-3a", "ua-1"], [])

# Beside the typesetter's own: what Debian's fonts-noto-core, fonts-noto-cjk and fonts-dejavu-core bring.
FONTS = (
    "Libertinus Serif",
    "Noto Serif",
    "Noto Naskh Arabic",
    "Noto Sans Arabic",
    "Noto Serif Devanagari",
    "Noto Serif CJK SC",
    "Noto Serif CJK JP",
    "Noto Sans CJK SC",
    "DejaVu Serif",
    "DejaVu Sans",
)
# Latin, Greek, Cyrillic, Hebrew and punctuation, which the typesetter's own fonts letter well.
WESTERN = re.compile("[\x00-\u05ff\u1e00-\u22ff\u2300-\u23ff\u25a0-\u25ff\u2713]*")

LONGEST_WORD = 28  # characters without a break; more are given places to break at
LONGEST_TEXT = 700  # of a narrative: the whole of it is in the attached credential
TONES = 4

Json = dict[str, Any]
Say = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a certificate shows beside what the signed document says.

    `picture` and `logo` are SVG (a PNG goes into one, see `picture.svg_of_png`), `logo` may be empty; `accent` is the
    badge's dark colour; `say` says a sentence in `language`, the badge's own where we speak it."""

    document: bytes
    url: str
    picture: str
    logo: str
    accent: str
    slug: str
    level: str
    language: str
    say: Say


def certificate(sheet: Sheet) -> bytes:
    """Return the certificate as PDF: the same bytes for the same sheet and fonts.

    Raises CertificateFailed where the typesetter gives up."""
    data = contents(sheet)
    year, month, day = data["date"]
    return typeset(data, datetime(year, month, day, tzinfo=UTC))


def typeset(data: Json, made: datetime) -> bytes:
    """Return the pages that `contents` describes. Raises CertificateFailed."""
    text = json.dumps(data, ensure_ascii=False)
    shown = json.dumps({**data, "credential": ""}, ensure_ascii=False)
    fonts = fonts_for(WESTERN.fullmatch(shown) is None)
    problem = ""
    for standards in STANDARDS:
        # An empty folder for everything the typesetter might want to read from: pictures come with the data.
        with tempfile.TemporaryDirectory(prefix="certificate-") as nowhere:
            try:
                compiler = typst.Compiler(
                    _template(),
                    root=nowhere,
                    font_paths=fonts,
                    sys_inputs={"data": text},
                    package_path=nowhere,
                    package_cache_path=nowhere,
                )
                sheets = compiler.compile(format="pdf", pdf_standards=standards, timestamp=made)
            except typst.TypstError as error:
                problem = str(error)
                continue
        if isinstance(sheets, bytes):
            return sheets
    raise CertificateFailed(f"the typesetter: {problem[:200]}")


@functools.cache
def _template() -> bytes:
    return importlib.resources.files("lti_tool.credentials").joinpath("certificate.typ").read_bytes()


@functools.cache
def fonts_for(of_the_system: bool) -> typst.Fonts:
    """Return the fonts, read once a process. Most certificates need the typesetter's own, the same on any machine."""
    return typst.Fonts(include_system_fonts=of_the_system)


# -- what it says -----------------------------------------------------------------------------------------------


def contents(sheet: Sheet) -> Json:
    """Return what the template sets, as plain values."""
    document: Json = json.loads(sheet.document)
    say = sheet.say
    subject, issuer = document["credentialSubject"], document["issuer"]
    achievement = subject["achievement"]
    begins = datetime.fromisoformat(document["validFrom"]).astimezone(UTC)
    name = achievement["name"]
    issuer_name = text_of(issuer.get("name")) or urlsplit(sheet.url).netloc
    return {
        "fonts": list(FONTS),
        "language": sheet.language,
        "badge_language": letters(text_of(achievement.get("inLanguage")) or "en"),
        "title": say(Sentence("Certificate: %(badge)s", badge=name)),
        "date": [begins.year, begins.month, begins.day],
        "accent": sheet.accent,
        "name": breakable(name),
        "level": breakable(sheet.level),
        "description": breakable(text_of(achievement.get("description"))),
        "narrative": breakable(_shortened(text_of(subject.get("narrative")))),
        "issuer": {
            "name": breakable(issuer_name),
            "logo": sheet.logo,
            "logo_alt": say(Sentence("Logo of %(issuer)s", issuer=issuer_name)),
        },
        "holder": breakable(_holder(subject)),
        "facts": [*_facts(document, begins, say)],
        "rows": [*_rows(subject, say)],
        "evidence": [*_evidence(document)],
        "picture": sheet.picture,
        "picture_alt": text_of(achievement.get("image", {}).get("caption"))
        or say(Sentence("Picture of the badge %(badge)s", badge=name)),
        "rosette": ground(sheet.slug, sheet.accent),
        "qr": _qr(sheet.url),
        "url": sheet.url,
        "url_shown": [breakable(part) for part in _address(sheet.url)],
        "credential": sheet.document.decode(),
        "words": {
            "kind": _kind(text_of(achievement.get("achievementType")), say),
            **{key: say(words) for key, words in _words(sheet.url).items()},
        },
    }


def _words(url: str) -> Mapping[str, Sentence]:
    host = urlsplit(url).netloc
    return {
        "to": Sentence("awarded to"),
        "to_nobody": Sentence("awarded to a learner whose name is not shown"),
        "took": Sentence("What it took"),
        "row": Sentence("Sub-competency or condition"),
        "level": Sentence("Level reached"),
        "next_page": Sentence("What it took stands on the next page."),
        "evidence": Sentence("Evidence"),
        "qr": Sentence("QR code with the address at which this credential is checked"),
        "check": Sentence("Is it still in force? Check it here:"),
        "number": Sentence("Credential number"),
        "page": Sentence("Page %(n)s of %(all)s", n="{n}", all="{all}"),
        "attached": Sentence(
            "This sheet shows a signed Open Badges 3.0 credential, which is attached to it. Only the check at %(host)s "
            "or of the attached file tells whether it is genuine and in force.",
            host=host,
        ),
        "attachment": Sentence("The signed Open Badges 3.0 credential that this sheet shows"),
    }


def _kind(achievement_type: str, say: Say) -> str:
    """Return what sort of achievement it is: of other sorts the standard's own word, CertificateOfCompletion apart."""
    if achievement_type in ("", MICRO_CREDENTIAL):
        return say(Sentence("Micro-credential"))
    return re.sub("(?<=[a-z])(?=[A-Z])", " ", achievement_type.removeprefix("ext:"))


def letters(tag: str) -> str:
    """Return the language of a tag as the typesetter takes it: two or three letters."""
    first = tag.split("-")[0].lower()
    return first if re.fullmatch("[a-z]{2,3}", first) else "en"


def _holder(subject: Json) -> str:
    """Return the learner's name, where she chose to have it in the credential."""
    for identity in objects(subject.get("identifier", [])):
        if identity.get("identityType") == "name" and not identity.get("hashed"):
            return text_of(identity.get("identityHash"))
    return ""


def _facts(document: Json, begins: datetime, say: Say) -> Iterator[tuple[str, str]]:
    subject = document["credentialSubject"]
    yield say(Sentence("Issued")), say(Day(begins.date()))
    if document.get("validUntil"):
        ends = datetime.fromisoformat(document["validUntil"]).astimezone(UTC)
        yield say(Sentence("Valid until")), say(Day(ends.date()))
    if course := text_of(subject.get("source", {}).get("name")):
        yield say(Sentence("Course")), breakable(course)
    if term := text_of(subject.get("term")):
        yield say(Sentence("Term")), breakable(term)
    if number := text_of(subject.get("licenseNumber")):
        yield say(Sentence("Licence number")), breakable(number)
    if subject.get("creditsEarned") is not None:
        yield say(Sentence("Credits")), say(Number(str(subject["creditsEarned"])))


def _rows(subject: Json, say: Say) -> Iterator[Json]:
    """Yield each result description with what was reached, in the order of the badge."""
    results = {text_of(result.get("resultDescription")): result for result in objects(subject.get("result", []))}
    for described in objects(subject["achievement"].get("resultDescription", [])):
        levels = [level["name"] for level in objects(described.get("rubricCriterionLevel", []))]
        ids = [level["id"] for level in objects(described.get("rubricCriterionLevel", []))]
        result = results.get(described["id"])
        reached = _place(ids, result.get("achievedLevel")) if result else 0
        required = _place(ids, described.get("requiredLevel"))
        needed = levels[required - 1] if required else text_of(described.get("requiredValue"))
        yield {
            "name": breakable(described["name"]),
            "levels": [breakable(level) for level in levels],
            "reached_step": reached,
            "required_step": required,
            "tone": _tone(reached, len(levels), result),
            "reached": breakable(_reached(result, levels, reached, say)),
            "needs": breakable(say(Sentence("needed: %(level)s", level=needed))) if needed else "",
        }


def _place(ids: list[str], wanted: Any) -> int:
    """Return which of the levels it is, counted from 1; 0 for none."""
    return ids.index(wanted) + 1 if wanted in ids else 0


def _reached(result: Json | None, levels: list[str], reached: int, say: Say) -> str:
    if result is None:
        return ""
    if reached:
        return levels[reached - 1]
    if value := text_of(result.get("value")):
        return value
    return say(Sentence("holds")) if result.get("status") == "Completed" else ""


def _tone(reached: int, levels: int, result: Json | None) -> int:
    """Return the colour of a level, 1 to 4, as on the pages; 3, the green, for a condition that holds; 0 for none."""
    if not reached:
        return 3 if result is not None and result.get("status") == "Completed" else 0
    return 1 + round((reached - 1) * (TONES - 1) / (levels - 1)) if levels > 1 else TONES


def _evidence(document: Json) -> Iterator[Json]:
    for each in objects(document.get("evidence", [])):
        address = text_of(each.get("id"))
        url = address if address.startswith(("https://", "http://")) and "#evidence-" not in address else ""
        words = _shortened(text_of(each.get("narrative")) or text_of(each.get("description")))
        yield {
            "name": breakable(text_of(each.get("name")) or ", ".join(strings(each.get("genre")))),
            "url": url,
            "shown": breakable(url),
            "text": breakable(words),
        }


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT].rstrip() + " …"


def breakable(text: str) -> str:
    """Return a text whose longest words can be broken, so that none runs out of the sheet."""
    return re.sub(rf"\S{{{LONGEST_WORD},}}", lambda word: _broken(word[0]), text)


def _broken(word: str) -> str:
    return "\u200b".join(word[place : place + 14] for place in range(0, len(word), 14))


def _address(url: str) -> tuple[str, str]:
    """Return an address in two lines: up to the credential's number, and the number."""
    before, slash, number = url.partition("://")[2].rpartition("/")
    return before + slash, number


def ground(slug: str, accent: str) -> str:
    """Return the rosette of the badge's picture, large and faint, as the ground of the sheet."""
    strands = [_round(strand) for strand in rosette(slug, 100).split("Z") if strand]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="25 25 150 150"><path fill="none" '
        f'stroke="{accent}" stroke-opacity=".11" stroke-width=".3" d="{"".join(strands)}"/></svg>'
    )


def _round(strand: str) -> str:
    """Return a closed path of straight lines as one of curves: so large, its corners would be seen."""
    points = [tuple(float(each) for each in point.split()) for point in strand.removeprefix("M").split("L")]
    turns = zip(points, points[1:] + points[:1], strict=True)
    curves = [f"Q{x:g} {y:g} {(x + to_x) / 2:.2f} {(y + to_y) / 2:.2f}" for (x, y), (to_x, to_y) in turns]
    return f"M{(points[-1][0] + points[0][0]) / 2:.2f} {(points[-1][1] + points[0][1]) / 2:.2f}{''.join(curves)}Z"


def _qr(url: str) -> str:
    return str(segno.make(url, error="m").svg_inline(border=2, omitsize=True, dark="#1B2126", light="#FFFFFF"))
