"""Asymmetric dyads (Johnston and Berloff, PRL 132, 096901, 2024): calibration of a lattice, and what it is good for."""
