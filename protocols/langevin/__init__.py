"""Generative thermodynamic computing: a Langevin computer, trained to make images of noise (Whitelam 2025)."""
