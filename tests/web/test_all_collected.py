"""Real pages in a language in which everything that is collected stands in brackets: what does not is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from babel.support import NullTranslations
from lxml import html

from lti_tool.services import catalog, drafts
from lti_tool.web import language
from tests.classroom import at_once, badge, gate, make_room, room, row, shared  # noqa: F401 (fixtures)
from tests.scene import ORAL, Scene, Visitor

# Languages are named by Babel, in the reader's own.
NOT_SAID = (
    "//script | //style | //code | //bdi | //textarea | //*[@lang and not(self::html)] | //svg"
    " | //select[@id='f-language'] | //*[@translate='no']"
)
NO_SPEECH = ("data-copy", "data-keep")
SPOKEN = ("alt", "aria-label", "placeholder", "title", "data-copied", "data-none", "data-one", "data-many")
# What people, an LMS or a standard have named, and what is typed as it stands.
NAMES = {
    *[
        "canvas",
        "moodle",
        "Canvas",
        "Moodle",
        "LTI",
        "Open",
        "Badges",
        "badge",
        "JSON",
        "JWT",
        "PNG",
        "SVG",
        "PDF",
        "EdDSA",
        "DID",
        "URL",
        "UTC",
        "CSV",
        "TOML",
    ],
    *["English", "Hallwood", "University", "Vera", "Lindqvist", "Each", "Completed"],
    *[
        "lti",
        "tool",
        "admin",
        "invite",
        "worker",
        "Ed25519",
        "RSA",
        "json",
        "png",
        "jwt",
        "svg",
        "Tess",
        "Teacher",
        "Student",
        "Number",
        "Course",
        "Nov",
    ],
    *[
        "email",
        "note",
        "list",
        "csv",
        "Spoke",
        "well",
        "Beginning",
        "Developing",
        "Proficient",
        "Advanced",
        "Careful",
        "Work",
        "Works",
        "carefully",
        "Row",
        "Gate",
        "each",
        "time",
        "star",
        "hexagon",
    ],
}


class Marked(NullTranslations):
    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, one: str, many: str, num: int) -> str:
        return f"⟦{one if num == 1 else many}⟧"

    ugettext, ungettext = gettext, ngettext


@pytest.fixture(autouse=True)
def marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language.words, "translations", lambda _: Marked())


def left_out(page: Any) -> set[str]:
    """Return the words of a page that are neither collected nor names."""
    tree = html.document_fromstring(page.text)
    for element in tree.xpath(NOT_SAID):
        element.drop_tree()
    texts = [" ".join(tree.itertext())] + [value for name in SPOKEN for value in tree.xpath(f"//@{name}")]
    for element in tree.iter():  # what scripts say, but for what they copy or keep
        texts += [v for k, v in element.attrib.items() if k[:5] == "data-" and " " in v and k not in NO_SPEECH]
    found: set[str] = set()
    for text in texts:
        while (less := re.sub(r"⟦[^⟦⟧]*⟧", " ", text)) != text:
            text = less
        text = re.sub(
            r"https?://\S+|\b(?=\w*\d)[0-9a-f]{6,}\b|\S+@\S+|[\w.-]*\.(?:example|edu|com|org)\b\S*", " ", text
        )
        found |= set(re.findall(r"[^\W\d_]{3,}", text)) - NAMES
    return found


def pages_of(visitor: Visitor, *paths: str) -> Iterator[tuple[str, set[str]]]:
    for path in paths:
        answer = visitor.get(path)
        assert answer.status_code < 500, (path, answer.text[-2000:])
        yield path, left_out(answer)


def test_instructors_learners_and_the_public_read_nothing_that_is_not_collected(room: Any) -> None:  # noqa: F811
    definition = badge(rows=2, gates=(gate(),), award="review")
    room.publish(definition)
    taken = catalog.library()[ORAL]
    student, other = room.students
    room.grade(student, 3, 3, 70)
    room.grade(other, 2, 4, None)
    room.sync()
    teacher = room.enter(room.teacher)
    slug = definition.slug
    teacher.post(f"library/{ORAL}")
    award = room.awards(student)[0]["id"]
    found = dict(
        pages_of(
            teacher,
            *("", f"badges/{slug}", f"badges/{slug}/plan", f"badges/{slug}/awards", f"badges/{ORAL}/plan"),
            f"badges/{slug}/record/{room.person_id(student)}/{definition.sub_competencies[0].tag}",
            f"badges/{slug}/record/{room.person_id(other)}/{definition.gates[0].tag}",
            f"badges/{slug}/awards/{award}/revoke",
        )
    )
    teacher.post(f"badges/{slug}/awards/{award}/confirm")
    learner = room.enter(student)
    found |= dict(pages_of(learner, "", f"badges/{slug}", f"badges/{slug}/claim"))
    learner.post(f"badges/{slug}/claim", {"public": "yes"})
    found |= dict(pages_of(room.enter(other), "", f"badges/{slug}"))
    credential = re.search(r"/credentials/[0-9a-f]+", learner.get(f"badges/{slug}/claim").text)
    assert credential
    found |= dict(
        pages_of(
            teacher,
            *("other-courses", f"badges/{slug}/history", f"badges/{slug}/columns", f"badges/{slug}/awards/give"),
            *(f"badges/{slug}/awards?show=issued", f"badges/{slug}/awards/file"),
            *(f"badges/{slug}/awards/{award}/reissue", f"badges/{slug}/awards/{award}/hold"),
            *(f"badges/{slug}/as-student/{page}" for page in ("", "badge", "claim")),
        )
    )
    file = {"file": ("list.csv", "email,note\nnobody@example.edu,Spoke well\n")}
    found["file"] = left_out(teacher.post(f"badges/{slug}/awards/file", files=file))
    public = Visitor(room.scene)
    issuer = public.get(credential[0])
    found |= dict(pages_of(public, credential[0], "/verify", "/issuers/hallwood", "/credentials/none"))
    report = public.http.post(f"{room.scene.url}/verify", data={"text": f"{room.scene.url}{credential[0]}"})
    found |= {"report": left_out(report), "again": left_out(issuer)}
    own = set(re.findall(r"[^\W\d_]{3,}", str(taken.content())))
    assert {path: words - own for path, words in found.items() if words - own} == {}


def test_who_makes_and_marks_a_badge_reads_nothing_that_is_not_collected(room: Any) -> None:  # noqa: F811
    teacher = room.enter(room.teacher)
    empty = teacher.post("badges").url
    steps = [empty.rpartition("/")[0].partition(teacher.home)[2] + f"/{step}" for step in drafts.STEPS]
    found = dict(pages_of(teacher, *(f"{step}?check=yes" for step in steps), steps[0].rpartition("/")[0] + "/preview"))
    rows = (row("A", source="rubric"), row("B", source="rubric"))
    marked = badge(sub_competencies=rows, columns="total", gates=(gate(),))
    room.publish(marked)
    room.sync()
    slug, student = marked.slug, room.person_id(room.students[0])
    page = f"badges/{slug}/marking/{student}"
    teacher.post(f"{page}/evidence", {"tag": "sub-competency:A", "content": "Spoke well"})
    room.enter(room.students[0]).post(f"badges/{slug}/evidence/", {"tag": "sub-competency:A", "content": ""})
    found |= dict(pages_of(teacher, f"badges/{slug}/marking/", page, f"badges/{slug}/edit", f"badges/{slug}/plan"))
    found |= dict(pages_of(room.enter(room.students[0]), f"badges/{slug}"))
    room.put(replace(marked, rule="any 1", columns="none", gates=()))
    found |= dict(pages_of(teacher, f"badges/{slug}/plan?changed", f"badges/{slug}/history"))
    teacher.post(f"badges/{slug}/retire")
    found |= dict(pages_of(teacher, f"badges/{slug}/history?retired", f"badges/{slug}/awards/give?retired"))
    left = {path: words for path, words in found.items() if words}
    assert left == {}, left


def test_administrators_read_nothing_that_is_not_collected(shared: Scene) -> None:  # noqa: F811
    admin = shared.administrator()
    paths = [
        rule.rule
        for rule in shared.app.url_map.iter_rules()
        if rule.rule.startswith("/admin") and "GET" in (rule.methods or ()) and "<" not in rule.rule
    ]
    pages = [path for path in paths if not path.endswith((".csv", ".png"))]
    number = shared.platform["moodle"]
    found = dict(
        pages_of(
            admin, *pages, f"/admin/platforms/{number}", f"/admin/platforms/{number}/edit", "/admin/keys/rotate/lti"
        )
    )
    left = {path: words for path, words in found.items() if words}
    assert left == {}, left
