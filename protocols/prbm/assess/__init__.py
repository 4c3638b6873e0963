"""What a table is worth: local fields against exact ones, noise, plans, read-outs, cost, the effect of calibration."""
