"""What pages say, collected from the sources, and the files that say it in other languages: `make words`."""

from __future__ import annotations

import sys
import tomllib
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "lti_tool" / "translations"
KEYWORDS = {**DEFAULT_KEYWORDS, "Sentence": None, "counted": (1, 2)}


def collect() -> Catalog:
    """Return everything pages say, as pyproject.toml tells where to look."""
    mappings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["babel"]["mappings"]
    methods = [(each["pattern"], each["method"]) for each in mappings]
    options = {each["pattern"]: {k: v for k, v in each.items() if k not in ("pattern", "method")} for each in mappings}
    catalog = Catalog(charset="utf-8")
    found = extract_from_dir(
        str(ROOT),
        methods,
        options,
        KEYWORDS,
        comment_tags=("NOTE",),
        strip_comment_tags=True,
        directory_filter=lambda folder: Path(folder).relative_to(ROOT).parts[:1] in ((), ("lti_tool",)),
    )
    for _, _, words, comments, context in found:
        catalog.add(words, auto_comments=comments, context=context)
    return catalog


def files() -> dict[str, Path]:
    """Return the file of each language."""
    return {path.parent.parent.name: path for path in sorted(FOLDER.glob("*/LC_MESSAGES/messages.po"))}


def read(language: str, path: Path) -> Catalog:
    return read_po(BytesIO(path.read_bytes()), locale=language)


def updated(language: str, path: Path, collected: Catalog) -> bytes:
    """Return a language's file with exactly the words that are collected, in alphabetical order."""
    catalog = Catalog(locale=language, charset="utf-8", header_comment=f"# {language}: what pages say.", fuzzy=False)
    catalog.creation_date = catalog.revision_date = datetime(2026, 1, 1, tzinfo=UTC)
    there = read(language, path)
    for message in collected:
        if message.id:
            known = there.get(message.id, message.context)
            same = known is not None and known.id == message.id
            translated = known.string if same and known is not None else ""
            catalog.add(message.id, translated, auto_comments=message.auto_comments, context=message.context)
    out = BytesIO()
    write_po(out, catalog, width=120, no_location=True, sort_output=True, ignore_obsolete=True)
    head, _, rest = out.getvalue().decode().partition("\n\n")
    kept = ('msgid ""', 'msgstr ""', "#", '"Language:', '"MIME', '"Content', '"Plural')
    lines = [line for line in head.splitlines() if line.startswith(kept)]
    return ("\n".join(lines) + "\n\n" + rest).encode()


def untranslated(catalog: Catalog) -> list[str]:
    """Return what has no translation, or a guessed one."""
    return [str(each.id) for each in catalog if each.id and (each.fuzzy or not all(forms(each.string)))]


def forms(words: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Return the singular and the plural, or the one form there is."""
    return (words,) if isinstance(words, str) else tuple(words)


def main() -> int:
    collected = collect()
    for language, path in files().items():
        path.write_bytes(updated(language, path, collected))
        print(f"{language}: {len(collected)} to say, {len(untranslated(read(language, path)))} without a translation")
    return 0


if __name__ == "__main__":
    sys.exit(main())
