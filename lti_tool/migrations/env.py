"""Run by Alembic for each upgrade, on the connection that schema.py hands over."""

from alembic import context

from lti_tool.models import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
    if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        raise RuntimeError("a row points to one that is not there: nothing was changed")
