"""what in the LMS is no longer as it was set up; who has earned a badge, in a column of its own

Revision ID: 0012
Revises: 0010
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

KINDS = (
    "scope_missing",
    "scores_not_allowed",
    "access_refused",
    "token_refused",
    "source_refused",
    "course_concluded",
    "column_missing",
    "maximum_changed",
    "unpublished",
)


def upgrade() -> None:
    moment = lti_tool.db.UtcDateTime(timezone=True)
    op.create_table(
        "drift",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("course_id", sa.Integer(), nullable=False),
        sa.Column("course_badge_id", sa.String(), nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("began_at", moment, nullable=False),
        sa.Column("ended_at", moment, nullable=True),
        sa.CheckConstraint(f"kind IN ({', '.join(repr(kind) for kind in KINDS)})", name=op.f("ck_drift_kind")),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"], name=op.f("fk_drift_course_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift")),
    )
    op.create_index(
        "uq_drift_open",
        "drift",
        ["course_id", "course_badge_id", "tag", "kind"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    _what_is_so_already(moment)
    # Plain ADD COLUMN: batch mode would copy tables that others refer to, which SQLite refuses.
    op.add_column(
        "course_badge", sa.Column("writes_earned", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("gradebook_column", sa.Column("maximum_now", sa.String(), nullable=True))
    op.add_column("gradebook_column", sa.Column("maximum_accepted", sa.String(), nullable=True))
    op.add_column("gradebook_column", sa.Column("asked_again_at", moment, nullable=True))


def _what_is_so_already(moment: sa.types.TypeEngine[datetime]) -> None:
    """Take over what was kept before as states alone: a course that has ended is not read again by itself."""
    drift = sa.table(
        "drift",
        *(sa.column(name) for name in ("course_id", "course_badge_id", "tag", "kind")),
        sa.column("detail", sa.JSON()),
        sa.column("began_at", moment),
    )
    course = sa.table("course", *(sa.column(name) for name in ("id", "state", "problem")))
    badge = sa.table("course_badge", *(sa.column(name) for name in ("id", "course_id", "status")))
    column = sa.table("gradebook_column", *(sa.column(name) for name in ("course_badge_id", "tag", "label", "state")))
    rows = []
    at = datetime.now(UTC)
    connection = op.get_bind()
    for course_id, state, problem in connection.execute(sa.select(course).where(course.c.state != "ok")):
        kind = "course_concluded" if state == "concluded" else "access_refused"
        kind = "scope_missing" if problem == "scope_missing" else kind
        detail = {"reason": problem} if problem else {}
        values = {"course_badge_id": "", "tag": "", "kind": kind, "detail": detail, "began_at": at}
        rows.append({"course_id": course_id, **values})
    gone = sa.select(badge.c.course_id, badge.c.id, column.c.tag, column.c.label)
    gone = gone.join_from(badge, column, column.c.course_badge_id == badge.c.id)
    gone = gone.where(badge.c.status == "active", column.c.state == "missing")
    for course_id, badge_id, tag, label in connection.execute(gone):
        values = {"kind": "column_missing", "detail": {"column": label}, "began_at": at}
        rows.append({"course_id": course_id, "course_badge_id": badge_id, "tag": tag, **values})
    if rows:
        op.bulk_insert(drift, rows)


def downgrade() -> None:
    for column in ("asked_again_at", "maximum_accepted", "maximum_now"):
        op.drop_column("gradebook_column", column)
    op.drop_column("course_badge", "writes_earned")
    op.drop_table("drift")
