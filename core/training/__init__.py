"""Training: device, loop, checkpoints, early stopping, inference."""
