"""mail on its way out, notifications inside the tool, and who wants which

Revision ID: 0025
Revises: 0024
"""

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plain ADD COLUMN: the version before leaves both as they are.
    op.add_column("person", sa.Column("language", sa.String(), nullable=False, server_default=""))
    op.add_column("award", sa.Column("confirmed_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True))
    moment = lti_tool.db.UtcDateTime(timezone=True)
    op.create_table(
        "mail",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=True),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("template", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("unknown", sa.Integer(), nullable=False),
        sa.Column("not_before", moment, nullable=False),
        sa.Column("not_after", moment, nullable=False),
        sa.Column("lease_until", moment, nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("ended_at", moment, nullable=True),
        sa.CheckConstraint(
            "state IN ('due', 'sending', 'sent', 'unsure', 'refused', 'late', 'stopped')", name=op.f("ck_mail_state")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_mail_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail")),
        sa.UniqueConstraint("key", name=op.f("uq_mail_key")),
    )
    op.create_index(op.f("ix_mail_person_id"), "mail", ["person_id"])
    op.create_index(op.f("ix_mail_created_at"), "mail", ["created_at"])
    op.create_index(op.f("ix_mail_state_not_before"), "mail", ["state", "not_before"])
    op.create_table(
        "mail_server",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("failing_since", moment, nullable=True),
        sa.Column("worked_at", moment, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_server")),
    )
    op.create_table(
        "notification",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("award_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("dismissed_at", moment, nullable=True),
        sa.ForeignKeyConstraint(["award_id"], ["award.id"], name=op.f("fk_notification_award_id_award")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_notification_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification")),
        sa.UniqueConstraint("key", name=op.f("uq_notification_key")),
    )
    op.create_index(op.f("ix_notification_award_id"), "notification", ["award_id"])
    op.create_index(op.f("ix_notification_created_at"), "notification", ["created_at"])
    op.create_index(op.f("ix_notification_person_id_dismissed_at"), "notification", ["person_id", "dismissed_at"])
    op.create_table(
        "mail_choice",
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("stopped_at", moment, nullable=True),
        sa.Column("told_at", moment, nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_mail_choice_person_id_person")),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_mail_choice")),
        sa.UniqueConstraint("person_id", "scope", name=op.f("uq_mail_choice_person_id_scope")),
    )


def downgrade() -> None:
    for table in ("mail_choice", "notification", "mail_server", "mail"):
        op.drop_table(table)
    op.drop_column("award", "confirmed_at")
    op.drop_column("person", "language")
