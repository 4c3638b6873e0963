"""A laser: from set-point to power and back."""

from __future__ import annotations

import numpy as np

from drivers.correction.values import PowerCurve
from drivers.errors import CalibrationError, LimitError


def check_power_curve(what: str, curve: PowerCurve) -> None:
    """Raise CalibrationError unless both columns rise, so that the curve can be read either way."""
    for values, words in ((curve.set_point, "set-points"), (curve.emitted_w, "powers")):
        if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all() or np.any(np.diff(values) <= 0):
            raise CalibrationError(f"{what}: the {words} must be two or more finite numbers that rise")
    if len(curve.set_point) != len(curve.emitted_w):
        raise CalibrationError(f"{what}: {len(curve.set_point)} set-points and {len(curve.emitted_w)} powers")


def emitted_at(laser: str, curve: PowerCurve | None, set_point: float) -> float:
    """Power (W) at a set-point, between measured points. CalibrationError without a curve, LimitError outside it."""
    return _read_off(laser, curve, "set_point", set_point)


def set_point_for(laser: str, curve: PowerCurve | None, power_w: float) -> float:
    """Set-point that emits a power (W). CalibrationError without a curve, LimitError if it was not measured so far."""
    return _read_off(laser, curve, "emitted_w", power_w)


def _read_off(laser: str, curve: PowerCurve | None, known: str, value: float) -> float:
    if curve is None:
        raise CalibrationError(
            f"{laser}: no power curve is in force, so it is not known what the laser emits; measure one with `labctl "
            "calibrate`"
        )
    along, across = curve.set_point, curve.emitted_w
    if known == "emitted_w":
        along, across = across, along
    if not along[0] <= value <= along[-1]:
        raise LimitError(
            f"{laser}: {known} = {value:.6g} lies outside the measured {along[0]:.6g} to {along[-1]:.6g}; choose one "
            "within, or calibrate further"
        )
    return float(np.interp(value, along, across))
