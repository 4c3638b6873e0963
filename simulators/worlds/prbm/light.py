"""The light behind the panel, as detectors find it: on the plain table, and on one with hidden imperfections."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.frozen import unlike
from simulators.worlds.parts.panel import Panel
from simulators.worlds.parts.sensor import Region
from simulators.worlds.parts.truth import DRIFT_STEP_S
from simulators.worlds.prbm.lab_probe import LabProbe
from simulators.worlds.prbm.optics import OpticsInTime, Window, aperture_window, camera_window
from simulators.worlds.prbm.parameters import PrbmParameters
from simulators.worlds.prbm.probe import Aperture, Illumination, Probe
from simulators.worlds.prbm.truth import hidden_table

_MOST_PROBES = 4


class Light(Protocol):
    """What the world asks.

    samples_m: (n,) wavelengths at which it wants the source's shares of full power. samples_w: (n,) what the source
    emits at each of them at full power. slices: (n,) the band whose pulse noise each shares.
    """

    samples_m: NDArray[Any]
    samples_w: NDArray[np.float64]
    slices: NDArray[np.int64]

    def on_camera(
        self,
        region: Region,
        start_s: float,
        duration_s: float,
        shares: NDArray[np.float64],
        gains: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        """Mean power (rows, columns) on each pixel of a region of the camera during an exposure, W.

        shares: (n,) of full power. gains: (bands,) relative power of each band in this exposure; None is 1.
        """
        ...

    def on_slit(
        self, start_s: float, duration_s: float, shares: NDArray[np.float64], gains: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """The same on each camera pixel's worth of the slit detector."""
        ...

    def frozen(self, shares: NDArray[np.float64]) -> dict[str, Any]:
        """What those who look at the panel keep of it, as plain values; shares: of now."""
        ...

    def thaw(self, kept: Any, shares: NDArray[np.float64]) -> None:
        """Go on from `frozen`, on a panel that was thawed before. Raises ConfigurationError if it does not fit."""
        ...


class PlainLight:
    """Bands of one wavelength each on a perfect panel; `simulators.worlds.prbm.probe`."""

    def __init__(self, p: PrbmParameters, panel: Panel) -> None:
        self._p = p
        self._panel = panel
        self.illumination = Illumination.of(p)
        self.samples_m = self.illumination.wavelengths_m
        self.samples_w = np.full(p.optics.bands, p.source.density * p.band_width_m)
        self.slices = np.arange(p.optics.bands)
        self._probes: OrderedDict[Any, Probe] = OrderedDict()

    def on_camera(
        self,
        region: Region,
        start_s: float,
        duration_s: float,
        shares: NDArray[np.float64],
        gains: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        """See `Light`."""
        self._panel.rest(start_s)
        return self.camera(region).power(start_s, duration_s, shares if gains is None else shares * gains)

    def on_slit(
        self, start_s: float, duration_s: float, shares: NDArray[np.float64], gains: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """See `Light`."""
        self._panel.rest(start_s)
        probe = self._probe(("slit",), lambda: slit_aperture(self._p))
        return probe.power(start_s, duration_s, shares if gains is None else shares * gains)

    def camera(self, region: Region) -> Probe:
        """What looks at a region of the camera."""
        return self._probe(("camera", *region), lambda: camera_aperture(self._p, region))

    def frozen(self, shares: NDArray[np.float64]) -> dict[str, Any]:
        """See `Light`."""
        return {"probes": [[list(key), probe.frozen(shares)] for key, probe in self._probes.items()]}

    def thaw(self, kept: Any, shares: NDArray[np.float64]) -> None:
        """See `Light`."""
        for probe in self._probes.values():
            probe.close()
        self._probes.clear()
        for key, state in kept["probes"][:_MOST_PROBES]:
            region = _region_of(self._p, key)
            probe = self.camera(region) if region else self._probe(("slit",), lambda: slit_aperture(self._p))
            probe.thaw(state, shares)

    def _probe(self, key: Any, aperture: Callable[[], Aperture]) -> Probe:
        if key in self._probes:
            self._probes.move_to_end(key)
            return self._probes[key]
        self._probes[key] = Probe(self._p, self.illumination, self._panel, aperture())
        if len(self._probes) > _MOST_PROBES:
            self._probes.popitem(last=False)[1].close()
        return self._probes[key]


class LabLight:
    """With what a real table does to light; `simulators.worlds.prbm.lab_probe`."""

    def __init__(self, p: PrbmParameters, panel: Panel) -> None:
        self._p = p
        self._panel = panel
        self._truth = hidden_table(p)
        self._in_time = OpticsInTime(p)
        self._step = 0
        self._optics = self._in_time.at(0.0)
        self.samples_m = self._optics.samples_m
        per_band = len(self.samples_m) // p.optics.bands
        self.slices = np.arange(len(self.samples_m)) // per_band
        self._probes: OrderedDict[Any, LabProbe] = OrderedDict()

    @property
    def samples_w(self) -> NDArray[np.float64]:
        """Watts the source emits at full power at each wavelength; the spectrum drifts."""
        return self._optics.sample_watts / self._p.beam.transmission

    def on_camera(
        self,
        region: Region,
        start_s: float,
        duration_s: float,
        shares: NDArray[np.float64],
        gains: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        """See `Light`."""
        self.follow(start_s)
        return self._power(
            ("camera", *region),
            self._window_of(region),
            start_s,
            duration_s,
            shares,
            gains,
        )

    def on_slit(
        self, start_s: float, duration_s: float, shares: NDArray[np.float64], gains: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """See `Light`."""
        self.follow(start_s)
        return self._power(
            ("slit",),
            self._window_of(None),
            start_s,
            duration_s,
            shares,
            gains,
        )

    def _power(
        self,
        key: Any,
        window: Callable[[], Window],
        start_s: float,
        duration_s: float,
        shares: NDArray[np.float64],
        gains: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        self._panel.rest(start_s)
        probe = self._probe(key, window)
        see = probe.power if self._p.path == "auto" else probe.reference
        return see(start_s, duration_s, shares, np.ones(self._p.optics.bands) if gains is None else gains)

    def follow(self, time_s: float) -> None:
        """Take the optics of this time; those who looked at the old ones are dropped."""
        step = math.floor(time_s / DRIFT_STEP_S)
        if step != self._step:
            self._take_optics(step)

    def _take_optics(self, step: int) -> None:
        self._step = step
        self._optics = self._in_time.at((step + 0.5) * DRIFT_STEP_S if step else 0.0)
        for probe in self._probes.values():
            probe.close()
        self._probes.clear()

    def frozen(self, shares: NDArray[np.float64]) -> dict[str, Any]:
        """See `Light`."""
        probes = [[list(key), probe.frozen(shares)] for key, probe in self._probes.items()]
        return {"step": self._step, "probes": probes}

    def thaw(self, kept: Any, shares: NDArray[np.float64]) -> None:
        """See `Light`."""
        self._take_optics(int(kept["step"]))
        for key, state in kept["probes"][:_MOST_PROBES]:
            self._probe(tuple(key), self._window_of(_region_of(self._p, key))).thaw(state, shares)

    def _window_of(self, region: Region | None) -> Callable[[], Window]:
        pointing_m = self._optics.pointing_m
        if region is None:
            return lambda: aperture_window(slit_aperture(self._p), pointing_m)
        return lambda: camera_window(self._p, pointing_m, region)

    def _probe(self, key: Any, window: Callable[[], Window]) -> LabProbe:
        if key in self._probes:
            self._probes.move_to_end(key)
            return self._probes[key]
        self._probes[key] = LabProbe(self._optics, self._truth.panel, self._panel, window())
        if len(self._probes) > _MOST_PROBES:
            self._probes.popitem(last=False)[1].close()
        return self._probes[key]


def _region_of(p: PrbmParameters, key: Any) -> Region | None:
    """Of a probe's key; None for that of the slit. Raises ConfigurationError."""
    if list(key) == ["slit"]:
        return None
    what, row, column, rows, columns = key
    if what != "camera" or min(row, column) < 0 or min(rows, columns) < 1:
        raise unlike(f"a probe of {key!r:.80}")
    if row + rows > p.camera.rows or column + columns > p.camera.columns:
        raise unlike(f"a region {key!r:.80} of a camera of {p.camera.rows}x{p.camera.columns} pixels")
    return (row, column, rows, columns)


def camera_aperture(p: PrbmParameters, region: Region) -> Aperture:
    """A region of the camera where the plan of the table has it."""
    c = p.camera
    row, column, rows, columns = region
    return Aperture(
        columns_m=(np.arange(column, column + columns) - c.axis_column) * c.pitch,
        rows_m=(np.arange(row, row + rows) - c.axis_row) * c.pitch,
        width_m=c.pitch,
        area_m2=c.pitch**2,
        point=c.ideal,
    )


def slit_aperture(p: PrbmParameters) -> Aperture:
    """The slit in front of the detector at the zeroth order."""
    d, c = p.detector, p.camera
    if c.ideal or d.ideal:
        return Aperture(np.zeros(1), np.zeros(1), c.pitch, c.pitch**2, point=True)
    columns = np.arange(d.slit_columns) - (d.slit_columns - 1) / 2
    return Aperture(
        columns_m=columns * c.pitch,
        rows_m=(np.arange(d.slit_rows) - (d.slit_rows - 1) / 2) * c.pitch,
        width_m=c.pitch,
        area_m2=c.pitch**2,
    )


def light_of(p: PrbmParameters, panel: Panel) -> PlainLight | LabLight:
    """What these parameters ask for."""
    return LabLight(p, panel) if p.hidden.panel else PlainLight(p, panel)
