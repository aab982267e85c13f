"""A platform's signed token, an id token or a notice: what its header may say, its signature, audience and times."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import jwt

from lti_tool.lti.platform_keys import KeyCache
from lti_tool.lti.refusals import refusal
from lti_tool.lti.registration import Registration

# https://www.imsglobal.org/spec/security/v1p0/#authentication-response-validation: "no more than a few minutes"
LEEWAY = timedelta(seconds=30)
# A Canvas token with all its claims is about 6 kB.
LARGEST_TOKEN = 128 * 1024

# https://www.imsglobal.org/spec/security/v1p0/#id-token; `nonce` and `sub` of a launch have refusals of their own.
REQUIRED_CLAIMS = ["iss", "aud", "exp", "iat"]

BASE64URL = re.compile(rb"[A-Za-z0-9_-]*")

# Every option is written out, also where it is PyJWT's default, to state what is checked and where.
JWT_OPTIONS: Any = {
    "verify_signature": True,
    "enforce_minimum_key_length": True,
    "require": REQUIRED_CLAIMS,
    "verify_iss": True,
    "verify_aud": True,
    "strict_aud": False,  # a list is allowed; `_check_audience` says what may be in it
    # The clock is an argument here, and PyJWT would take its own: `_check_times` checks these three.
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_sub": False,  # `claims.REQUIRED` asks for a text, with a friendlier sentence
    "verify_jti": False,  # a login row or a notice's id is what is used up, not a jti
}

# What PyJWT found wrong, most particular first.
JWT_ERRORS: tuple[tuple[type[Exception], str], ...] = (
    (jwt.InvalidSignatureError, "signature"),
    (jwt.InvalidAlgorithmError, "algorithm"),
    (jwt.InvalidKeyError, "kid_unknown"),
    (jwt.MissingRequiredClaimError, "claim_missing"),
    (jwt.InvalidAudienceError, "audience"),
    (jwt.InvalidIssuerError, "issuer"),
)


class _Jws(jwt.PyJWS):
    """PyJWT's, with a quick look at the letters: it asks of each whether it is one of base64url, a tenth of a launch.

    Stricter by one: padding, which RFC 7515, 2 forbids and PyJWT lets pass."""

    @staticmethod
    def _decode_base64url_segment(segment: bytes, name: str) -> bytes:
        decoded = base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
        if not BASE64URL.fullmatch(segment) or base64.urlsafe_b64encode(decoded).rstrip(b"=") != segment:
            raise jwt.DecodeError(f"Invalid {name} padding")
        return decoded


_JWT = jwt.PyJWT()
_JWT._jws = _Jws()


def key_id(token: str) -> str:
    """Return the `kid` of a token's header; of it, `alg` is read too, and nothing else.

    jku, jwk, x5u and x5c are never looked at (B04–B06)."""
    if len(token) > LARGEST_TOKEN:
        raise refusal("token_too_large", f"{len(token)} characters")
    # PyJWT would read payload and signature too, and once more when it verifies: half a launch's time.
    header_alone = f"{token.partition('.')[0]}.."
    try:
        header = jwt.get_unverified_header(header_alone)
    except (jwt.PyJWTError, TypeError, ValueError, RecursionError) as error:
        raise refusal("token_malformed", type(error).__name__) from error
    if header.get("alg") != "RS256":
        raise refusal("algorithm", f"alg is {str(header.get('alg'))[:20]!r}")
    if not header.get("kid"):
        raise refusal("kid_missing")
    kid: str = header["kid"]
    return kid


def verified_claims(
    token: str, kid: str, registration: Registration, keys: KeyCache, now: datetime, oldest: timedelta
) -> dict[str, Any]:
    """Return the claims of a token that this platform signed for us, within its time and not older than `oldest`.

    May fetch the platform's keys."""
    key = keys.find(registration, kid, now)
    if key is None:
        raise refusal("kid_unknown", f"no key {kid[:80]!r} at the platform's key address")
    try:
        claims: dict[str, Any] = _JWT.decode(
            token,
            key,
            algorithms=["RS256"],  # a literal: CVE-2022-29217 and CVE-2024-37568 came from taking it elsewhere
            options=JWT_OPTIONS,
            audience=registration.client_id,
            issuer=registration.issuer,
            subject=None,
            leeway=0,  # for PyJWT's own time checks, which are off: see LEEWAY
            detached_payload=None,
        )
    except (jwt.PyJWTError, TypeError, ValueError, RecursionError) as error:
        reason = next((reason for kind, reason in JWT_ERRORS if isinstance(error, kind)), "token_malformed")
        raise refusal(reason, f"{type(error).__name__} {getattr(error, 'claim', '')}".strip()) from error
    _check_audience(claims, registration.client_id)
    _check_times(claims, now, oldest)
    return claims


def _check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    """Check aud and azp beyond PyJWT's "our client_id is in it" (5.1.3, steps 3 to 5).

    A token for others too is taken only where `azp` says that it was made for us."""
    audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    azp = claims.get("azp")
    if azp is not None and azp != client_id:
        raise refusal("azp", "azp is another client")
    if set(audience) != {client_id} and azp is None:
        raise refusal("audience", "aud names others too and there is no azp")


def _check_times(claims: Mapping[str, Any], now: datetime, oldest: timedelta) -> None:
    """Check exp, iat and nbf (5.1.3, steps 7 and 8), with LEEWAY for clocks that differ."""
    moment, leeway = now.timestamp(), LEEWAY.total_seconds()
    expires, issued = _seconds(claims, "exp"), _seconds(claims, "iat")
    if expires is None or issued is None:
        raise refusal("claim_missing", "exp or iat is no number")
    if moment >= expires + leeway:
        raise refusal("expired", f"{moment - expires:.0f} s ago")
    if issued > moment + leeway:
        raise refusal("iat_future", f"{issued - moment:.0f} s ahead")
    if moment - issued > oldest.total_seconds() + leeway:
        raise refusal("too_old", f"{moment - issued:.0f} s old")
    if "nbf" in claims:
        not_before = _seconds(claims, "nbf")
        if not_before is None or not_before > moment + leeway:
            raise refusal("not_yet_valid")


def _seconds(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
