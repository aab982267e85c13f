"""copied courses, notices, linked people

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "resource_link",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("deployment_pk", sa.Integer(), nullable=False),
        sa.Column("course_id", sa.Integer(), nullable=False),
        sa.Column("resource_link_id", sa.String(), nullable=False),
        sa.Column("history", sa.JSON(), nullable=False),
        sa.Column("created_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"], name=op.f("fk_resource_link_course_id")),
        sa.ForeignKeyConstraint(["deployment_pk"], ["deployment.id"], name=op.f("fk_resource_link_deployment_pk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resource_link")),
        sa.UniqueConstraint(
            "deployment_pk", "resource_link_id", name=op.f("uq_resource_link_deployment_pk_resource_link_id")
        ),
    )
    op.create_index(op.f("ix_resource_link_course_id"), "resource_link", ["course_id"])

    op.create_table(
        "context_notice",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("registration_id", sa.Integer(), nullable=False),
        sa.Column("notice_id", sa.String(), nullable=False),
        sa.Column("deployment_pk", sa.Integer(), nullable=False),
        sa.Column("context_id", sa.String(), nullable=False),
        sa.Column("origins", sa.JSON(), nullable=False),
        sa.Column("received_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["deployment_pk"], ["deployment.id"], name=op.f("fk_context_notice_deployment_pk")),
        sa.ForeignKeyConstraint(
            ["registration_id"], ["registration.id"], name=op.f("fk_context_notice_registration_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_context_notice")),
        sa.UniqueConstraint("registration_id", "notice_id", name=op.f("uq_context_notice_registration_id_notice_id")),
    )
    op.create_index(
        op.f("ix_context_notice_deployment_pk_context_id"), "context_notice", ["deployment_pk", "context_id"]
    )

    op.create_table(
        "course_copy",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("course_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("told_by", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=True),
        sa.Column("problem", sa.String(), nullable=True),
        sa.Column("badges", sa.JSON(), nullable=False),
        sa.Column("created_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("decided_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('offered', 'taken', 'declined')", name=op.f("ck_course_copy_state")),
        sa.CheckConstraint("told_by IN ('launch', 'notice')", name=op.f("ck_course_copy_told_by")),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"], name=op.f("fk_course_copy_course_id")),
        sa.ForeignKeyConstraint(["source_id"], ["course.id"], name=op.f("fk_course_copy_source_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_course_copy")),
        sa.UniqueConstraint("course_id", "source_id", name=op.f("uq_course_copy_course_id_source_id")),
    )
    op.create_index(op.f("ix_course_copy_source_id"), "course_copy", ["source_id"])

    op.create_table(
        "person_link",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("same_as_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("undo", sa.JSON(), nullable=False),
        sa.Column("decided_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("unlinked_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('linked', 'unlinked', 'refused')", name=op.f("ck_person_link_state")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_person_link_person_id")),
        sa.ForeignKeyConstraint(["same_as_id"], ["person.id"], name=op.f("fk_person_link_same_as_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person_link")),
    )
    op.create_index(op.f("ix_person_link_person_id"), "person_link", ["person_id"])
    op.create_index(op.f("ix_person_link_same_as_id"), "person_link", ["same_as_id"])
    op.create_index(
        "uq_person_link_open",
        "person_link",
        ["person_id"],
        unique=True,
        sqlite_where=sa.text("state = 'linked'"),
        postgresql_where=sa.text("state = 'linked'"),
    )

    # Plain ADD COLUMN throughout: batch mode copies a table and drops the old one, which SQLite refuses while rows of
    # other tables refer to it. Alembic writes no column with a foreign key there, so those two are written by hand.
    op.add_column("course", sa.Column("history", sa.JSON(), server_default="[]", nullable=False))
    op.add_column("deployment", sa.Column("notices_url", sa.String(), nullable=True))
    op.add_column("deployment", sa.Column("notices_asked_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True))
    for table, column in (("person", "same_as_id"), ("award", "earned_as_id")):
        reference = f"CONSTRAINT fk_{table}_{column} REFERENCES person (id)"
        op.execute(f"ALTER TABLE {table} ADD COLUMN {column} VARCHAR {reference}")
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])


def downgrade() -> None:
    for table, column in (("award", "earned_as_id"), ("person", "same_as_id")):
        op.drop_index(op.f(f"ix_{table}_{column}"), table)
        op.drop_column(table, column)
    op.drop_column("deployment", "notices_asked_at")
    op.drop_column("deployment", "notices_url")
    op.drop_column("course", "history")
    for table in ("person_link", "course_copy", "context_notice", "resource_link"):
        op.drop_table(table)
