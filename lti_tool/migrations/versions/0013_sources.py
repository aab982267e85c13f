"""connections to an LMS's own interface, rows matched with it, and what it answered

Revision ID: 0013
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0013"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = lti_tool.db.UtcDateTime(timezone=True)
    op.create_table(
        "connection",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("registration_id", sa.Integer(), nullable=False),
        sa.Column("course_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("client_id", sa.String(), nullable=False),
        sa.Column("secrets", sa.Text(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=True),
        sa.Column("used_at", moment, nullable=True),
        sa.Column("problem", lti_tool.db.Said(), nullable=True),
        sa.CheckConstraint("kind IN ('canvas', 'moodle')", name=op.f("ck_connection_kind")),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"], name=op.f("fk_connection_course_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["registration_id"], ["registration.id"], name=op.f("fk_connection_registration_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connection")),
    )
    for name, columns, where in (
        ("uq_connection_platform", ["registration_id", "kind"], sa.text("course_id IS NULL")),
        ("uq_connection_course", ["course_id", "kind"], sa.text("course_id IS NOT NULL")),
    ):
        op.create_index(name, "connection", columns, unique=True, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "connection_request",
        sa.Column("state_hash", sa.String(), nullable=False),
        sa.Column("registration_id", sa.Integer(), nullable=False),
        sa.Column("course_id", sa.Integer(), nullable=True),
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["course_id"], ["course.id"], name=op.f("fk_connection_request_course_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["registration_id"],
            ["registration.id"],
            name=op.f("fk_connection_request_registration_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("pk_connection_request")),
    )
    op.create_index(op.f("ix_connection_request_expires_at"), "connection_request", ["expires_at"])
    op.create_table(
        "source_link",
        sa.Column("course_badge_id", sa.String(), nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("place", sa.JSON(), nullable=False),
        sa.Column("title", lti_tool.db.Said(), nullable=False),
        sa.Column("confirmed_at", moment, nullable=False),
        sa.Column("confirmed_by", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["course_badge_id"], ["course_badge.id"], name=op.f("fk_source_link_course_badge_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("course_badge_id", "tag", name=op.f("pk_source_link")),
    )
    op.create_table(
        "source_seen",
        sa.Column("course_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("rows", sa.JSON(), nullable=False),
        sa.Column("seen_at", moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["course_id"], ["course.id"], name=op.f("fk_source_seen_course_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("course_id", "kind", name=op.f("pk_source_seen")),
    )
    op.create_table(
        "source_answer",
        sa.Column("course_badge_id", sa.String(), nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.Column("user_sub", sa.String(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=True),
        sa.Column("received_at", moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["course_badge_id"], ["course_badge.id"], name=op.f("fk_source_answer_course_badge_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("course_badge_id", "tag", "user_sub", name=op.f("pk_source_answer")),
    )


def downgrade() -> None:
    for table in ("source_answer", "source_seen", "source_link", "connection_request", "connection"):
        op.drop_table(table)
