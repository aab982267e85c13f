"""access after the course: confirmed addresses, one-time links, sessions

Revision ID: 0026
Revises: 0025
"""

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = lti_tool.db.UtcDateTime(timezone=True)
    op.create_table(
        "own_address",
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("confirmed_at", moment, nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_own_address_person_id_person")),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_own_address")),
    )
    op.create_index(op.f("ix_own_address_address"), "own_address", ["address"])
    op.create_table(
        "own_address_request",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=True),
        sa.Column("instead_of", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.Column("used_at", moment, nullable=True),
        sa.Column("withdrawn_at", moment, nullable=True),
        sa.CheckConstraint("(person_id IS NULL) <> (instead_of = '')", name=op.f("ck_own_address_request_whose")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_own_address_request_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_own_address_request")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_own_address_request_secret_hash")),
    )
    for column in ("person_id", "address", "expires_at"):
        op.create_index(op.f(f"ix_own_address_request_{column}"), "own_address_request", [column])
    op.create_table(
        "own_link_request",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_own_link_request")),
    )
    op.create_index(op.f("ix_own_link_request_created_at"), "own_link_request", ["created_at"])
    op.create_table(
        "own_link",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.Column("used_at", moment, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_own_link")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_own_link_secret_hash")),
    )
    for column in ("address", "expires_at"):
        op.create_index(op.f(f"ix_own_link_{column}"), "own_link", [column])
    op.create_table(
        "own_session",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("used_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_own_session")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_own_session_secret_hash")),
    )
    for column in ("address", "expires_at"):
        op.create_index(op.f(f"ix_own_session_{column}"), "own_session", [column])
    op.create_table(
        "own_reminder",
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("dismissed_at", moment, nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_own_reminder_person_id_person")),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_own_reminder")),
    )


def downgrade() -> None:
    for table in ("own_reminder", "own_session", "own_link", "own_link_request", "own_address_request", "own_address"):
        op.drop_table(table)
