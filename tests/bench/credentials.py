"""How many credentials a second one core signs: `python -m tests.bench.credentials [rounds [seconds]]`.

A full rubric (4 sub-competencies × 4 levels, each with description and alignment, 4 gates), everything the learner
can choose, another learner each time. The first rows build the credential and sign it with Ed25519; they differ in
how the canonical form is found. The others are what a signature costs by itself, and as VC-JWT of a credential that is
there. Same process, in turn, round after round: compare the ratios, not the numbers."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from lti_tool.credentials import ob3, signing
from lti_tool.credentials.canonical import EditionTemplate, canonical_by_pyld, check_template, sha256_of
from lti_tool.credentials.contexts import canonical_of_nquads
from tests.bench.table import Figure, table
from tests.credentials import examples

ROUNDS, SECONDS = 5, 1.0

ED25519, RSA = examples.ed25519_key(), examples.rsa_key()
TEMPLATE = EditionTemplate(examples.achievement(), examples.issuer(), needed=4)


MESSAGE = bytes(64)  # two SHA-256, as a proof signs them
UNSIGNED = TEMPLATE.prepare(examples.everything())[:2]
STORED = TEMPLATE.sign_document(examples.everything(), ed25519=ED25519, created=examples.CREATED)
TOKEN = signing.vc_jwt(*UNSIGNED, ED25519).encode()


def another(number: int) -> ob3.EditionFacts:
    return replace(
        examples.everything(), credential_id=f"{number:032x}", status_index=number % 131_072, name=f"Learner {number}"
    )


LEARNERS = [another(number) for number in range(1000)]


def plain_pyld(facts: ob3.EditionFacts) -> None:
    credential = ob3.credential(TEMPLATE.achievement, TEMPLATE.issuer, facts)
    digest = sha256_of(canonical_by_pyld(credential))
    signing.data_integrity(credential, signing.compact(credential).encode(), digest, ED25519, examples.CREATED)


def pyoxigraph(facts: ob3.EditionFacts) -> None:
    credential = ob3.credential(TEMPLATE.achievement, TEMPLATE.issuer, facts)
    shape, values = TEMPLATE.shape(credential)
    digest = sha256_of(canonical_of_nquads(shape.nquads(values)))
    signing.data_integrity(credential, shape.json_text(values).encode(), digest, ED25519, examples.CREATED)


def template(facts: ob3.EditionFacts) -> None:
    TEMPLATE.sign_document(facts, ed25519=ED25519, created=examples.CREATED)


def template_and_jwt(facts: ob3.EditionFacts) -> None:
    TEMPLATE.sign(facts, ed25519=ED25519, rsa=RSA, created=examples.CREATED)


def bare_ed25519(_facts: ob3.EditionFacts) -> None:
    ED25519.private.sign(MESSAGE)


def checked_ed25519(_facts: ob3.EditionFacts) -> None:
    ED25519.public.verify(ED25519.private.sign(MESSAGE), MESSAGE)


def bare_eddsa(_facts: ob3.EditionFacts) -> None:
    ED25519.private.sign(TOKEN)


def jwt_eddsa(_facts: ob3.EditionFacts) -> None:
    signing.vc_jwt(*UNSIGNED, ED25519)


def bare_rs256(_facts: ob3.EditionFacts) -> None:
    RSA.private.sign(MESSAGE, PKCS1v15(), SHA256())


def jwt_rs256(_facts: ob3.EditionFacts) -> None:
    signing.vc_jwt(*UNSIGNED, RSA)


def jwt_of_stored(_facts: ob3.EditionFacts) -> None:
    signing.jwt_of_document(STORED, RSA)


def rate(work: Callable[[ob3.EditionFacts], None], seconds: float) -> float:
    """Return runs a second of processor time, over at least `seconds` after one run that is not counted."""
    work(LEARNERS[0])
    started = time.process_time()
    for number in itertools.count(1):
        work(LEARNERS[number % len(LEARNERS)])
        if (spent := time.process_time() - started) >= seconds:
            return number / spent
    raise AssertionError


WAYS: tuple[tuple[str, Callable[[ob3.EditionFacts], None]], ...] = (
    ("plain PyLD, Data Integrity", plain_pyld),
    ("N-Quads template and pyoxigraph, Data Integrity", pyoxigraph),
    ("canonical template, Data Integrity", template),
    ("canonical template, Data Integrity and VC-JWT RS256", template_and_jwt),
    ("VC-JWT EdDSA", jwt_eddsa),
    ("VC-JWT RS256", jwt_rs256),
    ("VC-JWT RS256 of a stored document", jwt_of_stored),
    ("bare Ed25519 signature of a proof", bare_ed25519),
    ("the same, checked", checked_ed25519),
    ("bare Ed25519 signature of a VC-JWT", bare_eddsa),
    ("bare RSA signature", bare_rs256),
)


def measure(rounds: int = ROUNDS, seconds: float = SECONDS) -> str:
    check_template(TEMPLATE, examples.badge())
    size = len(TEMPLATE.sign(another(0), ed25519=ED25519, rsa=RSA, created=examples.CREATED).document)
    runs: dict[str, list[float]] = {name: [] for name, _ in WAYS}
    for _ in range(rounds):
        for name, work in WAYS:
            runs[name].append(rate(work, seconds))
    figures = {name: Figure(found) for name, found in runs.items()}
    plain = figures[WAYS[0][0]]
    rows = [(name, f"{figure:,.0f}", f"{figure.ratio(plain):.1f}") for name, figure in figures.items()]
    return (
        f"A credential of {size:,} bytes, one thread, each signature checked with the public key before it leaves, "
        f"the bare ones aside; {rounds} rounds of {seconds:g} s in turn, ratios round by round. Seconds of processor "
        "time.\n\n" + table(("way", "a second, median (min–max)", "× plain PyLD"), rows)
    )


if __name__ == "__main__":
    given = [float(word) for word in sys.argv[1:]]
    print(measure(rounds=int(given[0]) if given else ROUNDS, seconds=given[1] if len(given) > 1 else SECONDS))
