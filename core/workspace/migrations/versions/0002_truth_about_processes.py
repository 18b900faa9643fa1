"""Jobs say in which order they came, which process does them since when, where, by which version,
what to note, and by which press they were asked for.

Like every migration it only adds: a worker started before goes on writing what it knows.
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"

NEW = {
    "note": sa.String,
    "token": sa.String,
    "version": sa.String,
    "born": sa.String,
    "lane": sa.String,
    "place": sa.Integer,
}


def upgrade() -> None:
    """Add columns on processes and their endings."""
    # some workspaces got `note` before versions were kept
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("jobs")}
    for name, kind in NEW.items():
        if name not in there:
            op.add_column(
                "jobs",
                sa.Column(name, kind, server_default=None if name in ("token", "place") else ""),
            )
    op.create_index("ix_jobs_token", "jobs", ["token"], unique=True)
    op.execute(
        "UPDATE jobs SET place = (SELECT count(*) FROM jobs AS earlier WHERE earlier.created <="
        " jobs.created)"
    )
