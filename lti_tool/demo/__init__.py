"""The demo LMS: the other side of the wire, a small but honest LTI 1.3 platform.

One http server hosts two moods, "canvas" and "moodle"; each is a platform of its own with its issuer, keys, people
and courses, and does what was seen of the real one, oddities included. Tests start it in a thread, `lti-tool demo`
in a process. It imports nothing of the tool.

    with demo.start() as site:                       # a free port, the demo's two courses
        tool = site.canvas.register_tool(login_url, launch_url, jwks_url)
        site.canvas.grade("EMP101", "some-tag", "student1", 3)      # as a teacher in the gradebook
        site.canvas.faults.on("results", "status", count=2, status=503, retry_after=1)

lms.py holds the state and what a test can do · launches.py logins and id tokens · canvas.py and moodle.py all that
differs, with their *_services.py · canvas_rubrics.py, canvas_rest.py, moodle_rubrics.py and moodle_web.py what each
has beside LTI · faults.py the switches · pages.py what a person clicks · server.py starts it.
"""

from .launches import DEEP_LINKING, RESOURCE_LINK, SHORT, SUBMISSION_REVIEW, AuthPage
from .lms import Lms
from .records import Column, Course, Grade, Link, Request, Tool, User
from .server import Running, create_app, demo_registrations, run, serve, start

__all__ = [
    "DEEP_LINKING",
    "RESOURCE_LINK",
    "SHORT",
    "SUBMISSION_REVIEW",
    "AuthPage",
    "Column",
    "Course",
    "Grade",
    "Link",
    "Lms",
    "Request",
    "Running",
    "Tool",
    "User",
    "create_app",
    "demo_registrations",
    "run",
    "serve",
    "start",
]
