"""Data sets: digits and garments in IDX files, and where they are found."""
