"""A lattice of dyads on its table: the hologram of pump spots, what the camera sees of it, orientations by shot."""
