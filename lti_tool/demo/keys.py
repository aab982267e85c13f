"""Signing keys of the demo LMS, and a signer that signs whatever it is told to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import get_default_algorithms


def b64(raw: bytes) -> str:
    """Write bytes as base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class SigningKey:
    """An RSA key with the name it has in the JWKS."""

    def __init__(self, kid: str, private: rsa.RSAPrivateKey | None = None) -> None:
        self.kid = kid
        self.private = private or rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def jwk(self) -> dict[str, str]:
        numbers = self.private.public_key().public_numbers()
        size = (numbers.n.bit_length() + 7) // 8
        return {
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "kid": self.kid,
            "e": b64(numbers.e.to_bytes(3, "big")),
            "n": b64(numbers.n.to_bytes(size, "big")),
        }

    @property
    def public_pem(self) -> bytes:
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def private_pem(self) -> str:
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    @classmethod
    def from_pem(cls, kid: str, pem: str) -> SigningKey:
        private = serialization.load_pem_private_key(pem.encode(), password=None)
        assert isinstance(private, rsa.RSAPrivateKey)
        return cls(kid, private)


def sign(
    payload: Any, key: SigningKey, *, alg: str = "RS256", headers: dict[str, Any] | None = None, secret: Any = None
) -> str:
    """Sign a JWT without any check, so that a test can forge one.

    `secret` replaces the key that signs: a private key object, or bytes for HS256. Without it HS256 takes the
    public PEM (the classic confusion) and ES256 a key nobody knows. A header with the value None is left out.
    """
    header = {"typ": "JWT", "alg": alg, "kid": key.kid, **(headers or {})}
    header = {name: value for name, value in header.items() if value is not None}
    message = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(payload).encode())}"
    if isinstance(secret, SigningKey):
        secret = secret.private
    if alg == "none":
        signature = b""
    elif alg.startswith("HS"):
        digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[alg]
        secret = secret.encode() if isinstance(secret, str) else secret
        signature = hmac.new(secret or key.public_pem, message.encode(), digest).digest()
    else:
        fallback = ec.generate_private_key(ec.SECP256R1()) if alg.startswith("ES") else key.private
        signature = get_default_algorithms()[alg].sign(message.encode(), secret or fallback)
    return f"{message}.{b64(signature)}"
