"""A lattice of dyads as protocols drive it: pump ratios are set, shots are taken, orientations are told."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import ROI, Bench, Calibration, CalibrationError, LimitError
from protocols.dyad.table.alignment import DyadAlignment
from protocols.dyad.table.flattening import shapes
from protocols.dyad.table.hologram import Beam, SpotHologram
from protocols.dyad.table.levels import Levels, nearest_levels, refined
from protocols.dyad.table.reading import Windows, fit_windows, misread
from protocols.dyad.table.spots import FoundSpots, PlannedSpots, find_spots, planned_spots, wavefront
from protocols.dyad.table.threshold import Threshold, find_threshold

Array = NDArray[np.float64]

DYAD_ROLES = ("slm", "camera", "pump")
DYAD_ALIGNMENTS = ("hologram", "dyad")
KIND = "dyad-balance"
"""Of the calibration that `dyad.calibrate` makes."""

STATE = (
    "theta_rad", "beam_px", "spots_px", "spot_powers", "uneven", "residual_px", "aberration_rad", "power_w",
    "leak_electrons_per_w", "pattern", "pattern_ln_powers",
)  # fmt: skip
"""Values of such a calibration from which a lattice begins: see `DyadLattice.state`."""

_CHUNK = 250
"""Frames of a burst: some 50 MB."""
_LOOKED = 300
"""Shots of which the first windows, and misreading, are known; every longer burst tells the latter anew."""
_DARK = 40
_SCANNED = 12
"""Shots at each power of the threshold's scan."""
_LITTLE = 0.01
"""Rms change of ln powers up to which a pattern is made from the one before."""
_LEAST_W = 1e-4
"""Of the pump and for each spot, where that scan begins."""


@dataclass(frozen=True, eq=False)
class Shots:
    """One condensation of every dyad per frame.

    intensity: (frames, n, 2) electrons of both sites. states: (frames, n), True where site 2 is denser: state "1".
    misread: (n,) probability that a state is told wrongly. frame_s: bench time from frame to frame. lost: frames that
    the camera lost meanwhile; they are not among these.
    """

    intensity: Array
    states: NDArray[np.bool_]
    misread: Array
    frame_s: float
    lost: int

    @property
    def ones(self) -> Array:
        """How often each dyad was in state "1" (n,)."""
        return np.asarray(self.states.sum(axis=0), np.float64)


class DyadLattice:
    """The lattice of ``[alignment.dyad]`` on a bench under control. `light` must be on while shots are taken.

    At first its spots are found, made even, and the power found at which it is pumped as planned; what a calibration in
    force knows of that is taken from it, unless ``anew``, or from ``known``, a `state` of before. n: dyads. shape:
    rows, columns. places: (n, 2, 2) camera pixels of the sites. balanced: (n,) ratios at which dyads are fair by that
    calibration; None without one.

    Raises CalibrationError that names the likely cause where light is not what it must be.
    """

    def __init__(
        self,
        bench: Bench,
        plan: DyadAlignment,
        rng: np.random.Generator,
        *,
        anew: bool = False,
        known: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        self._bench, self.plan = bench, plan
        self.planned: PlannedSpots = planned_spots(bench, plan)
        self.shape = self.planned.shape
        self.n = plan.rows * plan.columns
        self.threshold: Threshold | None = None
        self._panel = (int(bench.slm.rows), int(bench.slm.columns))
        self._in_force = wavefront(bench)
        self._misread = np.full(self.n, 0.5)
        self._patterns: list[
            tuple[Array, Levels]
        ] = []  # ln powers, and gray levels that make them: now's, and kept ones
        self._ratios = np.ones(self.n)
        self.balanced: Array | None = None
        if known is None and not anew:
            calibration = self._calibration()
            if calibration is not None:
                self.balanced = calibration["ratio"]
                known = {name: calibration[name] for name in STATE}
        if known is None:
            self.hologram = SpotHologram.made(self._panel, self.planned.size, self.planned.units, rng, bench.renew)
            self.found: FoundSpots = find_spots(bench, plan, self.planned, self.hologram)
        else:
            self.hologram = SpotHologram(self._panel, self.planned.size, self.planned.units, known["theta_rad"])
            self.hologram.beam = Beam(*(float(v) for v in known["beam_px"]))
            if known["pattern"].size:
                self._patterns = 2 * [(known["pattern_ln_powers"], known["pattern"].astype(np.int16))]
            self.found = FoundSpots(
                known["spots_px"],
                known["spot_powers"],
                known["uneven"],
                float(known["residual_px"]),
                known["aberration_rad"],
            )
        self._flat = self._in_force + np.tensordot(self.found.aberration, shapes(self._panel), 1)
        self._look_at()
        if self.balanced is not None:
            self._ratios = self.balanced.copy()
        self._write(self._ratios)
        self._windows = self._first_windows()
        if known is None:
            self.power_w = self._power_by_threshold()
        else:
            self.power_w, self._leak = float(known["power_w"]), float(known["leak_electrons_per_w"])
        with self.light():
            self._learn_windows()

    def state(self) -> dict[str, NDArray[Any]]:
        """What was found at first, and the pattern that is shown, by the names in `STATE`."""
        beam = self.hologram.beam
        assert beam is not None
        powers, pattern = self._patterns[0] if self._patterns else (np.zeros(2 * self.n), np.zeros((0, 0), np.int16))
        return {
            "theta_rad": self.hologram.theta,
            "beam_px": np.array([beam.waist_px, beam.row_px, beam.column_px]),
            "spots_px": self.found.places,
            "spot_powers": self.found.powers,
            "uneven": self.found.uneven,
            "residual_px": np.array(self.found.residual_px),
            "aberration_rad": self.found.aberration,
            "power_w": np.array(self.power_w),
            "leak_electrons_per_w": np.array(self._leak),
            "pattern": pattern,
            "pattern_ln_powers": powers,
        }

    def kept(self) -> dict[str, NDArray[Any]]:
        """All that changes while shots are taken, for a checkpoint of a run whose table goes on: see `restore`."""
        w = self._windows
        return {
            "lattice_ratios": self._ratios,
            "lattice_misread": self._misread,
            "lattice_dark": self._dark,
            "lattice_start": self.hologram.start,
            "lattice_patterns": np.array([pattern for _, pattern in self._patterns], np.int16),
            "lattice_ln_powers": np.array([powers for powers, _ in self._patterns], np.float64),
            "lattice_places": w.places,
            "lattice_radius_px": np.array(w.radius_px),
            "lattice_origins": w.origins,
            "lattice_weights": w.weights,
            "lattice_noise_e": w.noise_e,
        }

    def restore(self, kept: Mapping[str, NDArray[Any]]) -> None:
        """Go on from `kept`, on a table that goes on from there, too."""
        self._ratios, self._misread, self._dark = (
            np.array(kept[f"lattice_{name}"]) for name in ("ratios", "misread", "dark")
        )
        self.hologram.start = np.array(kept["lattice_start"])
        powers, patterns = kept["lattice_ln_powers"], kept["lattice_patterns"]
        self._patterns = list(zip(np.array(powers), np.array(patterns), strict=True))
        self._windows = Windows(
            np.array(kept["lattice_places"]),
            float(kept["lattice_radius_px"]),
            np.array(kept["lattice_origins"]),
            np.array(kept["lattice_weights"]),
            np.array(kept["lattice_noise_e"]),
        )

    def marks(self) -> dict[str, NDArray[Any]]:
        """By what a calibration is known to be of this lattice, on this hologram: units, and the wavefront in force."""
        flat = np.broadcast_to(np.asarray(self._in_force, np.float64), self._panel)
        return {"units": self.planned.units, "wavefront_mark": np.array([flat.std(), flat[::7, ::5].sum()])}

    def _calibration(self) -> Calibration | None:
        """The one in force, if it is of this lattice on this hologram."""
        if self._bench.calibrations().find(f"slm.{KIND}", self._bench.name) is None:
            return None
        known = self._bench.calibration(f"slm.{KIND}")
        same = all(known[k].shape == v.shape and np.allclose(known[k], v, atol=1e-9) for k, v in self.marks().items())
        return known if same else None

    # --- light ------------------------------------------------------------------------------------------------------

    @contextmanager
    def light(self) -> Iterator[None]:
        """The pump on at the lattice's power, one pulse per exposure; off afterwards."""
        pump = self._bench.pump
        pump.modulation = "external"
        pump.power_w = self.power_w
        pump.emission = True
        self._power_settles()
        try:
            yield
            if not pump.emission:
                raise CalibrationError(
                    "the pump went off during the measurement: look at its interlock, its shutter and its error state, "
                    "and measure again"
                )
        finally:
            pump.emission = False

    def _power_settles(self) -> None:
        """Wait as long as the pump takes to come to a new power."""
        until_s = self._bench.time_s() + self.plan.pump_settle
        while self.plan.pump_settle and self._bench.time_s() < until_s:
            self._bench.camera.trigger()

    # --- ratios -----------------------------------------------------------------------------------------------------

    @property
    def ratios(self) -> Array:
        """As set last (n,)."""
        return self._ratios.copy()

    def set_ratios(self, ratios: Array) -> None:
        """Pump ratios r_gamma = gamma_2 / gamma_1 (n,) asked for; gamma_1 gamma_2 stays. Waits until the SLM is stable.

        They are relative to spots that the camera saw equally bright. Raises LimitError for other ratios.
        """
        ratios = np.asarray(ratios, np.float64)
        if ratios.shape != (self.n,) or not np.all(np.isfinite(ratios)) or ratios.min() <= 0:
            raise LimitError(
                f"pump ratios {ratios.shape}: {self.n} positive numbers are needed, one for each dyad of the lattice"
            )
        if max(ratios.max(), 1 / ratios.min()) > 2.0:
            raise LimitError(
                f"a pump ratio of {max(ratios.max(), 1 / ratios.min()):.3g}: beyond 2 either way a dyad is none; "
                "choose ratios nearer 1"
            )
        if np.array_equal(ratios, self._ratios):
            return  # the same pattern, which is on the SLM
        self._write(ratios)
        self._ratios = ratios.copy()

    def _write(self, ratios: Array) -> None:
        root = np.sqrt(ratios)
        relative = self.found.powers * np.stack([1 / root, root], axis=1).ravel()
        levels = int(self._bench.slm.levels)
        if levels:
            self._bench.slm.write(self._in_levels(relative, levels) * (2 * math.pi / levels))
        else:
            self._bench.slm.write(np.mod(self.hologram.phase(relative) - self._flat, 2 * math.pi))
        self._bench.slm.settle()

    def _in_levels(self, relative: Array, levels: int) -> Levels:
        """A pattern of gray levels: the present one with a few pixels changed, if the powers change by little; or that
        of the calibration, which is fair with its own faults."""
        powers = np.log(relative) - np.log(relative).mean()
        changes = [float(np.sqrt(((powers - p) ** 2).mean())) for p, _ in self._patterns]
        if changes and min(changes) < _LITTLE:
            pattern = self._patterns[int(np.argmin(changes))][1]
        else:
            pattern = nearest_levels(self.hologram.phase(relative) - self._flat, levels)
        self._bench.renew()
        found, _ = refined(pattern, levels, relative, self.hologram.sum, self.hologram.amplitude, self._flat)
        self._bench.renew()
        self._patterns[:1] = [(powers, found)]
        return found

    # --- shots ------------------------------------------------------------------------------------------------------

    @property
    def places(self) -> Array:
        """Camera pixels (n, 2, 2) of the sites."""
        return np.asarray(self._windows.places + self._corner)

    @property
    def radius_px(self) -> float:
        """1/e^2 radius of a condensate's image."""
        return self._windows.radius_px

    def shots(self, frames: int) -> Shots:
        """So many frames of one condensation each."""
        sums, frame_s, lost = self._burst(frames, self._dark)
        intensity = sums * self._gain - self._leak * self.power_w
        if frames >= _LOOKED:
            self._misread = misread(intensity, self._windows.noise_e)
        return Shots(intensity, intensity[..., 1] > intensity[..., 0], self._misread.copy(), frame_s, lost)

    def integrated(self, frames: int, exposure_s: float) -> Array:
        """Electrons (frames, n, 2) of both sites in exposures of free-running pulses, many condensations each.

        The pump's own light is in them. Raises CalibrationError if the camera saturates.
        """
        camera, pump = self._bench.camera, self._bench.pump
        before_s = float(camera.exposure_s)
        pump.emission = False  # some lasers change their modulation in the dark only
        pump.modulation = "pulsed"
        camera.exposure_s = exposure_s
        try:
            dark = self._dark_sums(_DARK)
            pump.emission = True
            self._power_settles()
            return np.asarray(self._burst(frames, dark)[0] * self._gain)
        finally:
            pump.emission = False
            camera.exposure_s = before_s
            pump.modulation = "external"
            pump.emission = True

    def _burst(self, frames: int, dark: Array) -> tuple[Array, float, int]:
        """Counts (frames, n, 2) above dark, bench time per frame, lost frames."""
        if frames < 1:
            raise LimitError(f"{frames} shots: at least 1 is needed")
        parts, lost, first_ns, last_ns = [], 0, 0, 0
        for begun in range(0, frames, _CHUNK):
            stack = self._bench.camera.burst(min(_CHUNK, frames - begun))
            if int(stack.saturated.max()) > stack.data[0].size // 50:
                raise CalibrationError(
                    f"{int(stack.saturated.max())} pixels of the camera saturate: expose for a shorter time, or lower "
                    "the pump's power"
                )
            parts.append(self._windows.sums(stack.data))
            lost += int(stack.lost_before.sum())
            first_ns = first_ns or int(stack.start_ns[0])
            last_ns = int(stack.start_ns[-1])
        frame_s = (last_ns - first_ns) * 1e-9 / max(frames - 1, 1)
        return np.concatenate(parts) - dark, frame_s, lost

    def wait(self, seconds: float) -> None:
        """Let bench time pass in the dark, as a long exposure does."""
        camera, pump = self._bench.camera, self._bench.pump
        before_s, region = float(camera.exposure_s), camera.roi
        on = bool(pump.emission)
        pump.emission = False
        camera.roi = ROI(row=region.row, column=region.column, rows=8, columns=8)
        longest_s = camera.limits("exposure_s").maximum or 1.0
        until_s = self._bench.time_s() + seconds
        while (left_s := until_s - self._bench.time_s()) > 1e-3:
            camera.exposure_s = min(left_s, longest_s, 1.0)
            camera.trigger()
        camera.roi, camera.exposure_s = region, before_s
        if on:
            pump.emission = True

    # --- what is learned at first -----------------------------------------------------------------------------------

    def _look_at(self) -> None:
        """The camera's region, and an exposure in which every row sees the pulse."""
        camera = self._bench.camera
        reach = math.ceil(self.planned.unit_px * self.plan.separation) + 2
        low = np.floor(self.found.places.min(axis=0)).astype(int) - reach
        high = np.ceil(self.found.places.max(axis=0)).astype(int) + reach
        if low.min() < 0 or high[0] >= camera.rows or high[1] >= camera.columns:
            raise CalibrationError(
                f"the lattice lies at rows {low[0]} to {high[0]}, columns {low[1]} to {high[1]}, and the camera has "
                f"{camera.rows}x{camera.columns}: mend [alignment.dyad]"
            )
        camera.binning = 1
        rows, columns = (int(v) for v in high - low + 1)
        camera.roi = ROI(row=int(low[0]), column=int(low[1]), rows=rows, columns=columns)
        camera.exposure_s = float(camera.readout_s)
        self._corner = low.astype(np.float64)
        self._gain = float(camera.electrons_per_count)

    def _first_windows(self) -> Windows:
        """Windows at the pump's spots: what condenses is there, and about as large as their distance allows."""
        places = self.found.places.reshape(-1, 2, 2) - self._corner
        size = (int(self._bench.camera.roi.rows), int(self._bench.camera.roi.columns))
        radius = 0.3 * self.planned.unit_px * self.plan.separation
        rows, columns = np.indices(size)
        ideal = np.zeros(size)
        for row, column in places.reshape(-1, 2):
            ideal += 100 * np.exp(-2 * ((rows - row) ** 2 + (columns - column) ** 2) / radius**2)
        windows = fit_windows(ideal, places, radius, self._gain)
        self._windows = windows
        self._dark = self._dark_sums(_DARK)
        return windows

    def _power_by_threshold(self) -> float:
        """The pump's power at which the lattice has the planned gamma."""
        pump = self._bench.pump
        self._leak = 0.0
        limits = pump.limits("power_w")
        lowest, most = limits.minimum or 0.0, limits.maximum or math.inf

        def light(power_w: float) -> float:
            pump.power_w = power_w
            self._power_settles()
            return float(self._burst(_SCANNED, self._dark)[0].mean()) * self._gain

        self.power_w = least = max(_LEAST_W * len(self.planned.units), lowest)
        with self.light():
            self.threshold = find_threshold(light, least, most, lowest)
        self._leak = self.threshold.leak
        wanted = float(self.plan.gamma / (1 - abs(self.plan.coupling)) * self.threshold.power_w)
        if wanted > most:
            raise CalibrationError(
                f"gamma = {self.plan.gamma:g} needs {wanted:.3g} W of the pump, and its limit is {most:.3g} W: lower "
                "gamma in [alignment.dyad], choose fewer dyads, or raise the limit"
            )
        return wanted

    def _learn_windows(self) -> None:
        """Where condensates are, how large their images, and how often a state is misread."""
        images, taken = 0.0, 0
        while taken < _LOOKED:
            stack = self._bench.camera.burst(min(_CHUNK, _LOOKED - taken))
            images = images + stack.data.sum(axis=0, dtype=np.float64)
            taken += len(stack.data)
        places = self.found.places.reshape(-1, 2, 2) - self._corner
        mean = np.asarray(images) / taken - self._dark_image
        self._windows = fit_windows(mean, places, self._windows.radius_px, self._gain)
        self._dark = self._windows.sums(self._dark_image[None])[0]
        self.shots(_LOOKED)

    def _dark_sums(self, frames: int) -> Array:
        """Counts (n, 2) of the windows without light, in the present exposure."""
        pump = self._bench.pump
        on = bool(pump.emission)
        if on:
            pump.emission = False
        stack = self._bench.camera.burst(frames)
        self._dark_image: NDArray[np.float64] = np.asarray(stack.data.mean(axis=0))
        if on:
            pump.emission = True
        return np.asarray(self._windows.sums(self._dark_image[None])[0])


def plan_of(bench: Bench) -> DyadAlignment:
    """The lattice that the bench file wants."""
    plan: Any = bench.alignment("dyad")
    assert isinstance(plan, DyadAlignment)
    return plan
