"""What our launches are measured beside: a pylti1p3 application as its documentation shows it, with Flask.

Its cache storage in the worker's own memory, and the platform's key set in its configuration, so it fetches nothing.
It does less than ours: nothing outlives the process, and the person, the course and the launch are kept nowhere."""

from __future__ import annotations

import json
import os
from typing import Any

from cachelib import SimpleCache
from flask import Flask, request
from pylti1p3.contrib.flask import FlaskCacheDataStorage, FlaskMessageLaunch, FlaskOIDCLogin, FlaskRequest
from pylti1p3.tool_config import ToolConfDict


def create_app() -> Flask:
    """Make the application for the platform that BENCH_PLATFORM describes."""
    platform: dict[str, Any] = json.loads(os.environ["BENCH_PLATFORM"])
    config = ToolConfDict({platform["issuer"]: [platform["configuration"]]})
    config.set_private_key(platform["issuer"], platform["private_key"], client_id=platform["client_id"])
    # Roomy, so that the cache throws no login away that is still under way, and never has to look for room.
    storage_cache = SimpleCache(threshold=1_000_000, default_timeout=7200)
    app = Flask(__name__)
    app.secret_key = "only for this measurement"

    @app.route("/lti/login", methods=["GET", "POST"])
    def login() -> Any:
        storage = FlaskCacheDataStorage(storage_cache)
        oidc = FlaskOIDCLogin(FlaskRequest(), config, launch_data_storage=storage)
        return oidc.redirect(FlaskRequest().get_param("target_link_uri"))

    @app.route("/lti/launch", methods=["POST"])
    def launch() -> Any:
        storage = FlaskCacheDataStorage(storage_cache)
        found = FlaskMessageLaunch(FlaskRequest(), config, launch_data_storage=storage)
        data = found.get_launch_data()
        return f"<!doctype html><title>Launch</title><p>Hello, {data['name']}. <a href=/page/{found.get_launch_id()}>Go"

    @app.get("/")
    def ready() -> str:
        return request.host

    return app
