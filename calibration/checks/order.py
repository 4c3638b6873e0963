"""Do sums of fields in the mapped order still come out?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.checks import unchanged
from calibration.lighting import must_emit
from calibration.order_map import OrderMap
from calibration.order_readout import CodedFlips, OrderReadout, Slit, flipped_sequence
from calibration.prbm_strip import HEADROOM
from labctl.client import Bench, Calibration, Check

LEAST_CORRELATION = 0.97
"""Of sums with what is measured of them; the calibration itself must reach 0.98."""

Array = NDArray[np.float64]


def look(
    bench: Bench, then: Calibration, bands: int, spread: float, slit: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Sums (bands,) of random couplings, in macro-pixels, and what is measured of them by the map in force.

    At the power of the calibration, so that its unit must hold, too.
    """
    order = OrderMap.of(then)
    count = min(bands, order.bands)
    start = (order.bands - count) // 2
    chosen = range(start, start + count)
    width = round(then.conditions["pixels_per_spin"].number)
    macros = int(order.columns[-1] - order.columns[0]) // width // 2 * 2
    strip, slm = order.strip(macros, width, chosen, bench.calibration("phase_table")), bench.slm
    slm.write(order.rest(int(slm.rows), int(slm.columns)))
    slm.settle()
    readout = OrderReadout(bench, Slit(*order.pixel, rows=slit))
    readout.emit(then.conditions["power_fraction"].number)
    output = macros // 2
    is_output = np.arange(macros) == output
    spins = np.where(is_output, 1.0, rng.choice([-1.0, 1.0], macros))
    u = np.where(is_output, 1.0, np.clip(rng.normal(0, spread, (count, macros)), -HEADROOM, HEADROOM))
    weights = np.where(is_output, 0.0, order.amplitudes(strip, chosen))
    patches = np.array([strip.cells(band, range(output, output + 1), -1) for band in range(count)])
    rows = strip.first_row + strip.rows_per_band * np.arange(count)
    corners = np.column_stack([rows, np.full(count, strip.first_column + output * width)])
    seen = np.zeros(count)
    for k, sign in enumerate((1.0, -1.0)):
        signs = np.broadcast_to(np.where(is_output, 1.0, sign * spins), u.shape)
        base, _ = strip.solve(signs, u, np.ones(u.shape, np.bool_), weights, lambda: must_emit(bench))
        flips = CodedFlips(count, k)
        sequence = flipped_sequence(base, strip.origin, patches, corners, flips.frames)
        if k == 0:
            readout.meter(flipped_sequence(base, strip.origin, patches, corners, flips.frames[:4]), power=False)
        seen += sign * flips.contrasts(readout.play(sequence).signal)
    told = np.asarray((weights * u * spins).sum(axis=1))
    return told, order.sums(chosen, seen / (8 * then.number("unit_counts_per_s")))


def compare(told: Array, measured: Array, allowed: float) -> tuple[Check, ...]:
    """That they still belong together, and are as large as they were."""
    slope = float((told * measured).sum() / (told**2).sum())
    error = float(np.std(measured - slope * told) / np.sqrt((told**2).sum()))
    return (
        Check(
            name="correlation of sums with what is measured",
            value=float(np.corrcoef(told, measured)[0, 1]),
            low=LEAST_CORRELATION,
        ),
        unchanged("size of what is measured, change", slope - 1, error, allowed),
    )
