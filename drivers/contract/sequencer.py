"""The kind `sequencer`: a composite of an SLM and a detector."""

from __future__ import annotations

from abc import abstractmethod

from drivers.contract.device import Device
from drivers.contract.sequences import Sequence, SequenceResult
from drivers.contract.values import ROI
from drivers.settings import operation, setting


class Sequencer(Device):
    """Plays patterns on an SLM and reads a detector once per pattern: one call instead of hundreds.

    A composite device named in the bench file. It is timed by the instruments where they can, by software otherwise;
    results and metadata are the same.
    """

    kind = "sequencer"
    composite = True

    timing = setting(
        str,
        choices=("auto", "hardware", "software"),
        doc="Who paces the sequence: the SLM's own memory and trigger output, or one call per pattern.",
    )

    @operation()
    @abstractmethod
    def play(
        self,
        sequence: Sequence,
        windows: list[ROI],
        readout: str = "camera",
        frames: bool = False,
        corrected: bool = False,
    ) -> SequenceResult:
        """Show each pattern, let it settle, expose, and reduce.

        Parameters
        ----------
        windows: regions of the frames as they come (their first pixel is row 0, column 0; with binning they have fewer
            pixels than the camera's ROI) whose counts are summed; empty means all of it.
        readout: "camera", or the role name of a photodetector the sequencer was given.
        frames: return the frames as well.
        corrected: sum, and return, counts corrected by `Camera.correction`, hot pixels filled with the mean of their
            neighbours; a frame with saturated pixels is told by ``saturated``, as without.

        Raises CalibrationError if frames cannot be corrected, LimitError if a pattern or a window does not fit,
        DeviceTimeout if an exposure is missing, DeviceError if a frame began before its pattern was stable.
        """
