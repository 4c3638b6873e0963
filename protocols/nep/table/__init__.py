"""Near-equilibrium propagation on the sheet's table: what is set up, how fields are written and read, and the loop."""
