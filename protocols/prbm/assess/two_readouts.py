"""Do two readouts of the same local fields agree within their noise?

Each has measured the fields several times. What differs between them is compared with how they scatter, apart from a
common offset and a common factor of all fields: single flips share the noise of one frame, and each readout has a unit
of its own, known no better than its reference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """Of a second readout with a first one.

    r: correlation of their mean fields; nan where these are constant. slope: of the second against the first, with
    slope_error, its standard error by the units and by noise. difference_rms: of the mean fields, units of L;
    expected_rms: what noise and the units make of it. p_value: how often noise alone would make them differ by as
    much, apart from offset and factor; nan without noise.
    """

    r: float
    slope: float
    slope_error: float
    difference_rms: float
    expected_rms: float
    p_value: float


def scatter(fields: FloatArray) -> float:
    """Standard deviation of one measurement of one field, by (repeats, outputs) of them."""
    return float(np.sqrt(fields.var(axis=0, ddof=1).mean()))


def compare(first: FloatArray, second: FloatArray, exact: FloatArray, unit_error: float = 0.0) -> Comparison:
    """Measured fields (repeats, outputs) of two readouts against exact ones (outputs,).

    unit_error: relative standard error of the ratio of their units. The test is one of variances (F): n - 2 squares of
    the mean difference, without its offset and what is proportional to the fields, against (repeats - 1)(n - 2) of its
    scatter. It holds for any noise that is equal for all fields and independent but for such common parts.

    Raises ValueError for fewer than two repeats or three outputs.
    """
    repeats, outputs = first.shape
    if repeats < 2 or outputs < 3:
        raise ValueError(f"{repeats} repeats of {outputs} fields; at least 2 of 3 are needed")
    apart = second - first
    mean = apart.mean(axis=0)
    common = np.linalg.qr(np.column_stack([np.ones(outputs), exact]))[0]

    def rest(x: FloatArray) -> FloatArray:
        return np.asarray(x - (x @ common) @ common.T)

    between = repeats * float((rest(mean) ** 2).sum()) / (outputs - 2)
    within = float((rest(apart - mean) ** 2).sum()) / ((repeats - 1) * (outputs - 2))
    noiseless = within <= (1e-12 * float(np.abs(exact).max())) ** 2
    p_value = math.nan if noiseless else float(stats.f.sf(between / within, outputs - 2, (repeats - 1) * (outputs - 2)))
    x, y = first.mean(axis=0), second.mean(axis=0)
    # The exact fields weigh both alike, so that noise does not flatten the line.
    apart_exact = exact - exact.mean()
    slope = float(apart_exact @ y / (apart_exact @ x)) if apart_exact.any() else math.nan
    power = float((apart_exact**2).sum())
    shot = within / (repeats * power) if power > 0 else math.nan
    by_noise = float(apart.var(axis=0, ddof=1).mean()) / repeats
    return Comparison(
        r=float(np.corrcoef(x, y)[0, 1]) if x.std() > 0 and y.std() > 0 else math.nan,
        slope=slope,
        slope_error=math.sqrt(shot + unit_error**2),
        difference_rms=float(np.sqrt((mean**2).mean())),
        expected_rms=math.sqrt(by_noise + unit_error**2 * float((exact**2).mean())),
        p_value=p_value,
    )
