"""Dominant subnetworks: the solver, its ranking, its robustness, its scaling."""
