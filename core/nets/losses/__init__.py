"""Losses as functions of tensors: what a method minimises, apart from how it trains."""
