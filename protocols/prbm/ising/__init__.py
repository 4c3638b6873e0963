"""Ising models: averages in equilibrium, annealing, optimisation problems."""
