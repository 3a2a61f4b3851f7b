"""Named, versioned data pipelines over NumPy arrays."""
