"""Fair dyads: the pump ratio at which either orientation is equally likely, for a whole lattice at once."""
