"""DOMINO: dominant subnetworks by phase-locked condensates (Kamaletdinov and Berloff, arXiv 2405.17296)."""
