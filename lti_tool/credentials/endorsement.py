"""What somebody outside says for a badge, an award or the institution, as a signed EndorsementCredential.

https://www.imsglobal.org/spec/ob/v3p0#endorsementcredential

The standard calls the endorser the issuer, and a proof has to be made with a key of the issuer's. A reviewer who came
by a one-time link has none, so the installation issues and signs what she said, and names her in it: a strict verifier
finds exactly what is true, that the institution vouches for having been told these words by her."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lti_tool.credentials.contexts import CREDENTIAL_CONTEXTS
from lti_tool.credentials.ob3 import IssuerProfile, instant, issuer_node, signable
from lti_tool.credentials.signing import sign_document
from lti_tool.credentials.status_list import status_list_address
from lti_tool.keyring import Key

SCHEMA = "https://purl.imsglobal.org/spec/ob/v3p0/schema/json/ob_v3p0_endorsementcredential_schema.json"

# How the name of one begins that the installation has written down; the reviewer follows.
WRITTEN_DOWN = "Endorsement by "

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """What a reviewer said. `about` is the id of what she endorses; `role` and `organisation` may be empty."""

    endorsement_id: str
    about: str
    name: str
    role: str
    organisation: str
    comment: str
    said_at: datetime
    status_list: int
    status_index: int

    @property
    def reviewer(self) -> str:
        return ", ".join(part for part in (self.name, self.role, self.organisation) if part)


def endorsement_address(base_url: str, endorsement_id: str) -> str:
    return f"{base_url}/endorsements/{endorsement_id}"


def endorsement(said: Said, issuer: IssuerProfile) -> Json:
    """Return an unsigned EndorsementCredential."""
    address = endorsement_address(issuer.base_url, said.endorsement_id)
    status = status_list_address(issuer.base_url, said.status_list)
    reviewer = signable(said.reviewer)
    return {
        "@context": list(CREDENTIAL_CONTEXTS),
        "id": address,
        "type": ["VerifiableCredential", "EndorsementCredential"],
        "name": f"{WRITTEN_DOWN}{reviewer}",
        "description": (
            f"Said by {reviewer}, who was asked by a one-time link and has no key here. "
            f"{signable(issuer.name)} has written it down and signs that."
        ),
        "issuer": issuer_node(issuer),
        "validFrom": instant(said.said_at),
        "credentialSubject": {
            "id": said.about,
            "type": ["EndorsementSubject"],
            "endorsementComment": signable(said.comment),
        },
        "credentialSchema": [{"id": SCHEMA, "type": "1EdTechJsonSchemaValidator2019"}],
        "credentialStatus": {
            "id": f"{status}#{said.status_index}",
            "type": "BitstringStatusListEntry",
            "statusPurpose": "revocation",
            "statusListIndex": str(said.status_index),
            "statusListCredential": status,
        },
    }


def signed_endorsement(said: Said, issuer: IssuerProfile, key: Key) -> bytes:
    """Return it signed, as compact JSON. Raises CredentialHeldBack for what a strict verifier would refuse."""
    return sign_document(endorsement(said, issuer), ed25519=key, created=said.said_at)
