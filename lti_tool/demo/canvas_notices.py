"""Canvas' Platform Notification Service (section 5.5): who wants to know that a course was copied, and telling them."""

from __future__ import annotations

import secrets
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from flask import Blueprint, Response, jsonify, request

from . import wire
from .launches import LTI
from .records import Course, Tool

if TYPE_CHECKING:
    from .lms import Lms

SCOPE = "https://purl.imsglobal.org/spec/lti/scope/noticehandlers"
COPY = "LtiContextCopyNotice"
TYPES = ("LtiHelloWorldNotice", "LtiAssetProcessorSubmissionNotice", COPY)
SECONDS = 10  # how long a tool may take to answer


def claim(lms: Lms, tool: Tool, deployment_id: str) -> dict[str, Any]:
    """Write the claim that says where a deployment can ask for notices."""
    return {
        "service_versions": ["1.0"],
        "platform_notification_service_url": f"{lms.server_root}/api/lti/notice-handlers/{number(deployment_id)}",
        "scope": [SCOPE],
        "notice_types_supported": list(TYPES),
    }


def number(deployment_id: str) -> str:
    """Give the id of the tool's installation, the first half of its deployment id."""
    return deployment_id.partition(":")[0]


def add_routes(blueprint: Blueprint, lms: Lms) -> None:
    @blueprint.route("/api/lti/notice-handlers/<installation>", endpoint="notices", methods=["GET", "PUT"])
    def handlers(installation: str) -> tuple[Response, int]:
        access = wire.access(lms)
        if isinstance(access, str) or SCOPE not in access.scopes:
            return error(401, "Insufficient permissions")
        tool = lms.tools[access.client_id]
        deployment_id = next((each for each in tool.deployment_ids if number(each) == installation), None)
        if deployment_id is None:
            return error(404, "The specified resource does not exist.")
        kept = tool.notice_handlers.setdefault(deployment_id, {})
        if request.method == "GET":
            listed = [{"notice_type": each, "handler": kept.get(each, "")} for each in TYPES]
            return jsonify(client_id=tool.client_id, deployment_id=deployment_id, notice_handlers=listed), 200
        asked = wire.json_body() or {}
        kind, handler = asked.get("notice_type"), asked.get("handler")
        if kind not in TYPES or not isinstance(handler, str):
            return error(400, "notice_type must be one of " + ", ".join(TYPES))
        if handler and urlsplit(handler).hostname != urlsplit(tool.launch_url).hostname:
            return error(400, "handler must match the tool's domain")
        kept[kind] = handler
        lms.changed()
        return jsonify(notice_type=kind, handler=handler), 200


def error(status: int, message: str) -> tuple[Response, int]:
    return jsonify(errors={"type": "error", "message": message}), status


def copied(lms: Lms, new: Course, old: Course) -> list[int]:
    """Tell each deployment that asked for it; once, whatever it answers. Gives the statuses, 0 for no answer."""
    answers = []
    for tool in list(lms.tools.values()):
        for deployment_id, handlers in tool.notice_handlers.items():
            if handlers.get(COPY):
                body = {"notices": [{"jwt": lms.sign(copy_notice(lms, tool, deployment_id, new, old))}]}
                try:
                    answers.append(requests.post(handlers[COPY], json=body, timeout=SECONDS).status_code)
                except requests.RequestException:
                    answers.append(0)
    return answers


def copy_notice(lms: Lms, tool: Tool, deployment_id: str, new: Course, old: Course) -> dict[str, Any]:
    """Write the claims of section 9.3."""
    now = int(lms.clock())
    return {
        LTI + "version": "1.3.0",
        LTI + "notice": {
            "id": str(uuid.uuid4()),
            "timestamp": datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z"),
            "type": COPY,
        },
        "aud": tool.client_id,
        "azp": tool.client_id,
        LTI + "deployment_id": deployment_id,
        "exp": now + 3600,
        "iat": now,
        "iss": lms.issuer,
        "nonce": secrets.token_hex(16),
        LTI + "context": {
            "id": new.id,
            "label": new.label,
            "title": new.title,
            "type": ["http://purl.imsglobal.org/vocab/lis/v2/course#CourseOffering"],
        },
        LTI + "origin_contexts": [old.id],
    }
