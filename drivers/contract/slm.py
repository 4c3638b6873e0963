"""The kind `slm`: a phase modulator, from radians to its gray levels."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract.device import Device
from drivers.contract.sequences import Sequence, SequenceTimes
from drivers.correction import LevelFinder, PhaseTable, calibration, check_phase_table
from drivers.phase import gray_levels
from drivers.settings import operation, setting


class SLM(Device):
    """A phase modulator. It owns the conversion from radians to its gray levels.

    With a phase table in force it shows, of every pixel, the level whose measured phase is nearest, modulo 2 pi. A
    driver's `write` and `load` take their levels from `gray_for` and `gray_for_patches`.
    """

    kind = "slm"

    rows = setting(int, read_only=True, doc="Pixel rows.")
    columns = setting(int, read_only=True, doc="Pixel columns.")
    pixel_pitch_m = setting(float, unit="m", read_only=True, doc="Distance of neighbouring pixels.")
    levels = setting(int, read_only=True, doc="Gray levels over 2 pi; 0 means continuous phase.")
    settle_s = setting(float, unit="s", minimum=0, maximum=10, doc="Wait after a local change until it is stable.")
    base_settle_s = setting(float, unit="s", minimum=0, maximum=10, doc="Wait after a whole new pattern.")
    sequence_memory = setting(int, read_only=True, doc="Patterns the device can step through by itself; 0 for none.")

    phase_table = calibration(PhaseTable, doc="Phase that each gray level gives, by row band and column tile.")

    _level_finder: LevelFinder | None = None

    def _check_phase_table(self, table: PhaseTable) -> None:
        check_phase_table(f"{self.name}.phase_table", table, self.rows, self.columns, self.levels)

    def _changed_phase_table(self, table: PhaseTable | None) -> None:
        self._level_finder = None if table is None else LevelFinder(table)

    def gray_for(self, phase: NDArray[np.floating[Any]], row: int, column: int) -> NDArray[Any]:
        """Gray levels that show ``phase`` (rows, columns; rad) with its corner at (row, column), where it must fit.

        Raises CalibrationError if the phase table in force is refused.
        """
        if self.phase_table is None or self._level_finder is None:
            return self._nominal_gray(phase)
        return self._level_finder.levels(phase, row, column)

    def gray_for_patches(self, patches: NDArray[np.floating[Any]], origins: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """The same of patches (n, rows, columns; rad) with their corners at origins (n, 2)."""
        if self.phase_table is None or self._level_finder is None:
            return self._nominal_gray(patches)
        return self._level_finder.levels_of_patches(patches, origins)

    def _nominal_gray(self, phase: NDArray[np.floating[Any]]) -> NDArray[Any]:
        """Levels as the panel was delivered; a driver that knows better says so."""
        return gray_levels(phase, self.levels)

    @operation()
    @abstractmethod
    def write(self, phase: NDArray[np.floating[Any]], row: int = 0, column: int = 0, whole: bool = True) -> int:
        """Show ``phase`` (rows, columns; rad) with its corner at (row, column); return the new pattern id.

        ``whole`` tells whether `settle` must wait for a whole new pattern or for a local change of the old one.
        Raises LimitError if it does not fit or is not finite.
        """

    @operation()
    @abstractmethod
    def write_gray(self, gray: NDArray[np.integer[Any]], row: int = 0, column: int = 0, whole: bool = True) -> int:
        """Show ``gray`` levels (rows, columns; uint8 or uint16, below ``levels``) as they are; else as `write`.

        For calibrations, which find out what phase a level gives. Raises LimitError if it does not fit, a level does
        not exist, or the panel is continuous and has none.
        """

    @operation()
    @abstractmethod
    def settle(self) -> int:
        """Wait until the pattern written last is stable; return the bench time (ns) from which it is."""

    @operation()
    @abstractmethod
    def load(self, sequence: Sequence) -> int:
        """Store a sequence in the device's memory and return the number of patterns.

        Raises LimitError if it does not fit the panel or the memory.
        """

    @operation()
    @abstractmethod
    def run(self, dwell_s: float) -> SequenceTimes:
        """Step once through the stored sequence, which is then dropped: settle, pulse the trigger output, hold for
        ``dwell_s`` more.
        """

    @operation(observes=True)
    @abstractmethod
    def read_back(self) -> NDArray[Any]:
        """Gray levels (rows, columns) that the panel was last sent."""
