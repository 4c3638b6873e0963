"""Diffusion models whose forward process adds the noise of dyads, optically, and what they generate."""
