"""The equations alone: one step, one unit, other noise."""
