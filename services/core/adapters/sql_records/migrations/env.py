"""Runs migrations on the connection that store.migrate passes in."""

from alembic import context

from services.core.adapters.sql_records.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
