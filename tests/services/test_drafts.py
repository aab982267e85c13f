"""Drafts: incomplete ones, typed by one person or two at once, and definitions that come back as they went in."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import html
from sqlalchemy import select

from lti_tool.domain.badge import Alignment, badge_from_content
from lti_tool.errors import BadInput, Conflict, NotFound
from lti_tool.models import AuditEvent, CourseBadge
from lti_tool.services import audit, catalog, drafts, launches
from lti_tool.services.definition import read_definition, write_definition
from lti_tool.services.draft_acts import act
from lti_tool.services.draft_values import NOT_WRITTEN, blank, definition, read, read_scale, read_tags, values_of, write
from lti_tool.services.drafts import Change
from tests.classroom import LETTERS, at_once, badge, gate, make_room, now, room, row, shared  # noqa: F401
from tests.odd_names import ODD

WHOLE = {
    "name": "Careful Reading",
    "description": "Reads what is there.",
    "criteria": "Reads *closely*.",
    "picture.alt": "A star",
    "rows.r1.name": "Finds the claim",
}


def session_of(room, user=None):  # noqa: F811
    """Return the session behind a launch, as a page has it."""
    return session_of_page(room.tool, room.enter(user or room.teacher))


def session_of_page(tool, page):
    secret = next(cookie.value for cookie in page.http.get_adapter("http://").jar if cookie.name == "browser")
    return launches.find_session(tool, page.launch, secret, now())


def paths(values):
    """Return the path of every field there is."""

    def walk(node, at):
        if isinstance(node, dict):
            for name, value in node.items():
                if isinstance(value, str):
                    if name not in NOT_WRITTEN:
                        yield f"{at}{name}"
                elif name not in NOT_WRITTEN:
                    yield from walk(value, f"{at}{name}.")
        elif isinstance(node, list):
            for item in node:
                yield from walk(item, f"{at}{item['k']}.")

    of_all = [] if values["own_levels"] or not values["rows"] else values["rows"][0]["levels"]
    return [*walk(values, ""), *(f"levels.{level['k']}.name" for level in of_all)]


class Writer:
    """One person with the editor open."""

    def __init__(self, room, badge_id="", user=None):  # noqa: F811
        self.room, self.who = room, session_of(room, user)
        self.actor = audit.person(self.who.person_id)
        self.id = badge_id or drafts.start_blank(room.tool, room.id, language="en", actor=self.actor, now=now())
        self.page = self.look()

    def look(self):
        self.page = drafts.editor_page(self.room.tool, self.who, self.id)
        return self.page

    def type(self, changes=(), does="", **more):
        """Save texts by path, each said to stand where the page was opened."""
        told = [Change(path, text, read(self.page.values, path) or "") for path, text in dict(changes).items()]
        told = more.pop("told", told)
        return drafts.save(
            self.room.tool,
            self.who,
            self.id,
            told,
            revision=more.get("revision", self.page.revision),
            does=does,
            actor=self.actor,
            now=more.get("now", now()),
        )

    def stored(self):
        with self.room.tool.db.read() as session:
            found = session.get_one(CourseBadge, self.id)
            session.refresh(found, ["draft_picture", "draft_picture_svg", "version"])
            return found


# -- values -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", sorted(catalog.library()))
def test_a_library_badge_comes_out_of_the_form_as_it_went_in(slug):
    known = catalog.library()[slug]
    made, problems = definition(values_of(known), slug)
    assert problems == {} and made == known and made.digest() == known.digest()


def test_everything_a_definition_can_say_comes_out_of_the_form_as_it_went_in():
    odd = badge(
        "odd-one",
        3,
        gates=(gate(kind="letter", required="B", scale=LETTERS), gate("p", "pass", ""), gate("n", "points", "12.5")),
        rule="any 2",
        credits=Decimal("1.5"),
        tags=("one, two", "three"),
        release="2027-01-31T12:00:00+01:00",
        expires_after="P1Y6MT12H",
        prerequisites=("empathy", "initiative"),
        alignment=(Alignment("", "Aligned", "https://a.example/x", "C-1"),),
        once="person",
        award="review",
    )
    lowest, *higher = odd.sub_competencies[0].levels[1:]
    aligned = replace(lowest, alignment=(Alignment("F", "A level's own", "https://a.example/l", ""),))
    own = replace(odd.sub_competencies[0], levels=(aligned, *higher), evidence="required")
    odd = replace(odd, sub_competencies=(own, *odd.sub_competencies[1:]))
    made, problems = definition(values_of(odd), odd.slug)
    assert problems == {} and made == odd
    assert read_definition(write_definition(made), "f") == odd


def test_a_blank_badge_says_at_each_field_what_is_missing():
    _, problems = definition(blank("en"), "x")
    assert set(problems) == {"name", "description", "criteria", "picture.alt", "rows.r1.name"}


@pytest.mark.parametrize(
    ("path", "text", "at"),
    [
        ("rows.r1.levels.l2.points", "1", "rows.r1.levels.l2.points"),
        ("rows.r1.levels.l3.points", "many", "rows.r1.levels.l3.points"),
        ("rows.r1.levels.l1.points", "-1", "rows.r1.levels.l1.points"),
        ("rows.r1.levels.l1.points", "9" * 300, "rows.r1.levels.l1.points"),
        ("levels.l2.name", "Beginning", "rows.r1.levels.l2.name"),
        ("levels.l2.name", "", "rows.r1.levels.l2.name"),
        ("rows.r1.code", "two words", "rows.r1.code"),
        ("rows.r1.required", "l9", "rows.r1.required"),
        ("rows.r1.source", "elsewhere", "rows.r1.source"),
        ("expires", "soon", "expires"),
        ("credits", "0", "credits"),
        ("language", "english please", "language"),
        ("picture.dark", "#FFFFFF", "picture"),
        ("picture.icon", "none-such", "picture"),
        ("prerequisites", "x", "prerequisites"),
        ("slug", "Not A Slug", "slug"),
        ("name", "n" * 255, "name"),
        ("any", "7", "any"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(path, text, at):
    values = blank("en")
    for name, whole in WHOLE.items():
        write(values, name, whole)
    values["rule"], values["expires_unit"] = "any", "Y"
    write(values, "any", "1")
    write(values, "expires", "3")
    assert definition(values, "x")[1] == {}
    write(values, path, text)
    _, problems = definition(values, values["slug"] or "x")
    assert [each for each in problems if each.startswith(at)], problems
    assert all(sentence[0].isupper() or sentence[0] in "“'" for sentence in problems.values())
    assert all(sentence.endswith(".") for sentence in problems.values())


def test_a_badge_a_row_and_a_single_level_are_aligned_each_by_itself():
    values = blank("en")
    for name, whole in WHOLE.items():
        write(values, name, whole)
    for of, at in (("", ""), (":r1", "rows.r1."), (":r1:l2", "rows.r1.levels.l2.")):
        focus = act(values, f"alignment.add{of}")
        key = focus.split("-")[-2]
        assert focus == f"f-{at}alignment.{key}.framework".replace(".", "-")
        write(values, f"{at}alignment.{key}.name", "at " + (at or "/"))
        assert f"{at}alignment.{key}.url" in definition(values, "x")[1]
        write(values, f"{at}alignment.{key}.url", "https://a.example/")
    made, problems = definition(values, "x")
    row = made.sub_competencies[0]
    names = [[each.name for each in aligned.alignment] for aligned in (made, row, row.levels[1], row.levels[0])]
    assert problems == {} and names == [["at /"], ["at rows.r1."], ["at rows.r1.levels.l2."], []]
    assert act(values, f"alignment.remove:{key}:r1:l2") == "add-alignment-r1-l2"
    assert definition(values, "x")[0].sub_competencies[0].levels[1].alignment == ()


def test_a_release_without_a_moment_and_a_letter_without_a_scale_are_said_at_their_fields():
    values = blank("en")
    values["release"] = "at"
    act(values, "gate.add")
    key = values["gates"][0]["k"]
    write(values, f"gates.{key}.kind", "letter")
    write(values, f"gates.{key}.scale", "A 90, A 80")
    _, problems = definition(values, "x")
    assert {"release_at", f"gates.{key}.scale", f"gates.{key}.name"} <= set(problems)


def test_scales_and_tags_are_read_as_people_write_them():
    assert read_scale("F 0, D: 60; C = 70 %\nB+ = 87.5") == (
        ("F", Decimal(0)),
        ("D", Decimal(60)),
        ("C", Decimal(70)),
        ("B+", Decimal("87.5")),
    )
    with pytest.raises(ValueError, match="A"):
        read_scale("A")
    assert read_tags(" one , two,one,") == ("one", "two")


ACTS = st.lists(
    st.sampled_from(
        ["row.add", "row.remove", "row.move:up", "row.move:down", "level.add", "level.remove", "level.move:up", "own"]
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(does=ACTS, which=st.integers(0, 50))
def test_whatever_acts_are_done_a_draft_keeps_its_shape_and_never_breaks_the_rules_reader(does, which):
    values = values_of(badge("b", 3))
    for name in does:
        some_row = values["rows"][which % len(values["rows"])]
        level = some_row["levels"][which % len(some_row["levels"])]["k"]
        own = f":{some_row['k']}" if values["own_levels"] else ""
        told = {
            "row.add": "row.add",
            "row.remove": f"row.remove:{some_row['k']}",
            "row.move:up": f"row.move:{some_row['k']}:up",
            "row.move:down": f"row.move:{some_row['k']}:down",
            "level.add": f"level.add{own}",
            "level.remove": f"level.remove:{level}{own}",
            "level.move:up": f"level.move:{level}:up{own}",
            "own": "levels.share" if values["own_levels"] else "levels.own",
        }[name]
        try:
            act(values, told)
        except BadInput as refused:
            assert refused.sentence
        made, _ = definition(values, "b")
        assert made.sub_competencies and all(len(each.levels) >= 2 for each in made.sub_competencies)
        assert all(each.required_index >= 0 for each in made.sub_competencies)
        assert all(read(values, path) is not None for path in paths(values))


@pytest.mark.parametrize("does", ["nothing", "row.move", "row.move:r1:up:x:y", "row.remove:zz", "picture.colours:99"])
def test_an_act_that_is_none_is_refused_in_words(does):
    with pytest.raises(BadInput):
        act(blank("en"), does)


@pytest.mark.parametrize("path", ["k", "rows.r1.k", "rows", "picture.file", "stack.members", "auto_slug", "a.b.c", ""])
def test_only_fields_are_written(path):
    with pytest.raises(BadInput):
        write(blank("en"), path, "x")


# -- begun and saved --------------------------------------------------------------------------------------------


def test_a_blank_badge_is_kept_as_typed_and_becomes_a_draft_once_it_is_whole(room):  # noqa: F811
    writer = Writer(room)
    assert writer.type({"name": "Careful Reading"}).slug == "careful-reading"
    assert writer.stored().draft is None
    assert "careful-reading" not in catalog.export_badges(room.tool, room.id)
    writer.look()
    saved = writer.type({path: text for path, text in WHOLE.items() if path != "name"})
    assert saved.problems == {} and saved.sentence == (
        "A learner earns Careful Reading with Proficient in “Finds the claim”."
    )
    whole = badge_from_content(writer.stored().draft)
    assert (whole.slug, whole.name, whole.sub_competencies[0].required_level) == (
        "careful-reading",
        "Careful Reading",
        "Proficient",
    )
    writer.look()
    assert "name" in writer.type({"name": " "}).problems
    assert writer.stored().draft is None  # an earlier state of it is never published by mistake


def test_the_file_of_an_edited_badge_says_what_was_edited_and_nothing_else(room):  # noqa: F811
    teacher = room.enter(room.teacher)
    teacher.post("library/empathy")
    writer = Writer(room, drafts.badge_id_of(room.tool, room.id, "empathy"))
    before = catalog.library()["empathy"]
    writer.type({"name": "Empathy here"})
    text = catalog.export_badges(room.tool, room.id)["empathy"]
    assert read_definition(text, "f") == replace(before, name="Empathy here")


def test_two_people_who_write_in_different_places_both_keep_their_words(room):  # noqa: F811
    first = Writer(room)
    colleague = room.lms.add_user(room.course, "instructor", given_name="Ann", family_name="Other")
    second = Writer(room, first.id, colleague)
    first.type({"name": "Mine"})
    saved = second.type({"description": "Hers"})
    assert saved.clashes == () and saved.by
    values = first.look().values
    assert (values["name"], values["description"]) == ("Mine", "Hers")


def test_the_later_of_two_people_in_one_field_is_told_and_overwrites_nothing(room):  # noqa: F811
    first = Writer(room)
    colleague = room.lms.add_user(room.course, "instructor", given_name="Ann", family_name="Other")
    second = Writer(room, first.id, colleague)
    first.type({"name": "Mine"})
    (clash,) = second.type({"name": "Hers", "description": "Beside"}).clashes
    assert (clash.path, clash.mine, clash.theirs) == ("name", "Hers", "Mine")
    values = first.look().values
    assert (values["name"], values["description"]) == ("Mine", "Beside")
    second.look()
    assert second.page.saved_by == ""
    assert second.type({"name": "Hers"}).clashes == ()  # having seen it, she may


def test_a_form_without_script_that_was_opened_before_another_save_overwrites_nothing(room):  # noqa: F811
    first = Writer(room)
    opened = first.page.revision
    first.type({"name": "Mine"})
    told = [Change("name", "Stale"), Change("description", "")]
    (clash,) = first.type(told=told, revision=opened).clashes
    assert (clash.path, clash.theirs) == ("name", "Mine")
    assert first.look().values["name"] == "Mine"


def test_a_save_whose_answer_was_lost_can_be_sent_again(room):  # noqa: F811
    writer = Writer(room)
    writer.type({"name": "Once"})
    again = writer.type({"name": "Once"})  # the page still thinks nothing has arrived
    assert again.clashes == () and writer.look().values["name"] == "Once"


def test_what_was_written_into_a_removed_row_is_told_not_lost(room):  # noqa: F811
    first = Writer(room)
    first.type(does="row.add")
    first.look()
    second = Writer(room, first.id)
    key = first.page.values["rows"][1]["k"]
    first.type(does=f"row.remove:{key}")
    (clash,) = second.type({f"rows.{key}.name": "Still typing"}).clashes
    assert (clash.theirs, clash.mine) == (None, "Still typing")


def test_a_row_that_somebody_moved_meanwhile_still_gets_what_is_typed_into_it(room):  # noqa: F811
    first = Writer(room)
    first.type(does="row.add")
    first.look()
    second = Writer(room, first.id)
    key = first.page.values["rows"][1]["k"]
    first.type(does=f"row.move:{key}:up")
    assert second.type({f"rows.{key}.name": "The moved one"}).clashes == ()
    assert first.look().values["rows"][0]["name"] == "The moved one"


def test_of_two_saves_of_one_field_at_the_same_moment_exactly_one_is_kept(room):  # noqa: F811
    first, second = Writer(room), None
    second = Writer(room, first.id)
    done = at_once(lambda: first.type({"name": "One"}), lambda: second.type({"name": "Two"}))
    clashes = [len(saved.clashes) for saved in done]
    assert sorted(clashes) == [0, 1]
    assert first.look().values["name"] == ("One" if clashes[0] == 0 else "Two")


def test_two_blank_badges_begun_at_the_same_moment_are_two(room):  # noqa: F811
    who = session_of(room)
    begin = lambda: drafts.start_blank(room.tool, room.id, language="en", actor="operator", now=now())  # noqa: E731
    ids = at_once(begin, begin, begin)
    assert len(set(ids)) == 3
    assert {drafts.editor_page(room.tool, who, each).slug for each in ids} == {
        "new-badge",
        "new-badge-2",
        "new-badge-3",
    }


def test_a_slug_follows_the_name_until_it_is_written_by_hand_and_never_takes_another_s(room):  # noqa: F811
    room.put(badge("taken"))
    writer = Writer(room)
    assert writer.type({"name": "Taken"}).slug == "taken-2"
    writer.look()
    assert "slug" in writer.type({"slug": "taken"}).problems
    writer.look()
    assert writer.type({"slug": "my-own"}).slug == "my-own"
    writer.look()
    assert writer.type({"name": "Another"}).slug == "my-own"


def test_a_published_badge_is_edited_beside_its_version_and_keeps_its_slug(room):  # noqa: F811
    assert room.publish(badge("kept")).state == "done"
    writer = Writer(room, drafts.badge_id_of(room.tool, room.id, "kept"))
    saved = writer.type({"name": "Better"})
    found = writer.stored()
    assert saved.slug == "kept" and found.draft["name"] == "Better" and found.version.definition["name"] != "Better"
    writer.look()
    writer.type({"slug": "other"})
    assert writer.stored().slug == "kept"
    writer.look()
    assert writer.type({"name": ""}).problems
    assert (writer.stored().draft, writer.stored().status) == (None, "active")
    writer.look()
    writer.type({"name": found.version.definition["name"]})
    assert writer.stored().working is None  # as it is published: no change waits


def test_a_change_that_was_written_is_published_and_its_page_is_told_afterwards(room):  # noqa: F811
    room.publish(badge("twice"))
    writer = Writer(room, drafts.badge_id_of(room.tool, room.id, "twice"))
    writer.type({"description": "Changed."})
    assert room.publish_again().state == "done"
    found = writer.stored()
    assert (found.version.number, found.working, found.draft) == (2, None, None)
    assert found.version.definition["description"] == "Changed."
    (clash,) = writer.type({"description": "Typed on the old page"}).clashes
    assert clash.theirs == "Changed."


def test_nothing_is_saved_while_a_badge_is_published_or_once_it_is_retired(room):  # noqa: F811
    room.put(badge("busy"))
    writer = Writer(room, drafts.badge_id_of(room.tool, room.id, "busy"))
    with room.tool.db.write() as session:
        session.get_one(CourseBadge, writer.id).status = "retired"
    with pytest.raises(Conflict):
        writer.type({"name": "Late"})
    with room.tool.db.write() as session:
        session.get_one(CourseBadge, writer.id).status = "draft"
    catalog.start_publishing(room.tool, room.id, "busy", actor="operator", now=now())
    with pytest.raises(Conflict):
        writer.type({"name": "Late"})


def test_using_a_library_badge_a_second_time_leaves_what_was_made_of_it(room):  # noqa: F811
    teacher = room.enter(room.teacher)
    teacher.post("library/initiative")
    writer = Writer(room, drafts.badge_id_of(room.tool, room.id, "initiative"))
    writer.type({"name": "My initiative"})
    assert teacher.post("library/initiative").status_code == 200
    assert writer.look().values["name"] == "My initiative"


def test_badges_that_would_have_to_be_earned_before_each_other_are_refused_as_they_are_written(room):  # noqa: F811
    room.put(badge("second", prerequisites=("first",)))
    writer = Writer(room)
    assert "prerequisites" not in writer.type({"name": "First"}).problems
    writer.look()
    said = writer.type({"prerequisites": "second"}).problems["prerequisites"]
    assert "“first” asks for “second” asks for “first”" in said
    assert writer.stored().draft is None


def test_a_badge_of_another_course_cannot_be_opened_or_saved(room, make_room):  # noqa: F811
    other = make_room()
    other.put(badge("hers"))
    source = drafts.badge_id_of(room.tool, other.id, "hers")
    with pytest.raises(NotFound):
        Writer(room, source)


def test_one_sitting_is_one_entry_of_the_audit_log_with_before_and_after(room):  # noqa: F811
    writer = Writer(room)
    writer.type({"name": "One"})
    writer.look()
    writer.type({"name": "Two", "description": "x"})
    with room.tool.db.read() as session:
        entries = session.scalars(select(AuditEvent).where(AuditEvent.subject == f"badge:{writer.id}")).all()
    assert [each.action for each in entries] == ["badge.started", "badge.edited"]
    assert entries[1].actor == writer.actor
    assert entries[1].detail["changed"] == {"name": ["", "Two"], "description": ["", "x"]}


# -- I19 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ODD)
def test_I19_an_odd_name_is_kept_as_written_and_shown_as_text(room, name):  # noqa: F811
    writer = Writer(room)
    saved = writer.type({**WHOLE, "name": name})
    assert (saved.problems == {}) == (len(name) <= 200)
    assert writer.look().values["name"] == name
    teacher = room.enter(room.teacher)
    for path in ("", f"edit/{writer.id}/about", f"edit/{writer.id}/rubric", f"edit/{writer.id}/grades"):
        page = html.document_fromstring(teacher.get(path).text)
        assert page.xpath("//*[@onerror]") == []
        shown = page.xpath("//*[contains(@class, 'name')]") if path == "" else page.xpath("//*[@data-title]")
        assert " ".join(name.split()) in [" ".join(each.text_content().split()) for each in shown]
    if saved.problems == {}:
        assert badge_from_content(writer.stored().draft).name == name
        assert read_definition(catalog.export_badges(room.tool, room.id)[saved.slug], "f").name == name
        drawn = teacher.get(f"badges/{saved.slug}/picture.svg")
        assert drawn.status_code == 200 and "<img" not in drawn.text


def test_control_characters_and_halves_of_signs_are_left_out(room):  # noqa: F811
    writer = Writer(room)
    assert writer.type({"name": "a\x00b\x1b\ud83dc\r\nd"}).title == "abc\nd"


def test_a_line_break_in_a_name_is_told_at_the_name(room):  # noqa: F811
    saved = Writer(room).type({**WHOLE, "name": "a\nb", "description": "two\nlines"})
    assert list(saved.problems) == ["name"] and "one line" in saved.problems["name"]


def test_a_text_beyond_all_measure_is_refused_in_words(room):  # noqa: F811
    with pytest.raises(BadInput) as refused:
        Writer(room).type({"criteria": "x" * 40_000})
    assert "longer than" in refused.value.sentence


__all__ = ["row"]
