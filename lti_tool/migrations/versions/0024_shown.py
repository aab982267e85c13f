"""share links, and pages that search engines may list

Revision ID: 0024
Revises: 0023
"""

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("award", sa.Column("searchable", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "share_link",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("award_id", sa.String(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("shows", sa.JSON(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("created_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("ended_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("opened", sa.Integer(), nullable=False),
        sa.Column("opened_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["award_id"], ["award.id"], name=op.f("fk_share_link_award_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_share_link")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_share_link_token_hash")),
    )
    op.create_index("ix_share_link_award_id", "share_link", ["award_id"])
    op.create_index("ix_share_link_expires_at", "share_link", ["expires_at"])


def downgrade() -> None:
    op.drop_table("share_link")
    op.drop_column("award", "searchable")
