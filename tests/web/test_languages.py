"""Which language a page speaks, and that it speaks it throughout."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from babel.support import NullTranslations
from flask import g
from flask_babel import get_locale
from lxml import html
from sample_pages import BADGE, PAGES, create_samples, render

from lti_tool.domain.badge import Badge
from lti_tool.models import Job, Review
from lti_tool.sentence import Moment, Number, Sentence
from lti_tool.services import words
from lti_tool.web import language
from tests.classroom import Classroom, at_once, badge, room, shared  # noqa: F401 (fixtures)
from tests.scene import Scene, Visitor
from tests.words import files, forms, read


def of(page: Any) -> tuple[str, str]:
    """Return the language a page says it speaks, and its text."""
    tree = html.document_fromstring(page.text)
    return tree.get("lang") or "", " ".join(tree.text_content().split())


# -- which language ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", ["es", "es-MX", "es_mx", "es-419", "ES", "es-ZZ"])
def test_a_spanish_launch_shows_spanish_pages(room: Classroom, tag: str) -> None:  # noqa: F811
    room.teacher.locale = room.students[0].locale = tag
    spoken, text = of(room.enter(room.teacher).page)
    assert spoken == "es" and "Insignias en este curso" in text
    spoken, text = of(room.enter(room.students[0]).page)
    assert spoken == "es" and "Todavía no se ha abierto ninguna insignia" in text


@pytest.mark.parametrize("tag", ["xx-YY", "", "klingon", "e", "es" * 30, "fr", "\u202e"])
def test_a_locale_nobody_speaks_leaves_the_choice_to_the_browser(room: Classroom, tag: str) -> None:  # noqa: F811
    room.teacher.locale = tag
    assert of(room.enter(room.teacher).page)[0] == "en"
    visitor = room.enter(room.teacher)
    assert of(visitor.get("", headers={"Accept-Language": "fr, es;q=0.8, en;q=0.3"}))[0] == "es"


def test_the_launch_decides_before_the_browser(room: Classroom) -> None:  # noqa: F811
    visitor = room.enter(room.teacher)
    assert of(visitor.get("", headers={"Accept-Language": "es"}))[0] == "en"


@pytest.mark.parametrize(
    ("asked", "spoken"), [("es-ES,es;q=0.9", "es"), ("de", "en"), (None, "en"), ("*", "en"), (";q=x, es", "es")]
)
def test_a_page_without_a_launch_speaks_what_the_browser_asks_for(
    shared: Scene,  # noqa: F811
    asked: str | None,
    spoken: str,
) -> None:
    visitor = Visitor(shared)
    headers = {"Accept-Language": asked} if asked else {}
    for path in ("/verify", "/nothing/here", "/credentials/none", "/course/none/", "/admin/platforms"):
        assert of(visitor.get(path, headers=headers))[0] == spoken, path


def test_a_refusal_says_in_spanish_what_happened_and_what_to_do(shared: Scene) -> None:  # noqa: F811
    answer = Visitor(shared).http.post(f"{shared.url}/lti/launch", headers={"Accept-Language": "es"})
    assert of(answer)[0] == "es"
    assert "Tu LMS no envió nada que comprobar" in of(answer)[1] or "Este lanzamiento" in of(answer)[1]


def test_machines_are_answered_in_english(shared: Scene) -> None:  # noqa: F811
    answer = Visitor(shared).get("/credentials/none.json", headers={"Accept-Language": "es"})
    assert answer.json()["error"] == "There is nothing at this address."


def test_outside_a_page_everything_is_english() -> None:
    assert get_locale() is None
    assert words.said(Sentence("%(met)s of %(all)s.", met=3, all=Number("4.5"))) == "3 of 4.5."
    assert words.day(datetime(2026, 11, 16, tzinfo=UTC)) == "16 Nov 2026"
    assert words.lasts("P3Y") == "lasts three years"


# -- dates and numbers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "day", "number"),
    [("en", "16 Nov 2026", "2.5"), ("es", "16 nov 2026", "2,5"), ("es-MX", "16 nov 2026", "2.5")],
)
def test_days_and_numbers_are_written_as_the_reader_writes_them(tag: str, day: str, number: str) -> None:
    when = datetime(2026, 11, 16, 10, 18, tzinfo=UTC)
    app = create_samples()
    with app.test_request_context("/", headers={"Accept-Language": tag}):
        assert words.day(when) == day and words.moment(when) == f"{day}, 10:18 UTC"
        assert words.said(Moment(when)) == f"{day}, 10:18 UTC"
        assert words.decimal("2.5") == words.said(Number("2.5")) == number
        assert words.decimal("2." + "9" * 22) == number[:-1] + "9" * 15  # cut: it is not 3
        assert words.decimal("3") == "3" and words.decimal("1.2.3") == "1.2.3"


def test_spanish_counts_and_durations() -> None:
    app = create_samples()
    now = datetime(2026, 11, 16, 10, 18, tzinfo=UTC)
    with app.test_request_context("/", headers={"Accept-Language": "es"}):
        assert [words.lasts(each) for each in ("P1Y", "P3Y", "P1Y6M", "P1Y2M3D", "")] == [
            "dura un año",
            "dura tres años",
            "dura un año y seis meses",
            "dura un año, dos meses y tres días",
            "",
        ]
        assert words.ago(now - timedelta(minutes=5), now) == "hace 5 min"
        assert words.ago(now - timedelta(days=3), now) == "13 nov 2026"


# -- what was said before it is shown ----------------------------------------------------------------------------


def test_what_a_job_said_is_said_again_in_the_readers_language(room: Classroom) -> None:  # noqa: F811
    room.put(badge(rows=2))
    room.publish_again()
    room.teacher.locale = "es"
    visitor = room.enter(room.teacher)
    with room.tool.db.write() as session:
        job = session.query(Job).filter(Job.kind == "publish").order_by(Job.id.desc()).first()
        assert job is not None and job.told[-1] == "Published."
        number = job.id
    told = visitor.get(f"jobs/{number}").json()["progress"]
    assert told == ["«A Row A» creada", "«B Row B» creada", "Publicada."]


def test_a_standing_and_a_review_speak_spanish_whenever_they_were_decided(room: Classroom) -> None:  # noqa: F811
    definition: Badge = badge(rows=2)
    room.publish(definition)
    student = room.students[0]
    room.grade(student, 3, 2.5)
    room.sync()
    room.teacher.locale = student.locale = "es"
    page = room.enter(student)
    text = of(page.get(f"badges/{definition.slug}"))[1]
    assert "Tienes 1 de 2. Faltan: Row B (Developing, requiere Proficient)." in text
    assert "2,5 de 4 puntos" in text
    record = room.enter(room.teacher).get(
        f"badges/{definition.slug}/record/{room.person_id(student)}/{definition.sub_competencies[1].tag}"
    )
    assert "requiere Proficient" in of(record)[1]


def test_the_reason_of_a_review_is_kept_with_its_parts(room: Classroom) -> None:  # noqa: F811
    definition: Badge = badge(rows=2)
    room.publish(definition)
    student = room.students[0]
    room.grade(student, 3, 3)
    room.sync()
    room.grade(student, 3, 1)
    room.sync()
    with room.tool.db.read() as session:
        reasons = [review.reason for review in session.query(Review).all()]
    found = next(each for each in reasons if "Row B" in each)
    assert found == "1 of 2. Missing: Row B (Beginning, needs Proficient)."
    app = create_samples()
    with app.test_request_context("/", headers={"Accept-Language": "es"}):
        assert words.said(found) == "1 de 2. Faltan: Row B (Beginning, requiere Proficient)."


# -- what the tool is called ------------------------------------------------------------------------------------

# In menus it is called Badges, whatever language they are in (lti/platforms.py): not its badges, nor Open Badges.
THE_TOOL = re.compile(r"(?<=[a-z,:;] )(?<!Open )Badges\b|\bOpen Badges (?=again|from|in|once)")


@pytest.mark.parametrize("spoken", sorted(files()))
def test_the_tool_is_called_in_every_language_as_menus_call_it(spoken: str) -> None:
    named = [each for each in read(spoken, files()[spoken]) if each.id and any(map(THE_TOOL.search, forms(each.id)))]
    assert len(named) > 50
    assert [each.id for each in named if not all("Badges" in form for form in forms(each.string))] == []


# People of the institution are spoken to as friends; whoever comes from outside, or was erased, is not.
FORMAL = re.compile(r"\b(usted|[Ss]us? (LMS|nombre|credenciales|docentes|insignias?|datos|propias palabras))\b")
TO_ITS_PEOPLE = ("my-data", "claim", "endorsements")


@pytest.mark.parametrize("name", sorted(name for name in PAGES if name.startswith(TO_ITS_PEOPLE)))
def test_spanish_speaks_to_learners_and_teachers_in_one_way(samples: Any, name: str) -> None:
    with samples.test_request_context(f"/page/{name}", headers={"Accept-Language": "es"}):
        page = " ".join(html.document_fromstring(render(name)).text_content().split())
    assert FORMAL.findall(page) == []


# -- words of a badge's author --------------------------------------------------------------------------------------


def said_in(page: str, *wanted: str) -> list[tuple[str, str]]:
    """Return each of these words where it stands alone between tags, with the language its place is said to be in."""
    found = [text for text in html.document_fromstring(page).xpath("//body//text()") if text.strip() in wanted]
    places = [text.getparent() if text.is_text else text.getparent().getparent() for text in found]
    spoken = [place.xpath("ancestor-or-self::*[@lang][1]/@lang")[0] for place in places]
    return [(text.strip(), language) for text, language in zip(found, spoken, strict=True)]


LEVEL_NAMES = ("Beginning", "Developing", "Proficient", "Advanced")


def test_a_button_read_in_spanish_says_in_spanish_what_it_puts_away(room: Classroom) -> None:  # noqa: F811
    room.publish(badge(rows=1))
    student = room.students[0]
    student.locale = "es"
    room.grade(student, 3)
    room.sync()
    room.page.post(f"badges/{room.badge.slug}/awards/{room.award()['id']}/revoke", {"reason": "A mistake."})
    (hidden,) = re.findall(r'Quitar<span class="visually-hidden">: ([^<]*)</span>', room.enter(student).get("").text)
    assert hidden == "Careful Work se retiró"


def test_an_english_badge_read_in_spanish_says_of_each_level_that_it_is_english(room: Classroom) -> None:  # noqa: F811
    definition: Badge = badge(rows=2)
    room.publish(definition)
    student = room.students[0]
    student.locale = "es"
    room.grade(student, 3, 2)
    room.sync()
    pages = [room.enter(student).get(f"badges/{definition.slug}").text]
    room.grade(student, 3, 3)
    room.sync()
    page = room.enter(student)
    pages.append(page.get(f"badges/{definition.slug}/claim").text)
    page.post(f"badges/{definition.slug}/claim", {"public": "on", "inside": "yes", "levels": "on"})
    spanish = {"Accept-Language": "es"}
    address = room.award(student)["credential_url"].removeprefix(room.scene.url)
    pages.append(Visitor(room.scene).get(address, headers=spanish).text)
    achievement = re.search(r'href="([^"]*/achievements/[^"]*)"', pages[-1])
    assert achievement is not None
    pages.append(Visitor(room.scene).get(achievement[1].removeprefix(room.scene.url), headers=spanish).text)
    for page_text in pages:
        assert '<html lang="es"' in page_text
        said = said_in(page_text, *LEVEL_NAMES)
        assert said and {language for _, language in said} == {"en"}, said
    assert [len({name for name, _ in said_in(each, *LEVEL_NAMES)}) for each in pages] == [4, 1, 4, 4]


@pytest.mark.parametrize("name", ["my-badge", "my-badge-evidence", "record", "review", "evidence", "credential"])
def test_what_a_level_asks_is_said_to_be_in_the_badge_s_language(samples: Any, name: str) -> None:
    with samples.test_request_context(f"/page/{name}", headers={"Accept-Language": "es"}):
        page = render(name)
    asked = [level.description for sub in BADGE.sub_competencies for level in sub.levels]
    said = said_in(page, *asked, *LEVEL_NAMES)
    assert said and {language for _, language in said} == {"en"}, said


# -- nothing is left out ----------------------------------------------------------------------------------------


class Marked(NullTranslations):
    """A language in which everything that is collected stands in brackets, so that what is not can be seen."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, one: str, many: str, num: int) -> str:
        return f"⟦{one if num == 1 else many}⟧"

    ugettext, ungettext = gettext, ngettext


@pytest.fixture(scope="module")
def samples() -> Any:
    return create_samples()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_every_sentence_of_a_sample_page_is_collected_whole(
    samples: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language.words, "translations", lambda _: Marked())
    with samples.test_request_context(f"/page/{name}"):
        page = render(name)
    assert page.count("⟦") == page.count("⟧") > 0
    # Two collected texts that touch within a word are pieces glued together.
    assert re.findall(r"[^\W\d]⟦|⟧\w", re.sub(r"<[^>]*>", " ", page)) == []


def test_the_session_of_a_launch_names_the_locale() -> None:
    app = create_samples()
    with app.test_request_context("/"):
        g.session = SimpleNamespace(locale="es-CO")
        assert str(language.choose_locale()) == "es_CO"


ODD_NAMES = [
    "<script>alert(1)</script>",
    "\u202eeman eht",
    "\u0645\u0631\u064a\u0645 \u0627\u0644\u0632\u0647\u0631\u0627\u0621",
    "\U0001f469\u200d\U0001f3eb Ada",
    "N" * 255,
    "%(name)s %s 100 %",
    "=HYPERLINK(1)",
]


@pytest.mark.parametrize("spoken", ["en", "es"])
@pytest.mark.parametrize("name", ODD_NAMES, ids=range(len(ODD_NAMES)))
def test_I19_an_odd_name_in_a_sentence_is_text_and_turns_nothing_around_it(
    room: Classroom,  # noqa: F811
    name: str,
    spoken: str,
) -> None:
    definition = badge(rows=1, award="review")
    room.publish(definition)
    student = room.lms.add_user(room.course, "student", given_name=name, family_name="")
    room.enter(student)
    room.sync()
    room.grade(student, 3)
    room.sync()
    room.teacher.locale = spoken
    award = room.awards(student)[0]["id"]
    page = room.enter(room.teacher).get(f"badges/{definition.slug}/awards/{award}/revoke")
    title = html.document_fromstring(page.text).xpath("//h1")[0].text_content()
    assert page.status_code == 200 and name in title and "<script>alert" not in page.text
    turned = any(each in name for each in "\u202e\u0645")
    assert (f"\u2068{name}" in title) == turned
    assert title.startswith("\u00bfRetirar" if spoken == "es" else "Withdraw")
