"""The condensate lattice: pump, SLM, microcavity, camera, a power tap on the pump, and a probe that disturbs g.

A pump pulse lasts nanoseconds, the sample forgets between two of them, and a camera's exposure sees one or many. In
"external" modulation a pulse is cut with each exposure, once all of its rows are exposed; in "pulsed" they come at the
repetition rate; in "cw", for which a filter is flipped, the camera sees the spots of the pump itself and not the light
of condensates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.frozen import owned, unlike
from simulators.physics.condensates.pulse import Pulse
from simulators.worlds.condensates.emission import Events, Spots, draw, emitted
from simulators.worlds.condensates.parameters import CondensateParameters
from simulators.worlds.condensates.probe import disturbed
from simulators.worlds.condensates.projector import Projector
from simulators.worlds.condensates.sample import pulse_factors
from simulators.worlds.condensates.sites import PumpSpots, Sites, find_spots, mesa_region, sites_at
from simulators.worlds.hologram.world import HologramWorld
from simulators.worlds.operations import world_operation
from simulators.worlds.parts.sensor import Region
from simulators.worlds.parts.truth import DRIFT_STEP_S
from simulators.worlds.ports import FLAGS
from simulators.worlds.pumps import MODULATIONS, pump_controls
from simulators.worlds.table import LIGHT_M_S, PLANCK_J_S

Array = NDArray[np.float64]

_SAMPLE_STEP_S = 1.0
"""In which the sample drifts by a tenth of a nanometre."""


class CondensateWorld(HologramWorld):
    """One table; its pump, its modulation, its reference, lamp and probe are set by fields of ``state``."""

    Parameters = CondensateParameters
    State = np.dtype(
        [f for port in ("pump", "reference", "lamp", "probe") for f in pump_controls(port)] + FLAGS, align=True
    )
    detector_places = ("tap",)

    parameters: CondensateParameters  # type: ignore[assignment,unused-ignore]

    def rewind(self) -> None:
        """Set the table up anew: panel at rest at gray 0, pump dark and continuous, no device on it."""
        super().rewind()
        self.panel.listeners.append(self)
        self._projector = Projector(self.parameters)
        self._pump_spots: PumpSpots | None = None
        self._sites: Sites | None = None
        self._spots_step = self._sites_step = -1
        self.state["pump_modulation"] = 0

    def warm_up(self) -> None:
        """Have everything compiled that an exposure needs; see `HologramWorld.warm_up`."""
        super().warm_up()
        some = Sites(
            places=np.zeros((5, 2)),
            pumping=np.ones((1, 5)),
            g=np.ones(5),
            pairs=np.array([[0, 1]]),
            pair_couplings=np.zeros(1, np.complex128),
            networks=(),
        )
        zeros = np.zeros(1, np.int64)
        events = Events(zeros, zeros, zeros, np.ones(1), np.ones((1, 1)))
        spots = emitted(self.parameters, some, 0.0, Pulse(0.0, 0.1, 0.0, 0.1), events, 1)
        draw(self.parameters, spots, (0, 0, 4, 4), np.ones(4), np.zeros((1, 4, 4)))

    def _frozen(self) -> dict[str, Any]:
        spots = self._pump_spots and [self._pump_spots.places, self._pump_spots.pumping]
        steps = [self._spots_step, self._sites_step]
        return super()._frozen() | {"spots": spots, "steps": steps, "projector": self._projector.frozen()}

    def _thaw(self, kept: Any) -> None:
        super()._thaw(kept)
        self._projector.thaw(kept["projector"])
        self._sites = None  # of these spots and this step
        self._spots_step, self._sites_step = (int(step) for step in kept["steps"])
        self._pump_spots = None
        if kept["spots"] is not None:
            places, pumping = (owned(part, np.float64, 2) for part in kept["spots"])
            if places.shape != (pumping.shape[1], 2):
                raise unlike(f"{len(places)} places of {pumping.shape[1]} spots")
            self._pump_spots = PumpSpots(places, pumping)

    # --- following the panel --------------------------------------------------------------------------------------

    def region_changes(self, *_: Any) -> None:
        """Spots are looked for anew."""
        self._pump_spots = None

    def patches_change(self, *_: Any) -> None:
        """Spots are looked for anew."""
        self._pump_spots = None

    def sites(self, start_s: float) -> Sites:
        """Where the pump makes condensates at a moment, and what the sample is like there."""
        self.panel.rest(start_s)
        if self.panel.moving:
            return sites_at(self.parameters, self._spots_now(start_s), start_s)
        step = int(start_s // DRIFT_STEP_S)
        if self._pump_spots is None or step != self._spots_step:
            self._pump_spots, self._spots_step, self._sites = self._spots_now(start_s), step, None
        moved = int(start_s // _SAMPLE_STEP_S)
        if self._sites is None or moved != self._sites_step:
            at_s = (moved + 0.5) * _SAMPLE_STEP_S
            self._sites, self._sites_step = sites_at(self.parameters, self._pump_spots, at_s), moved
        return self._sites

    def _spots_now(self, start_s: float) -> PumpSpots:
        return find_spots(self.parameters, self._light.pump_in_states(mesa_region(self.parameters), start_s))

    # --- the pump -------------------------------------------------------------------------------------------------

    @property
    def modulation(self) -> str:
        """Of the pump."""
        return MODULATIONS[int(self.state["pump_modulation"][0])]

    def pulses_in(self, exposure_s: float) -> int:
        """Pump pulses in an exposure."""
        match self.modulation:
            case "external":
                return 1
            case "pulsed":
                return round(self.parameters.pump.repetition_rate * exposure_s)
            case _:
                return 0

    def mean_pump_power_w(self, exposure_s: float) -> float:
        """Power of the pump, averaged over an exposure."""
        power_w = self.pump_power_w("pump")
        if self.modulation == "cw":
            return power_w
        return power_w * self.pulses_in(exposure_s) * self.parameters.pulse_s / exposure_s

    def reading(
        self, place: str, device: str, number: int, start_ns: int, duration_s: float
    ) -> tuple[float, float, bool]:
        """Power at the tap, which is before the modulator; see `TableWorld.reading`."""
        if place != "tap":
            return super().reading(place, device, number, start_ns, duration_s)
        d, ideal = self.parameters.detector, self.parameters.ideal
        power_w = self.pump_power_w("pump") * self.parameters.pump.tap_share
        power_w *= self._light.power_factor(start_ns * 1e-9, duration_s)
        return self._reading(device, number, power_w, duration_s, d.tap_nep, d.tap_range, ideal or d.ideal)

    # --- the projector --------------------------------------------------------------------------------------------

    @world_operation
    def project(self, gray: NDArray[Any], row: int, column: int) -> int:
        """Gray levels (rows, columns) for the projector, corner at (row, column); when they arrived, ns."""
        now_ns = self.clock.now_ns()
        if self._takes("projector"):
            self._projector.write(np.asarray(gray), row, column, now_ns * 1e-9)
        return now_ns

    # --- exposures ------------------------------------------------------------------------------------------------

    def _electrons_in(self, number: int, start_ns: int, exposure_s: float, region: Region) -> Array:
        electrons = self._leak(start_ns, exposure_s, region)
        self._add_emission(np.array([number]), np.array([start_ns]), exposure_s, region, electrons[None])
        return electrons

    def expose_all(
        self,
        device: str,
        numbers: NDArray[np.int64],
        start_ns: NDArray[np.int64],
        exposure_s: float,
        region: Region,
        out: NDArray[Any],
    ) -> NDArray[np.int64]:
        """All condensations at once; see `TableWorld.expose_all`."""
        electrons = np.empty((len(numbers), *region[2:]))
        for one, start in zip(electrons, start_ns, strict=True):
            one[:] = self._leak(int(start), exposure_s, region)
        self._add_emission(numbers, start_ns, exposure_s, region, electrons)
        return np.array(
            [
                self._sensor.expose(device, int(number), exposure_s, region, one, into)[1]
                for number, one, into in zip(numbers, electrons, out, strict=True)
            ],
            np.int64,
        )

    def _leak(self, start_ns: int, exposure_s: float, region: Region) -> Array:
        """Electrons (rows, columns) of all light but the condensates'."""
        electrons = self._of_pump(start_ns, exposure_s, region)
        lamp_w = self.pump_power_w("lamp")
        if lamp_w:
            p = self.parameters
            per_joule = p.camera.quantum_efficiency * p.lamp.wavelength / (PLANCK_J_S * LIGHT_M_S)
            at_s = start_ns * 1e-9 + exposure_s / 2
            electrons += self._projector.on_camera(region, at_s) * (
                lamp_w * p.lamp.transmission * exposure_s * per_joule
            )
        return electrons

    def _of_pump(self, start_ns: int, exposure_s: float, region: Region) -> Array:
        """Electrons (rows, columns) of the pump's own light and the reference's."""
        if self.modulation == "cw" or self.pump_power_w("reference"):
            return self.mean_electrons(start_ns, exposure_s, *region)
        power_w = self.mean_pump_power_w(exposure_s)
        if not power_w:
            return np.zeros(region[2:])
        # Of pulses it is a faint background, and its flicker nothing.
        p, start_s = self.parameters, start_ns * 1e-9
        on_pixels = self._light.pump_in_states(region, start_s)[0]
        per_joule = p.camera.quantum_efficiency * p.pump.wavelength / (PLANCK_J_S * LIGHT_M_S)
        joules = power_w * self._light.power_factor(start_s, exposure_s) * p.optics.camera_attenuation * exposure_s
        return np.asarray(on_pixels * (joules * per_joule))

    def _add_emission(
        self,
        numbers: NDArray[np.int64],
        start_ns: NDArray[np.int64],
        exposure_s: float,
        region: Region,
        electrons: Array,
    ) -> None:
        """Add the condensates' light to electrons (frames, rows, columns) of exposures of one setting."""
        power_w = self.pump_power_w("pump")
        if not power_w or not self.pulses_in(exposure_s):
            return
        for some, sites in self._by_sites(start_ns):
            if len(sites.places):
                spots = self._spots(sites, power_w, numbers[some], start_ns[some], exposure_s)
                draw(self.parameters, spots, region, self._rows_lit(exposure_s, region), electrons[some])

    def _by_sites(self, start_ns: NDArray[np.int64]) -> list[tuple[slice, Sites]]:
        """Exposures that find the same sites."""
        groups: list[tuple[slice, Sites]] = []
        for k, start in enumerate(start_ns):
            sites = self.sites(int(start) * 1e-9)
            if groups and groups[-1][1] is sites:
                groups[-1] = (slice(groups[-1][0].start, k + 1), sites)
            else:
                groups.append((slice(k, k + 1), sites))
        return groups

    def _spots(
        self, sites: Sites, power_w: float, numbers: NDArray[np.int64], start_ns: NDArray[np.int64], exposure_s: float
    ) -> Spots:
        p = self.parameters
        sites = disturbed(p, sites, self.pump_power_w("probe"))
        frames, each = len(numbers), self.pulses_in(exposure_s)
        pulse = Pulse(p.pump.rise / p.t0_s, p.pump.plateau / p.t0_s, p.pump.rise / p.t0_s)
        power, weights = [], []
        for number, start in zip(numbers, start_ns, strict=True):
            start_s = int(start) * 1e-9
            factor = self._light.power_factor(start_s, exposure_s)
            power.append(factor * pulse_factors(p, int(number), each))
            weights.append(self._flicker(sites, start_s, exposure_s, each))
        events = Events(
            frame=np.repeat(np.arange(frames), each),
            exposures=np.repeat(numbers, each),
            numbers=np.tile(np.arange(each), frames),
            power=np.concatenate(power),
            weights=np.concatenate(weights),
        )
        return emitted(p, sites, power_w, pulse, events, frames)

    def _flicker(self, sites: Sites, start_s: float, exposure_s: float, each: int) -> Array:
        """Weights (each, states) at the moments of condensations spread over an exposure."""
        if len(sites.pumping) == 1:
            return np.ones((each, 1))
        # The flicker's tone is slow against the time between pulses: a few moments stand for all.
        moments = min(each, 16)
        known = np.stack(
            [self._light.flicker_weights(start_s + (m + 0.5) / moments * exposure_s, 0.0) for m in range(moments)]
        )
        return known[np.arange(each) * moments // each]

    def _rows_lit(self, exposure_s: float, region: Region) -> Array:
        """Which rows (rows,) are exposed when a gated pulse comes: rows begin one after the other, outwards from the
        middle, and the pulse comes when the last one has begun."""
        rows = region[2]
        if self.modulation != "external" or self.parameters.camera.ideal:
            return np.ones(rows)
        from_middle = np.abs(np.arange(rows) - (rows - 1) / 2)
        row_s = self.parameters.camera.row_time
        begins_s = from_middle * row_s
        return np.asarray(begins_s[-1] < begins_s + exposure_s, np.float64)
