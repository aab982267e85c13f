"""the request that started a job, and figures of all processes

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
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


def downgrade() -> None:
    op.drop_table("figure")
    op.drop_column("job", "request_id")
