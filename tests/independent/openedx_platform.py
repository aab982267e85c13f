"""A learning platform none of us wrote: Open edX's LTI consumer, in a Django project of its own around it.

Runs in an environment of its own (`requirements.lock` here). All that a tool meets is the package's: the launch, the
id token, the keys, access tokens, line items, scores, results and the roster. What Open edX itself would give it is
put in by `lms_parts`: who is in the course. Its two further pages, /start and /grade, stand for a click on the
activity and for a teacher's grade.

    python openedx_platform.py PORT FOLDER TOOL_ADDRESS
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import django
from django.conf import settings

PORT, FOLDER, TOOL = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
HOME = f"http://localhost:{PORT}"
COURSE = "course-v1:Hallwood+EMP101+2026"
BLOCK = "block-v1:Hallwood+EMP101+2026+type@lti_consumer+block@badges"
PEOPLE = {  # username: role in the course, as Open edX names it
    "tess": "staff",
    "ana": "student",
    "ben": "student",
}

settings.configure(
    SECRET_KEY="only for tests",
    ALLOWED_HOSTS=["localhost"],
    ROOT_URLCONF="__main__",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "config_models",
        "rest_framework",
        "django_filters",
        "lti_consumer",
    ],
    MIDDLEWARE=["edx_django_utils.cache.middleware.RequestCacheMiddleware"],
    OPENEDX_TELEMETRY=[],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "platform.db"}},
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    USE_TZ=True,
    USAGE_ID_PATTERN=r"(?P<usage_id>(?:i4x://?[^/]+/[^/]+/[^/]+/[^@]+(?:@[^/]+)?)|(?:[^/]+))",
    LTI_BASE=HOME,
    LTI_API_BASE=HOME,
    LMS_ROOT_URL=HOME,
    PLATFORM_NAME="Hallwood Open edX",
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"log": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["log"]},
    },
)
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.shortcuts import redirect  # noqa: E402
from django.urls import include, path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from lti_consumer import api  # noqa: E402
from lti_consumer.data import Lti1p3LaunchData  # noqa: E402
from lti_consumer.models import (  # noqa: E402
    CourseAllowPIISharingInLTIFlag,
    Lti1p3Passport,
    LtiAgsLineItem,
    LtiAgsScore,
    LtiConfiguration,
)
from lti_consumer.plugin import compat  # noqa: E402
from opaque_keys.edx.keys import CourseKey, UsageKey  # noqa: E402


def external_id(user) -> str:
    """The id a tool knows somebody by; Open edX keeps a table of them."""
    return f"external-{user.username}"


class External:
    def __init__(self, user) -> None:
        self.external_user_id = external_id(user)


def lms_parts() -> None:
    """Put in what the package asks Open edX for: who is in a course, and by which id tools know them."""

    def members(course_key):
        users = get_user_model().objects.order_by("id")
        return {
            user.id: {
                "id": user.id,
                "username": user.username,
                "name": user.first_name,
                "email": user.email,
                "roles": [PEOPLE[user.username]],
            }
            for user in users
        }

    compat.get_course_members = members
    compat.batch_get_or_create_externalids = lambda users: {user.id: External(user) for user in users}


class Profile(models.Model):
    """Open edX has a profile beside each user, and the package reads both at once."""

    user = models.OneToOneField(get_user_model(), on_delete=models.CASCADE, related_name="profile")

    class Meta:
        app_label = "auth"


def start(request):
    """Click on the activity as somebody: the package builds the login request."""
    user = get_user_model().objects.get(username=request.GET["user"])
    launch = Lti1p3LaunchData(
        user_id=user.id,
        user_role=PEOPLE[user.username],
        config_id=LtiConfiguration.objects.get().config_id,
        resource_link_id=BLOCK,
        external_user_id=external_id(user),
        name=user.first_name,
        email=user.email,
        context_id=COURSE,
        context_type=["course_offering"],
        context_title="Empathy 101",
        context_label="EMP101",
        launch_presentation_document_target="iframe",
    )
    return redirect(api.get_lti_1p3_launch_start_url(launch))


@csrf_exempt
def grade(request):
    """Grade as a teacher: in Open edX a score is a row of the package's own."""
    asked = json.loads(request.body)
    item = LtiAgsLineItem.objects.get(tag=asked["tag"])
    LtiAgsScore.objects.update_or_create(
        line_item=item,
        user_id=f"external-{asked['user']}",
        defaults={
            "timestamp": datetime.now(UTC),
            "score_given": asked["score"],
            "score_maximum": item.score_maximum,
            "activity_progress": LtiAgsScore.COMPLETED,
            "grading_progress": LtiAgsScore.FULLY_GRADED,
        },
    )
    return JsonResponse({"graded": item.label})


def gradebook(request):
    """List what is in the gradebook, for a test to look at."""
    rows = LtiAgsLineItem.objects.order_by("id").values("label", "tag", "resource_id", "score_maximum")
    return JsonResponse({"columns": list(rows)})


urlpatterns = [
    path("start", start),
    path("grade", grade),
    path("gradebook", gradebook),
    path("api/", include("lti_consumer.plugin.urls", namespace="lti_consumer")),
]


def fill() -> dict[str, str]:
    """Make the course's people and register the tool; gives what `lti-tool platforms add` needs to know."""
    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        editor.create_model(Profile)
    for username in PEOPLE:
        get_user_model().objects.create(
            username=username, first_name=f"{username.title()} Example", email=f"{username}@example.edu"
        )
    CourseAllowPIISharingInLTIFlag.objects.create(course_id=CourseKey.from_string(COURSE), enabled=True)
    passport = Lti1p3Passport.objects.create(name="Badges", lti_1p3_tool_keyset_url=f"{TOOL}/.well-known/jwks.json")
    LtiConfiguration.objects.create(
        version=LtiConfiguration.LTI_1P3,
        config_store=LtiConfiguration.CONFIG_ON_DB,
        location=UsageKey.from_string(BLOCK),
        lti_1p3_passport=passport,
        lti_1p3_oidc_url=f"{TOOL}/lti/login",
        lti_1p3_launch_url=f"{TOOL}/lti/launch",
        lti_advantage_enable_nrps=True,
        lti_advantage_ags_mode=LtiConfiguration.LTI_ADVANTAGE_AGS_PROGRAMMATIC,
    )
    return {
        "issuer": HOME,
        "client_id": passport.lti_1p3_client_id,
        "auth_login_url": f"{HOME}/api/lti_consumer/v1/launch/",
        "auth_token_url": f"{HOME}/api/lti_consumer/v1/token/{passport.passport_id}",
        "jwks_url": f"{HOME}/api/lti_consumer/v1/public_keysets/{passport.passport_id}",
    }


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    lms_parts()
    told = fill()
    server = ThreadedWSGIServer(("127.0.0.1", PORT), Quiet)
    server.set_app(get_wsgi_application())
    print(json.dumps(told), flush=True)
    server.serve_forever()
