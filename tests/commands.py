"""Commands of the tool, each in a process of its own that begins where one has imported everything.

A command that starts from nothing needs two seconds of a processor before it does anything, and `lti-tool demo` is ten
of them. `python -m tests.commands` is what they are forked from: it reads what to start, a line of JSON each."""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

IMPORTED = ("lti_tool.cli", "lti_tool.web", "lti_tool.jobs", "lti_tool.demo", "lti_tool.migrations.schema", "granian")
SOON = 0.02  # seconds between two looks whether a process has ended


class Origin:
    """The process that commands are forked from."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.commands"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(
        self, module: str, *arguments: str, environ: Mapping[str, str], out: Path, err: Path | None = None
    ) -> int:
        """Start a module as `python -m` does, with its output in files; returns the number of the process."""
        told = {"environ": dict(environ), "out": str(out), "err": str(err or out)}
        return int(self._ask(start=[module, *arguments], **told))

    def run(self, module: str, *arguments: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a module to its end."""
        with tempfile.TemporaryDirectory(prefix="lti-tool-tests-") as folder:
            out, err = Path(folder) / "out", Path(folder) / "err"
            number = self.start(module, *arguments, environ=environ, out=out, err=err)
            while (code := self.code_of(number)) is None:
                time.sleep(SOON)
            return subprocess.CompletedProcess((module, *arguments), code, out.read_text(), err.read_text())

    def code_of(self, number: int) -> int | None:
        """Return what a process has ended with, None while it runs."""
        code = self._ask(ended=number)
        return None if code is None else int(code)

    def end(self, number: int, within: float = 15) -> None:
        """End a process as its service manager does, by force where it takes longer than `within` seconds."""
        until = time.monotonic() + within
        if self.code_of(number) is None:
            os.kill(number, signal.SIGTERM)
        while self.code_of(number) is None:
            if time.monotonic() > until:
                os.kill(number, signal.SIGKILL)
            time.sleep(SOON)

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def _ask(self, **told: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(told), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


def main() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    del sys.modules["lti_tool.cli"]  # which is run, and not imported
    assert threading.active_count() == 1, "a fork has one thread, whatever the others hold"
    gc.freeze()  # what is there is not looked through in every fork, which would copy it
    codes: dict[int, int] = {}
    started: set[int] = set()
    for line in sys.stdin:
        told = json.loads(line)
        answer: int | None
        if "start" in told:
            answer = os.fork()
            if answer == 0:
                _become(told["start"], told["environ"], told["out"], told["err"])
            started.add(answer)
        else:
            number = told["ended"]
            if number not in codes:
                found, status = os.waitpid(number, os.WNOHANG)
                if found:
                    codes[number] = os.waitstatus_to_exitcode(status)
            answer = codes.get(number)
        print(json.dumps(answer), flush=True)
    for number in started - codes.keys():  # the tests were killed, and ended nothing
        os.kill(number, signal.SIGTERM)


def _become(command: Sequence[str], environ: Mapping[str, str], out: str, err: str) -> None:
    """Be a command in a process that has just been forked, and end as it does."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv[1:] = command[1:]
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    main()
