"""the request that started a job, figures of all processes, and who is alive

Revision ID: 0015
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0015"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A version that knows nothing of it goes on adding jobs: the database fills it in.
    op.add_column("job", sa.Column("request_id", sa.String(), server_default="", nullable=False))
    op.create_table(
        "figure",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("labels", sa.String(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", "labels", name=op.f("pk_figure")),
    )
    op.create_table(
        "presence",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("started_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("seen_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_presence")),
    )


def downgrade() -> None:
    op.drop_table("presence")
    op.drop_table("figure")
    op.drop_column("job", "request_id")
