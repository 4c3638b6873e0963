"""The multiplier's table: a laser, the strip that shows a vector, the couplings, a reference, and the camera.

It knows nothing of nodes or bands: gray levels come to both panels, and the camera sees what light makes of them. In
the modes "shot" and "injection" condensates stand in that light (`simulators.worlds.multiplier.condensates`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract import DeviceError, DeviceTimeout
from simulators.physics.counter_random import noise_key, uniforms
from simulators.slide_show import Pace
from simulators.worlds.multiplier.condensates import CondensateLight
from simulators.worlds.multiplier.light import Exposure, MultiplierLight
from simulators.worlds.multiplier.parameters import MultiplierParameters
from simulators.worlds.multiplier.truth import OnePanel, multiplier_truth
from simulators.worlds.operations import world_operation
from simulators.worlds.ports import FLAGS, CameraPort, DetectorPort
from simulators.worlds.prbm.gray_table import GrayTable, TiledGrayTable
from simulators.worlds.prbm.panel import Panel
from simulators.worlds.prbm.parameters import SlmParameters
from simulators.worlds.prbm.sensor import CameraSensor, Region
from simulators.worlds.prbm.truth import PanelTruth
from simulators.worlds.pumps import pump_controls
from simulators.worlds.table import TableWorld

_AT_ONCE = 64
"""Exposures of a sequence whose light is worked out together."""


class MultiplierWorld(TableWorld):
    """One table; its laser's two arms are set by fields of ``state``."""

    Parameters = MultiplierParameters
    State = np.dtype([*pump_controls("pump"), *pump_controls("reference"), *FLAGS], align=True)

    parameters: MultiplierParameters

    def rewind(self) -> None:
        """Set the table up anew: both panels at rest at gray 0, both arms dark, no device on it."""
        super().rewind()
        p = self.parameters
        truth = multiplier_truth(p)
        self.panel = Panel(p.slm, _gray_table(p, p.slm, truth.light.panel))
        self._couplings = Panel(p.coupling, _gray_table(p, p.coupling, truth.coupling))
        kind = MultiplierLight if p.mode == "optoelectronic" else CondensateLight
        self._light = kind(p, self.panel, self._couplings)
        self._sensor = CameraSensor(p, truth.light.sensor)
        for port in p.pumps:
            self.state[f"{port}_emission"] = False
            self.state[f"{port}_power_w"] = 0.0

    def warm_up(self) -> None:
        """Have everything compiled that an exposure needs, on a table that nobody uses yet; it is set up anew."""
        p, c = self.parameters, self.parameters.camera
        rows, columns = min(c.rows, 8), min(c.columns, 2)
        counts: NDArray[Any] = np.empty((rows, columns), np.float64 if c.ideal else np.uint16)
        for port in p.pumps:
            self.state[f"{port}_emission"], self.state[f"{port}_power_w"] = True, 1e-3
        for gray in (100, 0):
            self.panel.write(np.full((p.slm.rows, p.slm.columns), gray, np.uint8), 0, 0, self.clock.now_ns())
            self._couplings.write(np.full((2, 2), gray, np.uint8), 0, 0, self.clock.now_ns())
            self.expose("", 0, self.clock.now_ns(), 1e-3, 0, 0, rows, columns, counts)
        self.rewind()

    @world_operation
    def couple(self, gray: NDArray[Any], row: int, column: int) -> int:
        """Gray levels (rows, columns) for the couplings, corner at (row, column); when they arrived, ns."""
        p, (rows, columns) = self.parameters.coupling, gray.shape
        if row < 0 or column < 0 or row + rows > p.rows or column + columns > p.columns:
            raise DeviceError(
                f"couplings: {rows}x{columns} levels at row {row}, column {column} do not fit its "
                f"{p.rows}x{p.columns} pixels"
            )
        now_ns = self.clock.now_ns()
        self._couplings.write(np.asarray(gray), row, column, now_ns)
        return now_ns

    # --- light ----------------------------------------------------------------------------------------------------

    def pump_power_w(self, port: str) -> float:
        """Power that an arm's laser emits now."""
        return float(self.state[f"{port}_power_w"][0]) if self.state[f"{port}_emission"][0] else 0.0

    def mean_electrons(
        self, start_ns: int, exposure_s: float, row: int, column: int, rows: int, columns: int, number: int = 0
    ) -> NDArray[np.float64]:
        """Photoelectrons (rows, columns) expected in an exposure, before dark current and noise of the camera.

        number: of the exposure, which condensates have noise of their own in.
        """
        exposure = self._exposure(number, start_ns, exposure_s)
        return np.asarray(self._light.electrons((row, column, rows, columns), [exposure])[0])

    def _exposure(self, number: int, start_ns: int, exposure_s: float) -> Exposure:
        return self._light.exposure(
            number, start_ns * 1e-9, exposure_s, self.pump_power_w("pump"), self.pump_power_w("reference")
        )

    def expose(
        self,
        device: str,
        number: int,
        start_ns: int,
        exposure_s: float,
        row: int,
        column: int,
        rows: int,
        columns: int,
        out: NDArray[Any] | None = None,
    ) -> tuple[NDArray[Any], int, float]:
        """See `TableWorld.expose`."""
        region = (row, column, rows, columns)
        electrons = self.mean_electrons(start_ns, exposure_s, *region, number)
        return self._sensor.expose(device, number, exposure_s, region, electrons, out)

    def expose_all(
        self,
        device: str,
        numbers: NDArray[np.int64],
        start_ns: NDArray[np.int64],
        exposure_s: float,
        region: Region,
        out: NDArray[Any],
    ) -> NDArray[np.int64]:
        """All light at once; see `TableWorld.expose_all`."""
        exposures = [self._exposure(int(n), int(s), exposure_s) for n, s in zip(numbers, start_ns, strict=True)]
        return self._read_out(device, region, exposures, out)

    def _read_out(self, device: str, region: Region, exposures: list[Exposure], out: NDArray[Any]) -> NDArray[np.int64]:
        saturated = np.zeros(len(exposures), np.int64)
        for k, electrons in enumerate(self._light.electrons(region, exposures)):
            number, duration_s = exposures[k].number, exposures[k].duration_s
            saturated[k] = self._sensor.expose(device, number, duration_s, region, electrons, out[k])[1]
        return saturated

    # --- sequences ------------------------------------------------------------------------------------------------

    def _play_burst(self, stop: NDArray[np.uint8], pace: Pace, stable_ns: NDArray[np.int64]) -> int:
        """Patterns 1 and following with one camera armed: shown one by one, their light worked out in groups."""
        port = self._lone_camera()
        if port is None or port.armed < len(stable_ns) - 1:
            return 1
        roi = port.roi
        region = (roi.row, roi.column, roi.rows, roi.columns)
        k = 1
        while k < len(stable_ns) and not stop[0]:
            exposures: list[Exposure] = []
            while k < len(stable_ns) and not stop[0] and len(exposures) < _AT_ONCE:
                stable_ns[k] = self.step(k) + pace.settle_ns
                self.clock.sleep_until(int(stable_ns[k]))
                if self._armed(port):
                    port.armed -= 1
                    number, now_ns = port.next_number(), self.clock.now_ns()
                    if not self._lost(port.device, number):
                        exposures.append(self._exposure(number, now_ns, port.exposure_ns * 1e-9))
                self.clock.sleep_until(int(stable_ns[k]) + pace.dwell_ns)
                k += 1
            self._keep(port, region, exposures)
        return k

    def _lone_camera(self) -> CameraPort | None:
        armed = [d for d in self._ports.values() if isinstance(d, DetectorPort) and self._armed(d)]
        return armed[0] if len(armed) == 1 and isinstance(armed[0], CameraPort) else None

    def _keep(self, port: CameraPort, region: Region, exposures: list[Exposure]) -> None:
        """Put a camera's frames into its memory."""
        into = slice(port.taken, port.taken + len(exposures))
        port.numbers[into] = [e.number for e in exposures]
        port.start_ns[into] = [round(e.start_s * 1e9) for e in exposures]
        port.saturated[into] = self._read_out(port.device, region, exposures, port.data[into])
        port.taken += len(exposures)

    def _lost(self, device: str, number: int) -> bool:
        share = self.parameters.lost_frames
        return share > 0 and uniforms(noise_key(self.parameters.seed, device, "lost"), number, 0, 0, 0)[0] < share

    def _take_frame(self, port: CameraPort) -> None:
        if self._lost(port.device, port.number):
            port.next_number()
            return
        super()._take_frame(port)

    def _expose_at_once(self, port: CameraPort, exposure_ns: int, roi: Any, out: NDArray[Any]) -> tuple[int, int, int]:
        if self._lost(port.device, port.number):
            number = port.next_number()
            raise DeviceTimeout(f"{port.device}: frame {number} did not come; trigger again")
        return super()._expose_at_once(port, exposure_ns, roi, out)


def _gray_table(p: MultiplierParameters, slm: SlmParameters, truth: PanelTruth) -> GrayTable:
    wrong = p.hidden.lut_error or p.hidden.lut_tile_error
    return TiledGrayTable(OnePanel(slm), truth) if wrong else GrayTable(slm)
