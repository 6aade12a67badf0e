"""What alembic runs: the steps on the connection that `serving.store.database.upgrade` gives it."""

from alembic import context

import serving.store.review_tables  # noqa: F401 - adds its tables to `metadata`
from serving.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
