"""Protocols that are started from the page, each in a process of its own, and forms for their parameters."""
