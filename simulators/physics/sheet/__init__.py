"""A sheet of coupled polariton modes under resonant pumping, Eq. (13) of Sajnok and Matuszewski (2026)."""
