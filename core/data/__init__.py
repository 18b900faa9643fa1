"""Datasets: reading, checking, splitting and keeping them."""
