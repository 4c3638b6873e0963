"""What counts with the probe off and on say: how often it was detected, where, and how small a change of g can be."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from labctl.client import CalibrationError
from protocols.dyad.sensing.decision import (
    Response,
    detected,
    follow,
    likeliest_drift,
    pump_equivalent,
    scores,
    shift_between,
    slopes,
    smallest_shift,
    threshold,
)
from protocols.dyad.sensing.fair import SET
from protocols.dyad.sensing.parameters import SenseParameters

Array = NDArray[np.float64]

SLOPE_MISREAD = 0.3
"""By how much, relatively, a dyad's slope is misread besides counting, at least: a hologram changes a dyad's real ratio
by more or less than it is asked for. Changes of g that were measured on two simulated tables were 1.29 and 0.65 times
the true ones, where counting and J's spread account for 0.13."""
_NORMAL = 1.4826
_SURE = 5.0
"""Standard deviations by which the strongest probe must move one dyad in all its blocks together."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Counts of repetitions r, with levels l of the probe (0: off) and t numbers of trials.

    reference: (r, n) ones of reference_trials (r,). ones: (r, l, t, n) of taken (r, l, t). part: (r,) of the run.
    """

    reference: Array
    reference_trials: Array
    ones: Array
    taken: Array
    part: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Judged:
    """z: (r, l, t, n) of every block. p, variance: (r, n) references, the drift until the block included. drift:
    variance of p_1 from block to block. target: the dyad under the probe; beyond: the standard deviations by which it
    moved in all blocks of the strongest probe together."""

    z: Array
    p: Array
    variance: Array
    drift: float
    target: int
    beyond: float


def judge(b: Blocks) -> Judged:
    """References, scores, and which dyad the strongest probe moves. CalibrationError if it moves none."""
    parts = [b.part == part for part in np.unique(b.part)]
    drift = likeliest_drift([(b.reference[some], b.reference_trials[some]) for some in parts])
    p, variance = np.empty(b.reference.shape), np.empty(b.reference.shape)
    for some in parts:
        p[some], variance[some] = follow(b.reference[some], b.reference_trials[some], drift)[0]
    variance += drift
    z = scores(b.ones, b.taken[..., None], p[:, None, None], variance[:, None, None])
    together = np.abs(z[:, -1, -1].sum(axis=0)) / math.sqrt(len(z))
    target = int(together.argmax())
    if together[target] < _SURE:
        raise CalibrationError(
            f"the strongest probe moves no dyad: the largest change is {together[target]:.1f} standard deviations in "
            f"{len(z)} blocks. Aim the probe at a condensate of the lattice, raise probe_w, or count more"
        )
    return Judged(z, p, variance, drift, target, float(together[target]))


def findings(
    b: Blocks, j: Judged, p: SenseParameters, curve: tuple[Array, Array, Array], coupling: float, shape: tuple[int, int]
) -> dict[str, Any]:
    """The results of mode detect; see `Sense`. curve: shifts (k,) of ln r_gamma, ones (k, n) and trials (k,) there."""
    n = b.reference.shape[1]
    of_all, errors = slopes(*curve, SET)
    slope, slope_error = float(of_all[j.target]), float(errors[j.target])
    misread = slope_misread(of_all, errors)
    response = Response(float(j.p[:, j.target].mean()), slope)
    variance = float(j.variance[:, j.target].mean())
    bound, of_dyad = threshold(p.false_alarm, n), threshold(p.dyad_false_alarm)
    others = -math.expm1(math.log1p(-p.false_alarm) * (n - 1) / n)
    to_g = p.g / pump_equivalent(p.g, coupling)
    kappa_error = p.coupling_spread * abs(coupling) / (1 - abs(coupling))
    per_w, per_w_error = _shift_per_w(b, j, p, response)
    shifts, trials = per_w * np.array(p.probe_w), np.array(p.trials, np.float64)
    on = np.abs(j.z[:, 1:])
    found = on.max(axis=3) > bound
    right = found & (on.argmax(axis=3) == j.target)

    def expected(shift: Array) -> Array:
        mine = detected(response, shift[:, None], trials, variance, bound)
        return np.asarray(1 - (1 - mine) * (1 - others))

    fine = np.geomspace(shifts[0] / 1.3, shifts[-1] * 1.3, 60)
    scale, scale_error = _scale(found, lambda by: expected(by * shifts))
    smallest = [to_g * smallest_shift(response, t, variance, bound) for t in p.trials]
    return {
        "target": [int(v) for v in np.unravel_index(j.target, shape)],
        "target_sd": j.beyond,
        "p1": response.p,
        "slope": slope,
        "slope_err": slope_error,
        "slope_misread": misread,
        "dg_per_w": to_g * abs(per_w),
        "dg_per_w_err": to_g
        * math.hypot(per_w_error, per_w * slope_error / slope, per_w * kappa_error, per_w * misread),
        "dg": (to_g * np.abs(shifts)).tolist(),
        "detection": found.mean(axis=0).tolist(),
        "detection_err": _share_error(found).tolist(),
        "predicted": expected(shifts).tolist(),
        "curve_dg": to_g * np.abs(fine),
        "curve": expected(fine),
        "dyad_detection": (on[..., j.target] > of_dyad).mean(axis=0).tolist(),
        "dyad_predicted": detected(response, shifts[:, None], trials, variance, of_dyad).tolist(),
        "located": (right.sum(axis=0) / np.maximum(found.sum(axis=0), 1)).tolist(),
        "smallest_dg": smallest,
        "smallest_dg_seen": [dg / scale for dg in smallest],
        "scale": scale,
        "scale_err": scale_error,
        "drift": math.sqrt(j.drift),
        **_false_alarms(j, p, bound, of_dyad, others),
    }


def slope_misread(slope: Array, error: Array) -> float:
    """Relative standard deviation of what slopes (n,) are misread by, besides their errors (n,).

    Dyads are much alike, so that it is what slopes of a lattice scatter by; `SLOPE_MISREAD` at least, as a lattice of a
    few dyads tells little of that.
    """
    good = slope > 3 * error
    if np.count_nonzero(good) < 3:
        return SLOPE_MISREAD
    log = np.log(slope[good])
    scatter = _NORMAL * float(np.median(np.abs(log - np.median(log))))
    return max(SLOPE_MISREAD, math.sqrt(max(scatter**2 - float(np.median(error[good] / slope[good])) ** 2, 0.0)))


def _shift_per_w(b: Blocks, j: Judged, p: SenseParameters, response: Response) -> tuple[float, float]:
    """Shift of ln r_gamma per W of the probe, with its error by counting: from all blocks of each power together."""
    ones, trials = b.ones[:, 1:, -1, j.target].sum(axis=0), b.taken[:, 1:, -1].sum(axis=0)
    error = math.sqrt(float(j.variance[:, j.target].mean()) / len(j.z))
    shift, shift_error, told = shift_between(response.p, error, ones, trials, response.slope)
    power = np.array(p.probe_w)
    if not told.any():  # even the weakest turns its dyad in nearly all trials: no more than a guess, with its error
        told = power == power[0]
    weight = np.where(told, (power / shift_error) ** 2, 0.0)
    each = np.where(told, shift / power, 0.0)
    return float((weight * each).sum() / weight.sum()), float(1 / math.sqrt(weight.sum()))


def _scale(found: NDArray[np.bool_], expected: Callable[[float], Array]) -> tuple[float, float]:
    """By which factor the probe's shift is larger or smaller than measured, going by the detections alone (r, k, t);
    its error. 1 is what is predicted. Numbers of trials are parts of one another, so only the last ones count."""
    times, repeats = found[:, :, -1].sum(axis=0), len(found)

    def cost(log_scale: float) -> float:
        share = np.clip(expected(math.exp(log_scale))[:, -1], 1e-6, 1 - 1e-6)
        return -float((times * np.log(share) + (repeats - times) * np.log(1 - share)).sum())

    best = minimize_scalar(cost, bounds=(-2.0, 2.0), method="bounded", options={"xatol": 1e-4})
    step = 0.02
    bend = (cost(best.x + step) - 2 * best.fun + cost(best.x - step)) / step**2
    scale = math.exp(best.x)
    return scale, scale / math.sqrt(bend) if bend > 0 else math.inf


def _share_error(found: NDArray[np.bool_]) -> Array:
    """Standard errors of shares of repetitions; not 0 where all are alike."""
    n = len(found)
    share = (found.sum(axis=0) + 0.5) / (n + 1)
    return np.asarray(np.sqrt(share * (1 - share) / n))


def _false_alarms(j: Judged, p: SenseParameters, bound: float, of_dyad: float, others: float) -> dict[str, Any]:
    """How often undisturbed dyads were taken for disturbed: in all blocks, without the one under the probe.

    Errors from the scatter over repetitions, and over dyads: blocks of one repetition share their reference.
    """
    still = np.abs(np.delete(j.z, j.target, axis=3))
    of_lattice, of_dyads = (still.max(axis=3) > bound).mean(axis=1), (still > of_dyad).mean(axis=(0, 1)).T
    measured: dict[str, Any] = {"false_alarm": p.false_alarm, "dyad_false_alarm": p.dyad_false_alarm}
    for name, shares, stated, counted in (
        ("false_alarm", of_lattice, others, j.z.shape[0] * j.z.shape[1]),
        ("dyad_false_alarm", of_dyads, p.dyad_false_alarm, still[:, :, 0].size),
    ):
        mean = shares.mean(axis=0)
        error = np.maximum(
            shares.std(axis=0, ddof=1) / math.sqrt(len(shares)), math.sqrt(stated * (1 - stated) / counted)
        )
        measured |= {
            f"{name}_measured": mean.tolist(),
            f"{name}_err": error.tolist(),
            f"{name}_away": float((mean[-1] - stated) / error[-1]),
        }
    return measured
