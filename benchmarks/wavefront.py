"""Our wavefront calibration beside slmsuite's own, on the same simulated hologram table and through the same bench.

slmsuite's `wavefront_calibrate_superpixel` is given our SLM and camera by two adapters, the exposure that ours would
choose, and the map of the Fourier plane that the bench file plans. What either finds is judged by the truth: the Strehl
ratio of the table's true wave less the phase found, at the best place. It stands in the row's name; ratio is the time
relative to slmsuite's. Fringing fields and flicker are off and the camera's pixels large, so that slmsuite's regions,
six spots of a superpixel wide, are read in reasonable time.
"""

from __future__ import annotations

import logging
import math
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.pump_light import Switch
from calibration.superpixels import Shown, Spot
from calibration.wavefront_fit import panel_phase
from calibration.wavefront_layouts import hologram_station
from labctl.bench.load import load_bench
from labctl.client import ROI, open_bench
from labctl.experiments.calibrate import calibrate
from simulators.worlds.hologram import HologramParameters
from simulators.worlds.hologram.light import pupil
from simulators.worlds.hologram.truth import panel_wavefront

PIXELS, BLOCKS, HALF_PX = 256, 6, 225
BENCH = Path(__file__).resolve().parents[1] / "benches" / "hologram-lab.toml"
TABLE: dict[str, Any] = {
    "bench.lease": "60 s",
    "world.slm.rows": PIXELS, "world.slm.columns": PIXELS, "world.beam.waist": "0.8 mm",
    "world.camera.pitch": "13 um", "world.camera.rows": 1080, "world.camera.columns": 1280,
    "world.camera.axis_row": 540, "world.camera.axis_column": 640,
    "world.hidden.crosstalk": 0, "world.hidden.flicker": 0,
    "alignment.hologram.zeroth_order.row": 540, "alignment.hologram.zeroth_order.column": 640,
    "alignment.hologram.spot.row": -60, "alignment.hologram.spot.column": 80,
}  # fmt: skip

Array = NDArray[np.float64]


def rows() -> list[dict[str, Any]]:
    """One row for ours and one for slmsuite's."""
    (own, own_s), (theirs, theirs_s) = _ours(), _slmsuites()
    return [
        _row(f"wavefront: labctl, Strehl ratio {strehl(own):.4f}", own_s, own_s / theirs_s),
        _row(f"wavefront: slmsuite, Strehl ratio {strehl(theirs):.4f}", theirs_s, None),
        _row(f"wavefront: none, Strehl ratio {strehl(np.zeros((PIXELS, PIXELS))):.4f}", 0.0, None),
    ]


def _row(name: str, seconds: float, ratio: float | None) -> dict[str, Any]:
    return {"name": name, "median_us": 1e6 * seconds, "p99_us": 1e6 * seconds, "ratio": ratio}


def strehl(found: Array) -> float:
    """Of the table's light where a phase (panel rows, columns) has been taken from its wave, at the best place."""
    parameters = load_bench(BENCH, TABLE).world_parameters
    assert isinstance(parameters, HologramParameters)
    light = np.abs(pupil(parameters))
    field = np.fft.fft2(light * np.exp(1j * (panel_wavefront(parameters) - found)), (4 * PIXELS, 4 * PIXELS))
    return float((np.abs(field).max() / light.sum()) ** 2)


def _ours() -> tuple[Array, float]:
    given = {**TABLE, "row_blocks": BLOCKS, "column_blocks": BLOCKS}
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        found = calibrate("wavefront", BENCH, given, out=Path(folder), dry_run=True).calibrations[0]
        seconds = time.perf_counter() - begun
    pixels = np.arange(PIXELS, dtype=np.float64)
    return panel_phase(found, pixels, pixels), seconds


def _slmsuites() -> tuple[Array, float]:
    with warnings.catch_warnings(), open_bench(load_bench(BENCH, TABLE)) as bench, bench.control():
        warnings.simplefilter("ignore")
        plan: Any = bench.alignment("hologram")
        row, column = round(plan.zeroth_order.row + plan.spot.row), round(plan.zeroth_order.column + plan.spot.column)
        at = hologram_station(bench, (BLOCKS, BLOCKS), 4, 0.5)
        with at.switch.light(0.5):
            exposure_s = _exposure_s(bench, at, (row, column))
            side = 2 * HALF_PX + 1
            bench.camera.roi = ROI(row=row - HALF_PX, column=column - HALF_PX, rows=side, columns=side)
            bench.camera.exposure_s = exposure_s
            table = _fourier_slm(bench)
            per_rad = plan.focal_length * 1e-3 / bench.camera.pixel_pitch_m
            axis = np.array([HALF_PX - plan.spot.column, HALF_PX - plan.spot.row])
            table.fourier_calibrate_analytic(np.diag([per_rad, per_rad]), axis)
            begun = time.perf_counter()
            table.wavefront_calibrate_superpixel(
                calibration_points=np.array([[HALF_PX], [HALF_PX]]),
                superpixel_size=math.ceil(PIXELS / BLOCKS),
                field_point=(-0.03, -0.03),
                plot=-1,
            )
            found = table.wavefront_calibration_superpixel_process(r2_threshold=0.5)
            seconds = time.perf_counter() - begun
    # It keeps the phase that a pattern needs; ours is that of the wave.
    return -np.asarray(found["phase"], np.float64), seconds


def _exposure_s(bench: Any, at: Any, place: tuple[int, int]) -> float:
    """At which two blocks in the middle of the panel fill the camera by half."""
    spot, shown = Spot(bench.camera, Switch(bench, "pump")), Shown(bench.slm, at.layout)
    i, j = at.layout.reference
    shown.blocks({(i, j): 0.0, (i, j - 1): 0.0})
    spot.look(*place, 101, 101)
    return spot.meter(0.5, 0.005)


def _fourier_slm(bench: Any) -> Any:
    """slmsuite's system of an SLM and a camera, which are ours."""
    from slmsuite.hardware.cameras.camera import Camera  # type: ignore[import-untyped,unused-ignore]
    from slmsuite.hardware.cameraslms import FourierSLM  # type: ignore[import-untyped,unused-ignore]
    from slmsuite.hardware.slms.slm import SLM  # type: ignore[import-untyped,unused-ignore]

    logging.getLogger("slmsuite").setLevel(logging.ERROR)  # importing it sets another level

    class BenchSLM(SLM):  # type: ignore[misc,unused-ignore]
        """It turns phase to gray levels as -(gray + 1); ours turns them back."""

        def __init__(self) -> None:
            pitch = bench.slm.pixel_pitch_m * 1e6
            super().__init__(
                (bench.slm.columns, bench.slm.rows), bitdepth=8, wav_um=bench.pump.wavelength_m * 1e6,
                pitch_um=(pitch, pitch), settle_time_s=0,
            )  # fmt: skip

        def close(self) -> None:
            """Nothing is open."""

        @staticmethod
        def info(verbose: bool = True) -> list[str]:
            """None is looked for."""
            return []

        def _set_phase_hw(self, display: Any, **_: Any) -> None:
            bench.slm.write(np.mod(-(display.astype(float) + 1) * 2 * math.pi / 256, 2 * math.pi))
            bench.slm.settle()

    class BenchCamera(Camera):  # type: ignore[misc,unused-ignore]
        """The region of interest is its sensor."""

        def __init__(self) -> None:
            roi, pitch = bench.camera.roi, bench.camera.pixel_pitch_m * 1e6
            super().__init__((roi.columns, roi.rows), bitdepth=16, pitch_um=(pitch, pitch))

        def close(self) -> None:
            """Nothing is open."""

        @staticmethod
        def info(verbose: bool = True) -> list[str]:
            """None is looked for."""
            return []

        def flush(self, *_: Any, **__: Any) -> None:
            """Frames answer triggers; there is none to be dropped."""

        def _get_exposure_hw(self) -> float:
            return float(bench.camera.exposure_s)

        def _set_exposure_hw(self, exposure_s: float) -> None:
            bench.camera.exposure_s = exposure_s

        def _get_image_hw(self, timeout_s: float) -> Any:
            return bench.camera.trigger().data

    return FourierSLM(BenchCamera(), BenchSLM())
