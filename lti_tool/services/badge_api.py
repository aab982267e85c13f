"""The Open Badges 3.0 API, for reading: what a connected backpack gets, and how the service describes itself.

https://www.imsglobal.org/spec/ob/v3p0#api"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import aliased, undefer

from lti_tool.credentials import ob3
from lti_tool.models import Award, Edition, OAuthGrant, Person
from lti_tool.services.issuer import issuer_row, logo_address
from lti_tool.services.oauth_clients import AUTH_METHOD, GRANT_TYPES, OFFLINE, READ_CREDENTIALS, READ_PROFILE, SCOPES
from lti_tool.services.oauth_tokens import TokenFound, note_use
from lti_tool.services.tool import Tool

PATH = "/ims/ob/v3p0"
USUAL_LIMIT = 25
MOST = 100  # credentials on a page, each of about 17 KB

SCOPE_WORDS = {
    READ_CREDENTIALS: "Read the credentials of the learner who allowed it.",
    READ_PROFILE: "Read her pseudonymous profile, and what she chose to show in it.",
    OFFLINE: "Go on reading after an hour, until she ends it.",
}


@dataclass(frozen=True)
class CredentialPage:
    """One page of a learner's signed credentials, as they lie in the database, and how many there are in all."""

    documents: tuple[bytes, ...]
    total: int

    @property
    def body(self) -> bytes:
        """A GetOpenBadgeCredentialsResponse. Each credential is in it once, with its embedded proof."""
        return b'{"credential":[' + b",".join(self.documents) + b'],"compactJwsString":[]}'


def credentials(
    tool: Tool, token: TokenFound, *, limit: int, offset: int, since: datetime | None, now: datetime
) -> CredentialPage:
    """Return a learner's credentials, those she claimed, oldest first, so that what is new comes at the end.

    Withdrawn ones too: the status list that each of them names says so. Not those that were emptied: nothing is left of
    them to be read. `since`: those signed or claimed later."""
    newer = aliased(Edition)
    newest = ~(
        select(newer.id)
        .where(newer.award_id == Edition.award_id, newer.signed_at.is_not(None), newer.number > Edition.number)
        .exists()
    )
    readable = Edition.signed_at.is_not(None), Edition.document.is_not(None)
    mine = [Award.person_id == token.holder_id, _shown(tool), *readable, newest]
    if since is not None:
        mine.append(or_(Edition.signed_at > since, Award.claimed_at > since))
    page = (
        select(Edition)
        .join(Award)
        .where(*mine)
        .options(undefer(Edition.document))
        .order_by(Edition.signed_at, Edition.id)
        .limit(limit)
        .offset(offset)
    )
    with tool.db.read() as session:
        total = session.scalar(select(func.count()).select_from(Edition).join(Award).where(*mine)) or 0
        documents = tuple(edition.document or b"" for edition in session.scalars(page))
    note_use(tool, token, now)
    return CredentialPage(documents, total)


def _shown(tool: Tool) -> ColumnElement[bool]:
    in_force = and_(Award.status == "issued", Edition.withdrawn_at.is_(None))
    shown = or_(in_force, Award.status == "revoked")
    return shown if tool.settings.privacy.claim == "automatic" else and_(shown, Award.claimed_at.is_not(None))


def profile(tool: Tool, token: TokenFound, now: datetime) -> dict[str, Any]:
    """Return a learner's Profile: the pseudonym of her credentials, with name and e-mail address only if chosen."""
    with tool.db.read() as session:
        grant = session.get_one(OAuthGrant, token.grant_id)
        person = session.get_one(Person, token.person_id)
        holder = session.get_one(Person, token.holder_id)
        node: dict[str, Any] = {"id": holder.subject_id, "type": ["Profile"]}
        if grant.with_name and person.called:
            node["name"] = ob3.signable(person.called)
        if grant.with_email and person.email:
            node["email"] = person.email
    note_use(tool, token, now)
    return ob3.stand_alone(node)


# -- what the service says of itself ----------------------------------------------------------------------------


def oauth_parts(base_url: str) -> dict[str, Any]:
    """Return what this service adds to the authorization server's metadata (RFC 8414).

    Not the token endpoint: the metadata name one for all grants (services/authorization_server.py), which answers these
    as /oauth/token does."""
    return {
        "authorization_endpoint": f"{base_url}/oauth/authorize",
        "registration_endpoint": f"{base_url}/oauth/register",
        "revocation_endpoint": f"{base_url}/oauth/revoke",
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANT_TYPES),
        "token_endpoint_auth_methods_supported": [AUTH_METHOD],
        "revocation_endpoint_auth_methods_supported": [AUTH_METHOD],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "op_policy_uri": f"{base_url}/oauth/about#privacy",
        "op_tos_uri": f"{base_url}/oauth/about#terms",
    }


def discovery(tool: Tool) -> dict[str, Any]:
    """Return the Service Description Document: the specification's OpenAPI file, profiled to what is offered here."""
    base = tool.settings.base_url
    with tool.db.read() as session:
        row = issuer_row(session)
        name, image = row.name or "Badges", logo_address(tool, row) or f"{base}/lti/icon.png"
    parts = oauth_parts(base)
    token = f"{base}/oauth/token"
    privacy, terms = parts["op_policy_uri"], parts["op_tos_uri"]
    return {
        "openapi": "3.0.1",
        "info": {
            "title": name,
            "description": "The Open Badges 3.0 API of this issuer, for reading.",
            "version": "3.0",
            "termsOfService": terms,
            "x-imssf-privacyPolicyUrl": privacy,
            "x-imssf-image": image,
        },
        "servers": [{"url": f"{base}{PATH}"}],
        "tags": [
            {"name": "OpenBadgeCredentials", "description": "A learner's credentials and her profile."},
            {"name": "Discovery", "description": "This document."},
        ],
        "paths": {
            "/credentials": {"get": _get_credentials()},
            "/profile": {"get": _get_profile()},
            "/discovery": {"get": _get_discovery()},
        },
        "components": {
            "securitySchemes": {
                "OAuth2ACG": {
                    "type": "oauth2",
                    "description": "OAuth 2.0 Authorization Code Grant authorization, with PKCE (S256).",
                    "x-imssf-name": name,
                    "x-imssf-privacyPolicyUrl": privacy,
                    "x-imssf-termsOfServiceUrl": terms,
                    "x-imssf-registrationUrl": parts["registration_endpoint"],
                    "x-imssf-revocationUrl": parts["revocation_endpoint"],
                    "flows": {
                        "authorizationCode": {
                            "authorizationUrl": parts["authorization_endpoint"],
                            "tokenUrl": token,
                            "refreshUrl": token,
                            "scopes": dict(SCOPE_WORDS),
                        }
                    },
                }
            },
            "schemas": _SCHEMAS,
        },
    }


def _operation(name: str, tag: str, summary: str, schema: str, scope: str = "", **more: Any) -> dict[str, Any]:
    errors = {
        status: {"description": words, "content": _json("Imsx_StatusInfo")}
        for status, words in (
            ("400", "The request cannot be used; the answer says why."),
            ("401", "The access token is missing, unknown or over."),
            ("403", "The access token does not allow this."),
            ("405", "This service is for reading."),
            ("429", "Too many requests; try again later."),
            ("default", "Something else."),
        )
    }
    ok = {"description": "OK", "content": _json(schema), **more.pop("ok", {})}
    operation = {"operationId": name, "tags": [tag], "summary": summary, "responses": {"200": ok, **errors}, **more}
    if scope:
        operation["security"] = [{"OAuth2ACG": [scope]}]
    return operation


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _get_credentials() -> dict[str, Any]:
    def query(name: str, words: str, **schema: Any) -> dict[str, Any]:
        return {"name": name, "in": "query", "required": False, "description": words, "schema": schema}

    def header(words: str, kind: str) -> dict[str, Any]:
        return {"description": words, "schema": {"type": kind}}

    return _operation(
        "getCredentials",
        "OpenBadgeCredentials",
        "The learner's credentials, oldest first, a page at a time.",
        "GetOpenBadgeCredentialsResponse",
        READ_CREDENTIALS,
        parameters=[
            query("limit", f"How many at most; {USUAL_LIMIT} unless told, {MOST} at most.", type="integer", minimum=1),
            query("offset", "The index of the first one, from 0.", type="integer", minimum=0),
            query("since", "Only those issued, or claimed, after this moment.", type="string", format="date-time"),
        ],
        ok={
            "headers": {
                "X-Total-Count": header("How many there are in all.", "integer"),
                "Link": header("first, last, next and prev page.", "string"),
            }
        },
    )


def _get_profile() -> dict[str, Any]:
    words = "The learner's pseudonymous profile."
    return _operation("getProfile", "OpenBadgeCredentials", words, "Profile", READ_PROFILE)


def _get_discovery() -> dict[str, Any]:
    return _operation("getServiceDescription", "Discovery", "This document.", "ServiceDescriptionDocument")


_SCHEMA = "https://purl.imsglobal.org/spec/ob/v3p0/schema/json/ob_v3p0_"
_SCHEMAS: dict[str, Any] = {
    "GetOpenBadgeCredentialsResponse": {
        "type": "object",
        "properties": {
            "credential": {"type": "array", "items": {"$ref": "#/components/schemas/AchievementCredential"}},
            "compactJwsString": {"type": "array", "items": {"type": "string"}},
        },
    },
    "AchievementCredential": {
        "type": "object",
        "description": f"An OpenBadgeCredential, as {_SCHEMA}achievementcredential_schema.json has it.",
        "required": ["@context", "id", "type", "credentialSubject", "issuer", "validFrom"],
        "additionalProperties": True,
    },
    "Profile": {
        "type": "object",
        "description": f"A Profile, as {_SCHEMA}profile_schema.json has it.",
        "required": ["id", "type"],
        "additionalProperties": True,
    },
    "ServiceDescriptionDocument": {"type": "object", "additionalProperties": True},
    "Imsx_StatusInfo": {
        "type": "object",
        "required": ["imsx_codeMajor", "imsx_severity"],
        "properties": {
            "imsx_codeMajor": {"type": "string", "enum": ["failure", "processing", "success", "unsupported"]},
            "imsx_severity": {"type": "string", "enum": ["error", "status", "warning"]},
            "imsx_description": {"type": "string"},
            "imsx_codeMinor": {
                "type": "object",
                "required": ["imsx_codeMinorField"],
                "properties": {
                    "imsx_codeMinorField": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "type": "object",
                            "required": ["imsx_codeMinorFieldName", "imsx_codeMinorFieldValue"],
                            "properties": {
                                "imsx_codeMinorFieldName": {"type": "string"},
                                "imsx_codeMinorFieldValue": {"type": "string"},
                            },
                        },
                    }
                },
            },
        },
    },
}

# What a status says in its own words (Imsx_CodeMinorFieldValue), and whether it is an error of the service's.
_MINOR = {
    400: "invalid_query_parameter",
    401: "unauthorizedrequest",
    403: "forbidden",
    404: "not_found",
    405: "not_allowed",
    406: "not_acceptable",
    413: "invalid_data",
    415: "invalid_data",
    422: "invalid_data",
    429: "server_busy",
    500: "internal_server_error",
    503: "server_busy",
}


def status_info(status: int, description: str) -> dict[str, Any]:
    """Return an error as the specification words it (Imsx_StatusInfo)."""
    field = {"imsx_codeMinorFieldName": "TargetEndSystem", "imsx_codeMinorFieldValue": _MINOR.get(status, "unknown")}
    return {
        "imsx_codeMajor": "failure",
        "imsx_severity": "status" if status == 404 else "error",
        "imsx_description": description,
        "imsx_codeMinor": {"imsx_codeMinorField": [field]},
    }
