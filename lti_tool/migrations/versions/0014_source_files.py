"""files of grades, and the SIS ids that find their learners

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = lti_tool.db.UtcDateTime(timezone=True)
    op.add_column("person", sa.Column("sis_id", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "source_file",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("course_badge_id", sa.String(), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("heads", sa.JSON(), nullable=False),
        sa.Column("unused", sa.JSON(), nullable=False),
        sa.Column("lines", sa.JSON(), nullable=False),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("confirmed_at", moment, nullable=True),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["course_badge_id"], ["course_badge.id"], name=op.f("fk_source_file_course_badge_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["version_id"], ["achievement_version.id"], name=op.f("fk_source_file_version_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_source_file_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_source_file")),
    )
    op.create_index(op.f("ix_source_file_course_badge_id"), "source_file", ["course_badge_id"])
    op.create_index(op.f("ix_source_file_created_at"), "source_file", ["created_at"])


def downgrade() -> None:
    op.drop_table("source_file")
    op.drop_column(
        "person", "sis_id"
    )  # not as a batch, which would write the table anew: 0006 takes its column as it was
