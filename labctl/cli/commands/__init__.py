"""What each command of `labctl` is called, takes and tells of itself, by groups.

Only typer is imported here; each command imports from `labctl.cli` what it does, so that help answers at once.
"""
