"""The camera window that calibration found, and the unit of intensity measured there by signs.

Where a `prbm-window` calibration is in force, local fields are read at the zeroth order it found, as symmetric
differences 1/2 [dI(v, aux) - dI(-v, -aux)]: what no spin reaches (dead area, front face, leaking dark patterns, and the
interference of flipped neighbours) is the same in both and drops out. The unit comes from macro-pixels shown in signs
(`calibration.prbm_patterns`), to which dark macro-pixels that are not quite dark contribute nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.prbm_patterns import PRODUCT, two_part_cycle
from calibration.prbm_reference import Reference
from labctl.client import Bench, CalibrationError, Sequence
from protocols.prbm.light.alignment import CameraPixel, PrbmAlignment
from protocols.prbm.light.encoding import Strip, macro_pixel_places

KIND = "prbm-window"


def spot_in_force(bench: Bench) -> CameraPixel | None:
    """Zeroth order by the calibration in force; None where there is none.

    Raises CalibrationError, which names the command to run, if it is stale or of another device.
    """
    if bench.calibrations().find(KIND, bench.name) is None:
        return None
    found = bench.calibration(KIND)
    return CameraPixel(row=max(round(found.number("row")), 0), column=max(round(found.number("column")), 0))


def signed_sequence(
    panel: tuple[int, int],
    alignment: PrbmAlignment,
    strip: Strip,
    outputs: int,
    lit: int,
    n_inputs: int,
    output_at: str,
    repeats: int,
) -> Sequence:
    """Signs of ``lit`` input macro-pixels and of the output spin in each of ``outputs`` bands, ``repeats`` cycles.

    panel: rows and columns of the SLM. The inputs are spread evenly over the strip.
    """
    inputs, auxiliary, output = macro_pixel_places(n_inputs, strip.macro_pixels, output_at)
    places = np.sort(np.append(inputs, auxiliary))
    chosen = places[np.linspace(0, len(places) - 1, lit).round().astype(int)]
    width, height = strip.pixels_per_spin, alignment.rows_per_band

    def cells(macro_pixels: NDArray[np.int64]) -> list[tuple[int, int]]:
        return [
            (alignment.first_row + band * height, strip.first_column + int(m) * width)
            for band in range(outputs)
            for m in macro_pixels
        ]

    return two_part_cycle(panel, cells(chosen), cells(np.array([output])), (height, width), repeats)


def signed_reference(
    signal: NDArray[np.float64], outputs: int, lit: int, exposure_s: float, dark: NDArray[np.float64]
) -> Reference:
    """Reference from the signal (4 cycles,) of a `signed_sequence`; dark: signals of the window without light.

    Raises CalibrationError when the signs change nothing.
    """
    cycles = signal.reshape(-1, len(PRODUCT)) @ PRODUCT
    unit, error = float(cycles.mean()), float(cycles.std(ddof=1) / np.sqrt(len(cycles)))
    if not unit > 5 * error:
        raise CalibrationError(
            f"no light at the zeroth order that follows the spins: {unit:.4g} counts with a standard error of "
            f"{error:.2g}. Check emission, shutters and beam blocks, and run: labctl calibrate {KIND}"
        )
    scale = 8.0 * lit * outputs * exposure_s
    return Reference(unit / scale, error / scale, float(dark.mean()), float(dark.std(ddof=1)))
