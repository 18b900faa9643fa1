"""Measures of results, one module each, found by walking."""
