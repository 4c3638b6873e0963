"""Runs that were made: the catalogue of a folder of run files, and what a run file says of its run."""
