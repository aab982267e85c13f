"""The answer to a deep linking request, as the lti room makes it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from lti_tool.lti.claims import DeepLinking
from lti_tool.lti.deep_linking import NewLineItem, ResourceLinkItem, content_item, response_jwt

SETTINGS = DeepLinking(
    return_url="https://lms.example/back",
    accept_types=("ltiResourceLink",),
    accept_targets=("iframe",),
    accept_multiple=False,
    accept_line_item=None,
    auto_create=False,
    title=None,
    text=None,
    data=None,
)
COLUMN = NewLineItem("OC-1 Listens", Decimal("2.5"), "badge:oral", "sub-competency:OC-1")
ITEM = ResourceLinkItem("OC-1 Listens", "", "https://tool.example/lti/launch", {"badge": "oral"}, line_item=COLUMN)


@pytest.mark.parametrize(("accepted", "sent"), [(True, True), (None, True), (False, False)])
def test_a37_a_line_item_is_sent_unless_the_platform_says_no(accepted, sent):
    assert ("lineItem" in content_item(ITEM, replace(SETTINGS, accept_line_item=accepted))) is sent


def test_a37_more_than_one_item_is_never_signed_for_a_platform_that_takes_one(room):
    with pytest.raises(ValueError, match="takes one"):
        response_jwt(room.registration, "1", SETTINGS, [ITEM, ITEM], key=room.key, now=datetime.now(UTC))


def test_titles_and_labels_stay_within_what_an_lms_holds():
    long = replace(ITEM, title="x" * 300, line_item=replace(COLUMN, label="y" * 300))
    item = content_item(long, SETTINGS)
    assert (len(item["title"]), len(item["lineItem"]["label"])) == (255, 255)


def test_what_there_is_none_of_is_left_out():
    assert set(content_item(ResourceLinkItem("Badges", "", "https://t.example/"), SETTINGS)) == {
        "type",
        "title",
        "url",
        "iframe",
    }
