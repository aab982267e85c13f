"""versions in force, prerequisites, columns chosen by hand

Revision ID: 0008
Revises: 0006
"""

import json

import sqlalchemy as sa
from alembic import op

import lti_tool.db

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TOLD_BY = "ck_course_copy_told_by"


def upgrade() -> None:
    op.create_table(
        "publication",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("course_badge_id", sa.String(), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("published_at", lti_tool.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("counts_for", sa.String(), nullable=False),
        sa.CheckConstraint("counts_for IN ('everybody', 'new')", name=op.f("ck_publication_counts_for")),
        sa.ForeignKeyConstraint(["course_badge_id"], ["course_badge.id"], name=op.f("fk_publication_course_badge_id")),
        sa.ForeignKeyConstraint(["version_id"], ["achievement_version.id"], name=op.f("fk_publication_version_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_publication")),
    )
    op.create_index(op.f("ix_publication_course_badge_id"), "publication", ["course_badge_id"])
    op.create_table(
        "earlier_version",
        sa.Column("course_badge_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["course_badge_id"], ["course_badge.id"], name=op.f("fk_earlier_version_course_badge_id")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_earlier_version_person_id")),
        sa.ForeignKeyConstraint(["version_id"], ["achievement_version.id"], name=op.f("fk_earlier_version_version_id")),
        sa.PrimaryKeyConstraint("course_badge_id", "person_id", name=op.f("pk_earlier_version")),
    )
    op.create_index(op.f("ix_earlier_version_person_id"), "earlier_version", ["person_id"])
    op.create_table(
        "prerequisite",
        sa.Column("course_badge_id", sa.String(), nullable=False),
        sa.Column("slug", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["course_badge_id"], ["course_badge.id"], name=op.f("fk_prerequisite_course_badge_id")),
        sa.PrimaryKeyConstraint("course_badge_id", "slug", name=op.f("pk_prerequisite")),
    )
    op.create_index(op.f("ix_prerequisite_slug"), "prerequisite", ["slug"])

    op.add_column("course", sa.Column("seen_columns", sa.JSON(), nullable=True))
    op.add_column("course", sa.Column("seen_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True))
    op.add_column("course_badge", sa.Column("retired_at", lti_tool.db.UtcDateTime(timezone=True), nullable=True))
    op.add_column("course_badge", sa.Column("asked_by", sa.String(), nullable=True))
    op.add_column("course_badge", sa.Column("asked_digest", sa.String(), nullable=True))
    op.add_column("course_badge", sa.Column("asked_for", sa.String(), nullable=True))
    op.add_column("gradebook_column", sa.Column("found_by", sa.String(), server_default="marks", nullable=False))
    with op.batch_alter_table("course_copy") as table:
        table.drop_constraint(op.f(TOLD_BY), type_="check")
        table.create_check_constraint(op.f(TOLD_BY), "told_by IN ('launch', 'notice', 'hand')")
    _publications_so_far()


def _publications_so_far() -> None:
    """Write down when each version came into force, as far as the audit log and the badge itself tell it."""
    connection = op.get_bind()
    badge = sa.table("course_badge", *map(sa.column, ("id", "version_id", "published_at")))
    version = sa.table("achievement_version", *map(sa.column, ("id", "achievement_id", "number", "published_at")))
    event = sa.table("audit_event", *map(sa.column, ("id", "at", "actor", "action", "subject", "detail")))
    publication = sa.table(
        "publication", *map(sa.column, ("course_badge_id", "version_id", "published_at", "actor", "counts_for"))
    )
    badges = {row.id: row for row in connection.execute(sa.select(badge).where(badge.c.version_id.is_not(None)))}
    versions = {row.id: row for row in connection.execute(sa.select(version))}
    numbers = {row.id: (row.achievement_id, row.number) for row in versions.values()}
    ids = {place: version_id for version_id, place in numbers.items()}
    asked_by: dict[str, str] = {}
    found: dict[str, list[dict[str, object]]] = {}
    told = sa.select(event).where(event.c.action.in_(("badge.publish", "badge.published"))).order_by(event.c.id)
    for row in connection.execute(told):
        badge_id = row.subject.removeprefix("badge:")
        if row.action == "badge.publish":
            asked_by[badge_id] = row.actor
        elif badge_id in badges:
            detail = json.loads(row.detail) if isinstance(row.detail, str) else row.detail
            achievement_id, _ = numbers[badges[badge_id].version_id]
            version_id = ids.get((achievement_id, (detail or {}).get("version")))
            if version_id is not None:
                found.setdefault(badge_id, []).append(
                    _publication(badge_id, version_id, row.at, asked_by.get(badge_id))
                )
    for badge_id, row in badges.items():  # what is in force stands last
        if [each["version_id"] for each in found.get(badge_id, ())][-1:] != [row.version_id]:
            at = row.published_at or versions[row.version_id].published_at
            found.setdefault(badge_id, []).append(_publication(badge_id, row.version_id, at, None))
    rows = [each for badge_id in badges for each in found[badge_id]]
    if rows:
        op.bulk_insert(publication, rows)


def _publication(badge_id: str, version_id: int, at: object, actor: str | None) -> dict[str, object]:
    return {
        "course_badge_id": badge_id,
        "version_id": version_id,
        "published_at": at,
        "actor": actor or "tool",
        "counts_for": "everybody",
    }


def downgrade() -> None:
    op.execute("DELETE FROM course_copy WHERE told_by = 'hand'")
    with op.batch_alter_table("course_copy") as table:
        table.drop_constraint(op.f(TOLD_BY), type_="check")
        table.create_check_constraint(op.f(TOLD_BY), "told_by IN ('launch', 'notice')")
    op.drop_column("gradebook_column", "found_by")
    for column in ("asked_for", "asked_digest", "asked_by", "retired_at"):
        op.drop_column("course_badge", column)
    for column in ("seen_at", "seen_columns"):
        op.drop_column("course", column)
    for table_name in ("prerequisite", "earlier_version", "publication"):
        op.drop_table(table_name)
