"""Work in processes of its own: queue, supervisor, workers, imports."""
