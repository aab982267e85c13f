"""badges made of badges

Revision ID: 0021
Revises: 0020
"""

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plain ADD COLUMN: the version before publishes no badge made of badges, and leaves it empty.
    op.add_column("achievement_version", sa.Column("members", sa.JSON(), nullable=True))
    op.create_table(
        "outside_badge",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("course_badge_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("issuer_id", sa.String(), nullable=False),
        sa.Column("issuer_name", sa.String(), nullable=False),
        sa.Column("credential_id", sa.String(), nullable=False),
        sa.Column("issued_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("ends_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("names", sa.String(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("checked_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("tried_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("handed_by", sa.String(), nullable=False),
        sa.Column("handed_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("decided_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint("status IN ('waiting', 'accepted', 'refused')", name=op.f("ck_outside_badge_status")),
        sa.ForeignKeyConstraint(
            ["course_badge_id"], ["course_badge.id"], name=op.f("fk_outside_badge_course_badge_id_course_badge")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_outside_badge_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outside_badge")),
    )
    op.create_index(op.f("ix_outside_badge_person_id"), "outside_badge", ["person_id"])
    op.create_index(
        "uq_outside_badge_open",
        "outside_badge",
        ["course_badge_id", "person_id", "slug"],
        unique=True,
        sqlite_where=sa.text("status <> 'refused'"),
        postgresql_where=sa.text("status <> 'refused'"),
    )
    op.create_index(
        "uq_outside_badge_used",
        "outside_badge",
        ["course_badge_id", "digest"],
        unique=True,
        sqlite_where=sa.text("status = 'accepted'"),
        postgresql_where=sa.text("status = 'accepted'"),
    )


def downgrade() -> None:
    op.drop_table("outside_badge")
    op.drop_column("achievement_version", "members")
