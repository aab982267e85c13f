"""dynamic registration, the platform page, moving to another client id

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("registration", schema=None) as batch_op:
        batch_op.add_column(sa.Column("approved", sa.Boolean(), nullable=False, server_default=sa.true()))
        batch_op.add_column(sa.Column("registered_by", sa.String(), nullable=False, server_default="hand"))
        batch_op.add_column(sa.Column("granted_scopes", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("checks", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("checked_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True))
    with op.batch_alter_table("deployment", schema=None) as batch_op:
        batch_op.add_column(sa.Column("former", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "invite",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("claimed_until", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("asked_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("asked_of", sa.String(), nullable=True),
        sa.Column("used_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("registration_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["registration_id"],
            ["registration.id"],
            name=op.f("fk_invite_registration_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invite")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_invite_token_hash")),
    )


def downgrade() -> None:
    op.drop_table("invite")
    with op.batch_alter_table("deployment", schema=None) as batch_op:
        batch_op.drop_column("former")
    with op.batch_alter_table("registration", schema=None) as batch_op:
        for name in ("checked_at", "checks", "granted_scopes", "registered_by", "approved"):
            batch_op.drop_column(name)
