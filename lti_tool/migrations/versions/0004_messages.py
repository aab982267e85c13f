"""what a deep linking or submission review launch asks for

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "message",
        sa.Column("launch_id", sa.String(), nullable=False),
        sa.Column("message_type", sa.String(), nullable=False),
        sa.Column("told", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["launch_id"], ["launch.id"], name=op.f("fk_message_launch_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("launch_id", name=op.f("pk_message")),
    )


def downgrade() -> None:
    op.drop_table("message")
