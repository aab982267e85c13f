"""The starter library: nine skills of four rows and four levels, one industry example, one co-curricular."""

from __future__ import annotations

from collections import Counter

from lti_tool.services.catalog import library
from lti_tool.web.editor import NACE

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
    assert set(library()) == SKILLS | {"spreadsheet-analysis", "community-engagement"}
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
