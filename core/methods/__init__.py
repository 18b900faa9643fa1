"""Methods, one module each in the package of its family, found by walking."""
