"""Figures of Eq. (1) of Johnston and Berloff, PRL 132, 096901 (2024): arithmetic alone, no device is used."""
