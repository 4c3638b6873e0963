"""A driven polariton sheet: two panels shape pump and potential, a camera sees the field with a reference's fringes."""

from simulators.worlds.sheet.parameters import SheetParameters
from simulators.worlds.sheet.world import SheetWorld

__all__ = ["SheetParameters", "SheetWorld"]
