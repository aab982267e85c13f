"""What our launches are measured beside: a pylti1p3 application as its documentation shows it, with Flask.

Its cache storage, in the worker's own memory, in files or in Redis, and the platform's key set in its configuration,
so that it fetches nothing. It does less than ours: it keeps the launch, but neither person nor course; a nonce is
looked up and not used up; and in memory nothing outlives the worker or is seen by another one."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import urlsplit

from cachelib import BaseCache, FileSystemCache, RedisCache, SimpleCache
from flask import Flask, render_template
from pylti1p3.contrib.flask import FlaskCacheDataStorage, FlaskMessageLaunch, FlaskOIDCLogin, FlaskRequest
from pylti1p3.tool_config import ToolConfDict

PAGE = "<!doctype html><title>Launch</title><p>Hello, {{ name }}. <a href=/page/{{ launch_id }}>Go on</a>"


def _cache(place: str) -> BaseCache:
    if place.startswith("redis://"):
        return RedisCache(port=urlsplit(place).port or 6379, default_timeout=7200)
    # Roomy, so that the cache throws no login away that is still under way, and never has to look for room.
    roomy = {"threshold": 1_000_000, "default_timeout": 7200}
    return FileSystemCache(place, **roomy) if place else SimpleCache(**roomy)


def create_app() -> Flask:
    """Make the application for the platform that BENCH_PLATFORM describes."""
    platform: dict[str, Any] = json.loads(os.environ["BENCH_PLATFORM"])
    config = ToolConfDict({platform["issuer"]: [platform["configuration"]]})
    config.set_private_key(platform["issuer"], platform["private_key"], client_id=platform["client_id"])
    cache = _cache(os.environ["BENCH_CACHE"])
    app = Flask(__name__)
    app.secret_key = "only for this measurement"
    page = app.jinja_env.from_string(PAGE)

    @app.route("/lti/login", methods=["GET", "POST"])
    def login() -> Any:
        storage = FlaskCacheDataStorage(cache)
        oidc = FlaskOIDCLogin(FlaskRequest(), config, launch_data_storage=storage)
        return oidc.redirect(FlaskRequest().get_param("target_link_uri"))

    @app.route("/lti/launch", methods=["POST"])
    def launch() -> Any:
        storage = FlaskCacheDataStorage(cache)
        found = FlaskMessageLaunch(FlaskRequest(), config, launch_data_storage=storage)
        data = found.get_launch_data()
        return render_template(page, name=data["name"], launch_id=found.get_launch_id())

    return app
