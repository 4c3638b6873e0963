"""Tables whose light is that of condensates: the modes "shot" and "injection" (decision 31)."""
