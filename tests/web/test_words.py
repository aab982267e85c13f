"""Every word of a page goes through the files of translation, and those are complete."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from jinja2 import Environment

from lti_tool.sentence import Number, Sentence, counted, kept, kept_text, read, read_text
from tests.words import collect, files, forms, untranslated, updated
from tests.words import read as read_file

ROOT = Path(__file__).parents[2] / "lti_tool"
PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?.")


@pytest.fixture(scope="module")
def collected() -> Catalog:
    return collect()


@pytest.mark.parametrize("language", sorted(files()))
def test_a_language_says_everything_that_pages_say(language: str, collected: Catalog) -> None:
    catalog = read_file(language, files()[language])
    wanted = {(each.id, each.context) for each in collected if each.id}
    assert {(each.id, each.context) for each in catalog if each.id} == wanted, "run `make words`"
    assert untranslated(catalog) == []
    assert updated(language, files()[language], collected) == files()[language].read_bytes(), "run `make words`"


@pytest.mark.parametrize("language", sorted(files()))
def test_a_translation_names_what_its_sentence_names(language: str) -> None:
    for each in read_file(language, files()[language]):
        if not each.id:
            continue
        wanted = [sorted(PLACEHOLDER.findall(form)) for form in forms(each.id)]
        for form in forms(each.string):
            assert sorted(PLACEHOLDER.findall(form)) in wanted, (each.id, form)
            # A number may be left out where one is meant, but nothing may be named that is not given.
        assert [sorted(PLACEHOLDER.findall(f)) for f in forms(each.string)][-1] == wanted[-1], each.id


@pytest.mark.parametrize("language", sorted(files()))
def test_a_translation_keeps_the_marks_around_its_sentence(language: str) -> None:
    for each in read_file(language, files()[language]):
        for said, told in zip(forms(each.id), forms(each.string), strict=False):
            assert said[-1:].isalnum() == told[-1:].isalnum() or said[-1:] in "”)", (said, told)
            assert said.count("[[") == told.count("[["), (said, told)
            assert (said[:1] == " ", said[-1:] == " ") == (told[:1] == " ", told[-1:] == " "), (said, told)


WORDS = re.compile(r"[^\W\d_]{2,}")
SPOKEN = re.compile(r'\s(?:alt|title|aria-label|placeholder|data-[a-z-]+)="([^"{]*)"')
NO_WORDS = {"JSON", "JWT", "PNG", "SVG", "ID", "URL", "DID", "UTC", "NACE", "LTI", "CSV", "TOML"}
NO_WORDS |= {"Canvas", "Moodle", "LinkedIn", "TLS"}


@pytest.mark.parametrize("template", sorted((ROOT / "templates").rglob("*.html")), ids=lambda path: path.stem)
def test_a_template_says_nothing_by_itself(template: Path) -> None:
    """Texts stand in `_(…)`, so that they are collected; what is left between the tags holds no word."""
    left = []
    for _, kind, value in Environment(autoescape=True).lex(template.read_text()):
        left.append(value if kind == "data" else "" if "comment" in kind else "\0")
    source = "".join(left)
    spoken = [word for text in SPOKEN.findall(source) for word in WORDS.findall(text) if " " in text or "." not in text]
    text = re.sub(r"<(script|style|svg|code)\b.*?</\1>|<[^>]*>|\b[a-z-]+=\"[^\"]*\"", "\0", source, flags=re.S)
    assert [word for word in (*spoken, *WORDS.findall(text)) if word not in NO_WORDS and word != "nbsp"] == []


def _calls() -> Iterator[tuple[str, ast.Call, str]]:
    for path in sorted(ROOT.rglob("*.py")):
        if "demo" not in path.parts:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node, name


def test_a_sentence_is_given_what_it_names() -> None:
    """`_("%(name)s", who=…)` fails only when it is shown."""
    wrong = []
    for where, node, name in _calls():
        said = {"_": 1, "Sentence": 1, "ngettext": 2, "counted": 2}.get(name, 0)
        words = [a.value for a in node.args[:said] if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if not said or len(words) < said or any(keyword.arg is None for keyword in node.keywords):
            continue
        given = {keyword.arg for keyword in node.keywords} | ({"num"} if said == 2 else set())
        named = {found for text in words for found in re.findall(r"%\((\w+)\)", text)}
        if not (named <= given if said == 2 else named == given):
            wrong.append((where, named, given))
    assert wrong == []


def test_what_a_refusal_says_can_be_said_in_another_language() -> None:
    """Errors are raised where nobody's language is known: what they say is a `Sentence`."""
    commands = ("cli.py", "settings.py", "keyring.py", "migrations", "db.py", "jobs.py")
    wrong = []
    for where, node, _ in _calls():
        for keyword in node.keywords:
            plain = isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str)
            text = keyword.value.value if plain else isinstance(keyword.value, ast.JoinedStr)
            if keyword.arg in ("sentence", "what_to_do") and text and not where.startswith(commands):
                wrong.append(where)
    assert wrong == []


def test_a_sentence_is_english_wherever_nobody_says_it_otherwise() -> None:
    part = Sentence("%(row)s (%(have)s)", row="Listens", have=Sentence("no result yet"))
    whole = Sentence("%(met)s of %(of)s. Missing: %(rows)s.", met=3, of=Number("4.5"), rows=[part, "Speaks"])
    assert whole == "3 of 4.5. Missing: Listens (no result yet), Speaks."
    assert counted("%(num)s key", "%(num)s keys", 1) == "1 key"
    assert counted("%(num)s key", "%(num)s keys", 0) == "0 keys"
    assert Sentence("100 %") == "100 %"


def test_a_sentence_is_kept_with_its_parts_and_read_again() -> None:
    part = Sentence("%(row)s (%(have)s)", row="Listens", have=Sentence("no result yet"))
    for made in (part, counted("%(num)s of %(rows)s", "%(num)s of %(rows)s", 2, rows=[part, "x"], n=Number("2.5"))):
        for again in (read(kept(made)), read_text(kept_text(made))):
            assert isinstance(again, Sentence)
            assert (again, again.words, again.many, again.values) == (made, made.words, made.many, made.values)
    assert read(kept("as it was")) == read_text(kept_text("as it was")) == "as it was"
