"""Protocols and figures: what they are, how they are run, and the record they leave."""
