"""Finds the key a signature names, and tells whether it is the issuer's.

An issuer is known by a DID (did:web, did:key, did:jwk) or by an https address. A key is the issuer's when the issuer's
own document lists it for issuing. A key carried in a token proves nothing. Nor does one that only stands on the
issuer's host: servers keep files of strangers too, what learners hand in for instance.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from lti_tool.credentials.untrusted import (
    Fetch,
    Json,
    Refused,
    Unknown,
    base58_bytes,
    base64url_bytes,
    host_of,
    json_at,
    moment,
    objects,
    parsed,
    text_of,
)
from lti_tool.sentence import Sentence

LEAST_RSA_BITS, MOST_RSA_BITS = 2048, 8192
# The one address of a host at which nobody but who runs it puts keys (well-known: RFC 8615).
HOSTS_KEY_SET = "/.well-known/jwks.json"
KEY_TYPES = {"Multikey", "JsonWebKey", "JsonWebKey2020", "Ed25519VerificationKey2020"}

# Multicodec prefixes of a Multikey: https://www.w3.org/TR/cid-1.0/#Multikey
ED25519_PUBLIC, P256_PUBLIC = b"\xed\x01", b"\x80\x24"

PublicKey = rsa.RSAPublicKey | ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class Own:
    """What this installation knows of itself, so that it asks no one else about its own keys.

    `issuer_ids` are all DIDs it has issued under; `did_document` lists all keys it has ever signed with; keys are also
    known by their addresses, `<base_url>/keys/<kid>`."""

    issuer_ids: frozenset[str]
    did_document: Json
    base_url: str


@dataclass(frozen=True, slots=True)
class Method:
    """A verification method: the issuer's key with what its document says of it."""

    key: PublicKey
    where: str
    revoked: datetime | None = None
    expires: datetime | None = None


def own_issuer(identifier: object, own: Own | None) -> bool:
    """Tell whether an issuer's id is one of this installation: a DID, or whatever leads to its host.

    Hosts are compared, not texts: a DID or an address with another case or with the port written out is asked at the
    same server."""
    if own is None or not isinstance(identifier, str):
        return False
    return identifier in own.issuer_ids or _home(identifier) == host_of(own.base_url)


def _home(issuer: str) -> str:
    """Return the host that answers for an issuer; empty for one that is known by a key alone."""
    if issuer.startswith(("https://", "http://")):
        return host_of(issuer)
    if issuer.startswith("did:web:"):
        try:
            return host_of(did_web_address(issuer))
        except Refused:
            return ""
    return ""


def issuers_key(name: str | Json, issuer: str, fetch: Fetch, own: Own | None) -> Method:
    """Return the named key if it is the issuer's."""
    if own is not None and own_issuer(issuer, own):
        return _own_method(name, issuer, own)
    if isinstance(name, str) and name.startswith("https://"):
        return _method_at_address(name, issuer, fetch)
    if not issuer.startswith("did:"):
        raise Refused(Sentence("No. The key has nothing to do with the issuer's address."))
    if isinstance(name, str) and _absolute(name, issuer).partition("#")[0] != issuer:
        raise Refused(Sentence("No. It was signed with somebody else's key."))
    document = _did_document(issuer, fetch)
    if isinstance(name, dict):
        return _method_like(public_key({"publicKeyJwk": name}), document, issuer)
    return _method_in(document, _absolute(name, issuer), issuer)


def _absolute(name: str, issuer: str) -> str:
    """Return a key's full DID URL; a token may name it by its fragment alone."""
    return name if name.startswith("did:") else f"{issuer}#{name.removeprefix('#')}"


def _own_method(name: str | Json, issuer: str, own: Own) -> Method:
    foreign = Sentence("No. It says that it is from us, but it was not issued by us: the key is not one of ours.")
    try:
        if isinstance(name, dict):
            found = _method_like(public_key({"publicKeyJwk": name}), own.did_document, issuer)
        else:
            name = _absolute(name.removeprefix(f"{own.base_url}/keys/"), issuer)
            found = _method_in(own.did_document, name, issuer)
    except (Refused, Unknown):
        raise Refused(foreign) from None
    return Method(found.key, Sentence("The key is one of ours."), found.revoked, found.expires)


def _did_document(did: str, fetch: Fetch) -> Json:
    """Return the document of a DID: did:web by its address, did:key and did:jwk out of the DID itself."""
    method = did.split(":")[1] if did.count(":") >= 2 else ""
    if method == "web":
        url = did_web_address(did)
        document = json_at(url, fetch)
        if document.get("id") != did:
            raise Refused(Sentence("No. The key list at %(host)s is somebody else's.", host=host_of(url)))
        return document
    if method == "key":
        key = did.removeprefix("did:key:")
        return _document_of(did, f"{did}#{key}", {"type": "Multikey", "publicKeyMultibase": key})
    if method == "jwk":
        try:
            jwk = parsed(base64url_bytes(did.removeprefix("did:jwk:")).decode())
        except (ValueError, Refused):
            raise Refused(Sentence("No. The issuer's key cannot be read.")) from None
        return _document_of(did, f"{did}#0", {"type": "JsonWebKey", "publicKeyJwk": jwk})
    raise Unknown(Sentence("The issuer is named in a way that is not known here."))


def _document_of(did: str, key_id: str, method: Json) -> Json:
    listed = {"id": key_id, "controller": did, **method}
    return {"id": did, "verificationMethod": [listed], "assertionMethod": [key_id]}


def did_web_address(did: str) -> str:
    """Return where a did:web's document is (https://w3c-ccg.github.io/did-method-web/#read-resolve)."""
    parts = [unquote(part) for part in did.removeprefix("did:web:").split(":")]
    if not re.fullmatch(r"[A-Za-z0-9.-]+(:\d{1,5})?", parts[0]) or not all(
        re.fullmatch(r"[A-Za-z0-9._~-]+", part) and part.strip(".") for part in parts[1:]
    ):
        raise Refused(Sentence("No. The issuer's name is not well formed."))
    path = "/".join(parts[1:]) or ".well-known"
    return f"https://{parts[0]}/{path}/did.json"


def _method_in(document: Json, absolute: str, issuer: str) -> Method:
    """Return a key by its full id, if the document lets it issue."""
    listed = objects(document.get("verificationMethod"))
    allowed = document.get("assertionMethod")
    allowed = allowed if isinstance(allowed, list) else [allowed]
    embedded = objects(allowed)
    for method in (*listed, *embedded):
        identifier = method.get("id")
        if not isinstance(identifier, str) or _listed_id(identifier, issuer) != absolute:
            continue
        may_issue = method in embedded or absolute in allowed or absolute.removeprefix(issuer) in allowed
        if not may_issue or method.get("controller", issuer) != issuer:
            raise Refused(Sentence("No. The issuer lists this key for other things than issuing."))
        return _method_of(method, issuer)
    raise Refused(Sentence("No. The issuer does not list this key."))


def _listed_id(identifier: str, issuer: str) -> str:
    return issuer + identifier if identifier.startswith("#") else identifier


def _method_like(key: PublicKey, document: Json, issuer: str) -> Method:
    """Return the document's method whose key equals one from elsewhere; only what the document says of it counts."""
    for method in (*objects(document.get("verificationMethod")), *objects(document.get("assertionMethod"))):
        identifier = method.get("id")
        try:
            if isinstance(identifier, str) and _numbers(public_key(method)) == _numbers(key):
                return _method_in(document, _listed_id(identifier, issuer), issuer)
        except (Unknown, Refused):
            continue
    raise Refused(Sentence("No. The issuer does not list this key."))


def _method_at_address(url: str, issuer: str, fetch: Fetch) -> Method:
    """Return a key that is named by an address, if the issuer's own document lists that address or that key.

    Open Badges 3.0 lets a token name its key so; that alone says nothing of whose it is."""
    home, place = _home(issuer), urlsplit(url)
    if not home or (issuer.startswith("https://") and host_of(url) != home):
        raise Refused(Sentence("No. It was signed with somebody else's key."))
    if issuer.startswith("https://") and (place.path, place.query) == (HOSTS_KEY_SET, ""):
        return Method(_key_at(url, fetch), Sentence("%(host)s publishes it.", host=home))
    document = _issuers_document(issuer, fetch)
    listed = (*objects(document.get("verificationMethod")), *objects(document.get("assertionMethod")))
    if host_of(url) != home or any(_listed_id(text_of(each.get("id")), issuer) == url for each in listed):
        return _method_in(document, url, issuer)
    return _method_like(_key_at(url, fetch), document, issuer)


def _issuers_document(issuer: str, fetch: Fetch) -> Json:
    """Return the document in which an issuer lists its keys: that of its DID, or what its own address answers.

    The latter is a controlled identifier document (https://www.w3.org/TR/cid-1.0/), which a profile of Open Badges can
    be too: https://www.imsglobal.org/spec/ob/v3p0/impl/ calls it a profile that expresses key information."""
    if issuer.startswith("did:"):
        return _did_document(issuer, fetch)
    document = json_at(issuer, fetch)
    if document.get("id") != issuer or not ({"verificationMethod", "assertionMethod"} & document.keys()):
        raise Unknown(
            Sentence(
                "The key is on %(host)s, but the issuer's own page there does not list it. Ask the issuer.",
                host=host_of(issuer),
            )
        )
    return document


def _key_at(url: str, fetch: Fetch) -> PublicKey:
    """Return the key at an address: a bare JWK, one of a JWK Set, or a verification method."""
    document = json_at(url, fetch)
    if isinstance(document.get("keys"), list):
        document = _in_key_set(document, url)
    return public_key({"publicKeyJwk": document} if "kty" in document else document)


def _in_key_set(document: Json, url: str) -> Json:
    """Return the key of a JWK Set that an address names by its fragment or as a whole, or the only one there is."""
    keys = objects(document["keys"])
    named = [key for key in keys if isinstance(key.get("kid"), str) and key["kid"] in (url, url.partition("#")[2])]
    if len(named) == 1:
        return named[0]
    if len(keys) == 1 and "#" not in url:
        return keys[0]
    raise Refused(Sentence("No. The issuer does not list this key."))


def _method_of(method: Json, issuer: str) -> Method:
    kind = method.get("type", "Multikey")
    if not isinstance(kind, str) or kind not in KEY_TYPES:
        raise Unknown(Sentence("The issuer's key is of a kind that is not known here."))
    revoked, expires = method.get("revoked"), method.get("expires")
    if issuer.startswith("did:web:"):
        where = Sentence("%(host)s lists it.", host=host_of(did_web_address(issuer)))
    elif issuer.startswith("https://"):
        where = Sentence("%(host)s publishes it.", host=host_of(issuer))
    else:
        where = Sentence("The issuer's name is the key.")
    return Method(
        public_key(method),
        where,
        moment(revoked) or (datetime.min.replace(tzinfo=UTC) if revoked else None),
        moment(expires) or (datetime.min.replace(tzinfo=UTC) if expires else None),
    )


def public_key(method: Json) -> PublicKey:
    """Read a Multikey or a JWK: Ed25519, P-256, or RSA of 2048 bits or more."""
    try:
        if "publicKeyMultibase" in method:
            text = str(method["publicKeyMultibase"])
            raw = base58_bytes(text[1:]) if text[:1] == "z" and len(text) < 200 else None
            if raw is not None and raw[:2] == ED25519_PUBLIC and len(raw) == 34:
                return ed25519.Ed25519PublicKey.from_public_bytes(raw[2:])
            if raw is not None and raw[:2] == P256_PUBLIC and len(raw) == 35:
                return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw[2:])
            raise Unknown(Sentence("The issuer's key is of a kind that is not known here."))
        jwk = method.get("publicKeyJwk")
        if not isinstance(jwk, dict):
            raise Unknown(Sentence("The issuer's key cannot be read."))
        if jwk.get("kty") == "OKP" and jwk.get("crv") == "Ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(base64url_bytes(str(jwk["x"])))
        if jwk.get("kty") == "EC" and jwk.get("crv") == "P-256":
            x, y = (int.from_bytes(base64url_bytes(str(jwk[part])), "big") for part in ("x", "y"))
            return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        if jwk.get("kty") == "RSA":
            modulus = int.from_bytes(base64url_bytes(str(jwk["n"])), "big")
            exponent = int.from_bytes(base64url_bytes(str(jwk["e"])), "big")
            if not LEAST_RSA_BITS <= modulus.bit_length() <= MOST_RSA_BITS or not 3 <= exponent < 2**33:
                raise Refused(Sentence("No. The key is too weak to prove anything."))
            return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except (KeyError, ValueError):
        pass
    raise Unknown(Sentence("The issuer's key cannot be read."))


def _numbers(key: PublicKey) -> object:
    return key.public_bytes_raw() if isinstance(key, ed25519.Ed25519PublicKey) else key.public_numbers()
