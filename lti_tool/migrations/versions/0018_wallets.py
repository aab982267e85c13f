"""offers to wallets

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plain ADD COLUMN. The version before leaves it empty and never meets a copy as the newest edition of an award:
    # copies are numbered below zero.
    op.add_column("edition", sa.Column("holder", sa.String(), nullable=True))
    op.create_index(
        "uq_edition_holder",
        "edition",
        ["award_id", "holder"],
        unique=True,
        sqlite_where=sa.text("holder IS NOT NULL AND withdrawn_at IS NULL"),
        postgresql_where=sa.text("holder IS NOT NULL AND withdrawn_at IS NULL"),
    )
    op.create_table(
        "wallet_offer",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("award_id", sa.String(), nullable=False),
        sa.Column("address_hash", sa.String(), nullable=False),
        sa.Column("code_hash", sa.String(), nullable=False),
        sa.Column("exchange_hash", sa.String(), nullable=False),
        sa.Column("pin_hash", sa.String(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("created_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("used_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("token_hash", sa.String(), nullable=True),
        sa.Column("token_expires_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("configurations", sa.JSON(), nullable=False),
        sa.Column("holders", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["award_id"], ["award.id"], name=op.f("fk_wallet_offer_award_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wallet_offer")),
        sa.UniqueConstraint("address_hash", name=op.f("uq_wallet_offer_address_hash")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_wallet_offer_code_hash")),
        sa.UniqueConstraint("exchange_hash", name=op.f("uq_wallet_offer_exchange_hash")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_wallet_offer_token_hash")),
    )
    op.create_index(op.f("ix_wallet_offer_award_id"), "wallet_offer", ["award_id"], unique=False)
    op.create_index(op.f("ix_wallet_offer_expires_at"), "wallet_offer", ["expires_at"], unique=False)
    op.create_table(
        "used_nonce",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("expires_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_used_nonce")),
    )
    op.create_index(op.f("ix_used_nonce_expires_at"), "used_nonce", ["expires_at"], unique=False)


def downgrade() -> None:
    op.drop_table("used_nonce")
    op.drop_table("wallet_offer")
    op.drop_index("uq_edition_holder", table_name="edition")
    op.drop_column("edition", "holder")
