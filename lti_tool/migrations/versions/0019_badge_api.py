"""clients and grants of the Open Badges API, and frameworks that badges are begun from

Revision ID: 0019
Revises: 0018
"""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def _moment(name: str, *, nullable: bool) -> sa.Column[datetime]:
    return sa.Column(name, lti_tool.db.UtcDateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    # New tables only: the version before goes on without knowing of them.
    op.create_table(
        "oauth_client",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("redirect_uris", sa.JSON(), nullable=False),
        sa.Column("told", sa.JSON(), nullable=False),
        _moment("created_at", nullable=False),
        _moment("seen_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_client")),
    )
    op.create_table(
        "oauth_grant",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("client_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("with_name", sa.Boolean(), nullable=False),
        sa.Column("with_email", sa.Boolean(), nullable=False),
        _moment("created_at", nullable=False),
        _moment("used_at", nullable=True),
        _moment("expires_at", nullable=False),
        _moment("ended_at", nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["oauth_client.id"], name=op.f("fk_oauth_grant_client_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_oauth_grant_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_grant")),
    )
    op.create_index(
        "uq_oauth_grant_open",
        "oauth_grant",
        ["client_id", "person_id"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(op.f("ix_oauth_grant_person_id"), "oauth_grant", ["person_id"])
    op.create_index(op.f("ix_oauth_grant_expires_at"), "oauth_grant", ["expires_at"])
    op.create_table(
        "oauth_request",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("client_id", sa.String(), nullable=False),
        sa.Column("browser_hash", sa.String(), nullable=False),
        sa.Column("code_hash", sa.String(), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("code_challenge", sa.String(), nullable=False),
        _moment("created_at", nullable=False),
        _moment("expires_at", nullable=False),
        sa.Column("person_id", sa.String(), nullable=True),
        sa.Column("decision", sa.String(), nullable=True),
        sa.Column("grant_id", sa.String(), nullable=True),
        _moment("finished_at", nullable=True),
        sa.CheckConstraint("decision IN ('allowed', 'refused')", name=op.f("ck_oauth_request_decision")),
        sa.ForeignKeyConstraint(["client_id"], ["oauth_client.id"], name=op.f("fk_oauth_request_client_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_oauth_request_person_id")),
        sa.ForeignKeyConstraint(
            ["grant_id"], ["oauth_grant.id"], name=op.f("fk_oauth_request_grant_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_request")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_oauth_request_code_hash")),
    )
    op.create_index(op.f("ix_oauth_request_client_id"), "oauth_request", ["client_id"])
    op.create_index(op.f("ix_oauth_request_person_id"), "oauth_request", ["person_id"])
    op.create_index(op.f("ix_oauth_request_expires_at"), "oauth_request", ["expires_at"])
    op.create_table(
        "oauth_code",
        sa.Column("code_hash", sa.String(), nullable=False),
        sa.Column("grant_id", sa.String(), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("code_challenge", sa.String(), nullable=False),
        _moment("expires_at", nullable=False),
        _moment("used_at", nullable=True),
        sa.ForeignKeyConstraint(
            ["grant_id"], ["oauth_grant.id"], name=op.f("fk_oauth_code_grant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_oauth_code")),
    )
    op.create_index(op.f("ix_oauth_code_grant_id"), "oauth_code", ["grant_id"])
    op.create_table(
        "oauth_token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("grant_id", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("access_hash", sa.String(), nullable=False),
        _moment("expires_at", nullable=False),
        _moment("revoked_at", nullable=True),
        sa.Column("refresh_hash", sa.String(), nullable=True),
        _moment("refresh_expires_at", nullable=True),
        _moment("spent_at", nullable=True),
        _moment("created_at", nullable=False),
        sa.ForeignKeyConstraint(
            ["grant_id"], ["oauth_grant.id"], name=op.f("fk_oauth_token_grant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_token")),
        sa.UniqueConstraint("access_hash", name=op.f("uq_oauth_token_access_hash")),
        sa.UniqueConstraint("refresh_hash", name=op.f("uq_oauth_token_refresh_hash")),
    )
    op.create_index(op.f("ix_oauth_token_grant_id"), "oauth_token", ["grant_id"])
    op.create_index(op.f("ix_oauth_token_created_at"), "oauth_token", ["created_at"])
    op.create_table(
        "framework_file",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("course_id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("framework", sa.JSON(), nullable=False),
        _moment("created_at", nullable=False),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"], name=op.f("fk_framework_file_course_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_framework_file_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_framework_file")),
    )
    op.create_index(op.f("ix_framework_file_course_id"), "framework_file", ["course_id"])
    op.create_index(op.f("ix_framework_file_created_at"), "framework_file", ["created_at"])


def downgrade() -> None:
    for table in ("framework_file", "oauth_token", "oauth_code", "oauth_request", "oauth_grant", "oauth_client"):
        op.drop_table(table)
