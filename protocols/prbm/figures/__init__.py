"""Named results of the photonic RBM."""
