"""Local fields by light: layers of spins, their encoding on the panel, the table that measures them, samplers."""
