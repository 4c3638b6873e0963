"""A twin: the simulated table whose calibrations come nearest to those that were measured."""
