"""What calibrations correct, once for every backend: the SLM's gray levels, a camera's frames, a laser's set-point.

A kind declares what it takes, ``dark = calibration(Dark, doc="...")``, and the device server sets it: ``camera.dark =
Dark(...)``, or None where no calibration is in force. Clients of the bus cannot set it, and see it by its id in the
setting ``calibration_ids``. The arithmetic is in pure functions and values here; drivers hold none of it.

An SLM writes the corrected levels by itself, since phase is what was asked for. Frames stay as the camera read them:
whoever wants corrected ones says so,

    correction = bench.camera.correction()             # of the present region of interest, once
    corrected = correct(bench.camera.trigger(), correction)
    corrected.counts[~corrected.saturated & ~corrected.hot]
"""

from drivers.correction.declared import calibration
from drivers.correction.frames import (
    CorrectedFrame,
    FrameCorrection,
    check_dark,
    check_flat,
    check_hot_pixels,
    check_map,
    correct,
    filled,
    frame_correction,
)
from drivers.correction.phase import PHASE_POINTS, LevelFinder, check_phase_table, look_up, nearest_levels
from drivers.correction.power import check_power_curve, emitted_at, set_point_for
from drivers.correction.values import Correction, Dark, Flat, HotPixels, PhaseTable, PowerCurve

__all__ = [
    "PHASE_POINTS",
    "CorrectedFrame",
    "Correction",
    "Dark",
    "Flat",
    "FrameCorrection",
    "HotPixels",
    "LevelFinder",
    "PhaseTable",
    "PowerCurve",
    "calibration",
    "check_dark",
    "check_flat",
    "check_hot_pixels",
    "check_map",
    "check_phase_table",
    "check_power_curve",
    "correct",
    "emitted_at",
    "filled",
    "frame_correction",
    "look_up",
    "nearest_levels",
    "set_point_for",
]
