"""Near-equilibrium propagation: training a polariton sheet by free and nudged phases (Sajnok and Matuszewski 2026)."""
