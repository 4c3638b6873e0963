"""Thermodynamic computers: coupled fluctuating units under overdamped Langevin dynamics (Whitelam 2025)."""
