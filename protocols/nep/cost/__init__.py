"""What training on a bench costs in time and energy, beside computing it."""
