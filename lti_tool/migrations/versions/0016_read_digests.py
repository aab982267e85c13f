"""what a column and a roster were when they were last stored, so that the same again costs little

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plain ADD COLUMN: the version before goes on beside it. What it stores meanwhile is newer than `read_at`.
    op.add_column("gradebook_column", sa.Column("read_digest", sa.String(), nullable=True))
    op.add_column("gradebook_column", sa.Column("read_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True))
    op.add_column("course", sa.Column("roster_digest", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("course", "roster_digest")
    op.drop_column("gradebook_column", "read_at")
    op.drop_column("gradebook_column", "read_digest")
