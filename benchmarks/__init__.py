"""Measurements beside a peer or a plain reference, in one run: `python -m benchmarks NAME --json`."""
