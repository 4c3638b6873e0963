"""A gateway to LECO, the Laboratory Experiment COntrol protocol: a bench for unmodified Directors of `pyleco`."""
