"""what an Open Badge can say besides: endorsements, choices, partners

Revision ID: 0017
Revises: 0016
"""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def moment(name: str, nullable: bool = True) -> sa.Column[datetime]:
    return sa.Column(name, lti_tool.db.UtcDateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    # Plain ADD COLUMN: the version before goes on beside it.
    for name in ("phone", "parent_name", "parent_url", "terms_url"):
        op.add_column("issuer", sa.Column(name, sa.String(), server_default="", nullable=False))
    op.add_column("issuer", sa.Column("address", sa.JSON(), server_default="{}", nullable=False))
    op.add_column("issuer", sa.Column("identifiers", sa.JSON(), server_default="[]", nullable=False))
    op.add_column("achievement_version", sa.Column("form", sa.Integer(), server_default="1", nullable=False))
    op.add_column("course", moment("starts_at"))
    op.add_column("course", sa.Column("term", sa.String(), server_default="", nullable=False))
    op.create_table(
        "endorsement_request",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=True),
        sa.Column("award_id", sa.String(), nullable=True),
        sa.Column("course_badge_id", sa.String(), nullable=True),
        sa.Column("reviewer", sa.String(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.String(), nullable=False),
        moment("asked_at", nullable=False),
        moment("expires_at", nullable=False),
        moment("answered_at"),
        sa.Column("declined", sa.Boolean(), nullable=False),
        moment("withdrawn_at"),
        sa.CheckConstraint("kind IN ('badge', 'award', 'issuer')", name=op.f("ck_endorsement_request_kind")),
        sa.ForeignKeyConstraint(
            ["version_id"], ["achievement_version.id"], name=op.f("fk_endorsement_request_version_id")
        ),
        sa.ForeignKeyConstraint(["award_id"], ["award.id"], name=op.f("fk_endorsement_request_award_id")),
        sa.ForeignKeyConstraint(
            ["course_badge_id"], ["course_badge.id"], name=op.f("fk_endorsement_request_course_badge_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endorsement_request")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_endorsement_request_token_hash")),
    )
    for name in ("version_id", "award_id", "course_badge_id"):
        op.create_index(op.f(f"ix_endorsement_request_{name}"), "endorsement_request", [name])
    op.create_table(
        "endorsement",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=True),
        sa.Column("award_id", sa.String(), nullable=True),
        sa.Column("edition_id", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("organisation", sa.String(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        moment("said_at", nullable=False),
        sa.Column("document", lti_tool.db.Compressed(), nullable=False),
        sa.Column("status_list_id", sa.Integer(), nullable=False),
        sa.Column("status_index", sa.Integer(), nullable=False),
        moment("withdrawn_at"),
        sa.Column("withdrawn_reason", sa.String(), nullable=False),
        sa.CheckConstraint("kind IN ('badge', 'award', 'issuer')", name=op.f("ck_endorsement_kind")),
        sa.ForeignKeyConstraint(["request_id"], ["endorsement_request.id"], name=op.f("fk_endorsement_request_id")),
        sa.ForeignKeyConstraint(["version_id"], ["achievement_version.id"], name=op.f("fk_endorsement_version_id")),
        sa.ForeignKeyConstraint(["award_id"], ["award.id"], name=op.f("fk_endorsement_award_id")),
        sa.ForeignKeyConstraint(["edition_id"], ["edition.id"], name=op.f("fk_endorsement_edition_id")),
        sa.ForeignKeyConstraint(["status_list_id"], ["status_list.id"], name=op.f("fk_endorsement_status_list_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endorsement")),
        sa.UniqueConstraint("request_id", name=op.f("uq_endorsement_request_id")),
        sa.UniqueConstraint("status_list_id", "status_index", name=op.f("uq_endorsement_status_list_id_status_index")),
    )
    op.create_index("ix_endorsement_version_id", "endorsement", ["version_id", "kind"])
    op.create_index(op.f("ix_endorsement_award_id"), "endorsement", ["award_id"])


def downgrade() -> None:
    op.drop_table("endorsement")
    op.drop_table("endorsement_request")
    op.drop_column("course", "term")
    op.drop_column("course", "starts_at")
    op.drop_column("achievement_version", "form")
    for name in ("identifiers", "address", "terms_url", "parent_url", "parent_name", "phone"):
        op.drop_column("issuer", name)
