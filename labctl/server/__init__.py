"""Device servers: the only place where devices are touched."""
