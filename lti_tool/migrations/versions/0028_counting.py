"""events without people

Revision ID: 0028
Revises: 0027
"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What is in the database already is counted by the first sweep, see services.counting.catch_up.
    op.create_table(
        "tally",
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("course_badge_id", sa.String(), nullable=False),
        sa.Column("version_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("lasted", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("course_id", sa.Integer(), nullable=False),
        sa.Column("registration_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint(
            "day", "kind", "course_badge_id", "version_id", "detail", "lasted", name=op.f("pk_tally")
        ),
    )
    op.create_index("ix_tally_course_id", "tally", ["course_id"])
    op.create_index(op.f("ix_tally_registration_id"), "tally", ["registration_id"])
    op.create_table(
        "award_tally",
        sa.Column("award_id", sa.String(), nullable=False),
        sa.Column("issued", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("claimed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("revoked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("expired", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("shared_on", sa.String(), nullable=True),
        sa.Column("views", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["award_id"], ["award.id"], name=op.f("fk_award_tally_award_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("award_id", name=op.f("pk_award_tally")),
    )


def downgrade() -> None:
    op.drop_table("award_tally")
    op.drop_table("tally")
