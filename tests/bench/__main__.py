"""All figures in one run: `make bench`, or `python -m tests.bench`. Prints the tables and writes RESULTS.md beside it.

`python -m tests.bench matrix syncs` measures these alone, and leaves the other sections as they stand.
Nothing here is a test: no figure fails. A figure that cannot be measured ends the run with the reason."""

from __future__ import annotations

import logging
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.bench import credentials, kills, large, launches, matrix, my_badges, platforms, serving, status_lists, syncs
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


SECTIONS: dict[str, tuple[str, Callable[[], str]]] = {
    "launches": ("Logins and launches", launches.measure),
    "syncs": ("A class of 1,000", syncs.measure),
    "platforms": ("One bad LMS beside others, and two workers", platforms.measure),
    "large": ("A large class", large.measure),
    "matrix": ("The progress matrix", matrix.measure),
    "my-badges": ("A learner's badges", my_badges.measure),
    "credentials": ("Credentials", signing),
    "serving": ("Credentials as strangers fetch them", serving.measure),
    "status-lists": ("Status lists", status_lists.measure),
    "kills": ("Killed at random moments", kills.measure),
}


def kept() -> dict[str, str]:
    """Return the sections of the last run, by title."""
    if not RESULTS.exists():
        return {}
    _, *sections = RESULTS.read_text(encoding="utf-8").split("\n## ")
    return {title: text.strip() for title, _, text in (section.partition("\n") for section in sections)}


def main() -> None:
    logging.disable(logging.INFO)
    asked = sys.argv[1:] or list(SECTIONS)
    if unknown := set(asked) - set(SECTIONS):
        sys.exit(f"There is no section {', '.join(sorted(unknown))}: {', '.join(SECTIONS)}")
    found = kept()
    for name, (title, measure) in SECTIONS.items():
        if name not in asked:
            continue
        found[title] = f"Measured on {datetime.now(UTC):%d %B %Y}. {measure().strip()}"
        print(f"\n## {title}\n\n{found[title]}", flush=True)
        text = f"# Figures\n\nWritten by `make bench`: {machine()}.\n{versions()}.\n"
        text += "Medians with (least–most). Compare what stands in one table: it ran in one go, in turn.\n"
        titles = [title for title, _ in SECTIONS.values() if title in found]
        RESULTS.write_text(text + "".join(f"\n## {t}\n\n{found[t]}\n" for t in titles), encoding="utf-8")


if __name__ == "__main__":
    main()
