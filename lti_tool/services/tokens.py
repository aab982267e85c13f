"""A credential as VC-JWT RS256, made when it is first asked for, and kept.

An RSA signature is more work than all else of an award, and most are never asked for. PKCS#1 v1.5 draws nothing at
random: of one document, signed at one time, it is the same bytes whoever makes it and whenever.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update

from lti_tool.credentials.signing import jwt_of_document
from lti_tool.errors import Busy, DiskFull, NotFound
from lti_tool.keyring import Key, Keyring
from lti_tool.models import Edition
from lti_tool.services.tool import Tool


def jwt_of(tool: Tool, edition_id: str) -> bytes:
    """Return an edition's VC-JWT RS256, the same bytes every time; raises NotFound where it is not signed yet.

    No transaction may be open: making it takes a millisecond of signing."""
    of_it = Edition.id == edition_id, Edition.signed_at.is_not(None)
    with tool.db.read() as session:
        kept = session.scalar(select(Edition.jwt).where(*of_it))
        if kept is not None:
            return kept
        found = session.execute(select(Edition.document, Edition.signed_at).where(*of_it)).one_or_none()
    if found is None:
        raise NotFound("not signed yet")
    made = jwt_made(tool.keyring, found.document, found.signed_at)
    try:
        with tool.db.write() as session:
            # Another process may have made it meanwhile: it is the same.
            session.execute(update(Edition).where(Edition.id == edition_id, Edition.jwt.is_(None)).values(jwt=made))
    except (Busy, DiskFull):
        pass  # made again the next time
    return made


def jwt_made(keyring: Keyring, document: bytes, signed_at: datetime) -> bytes:
    """Return the VC-JWT of a document that was signed at a moment."""
    return jwt_of_document(document, key_at(keyring, signed_at)).encode()


def key_at(keyring: Keyring, moment: datetime) -> Key:
    """Return the RSA key that signed at a moment, retired or not, so that it is the same one after any rotation.

    Where its private half is no longer there, the one that signs today."""
    able = [key for key in keyring.of("rsa") if key.private is not None]
    return next((key for key in able if key.created <= moment), able[0])
