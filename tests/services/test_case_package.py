"""Framework files: what a CASE package offers, and what somebody's file may hold without harm."""

from __future__ import annotations

import json

import pytest

from lti_tool.errors import BadInput
from lti_tool.services.case_package import MOST_GENERATIONS, framework_of, read_package
from tests.case_files import as_bytes, child, criterion, item, level, link, node, package, rubric


def read(**parts):
    return read_package(as_bytes(package(**parts)))


def test_items_come_in_the_order_of_the_framework_each_below_its_own():
    found = read()
    assert [(each.code, each.depth) for each in found.items] == [("SL.1", 0), ("SL.1.a", 1), ("SL.2", 0), ("", 0)]
    assert (found.title, found.creator, found.language) == ("Speaking and Listening", "Hallwood University", "en")


def test_a_rubric_has_its_rows_by_position_and_its_levels_low_to_high():
    (found,) = read().rubrics
    assert [row.name for row in found.criteria] == ["Delivery", "Organisation"]
    assert [(each.name, each.points) for each in found.criteria[0].levels] == [
        ("Beginning", "1"),
        ("Developing", "2"),
        ("Accomplished", "3"),
        ("Exemplary", "4"),
    ]
    assert found.criteria[0].item == link("a")["identifier"] and found.criteria[1].item == ""


def test_levels_without_scores_of_their_own_keep_the_file_s_order():
    rows = [
        criterion("none", level("X", None, position=2), level("Y", None, position=1)),
        criterion("some", level("X", 1), level("Y", None)),
        criterion("twice", level("X", 1), level("Y", 1)),
    ]
    (found,) = read(CFRubrics=[rubric("R", *rows)]).rubrics
    assert [[each.name for each in row.levels] for row in found.criteria] == [["Y", "X"], ["X", "Y"], ["X", "Y"]]


def test_a_package_within_another_object_is_found_and_one_of_version_1_0_is_the_same():
    old = package()
    del old["CFDocument"]["caseVersion"]
    del old["CFRubrics"]
    assert len(read_package(as_bytes({"CFPackage": old})).items) == 4
    assert read_package(b"\xef\xbb\xbf" + as_bytes(old)).rubrics == ()


def test_a_framework_comes_back_as_it_was_kept():
    found = read()
    assert framework_of(json.loads(json.dumps(found.plain()))) == found


def test_a_ring_of_items_and_an_orphan_are_still_offered_once_each():
    ring = [child("a", "b", 1), child("b", "a", 1), child("a1", "a1", 1), child("c", "nowhere", 1)]
    found = read(CFAssociations=ring)
    assert sorted(each.code for each in found.items) == ["", "SL.1", "SL.1.a", "SL.2"]


def test_a_long_chain_is_shown_at_a_depth_that_a_page_can_show():
    items = [item(f"i{n}", f"Statement {n}") for n in range(500)]
    chain = [child(f"i{n}", f"i{n - 1}", 1) for n in range(1, 500)]
    found = read(CFItems=items, CFAssociations=chain)
    assert len(found.items) == 500 and max(each.depth for each in found.items) == MOST_GENERATIONS


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "no CFDocument"),
        (b'"x"', "no CFDocument"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b'{"CFDocuments": []}', "list of documents"),
        (as_bytes({"CFDocument": {}}), "no title"),
        (as_bytes({"CFDocument": {"title": 7}}), "no title"),
        (as_bytes({"CFDocument": {"title": "x"}}), "no items"),
        (as_bytes({"CFDocument": {"title": "x"}, "CFItems": [1, None, {"identifier": "x"}]}), "no items"),
        (b'{"CFDocument": ' + b"[" * 40 + b"]" * 40 + b"}", "nested"),
        (b"[" * 200_000, "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "not JSON"),
        (b" " * 4_000_001, "larger than 4 MB"),
    ],
)
def test_what_is_no_package_is_refused_in_words(content, why):
    with pytest.raises(BadInput) as refused:
        read_package(content)
    assert why in refused.value.sentence


def test_more_items_than_a_page_can_show_are_refused():
    with pytest.raises(BadInput, match="too many items"):
        read(CFItems=[item(f"i{n}", "x") for n in range(5001)])


def test_odd_values_are_left_out_and_break_nothing():
    levels = [{"score": True}, {"score": "1e999999"}]
    odd = {
        "CFItems": [{**item("a", "Good\u202e one\x00"), "humanCodingScheme": ["x"], "uri": "javascript:alert(1)"}],
        "CFAssociations": [7, {"associationType": 3}, {"associationType": "isChildOf", "originNodeURI": "x"}],
        "CFRubrics": [
            {"CFRubricCriteria": "x"},
            node("r", title="R", CFRubricCriteria=[{"CFRubricCriterionLevels": levels}]),
        ],
    }
    found = read(**odd)
    assert (found.items[0].statement, found.items[0].code, found.items[0].url) == ("Good one", "", "")
    (only,) = found.rubrics
    assert [(each.name, each.points, each.url) for each in only.criteria[0].levels] == [("", "", ""), ("", "", "")]
