"""The starter library: nine skills of four rows and four levels, one industry example, one co-curricular, one stack."""

from __future__ import annotations

import html
from collections import Counter

from lti_tool.services.catalog import library
from lti_tool.web.editor import NACE
from tests.classroom import make_room, shared  # noqa: F401 (fixtures)

ADDRESS = "https://www.naceweb.org/career-readiness/competencies/career-readiness-defined"
SKILLS = {
    "self-directed-learning",
    "empathy",
    "oral-communication",
    "critical-thinking",
    "resilience",
    "intercultural-fluency",
    "collaboration",
    "creative-problem-solving",
    "initiative",
}


def test_nine_skills_have_four_rows_of_four_described_levels():
    assert set(library()) == SKILLS | {"spreadsheet-analysis", "community-engagement", "working-with-others"}
    for slug in SKILLS:
        rows = library()[slug].sub_competencies
        assert [len(row.levels) for row in rows] == [4, 4, 4, 4], slug
        assert all(level.description and row.description for row in rows for level in row.levels), slug


def test_no_two_levels_say_the_same_and_no_two_rows_are_called_the_same():
    for badge in library().values():
        for row in badge.sub_competencies:
            said = Counter(level.description.casefold().strip(". ") for level in row.levels)
            assert max(said.values()) == 1, (badge.slug, row.code)
        assert len({row.name for row in badge.sub_competencies}) == len(badge.sub_competencies)
    codes = Counter(row.code for badge in library().values() for row in badge.sub_competencies)
    assert max(codes.values()) == 1


def test_every_row_is_aligned_and_all_eight_competencies_are_named_as_nace_names_them():
    seen = set()
    for badge in library().values():
        for aligned in (badge, *badge.sub_competencies):
            named = [each for each in aligned.alignment if each.framework == "NACE Career Readiness"]
            assert named, (badge.slug, aligned.name)
            for each in named:
                assert (each.name in NACE, each.url) == (True, ADDRESS), (badge.slug, each)
                seen.add(each.name)
    assert seen == set(NACE)


def test_the_industry_example_needs_a_b_and_the_co_curricular_one_any_three_with_evidence():
    (gate,) = library()["spreadsheet-analysis"].gates
    assert (gate.kind, gate.required, dict(gate.scale)["B"]) == ("letter", "B", 80)
    service = library()["community-engagement"]
    assert (service.rule, service.award) == ("any 3", "review")
    assert {row.evidence for row in service.sub_competencies} == {"required"}


def test_the_stacked_example_is_made_of_badges_of_the_library():
    stacked = library()["working-with-others"]
    assert stacked.stack is not None and set(stacked.stack.members) <= SKILLS and len(stacked.stack.members) == 3
    assert (stacked.stack.rule, stacked.once, stacked.sub_competencies) == ("all", "person", ())
    assert all(library()[slug].name in stacked.criteria for slug in stacked.stack.members)


def test_an_instructor_is_told_what_comes_before_the_stacked_example(make_room):  # noqa: F811
    here, there = make_room(), make_room()

    def home() -> str:
        return html.unescape(here.page.get("").text)

    assert "Made of badges: Oral Communication, Collaboration, Intercultural Fluency" in home()
    assert "Publish these first: Oral Communication, Collaboration, Intercultural Fluency." in home()
    there.publish(library()["oral-communication"])  # in another course: a badge of the institution from then on
    here.publish(library()["collaboration"])
    here.put(library()["intercultural-fluency"])  # a draft is none yet
    assert "Publish this one first: Intercultural Fluency." in home()
    assert here.page.post("library/working-with-others").status_code == 200
    assert "Publish this one first" not in home()  # it is here: its own page tells what stands in the way
    plan = html.unescape(here.page.get("badges/working-with-others/plan").text)
    assert "The badge “Intercultural Fluency” is a part of it, and has not been published yet." in plan
    for slug in ("intercultural-fluency", "working-with-others"):
        here.badge = library()[slug]
        assert here.publish_again().state == "done"
