"""administrators, their sign-ins, and the issuer's logo and LinkedIn number

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "administrator",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("created_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("signed_in_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("removed_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_administrator")),
    )
    with op.batch_alter_table("administrator", schema=None) as batch_op:
        batch_op.create_index(
            "uq_administrator_email",
            ["email"],
            unique=True,
            sqlite_where=sa.text("removed_at IS NULL AND email <> ''"),
            postgresql_where=sa.text("removed_at IS NULL AND email <> ''"),
        )

    op.create_table(
        "sign_in_address",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("administrator_id", sa.String(), nullable=True),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=True),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("created_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("used_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["administrator_id"], ["administrator.id"], name=op.f("fk_sign_in_address_administrator_id")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_sign_in_address_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_address")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_sign_in_address_secret_hash")),
    )
    with op.batch_alter_table("sign_in_address", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sign_in_address_expires_at"), ["expires_at"], unique=False)

    op.create_table(
        "admin_session",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("administrator_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=True),
        sa.Column("created_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("used_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["administrator_id"], ["administrator.id"], name=op.f("fk_admin_session_administrator_id")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_admin_session_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_admin_session")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_admin_session_secret_hash")),
    )
    with op.batch_alter_table("admin_session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_admin_session_administrator_id"), ["administrator_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_admin_session_expires_at"), ["expires_at"], unique=False)

    op.create_table(
        "binding",
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("administrator_id", sa.String(), nullable=False),
        sa.Column("created_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["administrator_id"], ["administrator.id"], name=op.f("fk_binding_administrator_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_binding_person_id")),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_binding")),
    )
    with op.batch_alter_table("binding", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_binding_administrator_id"), ["administrator_id"], unique=False)

    op.create_table(
        "binding_code",
        sa.Column("administrator_id", sa.String(), nullable=False),
        sa.Column("code_hash", sa.String(), nullable=False),
        sa.Column("expires_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["administrator_id"], ["administrator.id"], name=op.f("fk_binding_code_administrator_id")
        ),
        sa.PrimaryKeyConstraint("administrator_id", name=op.f("pk_binding_code")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_binding_code_code_hash")),
    )

    with op.batch_alter_table("issuer", schema=None) as batch_op:
        batch_op.add_column(sa.Column("linkedin", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("logo", sa.LargeBinary(), nullable=True))
        batch_op.add_column(sa.Column("logo_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("issuer", schema=None) as batch_op:
        batch_op.drop_column("logo_at")
        batch_op.drop_column("logo")
        batch_op.drop_column("linkedin")
    op.drop_table("binding_code")
    op.drop_table("binding")
    op.drop_table("admin_session")
    op.drop_table("sign_in_address")
    op.drop_table("administrator")
