"""The institution: one row, filled from the settings at the first start, and the pages that name it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.credentials import ob3
from lti_tool.credentials.contexts import is_iri
from lti_tool.credentials.ob3 import Address, IssuerProfile, did_web, signable
from lti_tool.credentials.picture import read_logo_file
from lti_tool.domain.badge import EXTENSION, IDENTIFIER_TYPES, Identifier
from lti_tool.errors import BadInput, ConfigurationError
from lti_tool.models import Edition, Issuer
from lti_tool.prepared import Prepared, Row
from lti_tool.sentence import Sentence
from lti_tool.services import audit
from lti_tool.services.administrators import problem_of_email
from lti_tool.services.tool import Tool


def ensure_issuer(tool: Tool) -> None:
    """Fill the issuer's row at the first start, and its empty fields as the settings come to know them.

    Once an administrator has saved the issuer's page, the settings have no say any more.

    Raises ConfigurationError where the base address, and with it the issuer's DID, has changed after an award."""
    told = tool.settings.issuer
    did = did_web(tool.settings.base_url)
    with tool.db.write() as session:
        row = session.scalars(select(Issuer)).first()
        if row is None:
            session.add(
                Issuer(
                    slug=told.slug,
                    did=did,
                    name=told.name,
                    url=told.url,
                    email=told.email,
                    description=told.description,
                    accent=told.accent,
                )
            )
            return
        if row.saved_at is None:
            for field in ("name", "url", "email", "description"):
                if not getattr(row, field):
                    setattr(row, field, getattr(told, field))
        if row.did != did:
            if session.scalars(select(Edition.id).limit(1)).first() is not None:
                raise ConfigurationError(
                    f"server.base_url makes the issuer {did}, but credentials were signed as {row.did}. "
                    "Set server.base_url back: those credentials could no longer be checked"
                )
            row.did = did


def issuer_row(session: Session) -> Issuer:
    row = session.scalars(select(Issuer)).first()
    if row is None:
        raise ConfigurationError("The database holds no issuer yet. Run: lti-tool db upgrade")
    return row


# Every page names the issuer: without a session, and with whatever columns there are.
_TOLD = Prepared(select(*(column for column in Issuer.__table__.c if column.name != "logo")))


def issuer_told(tool: Tool) -> Row:
    """Return the issuer's row as it stands, to be read."""
    row = tool.statements.one(_TOLD, {})
    if row is None:
        raise ConfigurationError("The database holds no issuer yet. Run: lti-tool db upgrade")
    return row


def issuer_profile(session: Session, tool: Tool) -> IssuerProfile:
    """Return the issuer as credentials name it."""
    row = issuer_row(session)
    return IssuerProfile(
        did=row.did,
        slug=row.slug,
        base_url=tool.settings.base_url,
        name=row.name,
        url=row.url,
        email=row.email,
        description=row.description,
        image=logo_address(tool, row),
        linkedin=row.linkedin,
        phone=row.phone,
        address=Address(**row.address),
        identifiers=tuple(Identifier(kind, value) for kind, value in row.identifiers),
        parent_name=row.parent_name,
        parent_url=row.parent_url,
    )


def did_document(tool: Tool) -> dict[str, Any]:
    """Return the issuer's DID document with every credential key there ever was."""
    keyring, did = tool.keyring, issuer_told(tool).did
    of, document = tool.did_documents.get(did, (None, {}))
    if of is not keyring:
        document = ob3.did_document(did, keyring.of("ed25519"), keyring.of("rsa"), tool.settings.base_url)
        tool.did_documents[did] = (keyring, document)
    return document


def logo_address(tool: Tool, row: Issuer) -> str | None:
    return f"{tool.settings.base_url}/issuers/{row.slug}/logo.png" if row.logo_at is not None else None


def is_complete(row: Issuer | IssuerFields) -> bool:
    """Tell whether badges may be published: the issuer has a name and a web address."""
    return bool(row.name and row.url)


def issuer_address(tool: Tool) -> str:
    """Return the address of the page on which an administrator writes down who issues badges."""
    return f"{tool.settings.base_url}/admin/issuer"


# -- the administrator's page -----------------------------------------------------------------------------------

LONGEST = {
    "name": 200,
    "url": 500,
    "email": 254,
    "description": 1000,
    "linkedin": 200,
    "accent": 7,
    "phone": 40,
    "street": 200,
    "locality": 100,
    "region": 100,
    "postal_code": 20,
    "country_code": 2,
    "identifiers": 2000,
    "parent_name": 200,
    "parent_url": 500,
    "terms_url": 500,
}
ADDRESS = ("street", "locality", "region", "postal_code", "country_code")
PHONE = re.compile(r"\+?[0-9 ()./-]{3,40}")
WEB_ADDRESS = re.compile(r"https?://[^\s/?#<>\"{}|^`\\]+[^\s<>\"{}|^`\\]*")
LINKEDIN_PAGE = re.compile(r"(?:https?://)?(?:[a-z]+\.)?linkedin\.com/(?:company|school)/(\d{1,20})(?:[/?#].*)?")


@dataclass(frozen=True)
class IssuerFields:
    """The issuer as a form sends it."""

    name: str
    url: str
    email: str
    description: str
    linkedin: str
    accent: str
    phone: str = ""
    street: str = ""
    locality: str = ""
    region: str = ""
    postal_code: str = ""
    country_code: str = ""
    identifiers: str = ""  # one on each line: type, then identifier
    parent_name: str = ""
    parent_url: str = ""
    terms_url: str = ""


def fields_of(tool: Tool) -> IssuerFields:
    """Return the issuer as it stands."""
    with tool.db.read() as session:
        return _fields(issuer_row(session))


def _fields(row: Issuer) -> IssuerFields:
    plain = {name: getattr(row, name) for name in LONGEST if name not in (*ADDRESS, "identifiers")}
    lines = "\n".join(f"{kind} {value}" for kind, value in row.identifiers)
    return IssuerFields(**plain, **{name: row.address.get(name, "") for name in ADDRESS}, identifiers=lines)


def _put(row: Issuer, told: IssuerFields) -> None:
    for name, value in asdict(told).items():
        if name not in (*ADDRESS, "identifiers"):
            setattr(row, name, value)
    row.address = {name: value for name in ADDRESS if (value := getattr(told, name))}
    row.identifiers = [list(each) for each in read_identifiers(told.identifiers)]


def read_identifiers(text: str) -> list[tuple[str, str]]:
    """Read identifiers, one on each line: its type, then the identifier; ValueError for a line without both."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        kind, _space, value = line.partition(" ")
        if not value.strip() or not (kind in IDENTIFIER_TYPES or EXTENSION.fullmatch(kind)):
            raise ValueError(line)
        found.append((kind, value.strip()))
    return found


def save_issuer(
    tool: Tool,
    told: IssuerFields,
    *,
    logo_file: bytes | None = None,
    remove_logo: bool = False,
    actor: str,
    now: datetime,
) -> dict[str, str]:
    """Save who issues badges, or return what is wrong, by field, and save nothing.

    Credentials that are signed already keep what they say; those signed from now on say this."""
    told, problems = _checked(told)
    logo: bytes | None = None
    if logo_file is not None:
        try:
            logo = read_logo_file(logo_file)
        except BadInput as error:
            problems["logo"] = error.sentence
    if problems:
        return problems
    with tool.db.write() as session:
        row = session.scalars(select(Issuer).with_for_update()).one()
        before = asdict(_fields(row))
        changed = [name for name, value in asdict(told).items() if before[name] != value]
        _put(row, told)
        if logo is not None:
            row.logo, row.logo_at = logo, now
        elif remove_logo:
            row.logo, row.logo_at = None, None
        changed += ["logo"] if logo is not None or remove_logo else []
        row.saved_at = now
        audit.record(session, now, actor, "issuer.saved", "issuer", changed=changed)
    return {}


def _checked(told: IssuerFields) -> tuple[IssuerFields, dict[str, str]]:
    """Return the fields as they are kept, and what is wrong with them."""
    problems: dict[str, str] = {}
    kept = IssuerFields(
        name=" ".join(told.name.split()),
        url=told.url.strip(),
        email=told.email.strip(),
        description=told.description.replace("\r\n", "\n").strip(),
        linkedin=told.linkedin.strip(),
        accent=told.accent.strip().upper(),
        phone=" ".join(told.phone.split()),
        street=" ".join(told.street.split()),
        locality=" ".join(told.locality.split()),
        region=" ".join(told.region.split()),
        postal_code=" ".join(told.postal_code.split()),
        country_code=told.country_code.strip().upper(),
        identifiers="\n".join(" ".join(line.split()) for line in told.identifiers.splitlines() if line.strip()),
        parent_name=" ".join(told.parent_name.split()),
        parent_url=told.parent_url.strip(),
        terms_url=told.terms_url.strip(),
    )
    if not kept.name:
        problems["name"] = Sentence("Write the institution’s name, as it shall stand on every badge.")
    elif signable(kept.name) != kept.name:
        problems["name"] = Sentence(
            "There is a character in this name that cannot be shown or signed. Type the name anew."
        )
    if not kept.url:
        problems["url"] = Sentence("Write the institution’s web address.")
    elif not is_web_address(kept.url):
        problems["url"] = Sentence("Write the whole web address, as https://www.example.edu.")
    if kept.email and problem_of_email(kept.email):
        problems["email"] = Sentence("This is not an e-mail address. Write it as badges@example.edu, or leave it out.")
    if signable(kept.description) != kept.description:
        problems["description"] = Sentence(
            "There is a character in this text that cannot be shown or signed. Type it anew."
        )
    problems |= _problems_of_more(kept)
    if (page := LINKEDIN_PAGE.fullmatch(kept.linkedin)) is not None:
        kept = replace(kept, linkedin=page[1])
    if kept.linkedin and not re.fullmatch("[0-9]{1,20}", kept.linkedin):
        problems["linkedin"] = Sentence(
            "This is not a number. It stands in the address of your organisation’s admin page on "
            "LinkedIn: linkedin.com/company/206815/admin"
        )
    if not re.fullmatch("#[0-9A-F]{6}", kept.accent):
        problems["accent"] = Sentence("Write the colour as # and six digits, as #0E5468.")
    for name, most in LONGEST.items():
        if (length := len(getattr(kept, name))) > most:
            problems[name] = Sentence(
                "This has %(length)s characters; at most %(most)s fit.", length=f"{length:,}", most=f"{most:,}"
            )
    return kept, problems


def _problems_of_more(kept: IssuerFields) -> dict[str, str]:
    """Return what is wrong with what may be left out."""
    problems: dict[str, str] = {}
    for name in ("street", "locality", "region", "postal_code", "parent_name", "identifiers"):
        text = getattr(kept, name)
        if signable(text) != text:
            problems[name] = Sentence("There is a character in this text that cannot be shown or signed. Type it anew.")
    for name in ("parent_url", "terms_url"):
        if getattr(kept, name) and not is_web_address(getattr(kept, name)):
            problems[name] = Sentence("Write the whole web address, as https://www.example.edu.")
    if kept.parent_url and not kept.parent_name:
        problems["parent_name"] = Sentence("Write the name of the organisation too.")
    if kept.phone and not PHONE.fullmatch(kept.phone):
        problems["phone"] = Sentence("This is not a telephone number. Write it as +1 555 0100, or leave it out.")
    if kept.country_code and not re.fullmatch("[A-Z]{2}", kept.country_code):
        problems["country_code"] = Sentence("Write the two letters of the country, as US.")
    try:
        read_identifiers(kept.identifiers)
    except ValueError:
        problems["identifiers"] = Sentence("Write the type and then the identifier on each line, as ext:ror 05abc12.")
    return problems


def is_web_address(text: str) -> bool:
    """Tell whether a text is an address a credential can carry: only a legal IRI can be signed."""
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for one that is none
    except ValueError:
        return False
    return WEB_ADDRESS.fullmatch(text) is not None and bool(parts.hostname) and not parts.username and is_iri(text)


# -- the one colour ---------------------------------------------------------------------------------------------

Colour = tuple[float, float, float]


def colour(text: str) -> Colour:
    """Read #RRGGBB as three shares of one."""
    red, green, blue = (int(text[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return red, green, blue


# The page, and the wells on it: --paper and --paper-2 of app.css. The colour is read on both.
PAPER = {"light": colour("#FFFFFF"), "dark": colour("#15191C")}
WELL = {"light": colour("#F8F7F4"), "dark": colour("#1C2125")}
LEAST_CONTRAST = 4.53  # a little above WCAG's 4.5: what is shown is rounded to whole steps of 255


def accent_css(accent: str) -> str:
    """Return the style sheet that gives the pages the issuer's colour, mixed until it reads on paper (4.5 : 1)."""
    base = colour(accent)
    light = _rules(_shades(base, "light", (0.0, 0.0, 0.0)))
    dark = _rules(_shades(base, "dark", (1.0, 1.0, 1.0)))
    return f":root {{ {light} }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"


def accent_on_paper(accent: str) -> dict[str, str]:
    """Return what becomes of an accent colour on "light" and on "dark" paper, as #RRGGBB."""
    base = colour(accent)
    light, dark = _shades(base, "light", (0.0, 0.0, 0.0)), _shades(base, "dark", (1.0, 1.0, 1.0))
    return {"light": light["accent"], "dark": dark["accent"]}


def _rules(shades: dict[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in shades.items())


def _shades(base: Colour, ground: str, towards: Colour) -> dict[str, str]:
    paper = PAPER[ground]
    share = 0.0
    accent = base
    while min(contrast(accent, paper), contrast(accent, WELL[ground])) < LEAST_CONTRAST and share < 1:
        share += 0.02
        accent = _mix(base, towards, share)
    deep = _mix(accent, towards, 0.3)
    soft = _mix(accent, paper, 0.89 if ground == "light" else 0.82)
    while contrast(accent, soft) < LEAST_CONTRAST:
        soft = _mix(soft, paper, 0.3)
        if contrast(paper, soft) < 1.01:
            break
    on_accent = max((PAPER["light"], _mix(accent, (0.0, 0.0, 0.0), 0.8)), key=lambda c: contrast(c, accent))
    values = {"accent": accent, "accent-deep": deep, "accent-soft": soft, "on-accent": on_accent}
    return {name: _hex(colour) for name, colour in values.items()}


def contrast(one: Colour, other: Colour) -> float:
    """Return the WCAG contrast ratio of two colours, 1 to 21."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Colour) -> float:
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (a * (1 - share) + b * share for a, b in zip(one, other, strict=True))
    return red, green, blue


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{round(max(0.0, min(1.0, c)) * 255):02X}" for c in colour)
