"""Bytes on disk: files written at once, locks, checksums, arrays."""
