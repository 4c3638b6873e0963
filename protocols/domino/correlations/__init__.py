"""Phases of condensates: the XY energy, and correlations between nodes that are not linked."""
