"""awards given by hand or held one by one, reissued editions, files of learners, sections

Revision ID: 0010
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plain ADD COLUMN: batch mode copies a table and drops the old one, which SQLite refuses while rows of other tables
    # refer to it. It takes a constraint along with its column only, so those two are written by hand.
    given = "DEFAULT 'grades' NOT NULL CONSTRAINT ck_award_given CHECK (given IN ('grades', 'hand', 'file'))"
    note = "CONSTRAINT ck_award_note CHECK (given = 'grades' OR (note IS NOT NULL AND note <> ''))"
    op.execute(f"ALTER TABLE award ADD COLUMN given VARCHAR {given}")
    op.execute(f"ALTER TABLE award ADD COLUMN note TEXT {note}")
    op.add_column("award", sa.Column("note_told", sa.Boolean(), server_default=sa.text("true"), nullable=False))
    op.add_column("award", sa.Column("held_reason", sa.Text(), nullable=True))
    op.add_column("award", sa.Column("held_until", lti_tool.db.UtcDateTime(timezone=True), nullable=True))
    op.add_column("edition", sa.Column("decision", sa.JSON(), nullable=True))
    op.add_column("enrolment", sa.Column("sections", sa.JSON(), server_default="[]", nullable=False))
    op.create_table(
        "award_file",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("course_badge_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("lines", sa.JSON(), nullable=False),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.Column("created_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("given", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["course_badge_id"], ["course_badge.id"], name=op.f("fk_award_file_course_badge_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_award_file_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_award_file")),
    )
    op.create_index(op.f("ix_award_file_course_badge_id"), "award_file", ["course_badge_id"])
    op.create_index(op.f("ix_award_file_created_at"), "award_file", ["created_at"])


def downgrade() -> None:
    op.drop_table("award_file")
    op.drop_column("enrolment", "sections")
    op.drop_column("edition", "decision")
    for column in ("held_until", "held_reason", "note_told", "note", "given"):
        op.drop_column("award", column)
