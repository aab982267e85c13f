"""drafts, reflections, versions and files of evidence

Revision ID: 0022
Revises: 0021
"""

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

KIND = "ck_evidence_kind"


def upgrade() -> None:
    with op.batch_alter_table("evidence") as table:
        table.add_column(sa.Column("about", sa.Text(), server_default="", nullable=False))
        table.add_column(sa.Column("saved_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True))
        table.add_column(sa.Column("replaces_id", sa.String(), nullable=True))
        table.drop_constraint(op.f(KIND), type_="check")
        table.create_check_constraint(op.f(KIND), "kind IN ('text', 'reflection', 'link', 'file', 'note')")
        table.create_foreign_key(op.f("fk_evidence_replaces_id"), "evidence", ["replaces_id"], ["id"])
        table.create_index(op.f("ix_evidence_replaces_id"), ["replaces_id"])
    op.create_table(
        "evidence_file",
        sa.Column("evidence_id", sa.String(), nullable=False),
        sa.Column("public_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("cleaned", sa.Boolean(), nullable=False),
        sa.Column("place", sa.String(), nullable=True),
        sa.Column("stored_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["evidence_id"], ["evidence.id"], name=op.f("fk_evidence_file_evidence_id")),
        sa.PrimaryKeyConstraint("evidence_id", name=op.f("pk_evidence_file")),
        sa.UniqueConstraint("place", name=op.f("uq_evidence_file_place")),
        sa.UniqueConstraint("public_id", name=op.f("uq_evidence_file_public_id")),
    )


def downgrade() -> None:
    op.drop_table("evidence_file")
    op.execute("UPDATE evidence SET kind = 'text' WHERE kind IN ('reflection', 'file')")
    op.execute("DELETE FROM evidence WHERE submitted_at IS NULL")
    with op.batch_alter_table("evidence") as table:
        table.drop_index(op.f("ix_evidence_replaces_id"))
        table.drop_constraint(op.f("fk_evidence_replaces_id"), type_="foreignkey")
        table.drop_constraint(op.f(KIND), type_="check")
        table.create_check_constraint(op.f(KIND), "kind IN ('text', 'link', 'note')")
        table.drop_column("replaces_id")
        table.drop_column("saved_at")
        table.drop_column("about")
