"""A workspace: datasets, runs, decisions and notes on disk."""
