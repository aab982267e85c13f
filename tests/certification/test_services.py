"""1EdTech's certification of NRPS and AGS, rows A38 to A43: what the platform sees of our requests."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from lti_tool.lti import ags, nrps


def test_a39_the_roster_is_asked_at_the_address_as_given(room):
    nrps.memberships(room.service(), room.memberships_url)
    (request,) = room.asked("memberships")
    assert request.method == "GET"
    assert room.memberships_url.endswith(request.path)
    assert request.query in ("", "limit=50")


def test_a40_the_roster_is_asked_with_its_media_type(room):
    nrps.memberships(room.service(), room.memberships_url)
    (request,) = room.asked("memberships")
    assert request.accept == "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"


def test_a41_a42_a_fresh_token_with_the_roster_scope_and_no_other_is_used(room):
    nrps.memberships(room.service(), room.memberships_url)
    assert len(room.asked("token")) == 1
    (request,) = room.asked("memberships")
    token = request.authorization.removeprefix("Bearer ")
    assert room.lms.access[token].scopes == [nrps.MEMBERSHIPS_READ]


def test_a43_a_column_is_made_a_score_posted_and_its_result_read_back(room):
    service = room.service()
    column = ags.create_line_item(
        service, room.line_items_url, label="Listens", maximum=4, resource_id="badge:oral", tag="sub-competency:OC-1"
    )
    assert column.label == "Listens" and column.maximum == 4
    student = room.students[0]
    ags.post_score(service, column.url, user_id=student.id, points=3, maximum=4, timestamp=datetime.now(UTC))

    made = json.loads(next(r for r in room.asked("lineitems") if r.method == "POST").body)
    assert made["label"] == "Listens" and made["scoreMaximum"] > 0
    score = json.loads(room.asked("scores")[0].body)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", score["timestamp"])
    assert (score["activityProgress"], score["gradingProgress"]) == ("Completed", "FullyGraded")
    (result,) = ags.results(service, column.url)
    assert result.user_id == student.id
    assert result.values["resultScore"] / result.values["resultMaximum"] == 3 / 4
