"""The institution: one row, filled from the settings at the first start, and the pages that name it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.credentials.ob3 import IssuerProfile, did_web
from lti_tool.errors import ConfigurationError
from lti_tool.models import Edition, Issuer
from lti_tool.services.tool import Tool


def ensure_issuer(tool: Tool) -> None:
    """Fill the issuer's row at the first start, and its empty fields as the settings come to know them.

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
    )


# -- the one colour ---------------------------------------------------------------------------------------------

PAPER = {"light": (1.0, 1.0, 1.0), "dark": (0x15 / 255, 0x19 / 255, 0x1C / 255)}
LEAST_CONTRAST = 4.5
Colour = tuple[float, float, float]


def accent_css(accent: str) -> str:
    """Return the style sheet that gives the pages the issuer's colour, mixed until it reads on paper (4.5 : 1)."""
    base: Colour = (int(accent[1:3], 16) / 255, int(accent[3:5], 16) / 255, int(accent[5:7], 16) / 255)
    light = _rules(base, "light", (0.0, 0.0, 0.0))
    dark = _rules(base, "dark", (1.0, 1.0, 1.0))
    return f":root {{ {light} }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"


def _rules(base: Colour, ground: str, towards: Colour) -> str:
    paper = PAPER[ground]
    share = 0.0
    accent = base
    while contrast(accent, paper) < LEAST_CONTRAST and share < 1:
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
    return " ".join(f"--{name}: {_hex(colour)};" for name, colour in values.items())


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
