"""A simulated phase modulator: gray levels onto a world's panel; latency and response belong to the world."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from drivers.contract import SLM, DeviceError, Identity, LimitError, Sequence, SequenceTimes
from drivers.frozen import fill
from drivers.phase import check_pattern, gray_levels
from drivers.site import Site
from simulators.devices.serial import serial_number
from simulators.devices.stop_flag import StopFlag
from simulators.slide_show import Pace, play

MEMORY_PATTERNS = 4096


class _Slides(NamedTuple):
    """A stored `Sequence` in gray levels."""

    base: NDArray[Any]
    base_origin: tuple[int, int]
    patches: NDArray[Any]
    patch_origins: NDArray[np.int32]
    offsets: NDArray[np.int32]
    indices: NDArray[np.int32]


class SimulatedSLM(SLM):
    """A HOLOEYE PLUTO on a world, with a slide show stepped by the graphics card and a trigger output."""

    backend = "simulated"
    port = "slm"

    class Options(BaseModel):
        """Which of the world's panels it is, where there are several."""

        model_config = ConfigDict(extra="forbid")
        port: str = "slm"

    def __init__(self, name: str, world: Any) -> None:
        super().__init__(name)
        self._world = world
        self._panel = getattr(world.parameters, self.port)
        self._stop = StopFlag(world)
        self._reset()

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> SimulatedSLM:
        """On the bench's world."""
        port = options.port if isinstance(options, cls.Options) else "slm"
        world = site.world()
        kinds = (SimulatedSLM, SimulatedProjector, SimulatedCouplings)
        for kind in kinds:
            if kind.port == port and hasattr(world.parameters, port):
                return kind(name, world)
        there = [kind.port for kind in kinds if hasattr(world.parameters, kind.port)]
        raise LimitError(f"{name}: port = {port!r}; the bench's world has its panels at {', '.join(there)}")

    def _reset(self) -> None:
        p = self._panel
        self._settle_s = p.settle
        self._base_settle_s = p.base_settle
        self._sent = np.zeros((p.rows, p.columns), gray_levels(np.zeros((1, 1)), p.levels or 0).dtype)
        self._pattern_id = 0
        self._stable_ns = 0
        self._loaded: _Slides | None = None

    def open(self) -> None:
        """Start from the state of a panel that was just switched on."""
        self._reset()
        self._stop.attach(self.name, self.port)

    def identity(self) -> Identity:
        """The instrument that is imitated, named as a simulation."""
        serial = serial_number(self.port, self._world)
        return Identity(model="simulated PLUTO-NIR-011", serial=serial, firmware="labctl")

    def frozen(self) -> dict[str, Any]:
        """See the contract."""
        return {
            "settle_s": self._settle_s,
            "base_settle_s": self._base_settle_s,
            "sent": self._sent,
            "pattern_id": self._pattern_id,
            "stable_ns": self._stable_ns,
            "loaded": self._loaded,
        }

    def thaw(self, kept: Any) -> None:
        """See the contract."""
        self.settle_s, self.base_settle_s = float(kept["settle_s"]), float(kept["base_settle_s"])
        fill(self._sent, kept["sent"])
        self._pattern_id, self._stable_ns = int(kept["pattern_id"]), int(kept["stable_ns"])
        self._loaded = None
        if kept["loaded"] is not None:
            base, (row, column), patches, origins, offsets, indices = kept["loaded"]
            self._loaded = _Slides(base, (row, column), patches, origins, offsets, indices)

    def safe(self) -> None:
        """A phase pattern harms nothing; a running sequence is stopped."""
        self._stop.set()

    def write(self, phase: NDArray[np.floating[Any]], row: int = 0, column: int = 0, whole: bool = True) -> int:
        """Send a pattern; see the contract."""
        check_pattern(self.name, phase, row, column, self.rows, self.columns)
        return self._send(self.gray_for(phase, row, column), row, column, whole)

    def write_gray(self, gray: NDArray[np.integer[Any]], row: int = 0, column: int = 0, whole: bool = True) -> int:
        """Send gray levels as they are; see the contract."""
        self._check_gray(gray, row, column)
        return self._send(gray.astype(self._sent.dtype), row, column, whole)

    def _check_gray(self, gray: NDArray[np.integer[Any]], row: int, column: int) -> None:
        what = f"{self.name}.write_gray"
        if not self.levels:
            raise LimitError(f"{what}: the panel is continuous and has no gray levels; write phase instead")
        if not isinstance(gray, np.ndarray) or gray.ndim != 2 or gray.dtype not in (np.uint8, np.uint16):
            found = f"{gray.dtype} {gray.shape}" if isinstance(gray, np.ndarray) else type(gray).__name__
            raise LimitError(f"{what}: an array (rows, columns) of uint8 or uint16 is needed, not {found}")
        rows, columns = gray.shape
        if row < 0 or column < 0 or row + rows > self.rows or column + columns > self.columns:
            raise LimitError(
                f"{what}: a pattern of {rows}x{columns} at row {row}, column {column} does not fit the panel's "
                f"{self.rows}x{self.columns} pixels"
            )
        if gray.size and gray.max() >= self.levels:
            raise LimitError(f"{what}: gray level {gray.max()}; the panel has 0 to {self.levels - 1}")

    def _send(self, gray: NDArray[Any], row: int, column: int, whole: bool) -> int:
        arrived_ns = self._show(gray, row, column)
        self._sent[row : row + gray.shape[0], column : column + gray.shape[1]] = gray
        self._loaded = None
        self._stable_ns = arrived_ns + _ns(self._base_settle_s if whole else self._settle_s)
        self._pattern_id += 1
        return self._pattern_id

    def _show(self, gray: NDArray[Any], row: int, column: int) -> int:
        """When the levels arrived, ns."""
        return int(self._world.write(gray, row, column))

    def settle(self) -> int:
        """Wait until the pattern written last is stable."""
        self._world.clock.sleep_until(self._stable_ns)
        return self._stable_ns

    def load(self, sequence: Sequence) -> int:
        """Convert a sequence to gray levels and keep it; see the contract."""
        sequence.validate(self.rows, self.columns)
        if len(sequence) > self.sequence_memory:
            raise LimitError(f"{self.name}.load: {len(sequence)} patterns, the memory holds {self.sequence_memory}")
        slides = _Slides(
            self.gray_for(sequence.base, *sequence.base_origin),
            sequence.base_origin,
            self.gray_for_patches(sequence.patches, sequence.patch_origins),
            # Copies: what came over the bus may lie in memory that is used again.
            np.array(sequence.patch_origins, np.int32),
            np.array(sequence.offsets, np.int32),
            np.array(sequence.indices, np.int32),
        )
        self._loaded = None
        self._world.load(*slides)
        self._loaded = slides
        return len(sequence)

    def run(self, dwell_s: float) -> SequenceTimes:
        """Step through the stored sequence, pulsing the trigger output once each pattern is stable."""
        slides = self._loaded
        if slides is None:
            raise DeviceError(f"{self.name}.run: no sequence is stored; call load first (a write or a run drops it)")
        self._stop.clear()
        pace = Pace(_ns(self._base_settle_s), _ns(self._settle_s), _ns(dwell_s))
        n = len(slides.offsets) - 1
        first_id = self._pattern_id + 1
        self._pattern_id += n  # should the world fail, it is not known what was shown; no id is given twice
        self._loaded = None
        virtual = self._world.clock.virtual
        stable_ns = self._world.run(self.name, *pace) if virtual else self._step_through(n, pace)
        shown = len(stable_ns)
        self._pattern_id = first_id - 1 + shown
        self._remember(slides, shown)
        if shown < n:
            raise DeviceError(f"{self.name}.run: stopped by safe() after {shown} of {n} patterns")
        return SequenceTimes(pattern_ids=np.arange(first_id, first_id + n, dtype=np.int64), stable_ns=stable_ns)

    def _step_through(self, n: int, pace: Pace) -> NDArray[np.int64]:
        """In real time: the world, which others need meanwhile, must not wait for the settling."""
        world = self._world
        stable_ns = np.empty(n, np.int64)
        shown = play(world.step, world.fire_trigger, self._stop.is_set, world.clock, pace, stable_ns, 0, n)
        return stable_ns[:shown]

    def read_back(self) -> NDArray[Any]:
        """The frame buffer: what was sent, which is not always what the panel shows."""
        found = self.allocate(self._sent.shape, self._sent.dtype)
        found[:] = self._sent
        return found

    def _remember(self, slides: _Slides, shown: int) -> None:
        """What the frame buffer holds after so many patterns; a sequence of which none was shown stays stored."""
        if not shown:
            self._loaded = slides
            return
        row, column = slides.base_origin
        self._sent[row : row + slides.base.shape[0], column : column + slides.base.shape[1]] = slides.base
        height, width = slides.patches.shape[1:]
        for index in slides.indices[slides.offsets[shown - 1] : slides.offsets[shown]]:
            r, c = slides.patch_origins[index]
            self._sent[r : r + height, c : c + width] = slides.patches[index]

    # --- settings ---------------------------------------------------------------------------------------------------

    def _read_rows(self) -> int:
        return int(self._panel.rows)

    def _read_columns(self) -> int:
        return int(self._panel.columns)

    def _read_pixel_pitch_m(self) -> float:
        return float(self._panel.pitch)

    def _read_levels(self) -> int:
        return int(self._panel.levels or 0)

    def _read_sequence_memory(self) -> int:
        return MEMORY_PATTERNS

    def _read_settle_s(self) -> float:
        return float(self._settle_s)

    def _write_settle_s(self, value: float) -> None:
        self._settle_s = value

    def _read_base_settle_s(self) -> float:
        return float(self._base_settle_s)

    def _write_base_settle_s(self, value: float) -> None:
        self._base_settle_s = value


class SimulatedProjector(SimulatedSLM):
    """A panel between polarisers before a lamp, imaged on the camera: light as sin^2 of half its phase.

    It has no memory for sequences and no trigger output.
    """

    port = "projector"

    def identity(self) -> Identity:
        """The instrument that is imitated, named as a simulation."""
        serial = serial_number(self.port, self._world)
        return Identity(model="simulated LCoS projector", serial=serial, firmware="labctl")

    def _show(self, gray: NDArray[Any], row: int, column: int) -> int:
        return int(self._world.project(gray, row, column))

    def _read_sequence_memory(self) -> int:
        return 0


class SimulatedCouplings(SimulatedSLM):
    """The second panel in the light of a vector-matrix multiplier. It has no memory for sequences, and no trigger."""

    port = "coupling"

    def _show(self, gray: NDArray[Any], row: int, column: int) -> int:
        return int(self._world.couple(gray, row, column))

    def _read_sequence_memory(self) -> int:
        return 0


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
