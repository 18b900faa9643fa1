"""The catalogue as it was before versions were kept."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001", None


def upgrade() -> None:
    """Make the tables of datasets and jobs."""
    op.create_table(
        "datasets",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, unique=True, nullable=False),
        sa.Column("hash", sa.String),
        sa.Column("modality", sa.String),
        sa.Column("n", sa.Integer),
        sa.Column("sample", sa.Integer),
        sa.Column("created", sa.Float),
    )
    words = (
        "kind",
        "dataset",
        "method",
        "on_run",
        "key",
        "device",
        "status",
        "phase",
        "error",
        "bug",
        "label",
    )
    numbers = (
        "progress",
        "eta",
        "pid_start",
        "heartbeat",
        "created",
        "started",
        "finished",
        "seconds",
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("spec", sa.JSON),
        *(sa.Column(name, sa.String) for name in words),
        sa.Column("seed", sa.BigInteger().with_variant(sa.Integer, "sqlite")),
        *(sa.Column(name, sa.Integer) for name in ("cancel", "resume", "pid")),
        *(sa.Column(name, sa.Float) for name in numbers),
    )
    op.create_index("ix_jobs_key", "jobs", ["key"])
    op.create_index("ix_jobs_status", "jobs", ["status"])
