"""a launch whose browser sends no cookie is proved by a token of its own

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("launch", schema=None) as batch_op:
        batch_op.alter_column("browser_id", existing_type=sa.String(), nullable=True)
        batch_op.add_column(sa.Column("token_hash", sa.String(), nullable=True))
        batch_op.create_check_constraint(op.f("ck_launch_one_proof"), "(browser_id IS NULL) <> (token_hash IS NULL)")


def downgrade() -> None:
    op.execute("DELETE FROM launch WHERE browser_id IS NULL")  # the version before knows no such session
    with op.batch_alter_table("launch", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("ck_launch_one_proof"), type_="check")
        batch_op.drop_column("token_hash")
        batch_op.alter_column("browser_id", existing_type=sa.String(), nullable=False)
