"""All figures in one run: `make bench`, or `python -m tests.bench`. Prints the tables and writes RESULTS.md beside it.

Nothing here is a test: no figure fails. A figure that cannot be measured ends the run with the reason."""

from __future__ import annotations

import logging
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.bench import credentials, kills, large, launches, matrix, platforms, serving, syncs
from tests.bench.servers import postgresql_version

RESULTS = Path(__file__).with_name("RESULTS.md")
PACKAGES = ("granian", "flask", "pylti1p3", "pyjwt", "sqlalchemy", "psycopg", "cryptography", "pyld", "pyoxigraph")


def machine() -> str:
    """Say what the figures were measured on, in words: no name of a machine, no path."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    model = re.sub(r"\s+", " ", re.sub(r"\(R\)|\(TM\)|@.*", "", found[1])).strip() if found else platform.machine()
    count = os.cpu_count() or 1
    return f"{count} processor{'s' * (count > 1)} ({model}), {platform.system()}"


def versions() -> str:
    import sqlite3

    named = [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}", postgresql_version()]
    return ", ".join([*named, *(f"{name} {version(name)}" for name in PACKAGES)])


def signing() -> str:
    """Return the table of `tests.bench.credentials`, from a process of its own that keeps to one core."""
    done = subprocess.run([sys.executable, "-m", credentials.__name__], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the credentials were not measured:\n{done.stderr[-3000:]}")
    return done.stdout


SECTIONS = (
    ("Logins and launches", launches.measure),
    ("A class of 1,000", syncs.measure),
    ("One bad LMS beside others, and two workers", platforms.measure),
    ("A large class", large.measure),
    ("The progress matrix", matrix.measure),
    ("Credentials", signing),
    ("Credentials as strangers fetch them", serving.measure),
    ("Killed at random moments", kills.measure),
)


def main() -> None:
    logging.disable(logging.INFO)
    text = f"# Figures\n\nWritten by `make bench` on {datetime.now(UTC):%d %B %Y}: {machine()}.\n{versions()}.\n"
    text += "Medians with (least–most). Compare what stands in one table: it ran in one go, in turn.\n"
    print(text, flush=True)
    for title, measure in SECTIONS:
        section = f"\n## {title}\n\n{measure().strip()}\n"
        print(section, flush=True)
        text += section
    RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
