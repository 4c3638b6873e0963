"""Driven-dissipative condensates on a graph, Eq. (1) of Johnston and Berloff, PRL 132, 096901 (2024)."""
