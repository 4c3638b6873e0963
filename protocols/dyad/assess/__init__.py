"""What a lattice of dyads costs."""
