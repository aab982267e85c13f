"""what in the LMS is no longer as it was set up; who has earned a badge, in a column of its own

Revision ID: 0012
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None

KINDS = (
    "scope_missing",
    "scores_not_allowed",
    "access_refused",
    "token_refused",
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
    # Plain ADD COLUMN: batch mode would copy tables that others refer to, which SQLite refuses.
    op.add_column(
        "course_badge", sa.Column("writes_earned", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("gradebook_column", sa.Column("maximum_now", sa.String(), nullable=True))
    op.add_column("gradebook_column", sa.Column("maximum_accepted", sa.String(), nullable=True))
    op.add_column("gradebook_column", sa.Column("asked_again_at", moment, nullable=True))


def downgrade() -> None:
    for column in ("asked_again_at", "maximum_accepted", "maximum_now"):
        op.drop_column("gradebook_column", column)
    op.drop_column("course_badge", "writes_earned")
    op.drop_table("drift")
