"""Training of restricted Boltzmann machines, in arithmetic and in situ."""
