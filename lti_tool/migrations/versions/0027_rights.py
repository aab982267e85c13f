"""requests and retention

Revision ID: 0027
Revises: 0026
"""

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plain ADD COLUMN: the version before goes on calling everybody what the LMS calls them, and erases nobody.
    op.add_column("person", sa.Column("shown_name", sa.String(), server_default="", nullable=False))
    op.add_column("person", sa.Column("erased_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True))
    op.create_table(
        "rights_request",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("wanted", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.String(), nullable=False),
        sa.Column("asked_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("decided_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("finished_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('erasure', 'name')", name=op.f("ck_rights_request_kind")),
        sa.CheckConstraint(
            "state IN ('open', 'doing', 'done', 'refused', 'withdrawn')", name=op.f("ck_rights_request_state")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_rights_request_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rights_request")),
    )
    op.create_index(op.f("ix_rights_request_person_id"), "rights_request", ["person_id"])
    op.create_index(
        "uq_rights_request_open",
        "rights_request",
        ["person_id", "kind"],
        unique=True,
        sqlite_where=sa.text("state IN ('open', 'doing')"),
        postgresql_where=sa.text("state IN ('open', 'doing')"),
    )
    op.create_table(
        "erasure",
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("registration_id", sa.Integer(), nullable=False),
        sa.Column("known", sa.String(), nullable=False),
        sa.Column("before", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("began_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("finished_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("returned_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_erasure")),
    )
    op.create_index(op.f("ix_erasure_known"), "erasure", ["known"])
    op.create_table(
        "retention_period",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=True),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.Column("changed_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_retention_period")),
    )
    op.create_table(
        "retention_run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("began_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("finished_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retention_run")),
    )
    op.create_index(op.f("ix_retention_run_began_at"), "retention_run", ["began_at"])


def downgrade() -> None:
    for table in ("retention_run", "retention_period", "erasure", "rights_request"):
        op.drop_table(table)
    op.drop_column("person", "erased_at")
    op.drop_column("person", "shown_name")
