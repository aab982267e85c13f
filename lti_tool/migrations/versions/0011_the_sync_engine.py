"""when a course is read again, what each platform bears, which workers are alive

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plain ADD COLUMN, with nothing the version before would miss: it goes on working beside the new one.
    moment = lti_tool.db.UtcDateTime(timezone=True)
    for column in ("next_sync_at", "moved_at", "ends_at"):
        op.add_column("course", sa.Column(column, moment, nullable=True))
    op.add_column("course", sa.Column("sync_failures", sa.Integer(), server_default="0", nullable=False))
    op.add_column("job", sa.Column("registration_id", sa.Integer(), nullable=True))
    op.add_column("job", sa.Column("priority", sa.Integer(), server_default="0", nullable=False))
    # A course that slept before the upgrade does not wake by it.
    op.execute("UPDATE course SET moved_at = synced_at, next_sync_at = synced_at WHERE synced_at IS NOT NULL")
    op.create_table(
        "platform_load",
        sa.Column("registration_id", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("paused_until", moment, nullable=True),
        sa.Column("asked", sa.Boolean(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("served_at", moment, nullable=True),
        sa.ForeignKeyConstraint(
            ["registration_id"],
            ["registration.id"],
            name=op.f("fk_platform_load_registration_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("registration_id", name=op.f("pk_platform_load")),
    )
    op.create_table(
        "presence",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("threads", sa.Integer(), nullable=False),
        sa.Column("periodic", sa.Boolean(), nullable=False),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("seen_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_presence")),
    )


def downgrade() -> None:
    op.drop_table("presence")
    op.drop_table("platform_load")
    for column in ("priority", "registration_id"):
        op.drop_column("job", column)
    for column in ("sync_failures", "ends_at", "moved_at", "next_sync_at"):
        op.drop_column("course", column)
