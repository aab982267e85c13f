"""How many credentials a second one core signs: `python -m tests.bench.credentials [seconds per row]`.

A full rubric (4 sub-competencies × 4 levels, each with description and alignment, 4 gates), everything the learner
can choose, another learner each time. All rows build the credential and sign it with Ed25519; they differ in how the
canonical form is found. Same process, same minute: compare the ratios, not the numbers."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace

from lti_tool.credentials import ob3, signing
from lti_tool.credentials.canonical import EditionTemplate, canonical_by_pyld, check_template, sha256_of
from lti_tool.credentials.contexts import canonical_of_nquads
from tests.credentials import examples

ED25519, RSA = examples.ed25519_key(), examples.rsa_key()
TEMPLATE = EditionTemplate(examples.achievement(), examples.issuer(), needed=4)


def another(number: int) -> ob3.EditionFacts:
    return replace(
        examples.everything(), credential_id=f"{number:032x}", status_index=number % 131_072, name=f"Learner {number}"
    )


def plain_pyld(facts: ob3.EditionFacts) -> None:
    credential = ob3.credential(TEMPLATE.achievement, TEMPLATE.issuer, facts)
    digest = sha256_of(canonical_by_pyld(credential))
    signing.data_integrity(credential, signing.compact(credential), digest, ED25519, examples.CREATED)


def pyoxigraph(facts: ob3.EditionFacts) -> None:
    credential = ob3.credential(TEMPLATE.achievement, TEMPLATE.issuer, facts)
    shape, values = TEMPLATE.shape(credential)
    digest = sha256_of(canonical_of_nquads(shape.nquads(values)))
    signing.data_integrity(credential, shape.json_text(values), digest, ED25519, examples.CREATED)


def template(facts: ob3.EditionFacts) -> None:
    signing.data_integrity(*TEMPLATE.prepare(facts), ED25519, examples.CREATED)


def template_and_jwt(facts: ob3.EditionFacts) -> None:
    TEMPLATE.sign(facts, ed25519=ED25519, rsa=RSA, created=examples.CREATED)


def rate(work: Callable[[ob3.EditionFacts], None], seconds: float) -> float:
    """Return runs a second, over at least `seconds` after one run that is not counted."""
    work(another(0))
    started = time.perf_counter()
    for number in itertools.count(1):
        work(another(number))
        if (spent := time.perf_counter() - started) >= seconds:
            return number / spent
    raise AssertionError


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 4.0
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    check_template(TEMPLATE, examples.badge())
    size = len(TEMPLATE.sign(another(0), ed25519=ED25519, rsa=RSA, created=examples.CREATED).document)
    rows = [
        ("plain PyLD, Data Integrity", plain_pyld),
        ("N-Quads template + pyoxigraph, Data Integrity", pyoxigraph),
        ("canonical template, Data Integrity", template),
        ("canonical template, Data Integrity and VC-JWT", template_and_jwt),
    ]
    print(f"Signing credentials of {size:,} bytes on one core; every signature checked before it leaves\n")
    print("| way | credentials/s | × plain PyLD |")
    print("|---|---:|---:|")
    base = 0.0
    for name, work in rows:
        found = rate(work, seconds)
        base = base or found
        print(f"| {name} | {found:,.0f} | {found / base:.1f} |", flush=True)


if __name__ == "__main__":
    main()
