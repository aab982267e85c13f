"""The pages a person clicks: who to be, the course around the tool, the gradebook, the fault switches."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from . import launches, platform, registration
from .faults import KINDS, SERVICES
from .records import Column, Course, Tool, User

if TYPE_CHECKING:
    from .lms import Lms

ROLE_WORDS = {
    "instructor": "Instructor",
    "ta": "Teaching assistant",
    "student": "Student",
    "test": "Test student",
    "observer": "Observer",
    "designer": "Designer",
}
SECURITY = "default-src 'self'; frame-src *; img-src 'self' data:; object-src 'none'; base-uri 'none'"


def protect(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = SECURITY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "strict-origin-when-cross-origin"
    if response.mimetype == "text/html":
        response.headers["Cache-Control"] = "no-store"  # a launch form in a cache could only be used once
    return response


def site(lmses: list[Lms]) -> Blueprint:
    """Make the entrance, where a person picks a mood and who to be."""
    routes = Blueprint("site", __name__)
    routes.after_app_request(protect)

    @routes.get("/")
    def home() -> AnyResponse | str:
        elsewhere = other_host(lmses[0])
        return elsewhere or render_template("home.html", lmses=lmses, entrances=[entrance(lms) for lms in lmses])

    return routes


def entrance(lms: Lms) -> dict[str, Any]:
    """List who can be entered as, by kind."""
    course = next(iter(lms.courses.values()), None)
    if course is None:
        return {"lms": lms, "course": None}
    return {
        "lms": lms,
        "course": course,
        "instructors": lms.people(course, "instructor"),
        "assistants": lms.people(course, "ta"),
        "students": lms.people(course, "student"),
        "test": lms.people(course, "test"),
        "admins": [user for user in lms.users.values() if user.admin],
    }


def other_host(lms: Lms) -> AnyResponse | None:
    """Send a browser from localhost to lms.localhost, where the cookie lives."""
    wanted = urlsplit(lms.browser_root)
    if request.host != wanted.netloc and request.method == "GET":
        return redirect(f"{wanted.scheme}://{wanted.netloc}{request.full_path.rstrip('?')}")
    return None


def who(lms: Lms) -> User | None:
    """Tell who is looking: `as` in the address, so that two tabs can be two people, else the cookie."""
    name = request.values.get("as") or request.cookies.get(f"demo_{lms.name}")
    return lms.users.get(name or "")


def can_grade(lms: Lms, course: Course, user: User) -> bool:
    return user.admin or lms.role(course, user) in ("instructor", "ta")


def role_words(lms: Lms, course: Course, user: User) -> str:
    return "Administrator" if user.admin else ROLE_WORDS.get(lms.role(course, user) or "", "Not enrolled")


def find_course(lms: Lms, number: str) -> Course:
    try:
        return lms.course(number)
    except KeyError:
        abort(404)


def number_asked(text: str) -> float | None:
    """Read a grade as typed, with comma or point; empty is none. Raises ValueError."""
    text = text.strip().replace(",", ".")
    if not text:
        return None
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def shown(value: float | None) -> str:
    """Write points without a needless .0."""
    return "" if value is None else f"{value:.5f}".rstrip("0").rstrip(".")


def blueprint(lms: Lms) -> Blueprint:
    """Make the pages of one LMS."""
    routes = Blueprint(f"{lms.name}_pages", __name__, url_prefix=f"/{lms.name}")

    @routes.before_request
    def find_person() -> AnyResponse | None:
        g.user = who(lms)
        if request.endpoint and request.endpoint.endswith((".enter", ".forwarding", ".faults", ".comeback")):
            return None
        return other_host(lms) or (None if g.user else redirect(url_for("site.home")))

    def address(page: str, **values: Any) -> str:
        """Address a page of this LMS, keeping who is looking."""
        if g.get("user"):
            values["as"] = g.user.id
        return url_for(f"{lms.name}_pages.{page}", **values)

    @routes.context_processor
    def names() -> dict[str, Any]:
        return {
            "lms": lms,
            "here": address,
            "user": g.get("user"),
            "shown": shown,
            "role_words": lambda course, user: role_words(lms, course, user),
            "can_grade": lambda course: can_grade(lms, course, g.user),
        }

    @routes.route("/enter", methods=["GET", "POST"])
    def enter() -> AnyResponse:
        user = lms.users.get(request.values.get("user", ""))
        if user is None:
            return redirect(url_for("site.home"))
        course = request.values.get("course") or next(iter(lms.courses.values())).id
        number = find_course(lms, course).number
        page = redirect(f"{lms.browser_root}/course/{number}?as={user.id}", 303)
        # SameSite=None needs Secure, which browsers take from *.localhost over http too. The tool's frame comes
        # back to the login page from another site, where a Lax cookie would be missing.
        page.set_cookie(f"demo_{lms.name}", user.id, secure=True, httponly=True, samesite="None")
        return page

    @routes.get("/course/<number>")
    def course(number: str) -> str:
        found = find_course(lms, number)
        return render_template(
            "course.html",
            course=found,
            tools=tools_in(found),
            others=others(found),
            mine=[one for one in lms.courses.values() if one is not found and (g.user.admin or lms.role(one, g.user))],
            links=[
                (link, lms.columns_by_number.get(link.column or 0))
                for link in lms.links_of(found)
                if not link.navigation
            ],
            frame=frame_address(found),
            notice=request.args.get("lti_msg"),
            trouble=request.args.get("lti_errormsg"),
        )

    @routes.post("/course/<number>/publish")
    def publish(number: str) -> AnyResponse:
        """Publish an assignment, as a Canvas teacher does once a deep link has made it."""
        found = find_course(lms, number)
        if not can_grade(lms, found, g.user):
            abort(403)
        try:
            lms.publish_column(found, request.form.get("column", ""))
        except KeyError:
            abort(404)
        return redirect(address("course", number=number), 303)

    def tools_in(course: Course) -> list[Tool]:
        usable = [tool for tool in lms.tools.values() if tool.active and tool.shown and tool.deployment_ids]
        return [tool for tool in usable if tool.client_id not in course.withdrawn]

    def others(course: Course) -> list[tuple[str, User]]:
        """Give one person of each other kind, to open the course as."""
        found = {
            role_words(lms, course, person): person
            for person in reversed([*lms.people(course), *[one for one in lms.users.values() if one.admin]])
        }
        order = ["Instructor", "Teaching assistant", "Student", "Test student", "Administrator"]
        mine = role_words(lms, course, g.user)
        return [(word, found[word]) for word in order if word in found and word != mine]

    def frame_address(course: Course) -> str:
        kept = {
            name: request.args[name]
            for name in ("tool", "link", "message", "for", "deployment", "placement")
            if name in request.args
        }
        return address("launch", number=course.number, **kept)

    @routes.get("/course/<number>/launch")
    def launch(number: str) -> Response | str:
        return start_launch(find_course(lms, number))

    @routes.get("/profile/launch")
    def account_launch() -> Response | str:
        return start_launch(None)

    def start_launch(course: Course | None) -> Response | str:
        asked = request.args
        usable = tools_in(course) if course is not None else [one for one in lms.tools.values() if one.deployment_ids]
        tool = lms.tools.get(asked.get("tool", "")) or next(iter(usable), None)
        if tool is None or asked.get("link", "") not in ("", *lms.links):
            abort(404)
        fields = lms.login_request(
            tool,
            g.user,
            course,
            message_type=asked.get("message") or launches.RESOURCE_LINK,
            link=asked.get("link") or None,
            deployment_id=asked.get("deployment"),
            window="window" in asked,
            # Moodle signs a review of anybody for anybody who asks; so does this page.
            for_user=lms.users.get(asked.get("for", "")),
            placement=asked.get("placement") or (None if course else "user_navigation"),
        )
        return render_template("post.html", target=tool.login_url, fields=fields, words=f"Opening {tool.name}")

    @routes.get("/profile")
    def profile() -> str:
        return render_template("profile.html", frame=address("account_launch"))

    @routes.post("/course/<number>/copy")
    def copy(number: str) -> AnyResponse | tuple[str, int]:
        found = find_course(lms, number)
        if not can_grade(lms, found, g.user):
            return render_template("refused.html", sentence="Only instructors copy a course.", course=found), 403
        count = 1 + sum(one.label.startswith(f"{found.label} ") for one in lms.courses.values())
        label = f"{found.label} copy" if count == 1 else f"{found.label} copy {count}"
        made = lms.copy_course(found, label, learners="learners" in request.form)
        return redirect(address("course", number=made.number), 303)

    @routes.get("/course/<number>/people")
    def people(number: str) -> str:
        return render_template("people.html", course=find_course(lms, number), page="people")

    @routes.route("/course/<number>/gradebook", methods=["GET", "POST"])
    def gradebook(number: str) -> AnyResponse | str | tuple[str, int]:
        found = find_course(lms, number)
        if not can_grade(lms, found, g.user):
            return render_template(
                "refused.html", sentence="Only instructors and teaching assistants see the gradebook.", course=found
            ), 403
        columns = [column for column in lms.columns(found) if not column.extra]
        wrong: dict[str, str] = {}
        if request.method == "POST":
            wrong = save_grades(found, columns)
            if not wrong:
                return redirect(address("gradebook", number=number, saved=1), 303)
        page = render_template(
            "gradebook.html",
            course=found,
            columns=columns,
            learners=lms.learners(found),
            page="gradebook",
            wrong=wrong,
            saved="saved" in request.args,
        )
        return (page, 422) if wrong else page

    def save_grades(course: Course, columns: list[Column]) -> dict[str, str]:
        """Store what was changed; gives the inputs that are not numbers, as typed."""
        wrong = {}
        for column in columns:
            for user in lms.learners(course):
                name = f"grade-{column.number}-{user.id}"
                if name not in request.form:
                    continue
                typed, was = request.form[name], request.form.get(f"was-{name}")
                now = shown(lms.score_of(course, column, user))
                # A cell nobody touched is left alone, even if the tool has written to it since the page was made.
                if typed.strip() in (was if was is not None else now, now):
                    continue
                try:
                    lms.grade(course, column, user, number_asked(typed))
                except ValueError:
                    wrong[name] = typed
        return wrong

    @routes.route("/faults", methods=["GET", "POST"])
    def faults() -> AnyResponse | str | tuple[str, int]:
        trouble = None
        if request.method == "POST":
            try:
                switch(request.form.to_dict())
                return redirect(url_for(f"{lms.name}_pages.faults"), 303)
            except (ValueError, KeyError) as wrong:
                trouble = str(wrong).strip("'\"")
        page = render_template(
            "faults.html",
            services=SERVICES,
            kinds=KINDS,
            trouble=trouble,
            page="faults",
            active=lms.faults.active,
            requests=list(lms.requests)[-25:][::-1],
            courses=list(lms.courses.values()),
        )
        return (page, 400) if trouble else page

    def switch(form: dict[str, str]) -> None:
        if form.get("do") == "clear":
            lms.faults.clear()
            return
        asked: dict[str, Any] = {name: value for name, value in form.items() if value and name not in ("do", "options")}
        for name in ("count", "skip", "page", "times"):
            if name in asked:
                asked[name] = int(asked[name])
        options = json.loads(form["options"]) if form.get("options") else {}
        if not isinstance(options, dict):
            raise ValueError("the options are not a JSON object")
        platform.act(lms, {**asked, **options})

    registration.add_pages(routes, lms, address)
    lms.mood.add_pages(routes, address)

    @routes.get("/post_message_forwarding")
    def forwarding() -> str:
        return render_template("forwarding.html")

    @routes.get("/mod/lti/return.php")
    def comeback() -> AnyResponse:
        """Take somebody back from the tool (Moodle's return_url)."""
        kept = {name: request.args[name] for name in ("lti_msg", "lti_errormsg") if name in request.args}
        number = request.args.get("course", "")
        back = address("course", number=number, **kept) if number else url_for("site.home")
        return make_response(redirect(back))

    return routes
