"""Ask the verifiers of others, in Node: whole batches, since starting one takes a second."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from lti_tool.credentials import contexts, ob3
from tests.credentials import examples

FOLDER = Path(__file__).parent
NOW = "2026-12-01T00:00:00Z"

Json = dict[str, Any]


def run(script: str, given: Json) -> Json:
    """Run one of the scripts beside this file; one that cannot run is a failure, never a skip."""
    assert (FOLDER / "node_modules").is_dir(), "npm ci --prefix tests/interop"
    done = subprocess.run(
        ["node", script], cwd=FOLDER, input=json.dumps(given), capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    answers: Json = json.loads(done.stdout)
    (asked,) = (given[each] for each in ("credentials", "tokens", "offers") if each in given)
    assert answers.keys() == asked.keys()
    return answers


def validator(badges: dict[str, Json]) -> Json:
    """Ask 1EdTech's validator of Open Badges 2.0 about each `badge` with the `pages` it may ask for, see run.py."""
    python = FOLDER / "validator" / ".venv" / "bin" / "python"
    assert python.exists(), "make tests/interop/validator/.venv/.installed"
    done = subprocess.run(
        [python, "run.py"],
        cwd=FOLDER / "validator",
        input=json.dumps(badges),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: Json = json.loads(done.stdout)
    assert answers.keys() == badges.keys()
    return answers


def documents(*more: Json) -> Json:
    """Return what a verifier may load, by address: the contexts, the issuer's DID document, and `more` by their id."""
    did = ob3.did_document(examples.issuer().did, [examples.ed25519_key()], [examples.rsa_key()], examples.BASE)
    pinned = {url: contexts.load_context(url) for url in contexts.PINNED}
    return pinned | {did["id"]: did} | {document["id"]: document for document in more}
