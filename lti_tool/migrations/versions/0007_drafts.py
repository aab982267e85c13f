"""drafts that are stored as typed

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plain ADD COLUMN: batch mode would make the table anew, and rows of others point to it.
    op.add_column("course_badge", sa.Column("working", sa.JSON(), nullable=True))
    op.add_column("course_badge", sa.Column("working_revision", sa.Integer(), server_default="0", nullable=False))
    op.add_column("course_badge", sa.Column("working_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True))
    op.add_column("course_badge", sa.Column("working_by", sa.String(), nullable=True))
    op.add_column("course_badge", sa.Column("draft_picture_svg", sa.Text(), nullable=True))


def downgrade() -> None:
    for column in ("draft_picture_svg", "working_by", "working_at", "working_revision", "working"):
        op.drop_column("course_badge", column)
