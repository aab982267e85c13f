"""marks, their way into the gradebook, evidence

Revision ID: 0009
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

MOMENT = lti_tool.db.UtcDateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "mark",
        sa.Column("course_badge_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=True),
        sa.Column("points", sa.String(), nullable=True),
        sa.Column("maximum", sa.String(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("marked_by", sa.String(), nullable=False),
        sa.Column("marked_at", MOMENT, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["course_badge_id"], ["course_badge.id"], name=op.f("fk_mark_course_badge_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_mark_person_id")),
        sa.PrimaryKeyConstraint("course_badge_id", "person_id", "tag", name=op.f("pk_mark")),
    )
    op.create_index(op.f("ix_mark_person_id"), "mark", ["person_id"])

    op.create_table(
        "posting",
        sa.Column("course_badge_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("points", sa.String(), nullable=False),
        sa.Column("maximum", sa.String(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("sent_points", sa.String(), nullable=True),
        sa.Column("sent_comment", sa.Text(), nullable=True),
        sa.Column("sent_at", MOMENT, nullable=True),
        sa.Column("posted_points", sa.String(), nullable=True),
        sa.Column("posted_comment", sa.Text(), nullable=True),
        sa.Column("posted_at", MOMENT, nullable=True),
        sa.Column("found", sa.JSON(), nullable=True),
        sa.Column("over", sa.JSON(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("retry_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "state IN ('due', 'sent', 'posted', 'refused', 'conflict', 'kept', 'left')", name=op.f("ck_posting_state")
        ),
        sa.ForeignKeyConstraint(["course_badge_id"], ["course_badge.id"], name=op.f("fk_posting_course_badge_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_posting_person_id")),
        sa.PrimaryKeyConstraint("course_badge_id", "person_id", "tag", name=op.f("pk_posting")),
    )
    op.create_index(op.f("ix_posting_person_id"), "posting", ["person_id"])
    op.create_index("ix_posting_state", "posting", ["state", "retry_at"])

    op.create_table(
        "evidence",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("course_badge_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("submitted_at", MOMENT, nullable=True),
        sa.Column("withdrawn_at", MOMENT, nullable=True),
        sa.CheckConstraint("kind IN ('text', 'link', 'note')", name=op.f("ck_evidence_kind")),
        sa.ForeignKeyConstraint(["course_badge_id"], ["course_badge.id"], name=op.f("fk_evidence_course_badge_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_evidence_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence")),
    )
    op.create_index(op.f("ix_evidence_person_id"), "evidence", ["person_id"])
    op.create_index("ix_evidence_course_badge_id_person_id", "evidence", ["course_badge_id", "person_id"])


def downgrade() -> None:
    for table in ("evidence", "posting", "mark"):
        op.drop_table(table)
