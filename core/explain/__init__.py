"""What moves a model's result, and what changes between models."""
