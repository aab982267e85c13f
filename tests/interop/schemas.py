"""The official JSON Schemas and W3C's test vectors, from the pinned source distribution of openbadgeslib.

They are not in its wheel, so the set-up of the tests downloads the source once: `python tests/interop/schemas.py`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

CACHE = Path(__file__).parent / ".cache"
PACKAGE = "openbadgeslib==4.6.3"
ARCHIVE = "openbadgeslib-4.6.3.tar.gz"
ARCHIVE_SHA256 = "aec21bf41b223ae3fcd196aa92972e3d3a6b12048f4929b2ceedd5fc54ea1eaf"

FIXTURES = "openbadgeslib-4.6.3/tests/fixtures"
FILES = {
    "ob_schemas/ob_v3p0_achievementcredential_schema.json": (
        "b7358e895f492e74055dc6bfc7ffc420d0e497f90c4579fb83d9519b86d393ea"
    ),
    "ob_schemas/ob_v3p0_profile_schema.json": "6b268f2caa591bf657e2a290e195713c41dc2db4e1c797723cfd00a1a83f8f13",
    "vc_di_eddsa/credentials-examples-v2.json": "57393fbc69d6efb9b9b5dc9cb6b9880b0944360abfe2eaf459c9e58cf2279d7c",
    "vc_di_eddsa/doc-hash.txt": "edc4dd4272a9054dee8c863b189e819ae98a3e0c6b1672f55ebf0e7c19a66cb2",
    "vc_di_eddsa/key-pair.json": "978631fc2aba6e8cd8be0bd5a7bf216e2ac54201594937602a9acd6e9763d08f",
    "vc_di_eddsa/proof-config-hash.txt": "be981a6c42ab16f253dda654b7e17cc07dc2ca2b5a77ef396d5353f58d7b5883",
    "vc_di_eddsa/signed-credential.json": "0867c0b2e086a29901c6d53851dd87590c152b6e4959bb835e5edf7294bfb895",
}


def read(name: str) -> str:
    """Return one of FILES, its digest checked; downloads the source where it is not there yet."""
    archive = CACHE / ARCHIVE
    if not archive.exists():
        download()
    with tarfile.open(archive) as source:
        member = source.extractfile(f"{FIXTURES}/{name}")
        assert member is not None, name
        content = member.read()
    assert hashlib.sha256(content).hexdigest() == FILES[name], f"{name} is not the pinned one"
    return content.decode()


def read_json(name: str) -> Any:
    return json.loads(read(name))


def errors(schema: str, document: dict[str, Any]) -> list[str]:
    """Return what one of the official schemas says against a document, formats included."""
    return [f"{error.json_path}: {error.message[:120]}" for error in _validator(schema).iter_errors(document)]


@functools.cache
def _validator(schema: str) -> Any:
    # Here, not above: the set-up runs this file in an environment that need not have it.
    from jsonschema import Draft201909Validator

    return Draft201909Validator(read_json(f"ob_schemas/{schema}"), format_checker=Draft201909Validator.FORMAT_CHECKER)


def download() -> None:
    """Fetch the source with pip, which checks its digest before it runs anything of it.

    pip builds the metadata even of what it only downloads, in an environment of its own: the setuptools of Python
    3.11's ensurepip (65.5) cannot read this package's metadata, so --no-build-isolation is no way."""
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text(f"{PACKAGE} --hash=sha256:{ARCHIVE_SHA256}\n")
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "openbadgeslib"]
        subprocess.run([*download, "--dest", folder, "--requirement", wanted], check=True)
        found = Path(folder) / ARCHIVE
        assert hashlib.sha256(found.read_bytes()).hexdigest() == ARCHIVE_SHA256, "not the pinned source"
        # Copied beside and renamed, since several test processes may come here at once.
        part = CACHE / f"{Path(folder).name}.part"
        part.write_bytes(found.read_bytes())
        part.rename(CACHE / ARCHIVE)


if __name__ == "__main__":
    for file in FILES:
        read(file)
        print(f"{file}: as pinned")
