"""what outlives a restored database

Revision ID: 0020
Revises: 0019
"""

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signed_status_list",
        sa.Column("status_list_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("kid", sa.String(), nullable=False),
        sa.Column("signed_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("document", lti_tool.db.Compressed(), nullable=False),
        sa.ForeignKeyConstraint(
            ["status_list_id"], ["status_list.id"], name=op.f("fk_signed_status_list_status_list_id")
        ),
        sa.PrimaryKeyConstraint("status_list_id", name=op.f("pk_signed_status_list")),
    )
    op.create_table(
        "withdrawn_elsewhere",
        sa.Column("status_list_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("status_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("edition_id", sa.String(), nullable=False),
        sa.Column("award_id", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("withdrawn_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["status_list_id"], ["status_list.id"], name=op.f("fk_withdrawn_elsewhere_status_list_id")
        ),
        sa.PrimaryKeyConstraint("status_list_id", "status_index", name=op.f("pk_withdrawn_elsewhere")),
        sa.UniqueConstraint("edition_id", name=op.f("uq_withdrawn_elsewhere_edition_id")),
    )
    op.create_index(
        "ix_edition_withdrawn",
        "edition",
        ["status_list_id", "status_index"],
        sqlite_where=sa.text("withdrawn_at IS NOT NULL"),
        postgresql_where=sa.text("withdrawn_at IS NOT NULL"),
    )
    op.create_index(op.f("ix_award_expires_at"), "award", ["expires_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_award_expires_at"), table_name="award")
    op.drop_index("ix_edition_withdrawn", table_name="edition")
    op.drop_table("withdrawn_elsewhere")
    op.drop_table("signed_status_list")
