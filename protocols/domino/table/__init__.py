"""DOMINO on its table: a coherent vector-matrix multiplier in the loop, or condensates that it seeds."""
