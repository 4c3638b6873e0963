"""A simulated phase modulator: gray levels onto a world's panel; latency and response belong to the world."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from drivers.contract import SLM, DeviceError, Identity, LimitError, Sequence, SequenceTimes
from drivers.phase import check_pattern, gray_levels
from drivers.site import Site

MEMORY_PATTERNS = 4096


class SimulatedSLM(SLM):
    """A HOLOEYE PLUTO on a world, with a slide show stepped by the graphics card and a trigger output."""

    backend = "simulated"

    def __init__(self, name: str, world: Any) -> None:
        super().__init__(name)
        self._world = world
        self._stop = threading.Event()
        self._reset()

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> SimulatedSLM:
        """On the bench's world."""
        return cls(name, site.world())

    def _reset(self) -> None:
        p = self._world.parameters.slm
        self._settle_s = p.settle
        self._base_settle_s = p.base_settle
        self._sent = np.zeros((p.rows, p.columns), gray_levels(np.zeros((1, 1)), p.levels or 0).dtype)
        self._pattern_id = 0
        self._stable_ns = 0
        self._loaded: tuple[Sequence, NDArray[Any], NDArray[Any]] | None = None

    def open(self) -> None:
        """Start from the state of a panel that was just switched on."""
        self._reset()
        self._stop.clear()

    def identity(self) -> Identity:
        """The instrument that is imitated, named as a simulation."""
        return Identity(model="simulated PLUTO-NIR-011", serial="sim-slm", firmware="labctl")

    def safe(self) -> None:
        """A phase pattern harms nothing; a running sequence is stopped."""
        self._stop.set()

    def write(self, phase: NDArray[np.floating[Any]], row: int = 0, column: int = 0, whole: bool = True) -> int:
        """Send a pattern; see the contract."""
        check_pattern(self.name, phase, row, column, self.rows, self.columns)
        gray = gray_levels(phase, self.levels)
        now_ns = self._world.clock.now_ns()
        self._sent[row : row + gray.shape[0], column : column + gray.shape[1]] = gray
        self._world.panel.write(gray, row, column, now_ns)
        self._loaded = None
        self._stable_ns = now_ns + _ns(self._base_settle_s if whole else self._settle_s)
        self._pattern_id += 1
        return self._pattern_id

    def settle(self) -> int:
        """Wait until the pattern written last is stable."""
        self._world.clock.sleep_until(self._stable_ns)
        return self._stable_ns

    def load(self, sequence: Sequence) -> int:
        """Convert a sequence to gray levels and keep it; see the contract."""
        sequence.validate(self.rows, self.columns)
        if len(sequence) > MEMORY_PATTERNS:
            raise LimitError(f"{self.name}.load: {len(sequence)} patterns, the memory holds {MEMORY_PATTERNS}")
        base = gray_levels(sequence.base, self.levels)
        patches = gray_levels(sequence.patches, self.levels)
        self._loaded = (sequence, base, patches)
        self._world.panel.load(base, sequence.base_origin, patches, sequence.patch_origins)
        return len(sequence)

    def run(self, dwell_s: float) -> SequenceTimes:
        """Step through the stored sequence, pulsing the trigger output once each pattern is stable."""
        if self._loaded is None:
            raise DeviceError(f"{self.name}.run: no sequence is stored; call load first (a write or a run drops it)")
        sequence, base, patches = self._loaded
        self._stop.clear()
        clock, panel = self._world.clock, self._world.panel
        n = len(sequence)
        ids = np.arange(self._pattern_id + 1, self._pattern_id + 1 + n, dtype=np.int64)
        stable = np.empty(n, np.int64)
        dwell_ns, settle_ns, base_settle_ns = _ns(dwell_s), _ns(self._settle_s), _ns(self._base_settle_s)
        # Copies: what came over the bus may be read-only, for which kernels would be compiled once more.
        offsets, indices = np.array(sequence.offsets, np.int32), np.array(sequence.indices, np.int32)
        for k in range(n):
            if self._stop.is_set():
                self._remember(sequence, base, patches, k)
                raise DeviceError(f"{self.name}.run: stopped by safe() after {k} of {n} patterns")
            now_ns = clock.now_ns()
            panel.step(indices[offsets[k] : offsets[k + 1]], now_ns)
            self._pattern_id = int(ids[k])
            stable[k] = now_ns + (base_settle_ns if k == 0 else settle_ns)
            clock.sleep_until(int(stable[k]))
            self._world.fire_trigger()
            clock.sleep_until(int(stable[k]) + dwell_ns)
            if k == 0 and self._world.parameters.path == "auto" and not self._stop.is_set():
                camera = self._world.lone_camera()
                rest = camera.take_burst(offsets, indices, settle_ns, dwell_ns) if camera else None
                if rest is not None:
                    stable[1:] = rest
                    self._pattern_id = int(ids[-1])
                    break
        self._remember(sequence, base, patches, n)
        return SequenceTimes(pattern_ids=ids, stable_ns=stable)

    def read_back(self) -> NDArray[Any]:
        """The frame buffer: what was sent, which is not always what the panel shows."""
        return self._sent.copy()

    def _remember(self, sequence: Sequence, base: NDArray[Any], patches: NDArray[Any], shown: int) -> None:
        if not shown:
            return
        row, column = sequence.base_origin
        self._sent[row : row + base.shape[0], column : column + base.shape[1]] = base
        height, width = patches.shape[1:]
        for index in sequence.indices[sequence.offsets[shown - 1] : sequence.offsets[shown]]:
            r, c = sequence.patch_origins[index]
            self._sent[r : r + height, c : c + width] = patches[index]
        self._loaded = None

    # --- settings ---------------------------------------------------------------------------------------------------

    def _read_rows(self) -> int:
        return int(self._world.parameters.slm.rows)

    def _read_columns(self) -> int:
        return int(self._world.parameters.slm.columns)

    def _read_pixel_pitch_m(self) -> float:
        return float(self._world.parameters.slm.pitch)

    def _read_levels(self) -> int:
        return int(self._world.parameters.slm.levels or 0)

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


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
