"""The commands. Parse, call a service, print: one JSON document with --json, one clear line on stderr for a refusal."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

from lti_tool import __version__, create_app, logs
from lti_tool.errors import BadInput, DefinitionInvalid, ToolError
from lti_tool.services import (
    administrators,
    award_acts,
    awards,
    backup,
    catalog,
    checking,
    doctor,
    export,
    keys,
    platforms,
    presence,
    registration,
    revocations,
    sync,
    takeover,
    work,
)
from lti_tool.services.audit import OPERATOR
from lti_tool.services.issuer import ensure_issuer
from lti_tool.services.tool import Tool, open_tool, settle
from lti_tool.settings import Settings, load_settings

if TYPE_CHECKING:
    from flask import Flask

Rows = Sequence[dict[str, Any]]

THREADS = 4  # of each web process: an answer that waits for the database or another server holds one


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns 0 done, 1 refused or failed, 2 wrong usage."""
    options = parser().parse_args(arguments)
    try:
        logs.start("text")
        done = options.run(options)
    except DefinitionInvalid as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return 1
    except ToolError as error:
        print(f"lti-tool: {' '.join(part for part in (error.sentence, error.what_to_do) if part)}", file=sys.stderr)
        return 1
    except DBAPIError as error:
        if not doctor.is_unreachable(error):
            raise
        print(f"lti-tool: {doctor.unreachable(_settings().database.url, error)}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 0
    except OSError as error:
        told = [str(part) for part in (error.filename, error.strerror or error) if part is not None]
        print(f"lti-tool: {': '.join(told)}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return int(done or 0)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands, as contract.md names them."""
    top = argparse.ArgumentParser(prog="lti-tool", description="Awards Open Badges inside a course, over LTI 1.3.")
    top.add_argument("--version", action="version", version=f"lti-tool {__version__}")
    groups = top.add_subparsers(required=True, metavar="COMMAND")

    demo = _command(groups, "demo", _demo, "tool, worker and a demo LMS in one; Ctrl-C ends all of it")
    demo.add_argument("--port", type=_port, default=8000)
    demo.add_argument("--lms-port", type=_port, default=9000)
    demo.add_argument("--data", type=Path, help="keep everything in this folder (default: a new one, thrown away)")

    serve = _command(groups, "serve", _serve, "the web application")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=_port, default=8000)
    serve.add_argument("--workers", type=int, default=1)

    worker = _command(groups, "worker", _worker, "the background worker")
    worker.add_argument("--workers", type=int, default=2)
    worker.add_argument("--no-periodic", action="store_true", help="leave the schedule to another worker")
    worker.add_argument("--check", action="store_true", help="only tell, by exit status, whether one runs on this host")

    db = _group(groups, "db", "the database")
    _command(db, "upgrade", _db_upgrade, "bring the schema to this version")
    _command(db, "backup", _db_backup, "copy the database while it is in use").add_argument("file", type=Path)
    _command(db, "restore", _db_restore, "put a backup in its place").add_argument("file", type=Path)
    replaying = _command(db, "replay", _db_replay, "do again what was withdrawn, by the journal or another one")
    replaying.add_argument("file", type=Path, nargs="?", help="another journal (default: this installation's)")

    _platform_commands(_group(groups, "platforms", "the LMSs this tool is registered with"))

    deployments = _group(groups, "deployments", "where in an LMS the tool is deployed")
    _listing(deployments, "list", _deployments_list, "all deployments")
    for name, what in (("approve", "let a deployment launch"), ("disable", "let it launch no longer")):
        _command(deployments, name, _deployments_change, what).add_argument("id", type=int)
        deployments.choices[name].set_defaults(change=name)

    admin = _group(groups, "admin", "who looks after this installation")
    invite = _listing(admin, "invite", _admin_invite, "print a one-time administrator sign-in address")
    invite.add_argument("--email", default="", help="of an administrator: signs her in; else whoever opens it is one")

    private = _group(groups, "keys", "the private keys")
    _listing(private, "list", _keys_list, "all keys, newest first")
    _command(private, "rotate", _keys_rotate, "make a new key; the one before is kept").add_argument(
        "kind", choices=("lti", "credentials", "secrets")
    )

    _badge_commands(_group(groups, "badges", "badge definitions"))

    syncing = _listing(groups, "sync", _sync, "fetch results now, evaluate, award, sign; waits until done")
    syncing.add_argument("--platform", type=int)
    syncing.add_argument("--context")

    award = _group(groups, "awards", "what was awarded")
    _listing(award, "list", _awards_list, "all awards").add_argument("--context")
    _listing(award, "show", _awards_show, "one award with its decision record").add_argument("id")
    revoke = _command(award, "revoke", _awards_revoke, "take an award back for good")
    revoke.add_argument("id")
    revoke.add_argument("--reason", required=True)

    examine = _listing(groups, "doctor", _doctor, "check configuration, keys, clock, database and platforms")
    examine.add_argument("--platform", type=int)

    jobs = _group(groups, "jobs", "work that failed")
    _listing(jobs, "list", _jobs_list, "what failed or waits").add_argument("--all", action="store_true")
    _command(jobs, "retry", _jobs_retry, "try a job again, now").add_argument("id", type=int)

    out = _listing(groups, "export", _export, "everything an institution needs to leave, as files")
    out.add_argument("directory", metavar="DIR", type=Path)
    out.add_argument("--with-keys", action="store_true", help="the private keys too: whoever has them can sign")
    into = _listing(groups, "import", _import, "an export into an empty installation")
    into.add_argument("directory", metavar="DIR", type=Path)

    checking = _listing(groups, "verify", _verify, "every check of a credential; exit 0 only where all passed")
    checking.add_argument("what", metavar="FILE|URL")
    checking.add_argument("--whose", metavar="E", default="", help="the e-mail address of the person it should be of")
    return top


def _platform_commands(group: Any) -> None:
    add = _listing(group, "add", _platforms_add, "register a platform by hand; prints its id")
    for name in ("name", "issuer", "client-id", "auth-login-url", "auth-token-url", "jwks-url"):
        add.add_argument(f"--{name}", required=True)
    add.add_argument("--auth-audience")
    add.add_argument("--deployment-id", action="extend", nargs="+", default=[])
    add.add_argument("--product", choices=platforms.PRODUCTS, default="other")
    inviting = _listing(group, "invite", _platforms_invite, "a one-time address for dynamic registration")
    inviting.add_argument("--expires", type=_duration, default="24h", help="30m, 24h or 7d (default: 24h)")
    changing = _command(
        group, "change", _platforms_edit, "change a platform, its client id too; courses and awards stay"
    )
    changing.add_argument("id", type=int)
    for name in ("name", "issuer", "client-id", "auth-login-url", "auth-token-url", "jwks-url", "auth-audience"):
        changing.add_argument(f"--{name}")
    changing.add_argument("--deployment-id", action="extend", nargs="+", default=[])
    changing.add_argument("--product", choices=platforms.PRODUCTS)
    _listing(group, "list", _platforms_list, "all platforms")
    _listing(group, "show", _platforms_show, "one platform").add_argument("id", type=int)
    for name, what in (
        ("disable", "switch off"),
        ("enable", "switch on, or approve"),
        ("remove", "remove one never used"),
    ):
        _command(group, name, _platforms_change, what).add_argument("id", type=int)
        group.choices[name].set_defaults(change=name)


def _badge_commands(group: Any) -> None:
    validate = _command(group, "validate", _badges_validate, "check definition files: file, line, reason")
    validate.add_argument("file", nargs="+", type=Path)
    put = _listing(group, "import", _badges_import, "put definitions into a course")
    put.add_argument("file", nargs="+", type=Path)
    put.add_argument("--publish", action="store_true", help="make the gradebook columns too, and publish")
    out = _listing(group, "export", _badges_export, "the definitions of a course as files")
    out.add_argument("--to", type=Path, help="a folder to write into (default: standard output)")
    for command in (put, out):
        command.add_argument("--platform", type=int, required=True)
        command.add_argument("--context", required=True)
        command.add_argument("--deployment")


def _duration(text: str) -> timedelta:
    unit = {"m": 60, "h": 3600, "d": 86400}.get(text[-1:], 0)
    number = text[:-1]
    if not unit or not number.isdecimal() or not 0 < int(number[:9]) * unit <= 30 * 86400 or len(number) > 6:
        raise argparse.ArgumentTypeError(f"{text} is not a duration: write 30m, 24h or 7d, of 30 days at most")
    return timedelta(seconds=int(number) * unit)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port: write a number from 1 to 65535")
    return int(text)


def _group(groups: Any, name: str, what: str) -> Any:
    made = groups.add_parser(name, help=what, description=what)
    return made.add_subparsers(required=True, metavar="COMMAND")


def _command(group: Any, name: str, run: Any, what: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = group.add_parser(name, help=what, description=what)
    made.set_defaults(run=run)
    return made


def _listing(group: Any, name: str, run: Any, what: str) -> argparse.ArgumentParser:
    made = _command(group, name, run, what)
    made.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    return made


# -- opening and printing ---------------------------------------------------------------------------------------


def _settings() -> Settings:
    return load_settings()


def _open(*, check: bool = True) -> Tool:
    from lti_tool.migrations import schema

    tool = open_tool(_settings())
    if check:
        schema.check(tool.db)
        ensure_issuer(tool)
    return tool


def _now() -> datetime:
    return datetime.now(UTC)


def _print(options: argparse.Namespace, document: Any, rows: Rows, columns: Sequence[str]) -> None:
    if options.json:
        print(json.dumps(document, ensure_ascii=False, indent=1))
        return
    table = [[_cell(row.get(name)) for name in columns] for row in rows]
    widths = [
        max(len(name), *(len(line[i]) for line in table), 0) if table else len(name) for i, name in enumerate(columns)
    ]
    if not table:
        print("none")
        return
    for line in [list(columns), *table]:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_cell(item.get("deployment_id") if isinstance(item, dict) else item) for item in value)
    return "-" if value is None else str(value)


# -- running ----------------------------------------------------------------------------------------------------


def _serve(options: argparse.Namespace) -> int:
    from granian import Granian
    from granian.constants import Interfaces

    from lti_tool.demo.group import is_free

    settings = _settings()
    _start_logging(settings)
    _open()  # what cannot start is told here, once, and not by every worker process
    if not is_free(options.port, options.host):  # granian would share the port with whoever has it
        raise ToolError(sentence=f"port {options.port} is taken. Choose another with --port.")
    server = Granian(
        "lti_tool.cli:served",
        factory=True,
        address=options.host,
        port=options.port,
        interface=Interfaces.WSGI,
        workers=options.workers,
        blocking_threads=THREADS,
        log_level="warning",  # type: ignore[arg-type]
        log_access=False,
    )
    server.serve()
    return 0


def served() -> Flask:
    """Make the web application in a worker process of `serve`."""
    app = create_app()
    settle()
    return app


def _worker(options: argparse.Namespace) -> int:
    from lti_tool import jobs
    from lti_tool.migrations import schema

    settings = _settings()
    _start_logging(settings)
    tool = _open(check=not options.check)
    if options.check:
        schema.serves(tool.db)  # it was started before: a schema that came later does not end it
        if not presence.is_well(tool, _now()):
            raise ToolError(sentence="No worker of this host has been seen for two minutes.")
        return 0
    revocations.keep(tool, _now())
    queue = jobs.connect(tool)
    jobs.check_queue(tool, queue)
    periodic = not options.no_periodic
    with presence.alive(tool, options.workers, periodic=periodic):
        # A worker that died holding a job, or whose message was lost, is made good at once and not at the next sweep.
        if periodic:
            jobs.sweep(tool)
        settle()
        consumer = queue.create_consumer(
            workers=options.workers, periodic=periodic, initial_delay=0.05, backoff=1.3, max_delay=0.5
        )
        consumer.run()
    return 0


def _start_logging(settings: Settings) -> None:
    logs.start(settings.log.format, settings.server.log_level)


def _demo(options: argparse.Namespace) -> int:
    from lti_tool.demo.group import run_group

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    ended: int = run_group(port=options.port, lms_port=options.lms_port, data=options.data, environ=dict(os.environ))
    return ended


def _db_upgrade(options: argparse.Namespace) -> int:
    from lti_tool.migrations import schema

    tool = _open(check=False)
    before = schema.current(tool.db)
    after = schema.upgrade(tool.db)
    ensure_issuer(tool)
    revocations.keep(tool, _now())
    print(f"The database is at schema {after}." if before == after else f"The database went to schema {after}.")
    return 0


def _db_backup(options: argparse.Namespace) -> int:
    tool = _open()
    size = backup.back_up(tool, options.file, _now())
    print(f"{options.file} holds the database, {size / 1e6:.1f} MB. Keep the key folder with it.")
    if (folder := tool.settings.evidence_folder).is_dir():
        print(f"The files that learners handed in are not in it: copy {folder} too, after it.")
    return 0


def _db_replay(options: argparse.Namespace) -> int:
    tool = _open()
    if options.file is None:
        done = revocations.keep(tool, _now())
    else:
        done = revocations.read_file(tool, options.file.read_bytes(), _now())
    _tell_replayed(done)
    print(f"Database and journal ({tool.journal.path}) agree.")
    return 0


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _tell_replayed(done: revocations.Replayed) -> None:
    told = (
        (
            done.revoked,
            "award that was revoked since is revoked again.",
            "awards that were revoked since are revoked again.",
        ),
        (
            done.elsewhere,
            "withdrawn credential is not in this database; its status stays withdrawn.",
            "withdrawn credentials are not in this database; their status stays withdrawn.",
        ),
        (
            done.again,
            "award is issued anew: its credential had been replaced since.",
            "awards are issued anew: their credentials had been replaced since.",
        ),
        (
            done.erased,
            "person who was erased since is erased again.",
            "people who were erased since are erased again.",
        ),
        (done.written, "withdrawal was added to the journal.", "withdrawals were added to the journal."),
    )
    for number, one, many in told:
        if number:
            print(_counted(number, one, many))


def _db_restore(options: argparse.Namespace) -> int:
    done = backup.restore(_open(check=False), options.file, _now())
    print(f"The database is that of {options.file}, at schema {done.schema}.")
    if done.kept is not None:
        print(f"What it held before is in {done.kept}.")
    _tell_replayed(done.replayed)
    print("Start the web application and the worker, then look at lti-tool doctor.")
    return 0


# -- platforms --------------------------------------------------------------------------------------------------


def _platforms_add(options: argparse.Namespace) -> int:
    added = platforms.add_platform(
        _open(),
        name=options.name,
        issuer=options.issuer,
        client_id=options.client_id,
        auth_login_url=options.auth_login_url,
        auth_token_url=options.auth_token_url,
        jwks_url=options.jwks_url,
        auth_audience=options.auth_audience,
        deployment_ids=options.deployment_id,
        product=options.product,
        now=_now(),
    )
    print(json.dumps({"id": added}) if options.json else added)
    return 0


def _platforms_invite(options: argparse.Namespace) -> int:
    made = registration.invite(_open(), lasts=options.expires, actor=OPERATOR, now=_now())
    if options.json:
        print(json.dumps({"id": made.id, "address": made.address, "expires_at": made.expires_at.isoformat()}))
    else:
        print(made.address)
    return 0


def _platforms_edit(options: argparse.Namespace) -> int:
    tool = _open()
    now = platforms.told_of(tool, options.id)
    names = ("name", "issuer", "client_id", *platforms.ADDRESSES, "auth_audience", "product")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    if given.get("auth_audience") == "":
        given["auth_audience"] = None
    told = dataclasses.replace(now, **given, deployment_ids=tuple(dict.fromkeys(options.deployment_id)))
    for problem in platforms.problems_of(tool, told, platforms.OPTIONS).values():
        raise BadInput(sentence=problem)
    moved = platforms.change(tool, options.id, told, actor=OPERATOR, now=_now())
    if moved:
        print(f"Platform {options.id} has moved to client id {told.client_id}. Courses, people and awards stay.")
    else:
        print(f"Platform {options.id} is changed.")
    return 0


PLATFORM_COLUMNS = ("id", "name", "product", "status", "issuer", "client_id", "deployments", "courses", "people")


def _platforms_list(options: argparse.Namespace) -> int:
    rows = platforms.listing(_open())
    _print(options, rows, rows, PLATFORM_COLUMNS)
    return 0


def _platforms_show(options: argparse.Namespace) -> int:
    row = platforms.listing(_open(), options.id)[0]
    _print(options, row, [{"": name, " ": _cell(value)} for name, value in row.items()], ("", " "))
    return 0


def _platforms_change(options: argparse.Namespace) -> int:
    tool, words = _open(), {"disable": "disabled", "enable": "active"}
    if options.change == "remove":
        platforms.remove(tool, options.id, _now())
        print(f"Platform {options.id} is removed.")
    else:
        platforms.set_status(tool, options.id, words[options.change], _now())
        print(f"Platform {options.id} is {words[options.change]}.")
    return 0


def _deployments_list(options: argparse.Namespace) -> int:
    rows = platforms.deployments(_open())
    _print(options, rows, rows, ("id", "platform", "platform_name", "deployment_id", "status", "created_at"))
    return 0


def _deployments_change(options: argparse.Namespace) -> int:
    status, word = {"approve": ("active", "approved"), "disable": ("disabled", "switched off")}[options.change]
    platforms.set_deployment(_open(), options.id, status, actor=OPERATOR, now=_now())
    print(f"Deployment {options.id} is {word}.")
    return 0


# -- administrators ---------------------------------------------------------------------------------------------


def _admin_invite(options: argparse.Namespace) -> int:
    now = _now()
    address = administrators.invite(_open(), email=options.email, actor=OPERATOR, now=now)
    ends = now + administrators.ADDRESS_LASTS
    if options.json:
        print(json.dumps({"address": address, "expires_at": ends.isoformat()}))
        return 0
    print(address)
    print(f"It works once, until {ends:%Y-%m-%d %H:%M} UTC, and is not shown again.", file=sys.stderr)
    return 0


# -- keys -------------------------------------------------------------------------------------------------------


def _keys_list(options: argparse.Namespace) -> int:
    folder = Path(_settings().keys.dir)
    rows = keys.all_keys(folder, _now())
    if not rows and not options.json:
        print(f"There are no keys in {folder} yet. They are made at the first start, as by lti-tool db upgrade.")
        return 0
    _print(options, rows, rows, ("kind", "kid", "state", "created", "retired"))
    return 0


def _keys_rotate(options: argparse.Namespace) -> int:
    if options.kind == "secrets":
        sealed = keys.rotate_sealing(_open(), actor=OPERATOR, now=_now())
        print(f"A new key seals secrets from now on, the {sealed} stored ones included; the one before is kept.")
        return 0
    for key in keys.rotate(_open(), options.kind, actor=OPERATOR, now=_now()):
        print(f"{key.kind}: {key.kid} signs from now on; the one before is kept.")
    return 0


# -- badges -----------------------------------------------------------------------------------------------------


def _badges_validate(options: argparse.Namespace) -> int:
    wrong = 0
    for path in options.file:
        try:
            badge, _ = catalog.read_file(path)
        except DefinitionInvalid as error:
            print("\n".join(error.lines()), file=sys.stderr)
            wrong += 1
        else:
            made_of = _counted(len(badge.sub_competencies), "sub-competency", "sub-competencies")
            if badge.stack is not None:
                made_of = _counted(len(badge.stack.members), "badge in the stack", "badges in the stack")
            print(f"{path}: {badge.name}, {made_of}, no problem found")
    return 1 if wrong else 0


def _badges_import(options: argparse.Namespace) -> int:
    """Put definitions into a course. All files are read before the first is put in."""
    from lti_tool.jobs import RUNNERS

    tool, read, problems = _open(), [], []
    for path in options.file:
        try:
            read.append(catalog.read_file(path))
        except DefinitionInvalid as error:
            problems.append(error)
    if problems:
        raise DefinitionInvalid(problems[0].file, problems[0].problems) if len(problems) == 1 else _Several(problems)
    with tool.db.read() as session:
        course_id = catalog.find_course(session, options.platform, options.context, options.deployment).id
    rows = []
    for badge, png in read:
        badge_id, what = catalog.put_badge(tool, course_id, badge, picture_png=png, actor="operator", now=_now())
        status, missing = catalog.stands(tool, badge_id)
        row: dict[str, Any] = {"badge": badge.slug, "what": what, "status": status}
        if options.publish and missing is not None:
            again = "is not in the gradebook any more: make it again on the badge's page, under Set-up"
            row["columns"] = [f"“{label}” {again}" for label in missing]
        elif options.publish:
            job_id = catalog.start_publishing(tool, course_id, badge.slug, actor="operator", now=_now())
            job = work.wait(tool, job_id, RUNNERS)
            if job.state != "done":
                raise ToolError(sentence=f"{badge.slug} was not published: {job.problem}")
            row["status"] = "active"
            row["columns"] = job.told
        rows.append(row)
    _print(options, rows, rows, ("badge", "what", "status", "columns"))
    return 0


class _Several(DefinitionInvalid):
    """Problems of several files, printed file by file."""

    def __init__(self, each: Sequence[DefinitionInvalid]) -> None:
        self._each = each
        super().__init__(each[0].file, each[0].problems)

    def lines(self) -> list[str]:
        return [line for error in getattr(self, "_each", ()) for line in error.lines()]


def _badges_export(options: argparse.Namespace) -> int:
    tool = _open()
    with tool.db.read() as session:
        course_id = catalog.find_course(session, options.platform, options.context, options.deployment).id
    files = catalog.export_badges(tool, course_id)
    if options.json:
        print(json.dumps([{"badge": slug, "toml": text} for slug, text in files.items()], ensure_ascii=False, indent=1))
    elif options.to is not None:
        options.to.mkdir(parents=True, exist_ok=True)
        for slug, text in files.items():
            (options.to / f"{slug}.toml").write_text(text, encoding="utf-8")
            print(options.to / f"{slug}.toml")
    else:
        print("\n".join(f"# {slug}.toml\n{text}" for slug, text in files.items()), end="")
    return 0


# -- grades and awards ------------------------------------------------------------------------------------------


def _sync(options: argparse.Namespace) -> int:
    from lti_tool.jobs import RUNNERS

    tool = _open()
    if options.platform is not None and platforms.listing(tool, options.platform)[0]["status"] != "active":
        raise ToolError(
            sentence=f"Platform {options.platform} is switched off, so nothing was fetched.",
            what_to_do=f"Switch it on again: lti-tool platforms enable {options.platform}",
        )
    rows, failed = [], 0
    for course_id in sync.courses_to_sync(tool, platform=options.platform, context=options.context):
        job = work.wait(tool, work.request(tool, "sync", str(course_id), _now()), RUNNERS)
        row = {"course": sync.course_name(tool, course_id), "state": job.state, "problem": job.problem, **job.outcome}
        if "what_to_do" in job.outcome:
            row["what_to_do"] = job.what_to_do
        rows.append(row)
        if job.state != "done":
            failed += 1
            print(f"lti-tool: {row['course']}: {job.problem}", file=sys.stderr)
    # What the new awards make whole, or open elsewhere, is judged by jobs of its own, tier after tier.
    seen: set[int] = set()
    while more := work.open_jobs(tool, "evaluate") - seen:
        for job_id in sorted(more):
            work.wait(tool, job_id, RUNNERS)
        seen |= more
    if not rows and options.context is not None:
        raise BadInput(sentence=f"No course {options.context!r} has a published badge.")
    _print(options, rows, rows, ("course", "state", "members", "results", "awards", "signed", "reviews", "aside"))
    return 1 if failed else 0


AWARD_COLUMNS = ("id", "badge", "badge_version", "platform", "context", "user", "status", "issued_at", "claimed_at")


def _awards_list(options: argparse.Namespace) -> int:
    rows = awards.listing(_open(), context=options.context)
    _print(options, rows, rows, AWARD_COLUMNS)
    return 0


def _awards_show(options: argparse.Namespace) -> int:
    row = awards.listing(_open(), award_id=options.id)[0]
    told = [{"": name, " ": _cell(value)} for name, value in row.items() if name != "decision"]
    told += [{"": each["name"], " ": each["sentence"]} for each in row["decision"]["rows"]]
    _print(options, row, told, ("", " "))
    return 0


def _awards_revoke(options: argparse.Namespace) -> int:
    tool = _open()
    awards.listing(tool, award_id=options.id)  # one that is not there is told as `awards show` tells it
    award_acts.revoke(tool, options.id, options.reason, actor="operator", now=_now())
    print(f"Award {options.id} is revoked.")
    return 0


# -- looking after it -------------------------------------------------------------------------------------------


def _doctor(options: argparse.Namespace) -> int:
    from lti_tool import jobs

    tool = _open(check=False)

    def queue() -> None:
        jobs.check_queue(tool, jobs.make_queue(tool.settings.queue.url))

    findings = doctor.examine(tool, options.platform, _now(), queue)
    results = {"unknown": "not checked", "waiting": "waits"}
    rows = [
        {"check": f.what, "result": results.get(f.state, "ok" if f.ok else "WRONG"), "told": f.sentence}
        for f in findings
    ]
    document = [
        {"check": f.what, "ok": f.ok, "sentence": f.sentence, **({"state": f.state} if f.state else {})}
        for f in findings
    ]
    _print(options, document, rows, ("check", "result", "told"))
    if wrong := [f.what for f in findings if not f.ok]:
        raise ToolError(sentence=f"wrong: {', '.join(wrong)}.")
    return 0


def _export(options: argparse.Namespace) -> int:
    done = export.write(_open(), options.directory, _now(), with_keys=options.with_keys)
    if options.json:
        print(json.dumps(dataclasses.asdict(done), ensure_ascii=False))
        return 0
    print(f"{done.directory} holds {_told(done)}, in {done.files} files of {done.size / 1e6:.1f} MB.")
    print("It names people and holds credentials that are not public: keep it where you keep backups.")
    if done.keys:
        print("The private keys are in it: whoever has them can sign in the name of your institution.")
    return 0


def _import(options: argparse.Namespace) -> int:
    done = takeover.take_over(_open(), options.directory, _now())
    if options.json:
        print(json.dumps(dataclasses.asdict(done), ensure_ascii=False))
        return 0
    print(f"{_told(done)} are here, at their old addresses.")
    if not done.keys:
        print("The export held no private keys: the tool signs with its own, and the old ones go on verifying.")
    print("Start the web application and the worker, then look at lti-tool doctor.")
    return 0


def _told(done: export.Summary) -> str:
    awards = _counted(done.awards, "award", "awards")
    credentials = _counted(done.credentials, "signed credential", "signed credentials")
    return f"{awards}, {credentials} and {_counted(done.people, 'person', 'people')}"


def _jobs_list(options: argparse.Namespace) -> int:
    rows = work.listing(_open(), all_states=options.all)
    _print(options, rows, rows, ("id", "kind", "subject", "state", "attempts", "next", "problem"))
    return 0


def _jobs_retry(options: argparse.Namespace) -> int:
    from lti_tool.jobs import RUNNERS

    tool, asked = _open(), _now()
    job = work.wait(tool, work.retry(tool, options.id, asked, actor=OPERATOR), RUNNERS)
    if job.state != "done":
        raise ToolError(sentence=f"Job {job.id} failed again: {job.problem}")
    if job.finished_at is not None and job.finished_at < asked:
        print(f"Job {job.id} was done already; nothing was tried again.")
    else:
        print(f"Job {job.id} is done.")
    return 0


def _verify(options: argparse.Namespace) -> int:
    """Check a file or an address. The database is asked about our own credentials where there is one."""
    data: bytes | str = options.what
    if not options.what.startswith(("https://", "http://")):
        try:
            data = Path(options.what).read_bytes()
        except OSError as error:
            raise BadInput(sentence=f"{options.what} cannot be read: {error.strerror}.") from None
    report = checking.check(_open(), data, _now(), everyone_sees=True, whose=options.whose)
    told = [{"result": check.outcome, "check": check.question, "told": check.sentence} for check in report.checks]
    _print(options, checking.report_json(report), told, ("result", "check", "told"))
    if not options.json:
        print(f"\n{report.verdict}. {report.explanation.removeprefix('No. ')}")
    if not report.ok:
        raise ToolError(sentence=f"{options.what}: {report.verdict}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
