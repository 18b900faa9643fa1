"""Run by Alembic: bring the database behind `connection` to the schema asked for, within the
transaction it is in.
"""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
