"""Handwritten digits on cells of a sheet that are fed the same image (near-equilibrium propagation, Figs 4, 5, 7)."""
