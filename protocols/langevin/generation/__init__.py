"""Images of noise: outcomes of trained computers, what they are like, and their heat."""
