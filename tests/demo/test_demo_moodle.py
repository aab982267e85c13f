"""What the Moodle mood does as Moodle 4.5.6 was seen to do it."""

import jwt
import pytest
import requests
from conftest import LINEITEM, LINEITEMS, NRPS, SCOPE

from lti_tool.demo import SUBMISSION_REVIEW, AuthPage

CLAIM = "https://purl.imsglobal.org/spec/lti/claim/"
AGS = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership"


def claims_of(moodle, user, **options):
    token = moodle.lms.id_token(moodle.tool, user, moodle.course, nonce="n", **options)
    return jwt.decode(token, options={"verify_signature": False})


def students(moodle):
    return moodle.lms.people(moodle.course, "student")


def listed(moodle, query=""):
    return moodle.call("GET", moodle.lineitems_url + query, Accept=LINEITEMS)


# Launch


def test_a_token_lives_sixty_seconds_and_has_short_types_and_no_azp(moodle):
    claims = claims_of(moodle, students(moodle)[0])
    assert claims["exp"] - claims["iat"] == 60
    assert claims[CLAIM + "context"]["type"] == ["CourseSection"]
    assert "azp" not in claims
    assert claims[CLAIM + "roles"] == [MEMBERSHIP + "#Learner"]
    assert claims[CLAIM + "custom"]["resource_link_id_history"] == "$ResourceLink.id.history"
    assert "{link_id}" in claims[CLAIM + "custom"]["link_setting_url"]


def test_the_lineitem_claim_is_absent_there_or_empty(moodle):
    lms, student = moodle.lms, students(moodle)[0]
    assert "lineitem" not in claims_of(moodle, student)[AGS]
    link = lms.add_link(moodle.course, moodle.tool, "Portfolio", maximum=10)
    coupled = lms.column(moodle.course, str(link.column))
    assert claims_of(moodle, student, link=link)[AGS]["lineitem"] == lms.lineitem_url(coupled)
    moodle.create(resourceLinkId=link.id)
    assert "lineitem" not in claims_of(moodle, student, link=link)[AGS]
    assert moodle.call("DELETE", lms.lineitem_url(coupled)).status_code == 204
    assert claims_of(moodle, student, link=link)[AGS]["lineitem"] == ""


def test_a_non_editing_teacher_is_instructor_in_the_launch_and_learner_in_the_roster(moodle):
    assistant = moodle.lms.add_user(moodle.course, "ta")
    assert claims_of(moodle, assistant)[CLAIM + "roles"] == [MEMBERSHIP + "#Instructor"]
    members = moodle.call("GET", moodle.lms.memberships_url(moodle.course, moodle.tool)).json()["members"]
    assert [member["roles"] for member in members if member["user_id"] == assistant.id] == [["Learner"]]


def test_login_has_no_storage_target_and_a_missing_state_comes_back_empty(moodle):
    asked = moodle.lms.login_request(moodle.tool, students(moodle)[0], moodle.course)
    assert "lti_storage_target" not in asked
    form = moodle.lms.finish_auth(moodle.fake.auth_address(asked, state=None, prompt=None))["fields"]
    assert form["state"] == ""
    assert set(form) == {"id_token", "state"}


@pytest.mark.parametrize(
    "changes", [{"nonce": None}, {"redirect_uri": "http://evil.example/"}, {"lti_message_hint": "unknown"}]
)
def test_what_moodle_cannot_trust_gets_its_own_page(moodle, changes):
    asked = moodle.lms.login_request(moodle.tool, students(moodle)[0], moodle.course)
    answer = requests.get(moodle.fake.auth_address(asked, **changes).replace("lms.localhost", "localhost"), timeout=5)
    assert answer.status_code == 404


def test_a_query_on_the_redirect_uri_is_refused(moodle):
    asked = moodle.lms.login_request(moodle.tool, students(moodle)[0], moodle.course)
    with pytest.raises(AuthPage):
        moodle.lms.finish_auth(moodle.fake.auth_address(asked, redirect_uri=f"{moodle.fake.url}/launch?x=1"))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"login_hint": "1"}, "access_denied"),
        ({"client_id": "other"}, "unauthorized_client"),
        ({"scope": "profile"}, "invalid_request"),
    ],
)
def test_other_troubles_are_told_to_the_tool(moodle, changes, error):
    asked = moodle.lms.login_request(moodle.tool, students(moodle)[0], moodle.course)
    assert moodle.lms.finish_auth(moodle.fake.auth_address(asked, **changes))["fields"]["error"] == error


def test_a_student_can_have_a_review_of_somebody_else_signed(moodle):
    one, other = students(moodle)[:2]
    claims = claims_of(moodle, one, message_type=SUBMISSION_REVIEW, for_user=other)
    assert claims[CLAIM + "message_type"] == "LtiSubmissionReviewRequest"
    assert claims[CLAIM + "for_user"] == {"user_id": other.id}
    assert claims[CLAIM + "roles"] == [MEMBERSHIP + "#Learner"]


# Token


def test_a_token_comes_as_html_and_unknown_scopes_are_dropped(moodle):
    answer = moodle.ask_token(scope=f"{SCOPE}score made-up")
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.json()["scope"] == SCOPE + "score"
    assert moodle.ask_token(scope="made-up").json() == {"error": "invalid_scope"}


def test_audience_and_jti_are_not_checked(moodle):
    assert moodle.ask_token(aud="https://elsewhere.example", jti=None).status_code == 200


def test_an_unknown_kid_is_answered_with_broken_json(moodle):
    answer = moodle.ask_token(kid="unknown")
    assert answer.text == '{"error" : ""kid" invalid, unable to lookup correct key"}'
    with pytest.raises(ValueError):
        answer.json()


def test_an_expired_assertion_is_refused(moodle):
    assert moodle.ask_token(exp=1_000).json() == {"error": "Expired token"}


def test_the_tools_jwks_is_remembered_and_fetched_again_where_a_signature_fails(moodle):
    before = moodle.fake.jwks_asked
    moodle.ask_token()
    moodle.ask_token()
    assert moodle.fake.jwks_asked == before + 1
    moodle.lms.mood.tool_keys[(moodle.tool.client_id, moodle.fake.kid)] = moodle.lms.signing_key.private.public_key()
    assert moodle.ask_token().status_code == 200
    assert moodle.fake.jwks_asked == before + 2


# Line items


def test_the_list_needs_its_own_accept_header(moodle):
    assert moodle.call("GET", moodle.lineitems_url).status_code == 400
    refused = moodle.call("GET", moodle.lineitems_url, Accept="application/json")
    assert refused.json()["request"]["accept"] == "application/json"
    assert refused.json()["reason"] == "Bad Request"
    assert listed(moodle).json() == []


def test_a_line_item_is_posted_as_its_own_media_type_and_echoed(moodle):
    refused = moodle.call(
        "POST", moodle.lineitems_url, {"label": "x", "scoreMaximum": 1}, Content_Type="application/json"
    )
    assert refused.status_code == 400
    made = moodle.create("Listens", 3, tag="t", made_up="kept?")
    assert (made.status_code, made.json()["made_up"]) == (201, "kept?")
    assert made.json()["id"].endswith(f"/lineitem?type_id={moodle.tool.number}")
    assert listed(moodle).json() == [
        {"id": made.json()["id"], "label": "Listens", "scoreMaximum": 3, "resourceId": "", "tag": "t"}
    ]


def test_posting_needs_a_label_and_a_maximum_and_a_link_of_ones_own(moodle):
    refused = moodle.create(label="")
    assert (refused.status_code, refused.reason) == (400, "No label or Score Maximum")
    assert moodle.create(resourceLinkId="999999").status_code == 403
    assert moodle.create(label="x" * 300).status_code == 502


def test_the_link_header_has_curly_quotes_and_escaped_ampersands(moodle):
    for number in range(3):
        moodle.create(f"Column {number}")
    answer = listed(moodle, "&limit=2")
    header = answer.headers["Link"].encode("latin-1").decode()
    assert f"type_id={moodle.tool.number}&amp;limit=2&amp;from=2>; rel=“next”" in header
    assert "next" not in answer.links
    assert len(answer.json()) == 2
    assert len(listed(moodle, "&limit=2&from=2").json()) == 1


def test_put_clears_what_it_leaves_out_and_needs_label_and_maximum(moodle):
    item = moodle.create(tag="t", resourceId="r").json()["id"]
    assert moodle.call("PUT", item, {"label": "x"}, Content_Type=LINEITEM).status_code == 400
    put = moodle.call("PUT", item, {"label": "New", "scoreMaximum": 4}, Content_Type=LINEITEM).json()
    assert (put["label"], put["tag"], put["resourceId"]) == ("New", "", "")


def test_another_maximum_rescales_and_makes_zeros_of_missing_grades(moodle, clock):
    item, (one, two, _) = moodle.create(maximum=4, tag="t").json()["id"], students(moodle)
    moodle.score(item, one, 2)
    moodle.score(item, two, grading="Pending")
    moodle.call("PUT", item, {"label": "x", "scoreMaximum": 10, "tag": "t"}, Content_Type=LINEITEM)
    scores = {row["userId"]: row["resultScore"] for row in moodle.results(item).json()}
    assert scores == {one.id: 5, two.id: 0}


def test_patch_is_not_allowed(moodle):
    assert moodle.call("PATCH", moodle.create().json()["id"]).status_code == 405


# Scores and results


def test_a_score_answers_nothing_and_is_rounded_to_five_decimals(moodle):
    item, student = moodle.create(maximum=4).json()["id"], students(moodle)[0]
    answer = moodle.score(item, student, 2.345678)
    assert (answer.status_code, answer.text) == (200, "")
    row = moodle.results(item).json()[0]
    assert (row["resultScore"], row["resultMaximum"]) == (2.34568, 4)
    assert row["timestamp"].endswith("+00:00")
    assert row["scoreOf"] == item
    assert row["id"].endswith(f"/results?type_id={moodle.tool.number}&user_id={student.id}")


def test_scores_are_clipped_to_the_columns_ends(moodle, clock):
    item, student = moodle.create(maximum=4, tag="t").json()["id"], students(moodle)[0]
    moodle.score(item, student, 5, 4)
    assert moodle.lms.score_of(moodle.course, "t", student) == 4
    clock.ahead = 2
    moodle.score(item, student, -1, 4)
    assert moodle.lms.score_of(moodle.course, "t", student) == 0


def test_a_timestamp_within_the_second_of_the_last_change_is_a_conflict(moodle, clock):
    item, student = moodle.create(tag="t").json()["id"], students(moodle)[0]
    moodle.lms.grade(moodle.course, "t", student, 3)
    refused = moodle.score(item, student, 1)
    assert refused.status_code == 409
    assert refused.reason.startswith("Refusing score with an earlier timestamp for item ")
    clock.ahead = 1.5
    assert moodle.score(item, student, 1).status_code == 200
    assert moodle.lms.score_of(moodle.course, "t", student) == 1


def test_a_pending_score_erases_the_grade_of_an_own_column(moodle, clock):
    item, student = moodle.create(tag="t").json()["id"], students(moodle)[0]
    moodle.score(item, student, 3)
    clock.ahead = 2
    moodle.score(item, student, grading="Pending")
    assert moodle.results(item).json() == [{"id": moodle.results(item).json()[0]["id"], "userId": student.id}]


def test_on_a_coupled_column_the_teachers_grade_stays_and_pending_removes_the_learner(moodle, clock):
    link = moodle.lms.add_link(moodle.course, moodle.tool, "Portfolio", maximum=4)
    column = moodle.lms.column(moodle.course, str(link.column))
    item, (one, two, _) = moodle.lms.lineitem_url(column), students(moodle)
    moodle.lms.grade(moodle.course, column, one, 3)
    clock.ahead = 2
    assert moodle.score(item, one, 1).status_code == 200
    assert moodle.lms.score_of(moodle.course, column, one) == 3
    moodle.score(item, two, 2)
    moodle.score(item, two, grading="Pending", moment=clock() + 2)
    assert [row["userId"] for row in moodle.results(item).json()] == [one.id]


def test_who_cannot_be_scored_is_told_in_the_reason_phrase(moodle):
    item = moodle.create().json()["id"]
    teacher = moodle.lms.people(moodle.course, "instructor")[0]
    refused = moodle.score(item, teacher, 1)
    assert (refused.status_code, refused.text) == (400, "[]")
    assert refused.reason.startswith("Incorrect score received{")


def test_a_suspended_learner_can_be_scored_but_is_not_in_the_roster(moodle):
    item, student = moodle.create().json()["id"], students(moodle)[0]
    moodle.lms.suspend(moodle.course, student)
    assert moodle.score(item, student, 1).status_code == 200
    members = moodle.call("GET", moodle.lms.memberships_url(moodle.course, moodle.tool)).json()["members"]
    assert student.id not in [member["user_id"] for member in members]


def test_a_limit_on_results_is_a_page_not_found(moodle):
    item = moodle.create().json()["id"]
    broken = moodle.results(item, limit=10)
    assert broken.status_code == 404
    assert broken.headers["Content-Type"].startswith("text/html")
    assert moodle.results(item).json() == []


def test_a_tool_with_the_score_scope_only_cannot_list(moodle):
    moodle.token = moodle.ask_token(scope=SCOPE + "score").json()["access_token"]
    refused = listed(moodle)
    assert (refused.status_code, refused.json()["status"], refused.json()["reason"]) == (401, 401, "Unauthorized")


# Roster


def test_the_roster_is_one_page_unless_limited_and_has_short_roles(moodle):
    url = moodle.lms.memberships_url(moodle.course, moodle.tool)
    whole = moodle.call("GET", url)
    assert "Link" not in whole.headers
    assert {role for member in whole.json()["members"] for role in member["roles"]} == {"Learner", "Instructor"}
    page = moodle.call("GET", f"{url}?limit=3")
    assert page.headers["Link"] == f'<{url}?limit=3&from=3>; rel="next"'
    assert "next" not in moodle.call("GET", page.links["next"]["url"]).links


def test_roles_filter_short_and_long_and_unknown_ones_give_everybody(moodle):
    url = moodle.lms.memberships_url(moodle.course, moodle.tool)
    counts = [
        len(moodle.call("GET", f"{url}?role={role}").json()["members"])
        for role in ("Learner", f"{MEMBERSHIP}%23Learner", "Nonsense")
    ]
    assert counts == [3, 3, 4]
    assert moodle.call("GET", url, Accept="application/json").status_code == 400
    assert NRPS in moodle.tool.scopes
