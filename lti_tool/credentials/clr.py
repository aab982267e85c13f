"""Comprehensive Learner Record 2.0: a learner's credentials as one, each with its own signature inside.

https://www.imsglobal.org/spec/clr/v2p0
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from lti_tool.credentials import contexts, ob3
from lti_tool.credentials.signing import compact, data_integrity
from lti_tool.credentials.untrusted import objects
from lti_tool.keyring import Key

CLR = "https://purl.imsglobal.org/spec/clr/v2p0/context-2.0.1.json"
SCHEMA = "https://purl.imsglobal.org/spec/clr/v2p0/schema/json/clr_v2p0_clrcredential_schema.json"
RECORD_CONTEXTS = (contexts.VC, CLR, contexts.OB, contexts.OB_EXTENSIONS)
KEYWORD = "clrcredential"  # of a PNG's chunk
MOST = 100  # credentials in one record: signing it reads each of them again

TERM = re.compile(r'"(?:[^"\\]|\\.)*"|<[^>]*>|_:\S+')  # of an N-Quad: a literal as a whole, an IRI, a blank node

Json = dict[str, Any]


def clr_credential(
    members: Sequence[Json],
    *,
    issuer: ob3.IssuerProfile,
    subject_id: str,
    name: str,
    now: datetime,
    partial: bool = False,
) -> Json:
    """Return signed credentials of one learner as an unsigned ClrCredential, in their order.

    `partial`: the issuer knows of more. It is made when it is asked for, so it has no status of its own: what was taken
    back since is told by each."""
    subject: Json = {"id": subject_id, "type": ["ClrSubject"], "verifiableCredential": list(members)}
    if associations := [*_associations(members)]:
        subject["association"] = associations
    record: Json = {
        "@context": list(RECORD_CONTEXTS),
        "id": f"urn:uuid:{uuid.uuid4()}",
        "type": ["VerifiableCredential", "ClrCredential"],
        "name": ob3.signable(name),
        "issuer": ob3.issuer_node(issuer),
        "validFrom": ob3.instant(now),
        "credentialSubject": subject,
        "credentialSchema": [{"id": SCHEMA, "type": "1EdTechJsonSchemaValidator2019"}],
    }
    if partial:
        record["partial"] = True
    return record


def signed(record: Json, key: Key, now: datetime) -> bytes:
    """Return a record with its proof; raises CredentialHeldBack where a verifier would stumble over it."""
    digest = hashlib.sha256(contexts.canonical_of_nquads(nquads(record)).encode()).digest()
    return data_integrity(record, compact(record), digest, key, now)


def nquads(record: Json) -> str:
    """Return an unsigned record's N-Quads: those of the record around its credentials, and those of each.

    A credential brings its own contexts, so it says the same inside as outside. Read once, it is kept: expanding one
    takes a tenth of a second, and somebody may ask for her record again and again."""
    subject = record["credentialSubject"]
    members = subject["verifiableCredential"]
    around = {**subject, "verifiableCredential": [{"id": member["id"]} for member in members]}
    parts = [contexts.nquads({**record, "credentialSubject": around}), *(_of_member(compact(each)) for each in members)]
    return "".join(_renamed(part, place) for place, part in enumerate(parts))


@functools.lru_cache(maxsize=300)
def _of_member(text: str) -> str:
    return contexts.nquads(json.loads(text))


def _renamed(quads: str, place: int) -> str:
    """Return N-Quads whose blank nodes are called as no other part's."""
    return TERM.sub(lambda term: f"_:p{place}.{term[0][2:]}" if term[0].startswith("_:") else term[0], quads)


def _associations(members: Sequence[Json]) -> Iterator[Json]:
    """Yield which achievement is part of which: a badge made of badges is aligned to those it is made of."""
    achievements = {each["id"]: each for each in (member["credentialSubject"]["achievement"] for member in members)}
    for whole in achievements.values():
        for description in objects(whole.get("resultDescription", [])):
            for alignment in objects(description.get("alignment", [])):
                part = alignment.get("targetUrl")
                if alignment.get("targetType") == "ceterms:Credential" and part in achievements and part != whole["id"]:
                    yield {
                        "type": "Association",
                        "associationType": "isParentOf",
                        "sourceId": whole["id"],
                        "targetId": part,
                    }
