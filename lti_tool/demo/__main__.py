"""The demo LMS as a process: `python -m lti_tool.demo --port 9000 --tool http://localhost:8000`."""

from __future__ import annotations

import argparse
from pathlib import Path

from lti_tool import demo

parser = argparse.ArgumentParser(prog="lti_tool.demo")
parser.add_argument("--port", type=int, default=9000)
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--data", type=Path)
parser.add_argument("--tool", default="http://localhost:8000")
parser.add_argument("--tool-jwks", help="where this process finds the tool's keys, if not below --tool")
parser.add_argument("--server-base", help="where the tool finds this process, if not at localhost")
told = parser.parse_args()
demo.run(
    port=told.port,
    data_dir=told.data,
    tool_base=told.tool,
    host=told.host,
    tool_jwks=told.tool_jwks,
    server_base=told.server_base,
)
