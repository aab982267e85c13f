"""What the Canvas mood does as Canvas does it."""

import jwt
import pytest
import requests
from conftest import LINEITEM, NRPS, SCOPE, iso

from lti_tool.demo import AuthPage

CLAIM = "https://purl.imsglobal.org/spec/lti/claim/"
AGS = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership"
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"


def claims_of(canvas, user, course=None, **options):
    token = canvas.lms.id_token(canvas.tool, user, course, nonce="n", **options)
    return jwt.decode(token, options={"verify_signature": False})


def students(canvas):
    return canvas.lms.people(canvas.course, "student")


# Launch


def test_a_navigation_launch_has_the_context_as_its_resource_link(canvas):
    claims = claims_of(canvas, students(canvas)[0], canvas.course)
    assert claims[CLAIM + "resource_link"]["id"] == claims[CLAIM + "context"]["id"] == canvas.course.id
    assert claims["https://www.instructure.com/placement"] == "course_navigation"
    assert "lineitem" not in claims[AGS]


def test_an_assignment_launch_has_its_line_item_and_no_placement(canvas):
    link = canvas.lms.add_link(canvas.course, canvas.tool, "Portfolio", maximum=10)
    claims = claims_of(canvas, students(canvas)[0], canvas.course, link=link)
    assert claims["https://www.instructure.com/placement"] is None
    assert claims[AGS]["lineitem"].endswith(f"/line_items/{link.column}")


def test_a_launch_from_the_account_has_no_course_services(canvas):
    claims = claims_of(canvas, students(canvas)[0], None)
    assert claims[CLAIM + "context"]["type"] == ["Account"]
    assert AGS not in claims
    assert not [role for role in claims[CLAIM + "roles"] if role.startswith(MEMBERSHIP)]


def test_unknown_variables_come_as_they_are_written_and_numbers_as_numbers(canvas):
    custom = claims_of(canvas, students(canvas)[0], canvas.course)[CLAIM + "custom"]
    assert custom["canvas_assignment_id"] == "$Canvas.assignment.id"
    assert custom["canvas_user_id"] == students(canvas)[0].number


def test_an_administrator_who_is_not_enrolled_has_no_membership_role(canvas):
    admin = canvas.lms.user("admin1")
    roles = claims_of(canvas, admin, canvas.course)[CLAIM + "roles"]
    assert "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Administrator" in roles
    assert not [role for role in roles if role.startswith(MEMBERSHIP)]


def test_an_anonymous_tool_gets_no_names(canvas):
    canvas.tool.privacy = "anonymous"
    assert not {"name", "email", "given_name", "picture"} & claims_of(canvas, students(canvas)[0], canvas.course).keys()


def test_a_missing_parameter_is_told_to_the_tool_by_a_form(canvas):
    asked = canvas.lms.login_request(canvas.tool, students(canvas)[0], canvas.course)
    answer = canvas.lms.finish_auth(canvas.fake.auth_address(asked, nonce=None))
    assert answer["fields"]["error"] == "invalid_request_object"
    assert answer["fields"]["state"] == "state-1"


def test_a_hint_is_good_once_and_for_five_minutes(canvas, clock):
    asked = canvas.lms.login_request(canvas.tool, students(canvas)[0], canvas.course)
    assert "id_token" in canvas.lms.finish_auth(canvas.fake.auth_address(asked))["fields"]
    assert canvas.lms.finish_auth(canvas.fake.auth_address(asked))["fields"]["error"] == "launch_no_longer_valid"
    late = canvas.lms.login_request(canvas.tool, students(canvas)[0], canvas.course)
    clock.ahead = 301
    assert canvas.lms.finish_auth(canvas.fake.auth_address(late))["fields"]["error"] == "launch_no_longer_valid"


def test_a_query_on_the_redirect_uri_is_ignored_and_another_address_is_refused(canvas):
    asked = canvas.lms.login_request(canvas.tool, students(canvas)[0], canvas.course)
    address = canvas.fake.auth_address(asked, redirect_uri=f"{canvas.fake.url}/launch?x=1")
    assert "id_token" in canvas.lms.finish_auth(address)["fields"]
    with pytest.raises(AuthPage):
        canvas.lms.finish_auth(canvas.fake.auth_address(asked, redirect_uri="http://evil.example/launch"))


def test_storage_is_offered_in_a_frame_and_not_in_a_window(canvas):
    framed = canvas.lms.login_request(canvas.tool, students(canvas)[0], canvas.course)
    window = canvas.lms.login_request(canvas.tool, students(canvas)[0], canvas.course, window=True)
    assert framed["lti_storage_target"] == "post_message_forwarding"
    assert "lti_storage_target" not in window


def test_three_keys_are_published_and_the_middle_one_signs(canvas):
    listed = requests.get(canvas.lms.jwks_url, timeout=5)
    assert listed.headers["Cache-Control"] == "max-age=864000"
    kids = [key["kid"] for key in listed.json()["keys"]]
    assert len(kids) == 3
    token = canvas.lms.id_token(canvas.tool, students(canvas)[0], canvas.course, nonce="n")
    assert jwt.get_unverified_header(token)["kid"] == kids[1]
    canvas.lms.rotate_keys()
    token = canvas.lms.id_token(canvas.tool, students(canvas)[0], canvas.course, nonce="n")
    assert jwt.get_unverified_header(token)["kid"] == kids[2]


# Token


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"aud": "https://elsewhere.example/token"}, "the 'aud' is invalid"),
        ({"jti": None}, "the following assertions are missing: jti"),
        ({"iat": 1_000}, "the 'iat' is invalid"),
        ({"exp": 1_000}, "the 'exp' is invalid"),
        ({"iss": "someone"}, "the 'iss' is invalid"),
        ({"kid": "unknown"}, "JWK Error: kid not found"),
    ],
)
def test_a_wrong_assertion_is_refused_with_canvas_words(canvas, changes, words):
    answer = canvas.ask_token(**changes)
    assert (answer.status_code, answer.json()["error_description"]) == (400, words)


def test_a_token_lives_an_hour_and_the_jwks_is_fetched_each_time(canvas, clock):
    before = canvas.fake.jwks_asked
    answer = canvas.ask_token().json()
    canvas.ask_token()
    assert canvas.fake.jwks_asked == before + 2
    assert (answer["expires_in"], answer["token_type"]) == (3600, "Bearer")
    canvas.token = answer["access_token"]
    clock.ahead = 3601
    refused = canvas.call("GET", canvas.lineitems_url)
    assert refused.status_code == 401
    assert refused.json() == {"errors": {"type": "unauthorized", "message": "Access token expired"}}


def test_one_scope_too_many_refuses_the_whole_request(canvas):
    canvas.tool.scopes = [SCOPE + "lineitem"]
    assert canvas.ask_token(scope=f"{SCOPE}lineitem {SCOPE}score").json()["error"] == "invalid_scope"
    assert canvas.ask_token(scope=f"{SCOPE}lineitem").status_code == 200


# Line items


def test_line_items_come_ten_at_a_time_with_links(canvas):
    for number in range(12):
        canvas.lms.add_column(canvas.course, f"Column {number}", 4, client_id=canvas.tool.client_id, tag="t")
    first = canvas.call("GET", f"{canvas.lineitems_url}?tag=t")
    assert first.headers["Content-Type"] == "application/vnd.ims.lis.v2.lineitemcontainer+json"
    assert len(first.json()) == 10
    second = canvas.call("GET", first.links["next"]["url"])
    assert len(second.json()) == 2
    assert "next" not in second.links
    assert len(canvas.call("GET", f"{canvas.lineitems_url}?limit=100").json()) == 12
    assert canvas.call("GET", f"{canvas.lineitems_url}?page=9").json() == []


def test_a_tool_lists_only_what_its_client_id_made(canvas, fake):
    lms, other = canvas.lms, canvas.lms.register_tool("http://x/l", "http://x/l", f"{fake.url}/jwks")
    foreign = lms.add_column(canvas.course, "Theirs", 5, client_id=other.client_id)
    lms.add_column(canvas.course, "The teacher's", 5)
    assert canvas.call("GET", canvas.lineitems_url).json() == []
    answer = canvas.call("GET", lms.lineitem_url(foreign))
    assert (answer.status_code, answer.json()["errors"]["type"]) == (412, "precondition_failed")


def test_a_posted_line_item_is_a_column_and_leaves_out_what_is_not_set(canvas):
    made = canvas.create("Listens", 4, tag="listens", resourceId="badge:1")
    assert made.status_code == 201
    assert made.headers["Content-Type"] == LINEITEM
    assert made.json()["scoreMaximum"] == 4.0 and "4.0" in made.text
    assert made.json()["https://canvas.instructure.com/lti/submission_type"] == {"type": "none"}
    assert "resourceLinkId" not in made.json()
    assert canvas.lms.column(canvas.course, "listens").maximum == 4


def test_an_unknown_submission_type_is_refused(canvas):
    answer = canvas.create(**{"https://canvas.instructure.com/lti/submission_type": {"type": "online_upload"}})
    assert answer.json() == {"error": "Invalid submission_type for new assignment: online_upload"}


def test_a_coupled_line_item_cannot_be_deleted_and_an_own_one_can(canvas):
    link = canvas.lms.add_link(canvas.course, canvas.tool, "Portfolio", maximum=10)
    coupled = canvas.lms.lineitem_url(canvas.lms.column(canvas.course, str(link.column)))
    refused = canvas.call("DELETE", coupled)
    assert (refused.status_code, refused.text) == (401, "")
    own = canvas.create().json()["id"]
    assert canvas.call("DELETE", own).status_code == 204
    assert canvas.call("GET", own).status_code == 404


def test_a_second_line_item_on_a_link_is_no_gradebook_column(canvas):
    link = canvas.lms.add_link(canvas.course, canvas.tool, "Portfolio", maximum=10)
    assert canvas.create(resourceLinkId=link.id).status_code == 201
    assert canvas.lms.columns(canvas.course)[-1].extra
    assert canvas.create(resourceLinkId="not-there").status_code == 404


# Results and scores


def test_a_teachers_grade_is_a_result_at_once_without_comment_or_time(canvas):
    item, student = canvas.create(tag="t").json()["id"], students(canvas)[0]
    canvas.lms.grade(canvas.course, "t", student, 3, comment="Well done")
    assert canvas.results(item).json() == [
        {
            "id": canvas.results(item).json()[0]["id"],
            "scoreOf": item,
            "userId": student.id,
            "resultScore": 3.0,
            "resultMaximum": 4.0,
        }
    ]


def test_a_grade_taken_away_leaves_a_result_without_a_score(canvas):
    item, student = canvas.create(tag="t").json()["id"], students(canvas)[0]
    canvas.lms.grade(canvas.course, "t", student, 3)
    canvas.lms.grade(canvas.course, "t", student, None)
    assert "resultScore" not in canvas.results(item).json()[0]


def test_a_teachers_grade_keeps_the_scale_of_the_tools_first_score(canvas):
    item, student = canvas.create(maximum=5, tag="t").json()["id"], students(canvas)[0]
    canvas.score(item, student, 1, 1)
    canvas.lms.grade(canvas.course, "t", student, 4)
    result = canvas.results(item).json()[0]
    assert (result["resultScore"], result["resultMaximum"]) == (0.8, 1.0)


def test_a_score_answers_with_its_result_and_scales_into_the_column(canvas):
    item, student = canvas.create(maximum=10, tag="t").json()["id"], students(canvas)[0]
    answer = canvas.score(item, student, 3, 4, comment="good")
    assert answer.status_code == 200
    assert canvas.call("GET", answer.json()["resultUrl"]).json()["comment"] == "good"
    assert canvas.lms.score_of(canvas.course, "t", student) == 7.5


def test_another_grading_progress_erases_a_teachers_grade_unless_it_is_to_be_kept(canvas, clock):
    item, student = canvas.create(tag="t").json()["id"], students(canvas)[0]
    canvas.lms.grade(canvas.course, "t", student, 3)
    clock.ahead = 1
    extension = {"https://canvas.instructure.com/lti/submission": {"preserve_score": True}}
    canvas.score(item, student, grading="Pending", **extension)
    assert canvas.lms.score_of(canvas.course, "t", student) == 3
    canvas.score(item, student, grading="Pending")
    assert canvas.lms.score_of(canvas.course, "t", student) is None


def test_a_teachers_grade_is_kept_where_it_is_to_come_first(canvas, clock):
    item, student = canvas.create(tag="t").json()["id"], students(canvas)[0]
    canvas.lms.grade(canvas.course, "t", student, 3)
    clock.ahead = 1
    extension = {"https://canvas.instructure.com/lti/submission": {"prioritize_non_tool_grade": True}}
    canvas.score(item, student, 1, **extension)
    assert canvas.lms.score_of(canvas.course, "t", student) == 3
    canvas.score(item, student, 1)
    assert canvas.lms.score_of(canvas.course, "t", student) == 1


def test_an_older_timestamp_is_refused_and_an_equal_one_is_not(canvas, clock):
    item, student, now = canvas.create().json()["id"], students(canvas)[0], clock()
    assert canvas.score(item, student, 1, moment=now).status_code == 200
    assert canvas.score(item, student, 2, moment=now).status_code == 200
    late = canvas.score(item, student, 2, moment=now - 5)
    assert late.status_code == 400
    assert f"Provided timestamp of {iso(now - 5)} before last updated timestamp" in late.json()["errors"]["message"]


def test_what_canvas_cannot_process_is_422_with_its_reason(canvas):
    item, student = canvas.create(tag="t").json()["id"], students(canvas)[0]
    teacher = canvas.lms.people(canvas.course, "instructor")[0]
    assert "is not a student" in canvas.score(item, teacher, 1).json()["errors"]["message"]
    assert canvas.score(item, student, 1, None).status_code == 422
    assert canvas.score(item, student, -1).status_code == 422
    canvas.lms.publish_column(canvas.course, "t", published=False)
    assert canvas.score(item, student, 1).json()["errors"]["message"] == "This assignment is still unpublished"


def test_a_concluded_course_refuses_every_call_to_its_gradebook(canvas):
    item = canvas.create().json()["id"]
    canvas.lms.conclude_course(canvas.course)
    for answer in (canvas.call("GET", canvas.lineitems_url), canvas.results(item)):
        assert answer.status_code == 422
        assert answer.json()["errors"]["type"] == "unprocessable_entity"
        assert answer.json()["errors"]["message"].startswith("This course has concluded.")


def test_a_course_without_the_tool_answers_401(canvas):
    canvas.create()
    canvas.lms.withdraw_tool(canvas.course, canvas.tool)
    answer = canvas.call("GET", canvas.lineitems_url)
    assert answer.status_code == 401
    assert answer.json()["errors"]["message"] == "Access Token not linked to a Tool associated with this Context"


def test_the_test_student_is_in_the_list_of_results_but_not_alone(canvas):
    ghost = canvas.lms.add_user(canvas.course, "test", username=f"ghost{canvas.course.number}")
    item = canvas.create(tag="t").json()["id"]
    canvas.lms.grade(canvas.course, "t", ghost, 4)
    assert [row["userId"] for row in canvas.results(item).json()] == [ghost.id]
    assert canvas.results(item, user_id=ghost.id).json() == []


# Roster


def test_the_roster_comes_fifty_at_a_time_with_membership_roles_only(canvas):
    for _ in range(55):
        canvas.lms.add_user(canvas.course, "student")
    canvas.lms.add_user(canvas.course, "test", username=f"ghost{canvas.course.number}")
    first = canvas.call("GET", canvas.lms.memberships_url(canvas.course, canvas.tool) + "?limit=200")
    assert first.headers["Content-Type"] == "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
    second = canvas.call("GET", first.links["next"]["url"])
    members = first.json()["members"] + second.json()["members"]
    assert (len(first.json()["members"]), len(members)) == (50, 60)
    assert members[0]["roles"] == [MEMBERSHIP + "#Instructor"]
    assert members[-1]["roles"] == [MEMBERSHIP + "#Learner", TEST_USER]


def test_who_left_is_not_in_the_roster_and_rlid_gives_custom_values(canvas):
    gone, stays = students(canvas)[:2]
    canvas.lms.unenrol(canvas.course, gone)
    url = canvas.lms.memberships_url(canvas.course, canvas.tool)
    members = canvas.call("GET", f"{url}?rlid={canvas.course.id}&role={MEMBERSHIP}%23Learner").json()["members"]
    assert gone.id not in [member["user_id"] for member in members]
    custom = next(member for member in members if member["user_id"] == stays.id)["message"][0][CLAIM + "custom"]
    assert custom["canvas_user_id"] == stays.number
    assert canvas.call("GET", f"{url}?rlid=nothing").status_code == 400


def test_a_token_without_the_scope_is_refused(canvas):
    token = canvas.ask_token(scope=SCOPE + "score").json()["access_token"]
    answer = canvas.call("GET", canvas.lms.memberships_url(canvas.course, canvas.tool), token=token)
    assert (answer.status_code, answer.json()["errors"]["message"]) == (401, "Insufficient permissions")
    assert NRPS in canvas.tool.scopes


def test_a_copied_course_has_new_ids_and_the_same_tags(canvas):
    item = canvas.create(tag="t", resourceId="badge:1").json()["id"]
    copy = canvas.lms.copy_course(canvas.course)
    listed = canvas.call("GET", canvas.lms.lineitems_url(copy, canvas.tool)).json()
    assert [(row["tag"], row["resourceId"], row["id"] == item) for row in listed] == [("t", "badge:1", False)]
    assert canvas.results(listed[0]["id"]).json() == []
    custom = claims_of(canvas, canvas.lms.people(copy)[0], copy)[CLAIM + "custom"]
    assert custom["context_id_history"] == canvas.course.id
