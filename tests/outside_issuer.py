"""Another institution's issuer: a did:web of its own over https, with keys, status list and credentials."""

from __future__ import annotations

import ipaddress
import json
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flask import Flask, Response, jsonify
from werkzeug.serving import make_server

from lti_tool.credentials import ob3, signing, status_list
from lti_tool.domain.badge import Badge, Picture
from tests.credentials import examples

ISSUED = datetime(2026, 10, 1, 8, 0, tzinfo=UTC)
SALT = "ab" * 16


class OutsideIssuer:
    """`ca` is the file of the authority that its certificate comes from: whoever calls it has to trust that one."""

    def __init__(self, folder: Path) -> None:
        self.ca, certificate = _certificate(folder)
        self.revoked: set[int] = set()
        self.silent = False
        app = Flask("outside_issuer")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.server = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=context)
        self.base = f"https://localhost:{self.server.server_port}"
        self.did = ob3.did_web(self.base)
        self.profile = examples.issuer(did=self.did, base_url=self.base, name="Northbridge College")
        self.next = 1

        @app.before_request
        def nothing() -> Any:
            return Response(status=503) if self.silent else None

        @app.get("/.well-known/did.json")
        def document() -> Any:
            return jsonify(ob3.did_document(self.did, [examples.ed25519_key()], [examples.rsa_key()], self.base))

        @app.get("/status/1")
        def listed() -> Any:
            told = status_list.status_list_credential(
                1,
                self.revoked,
                issuer=self.profile,
                base_url=self.base,
                valid_from=ISSUED,
                ed25519=examples.ed25519_key(),
            )
            return Response(told if isinstance(told, bytes) else json.dumps(told), mimetype="application/json")

        @app.get("/credentials/<number>")
        def credential(number: str) -> Any:
            return Response(self.issued[int(number)], mimetype="application/json")

        self.issued: dict[int, bytes] = {}
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()

    def issue(self, email: str = "", **facts: Any) -> bytes:
        """Issue a badge, to an e-mail address where one is given; its place in the status list is `self.next - 1`."""
        number, self.next = self.next, self.next + 1
        badge = Badge("logic", "Formal Logic", "Reasons well.", "An examination.", picture=Picture(alt="A star"))
        achievement = ob3.achievement(
            badge, base_url=self.base, slug="logic", version=1, issuer=self.profile, picture_url=f"{self.base}/p.png"
        )
        told = {
            "credential_id": str(number),
            "subject_id": "urn:uuid:5e0c3f0e-8f59-4b7c-9d9e-4d6a0d1f2b3c",
            "valid_from": ISSUED,
            "status_list": 1,
            "status_index": number,
            "email": ob3.HashedEmail(SALT, ob3.identity_hash(email, SALT)) if email else None,
            **facts,
        }
        document = ob3.credential(achievement, self.profile, ob3.EditionFacts(**told))
        signed = signing.sign(document, ed25519=examples.ed25519_key(), rsa=examples.rsa_key(), created=ISSUED)
        self.issued[number] = signed.document
        return signed.document


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for localhost that vouches for itself; returns it, and it with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    ca, chain = folder / "ca.pem", folder / "chain.pem"
    ca.write_bytes(pem)
    chain.write_bytes(pem + secret)
    return ca, chain
