"""why a badge is not claimed

Revision ID: 0023
Revises: 0022
"""

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "why_not",
        sa.Column("award_id", sa.String(), nullable=False),
        sa.Column("put_off_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("asked_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("answered_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(), server_default="", nullable=False),
        sa.Column("words", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(
            "reason IN ('', 'later', 'private', 'unclear', 'effort', 'other')", name=op.f("ck_why_not_reason")
        ),
        sa.ForeignKeyConstraint(["award_id"], ["award.id"], name=op.f("fk_why_not_award_id_award"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("award_id", name=op.f("pk_why_not")),
    )


def downgrade() -> None:
    op.drop_table("why_not")
