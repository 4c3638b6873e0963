"""How much of a measured contrast is signal, and the nudge and averaging that follow from it.

A contrast measured twice tells its noise, which falls as 1/beta; beside that of a smaller nudge it tells how far it is
off by its size, an error that grows as beta (one side) or beta^2 (symmetric). Two measurements of noise alone often
look like a signal (14 % with 9 nodes and 2 weights), so that before a training what is not clear is measured again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from labctl.client import ConfigurationError
from protocols.nep.loop import IdealLoop, Loop, NudgePlan, measured_descent, require_good
from protocols.nep.network import Network
from protocols.nep.phases import NudgeParameters
from simulators.physics.sheet.equation import Array, Complex

BETAS = (0.003, 0.01, 0.03, 0.1, 0.3)
LEAST_SNR = 0.3
"""Of a contrast of all samples, below which training would walk at random."""
WANTED_SNR = 3.0
_CLEAR, _REPEATS = 2.0, 16
"""Signal to noise of two measurements, below which arithmetic measures so often: with 9 nodes and 2 weights noise alone
then passes for a signal in 1 % of trainings, and one of 1 is not missed."""


class Signal(NamedTuple):
    """Signal to noise of the contrast of all samples together: of V and of w, by amplitudes; infinite without noise.
    direction: mean of the measurements (nodes + K,)."""

    beta: float
    V: float
    w: float
    direction: Array

    @property
    def least(self) -> float:
        """The worse one."""
        return min(self.V, self.w)


class Choice(NamedTuple):
    """A nudge and how many measurements are averaged. bias: expected relative error by the size of the nudge."""

    beta: float
    averages: int
    snr: float
    bias: float


def measured_signal(
    loop: Loop,
    network: Network,
    V: Complex,
    w: Complex,
    X: Complex,
    targets: Array,
    plan: NudgePlan,
    P: Complex | None = None,
    repeats: int = 2,
) -> Signal:
    """Measure the contrast of all samples twice, or more often. P: pump beside the inputs'."""
    pumps, nodes = network.pumps(w, X), int(np.prod(loop.sheet.shape))
    if P is not None:
        pumps = pumps + P
    rows = []
    for _ in range(repeats):
        free, nudged = loop.phases(V, pumps, targets, plan)
        found, good = measured_descent(free, nudged, plan)
        if not good.any():
            require_good(good)
        weights = found.weights(X, network.spots).sum(axis=0).real
        rows.append(np.concatenate([found.V.sum(axis=0).real.ravel(), weights]))
    measured = np.array(rows)
    mean = measured.mean(axis=0)

    def ratio(part: slice) -> float:
        noise = float(((measured[:, part] - mean[part]) ** 2).sum()) / (repeats - 1)
        signal = float((mean[part] ** 2).sum()) - noise / repeats
        return math.inf if noise == 0 else math.sqrt(max(signal, 0.0) / noise)

    return Signal(plan.beta, ratio(slice(nodes)), ratio(slice(nodes, None)), mean)


def checked_signal(found: Signal, averages: int) -> Signal:
    """Itself. Raises ConfigurationError where the contrast drowns in noise, with the nudge or averaging it takes."""
    if found.least >= LEAST_SNR:
        return found
    told = f"{found.least:.2g}" if found.least > 0 else "below 0.1"
    times = LEAST_SNR / max(found.least, 0.05)
    raise ConfigurationError(
        f"beta={found.beta:g} is too small for the noise: the contrast's signal to noise is {told} (averages: "
        f"{averages}), needed: {LEAST_SNR:g}; choose beta={found.beta * times:.2g} or more, "
        f"averages={math.ceil(averages * times**2)} or more, sides=2, or beta=auto"
    )


def chosen(
    loop: Loop,
    network: Network,
    V: Complex,
    w: Complex,
    X: Complex,
    targets: Array,
    plan: NudgePlan,
    P: Complex | None = None,
    most: int = 100,
) -> Choice:
    """The nudge with the least error by noise and by its own size together, and averages (at most so many) that bring
    its signal to noise to `WANTED_SNR`.

    Raises ConfigurationError if no nudge gets a signal out of the noise.
    """
    found = []
    for beta in BETAS:
        try:
            found.append(measured_signal(loop, network, V, w, X, targets, replace(plan, beta=beta), P))
        except ConfigurationError:  # a nudge so strong that there is no steady state
            if not found:
                raise
            break
    reference = next((s for s in found if s.least >= WANTED_SNR), max(found, key=lambda s: s.least))
    size = float(np.linalg.norm(reference.direction)) or 1.0

    def bias(s: Signal) -> float:
        """How far its direction is from that of the smallest nudge with a clear signal, beyond what noise does."""
        apart = float(np.linalg.norm(s.direction - reference.direction)) / size
        return math.sqrt(max(apart**2 - 1 / max(s.least, 1e-9) ** 2 - 1 / max(reference.least, 1e-9) ** 2, 0.0))

    best = min(found, key=lambda s: math.hypot(1 / max(s.least, 1e-9), bias(s)))
    snr = best.least
    times = 1 if snr >= WANTED_SNR else min(math.ceil((WANTED_SNR / max(snr, 0.05)) ** 2), most)
    if snr * math.sqrt(times) < LEAST_SNR:
        checked_signal(best, 1)
    return Choice(best.beta, times, snr * math.sqrt(times), bias(best))


def settled(
    loop: Loop,
    network: Network,
    V: Complex,
    w: Complex,
    X: Complex,
    targets: Array,
    plan: NudgePlan,
    p: NudgeParameters,
    kept: Mapping[str, Any] | None = None,
    P: Complex | None = None,
) -> tuple[NudgePlan, Choice]:
    """The plan with the nudge that parameters ask for, and what was measured of it where anything is noisy.

    kept: what a checkpoint has of an earlier choice. Arithmetic is set to the averages; a table chooses its own.
    Raises ConfigurationError for a nudge too small for arithmetic's noise.
    """
    told = loop, network, V, w, X, targets
    if kept is not None:
        choice = Choice(float(kept["beta"]), int(kept["averages"]), float(kept["snr"]), float(kept["bias"]))
    elif p.beta == "auto":
        if isinstance(loop, IdealLoop):
            loop.averages = 1
        choice = chosen(*told, plan, P)
    else:
        choice = Choice(plan.beta, p.averages, math.inf, 0.0)
    plan = replace(plan, beta=choice.beta)
    if isinstance(loop, IdealLoop):
        loop.averages = choice.averages
    known = kept is not None or (p.beta == "auto" and not isinstance(loop, IdealLoop))
    if p.noisy and not known:
        found = measured_signal(*told, plan, P)
        if isinstance(loop, IdealLoop):
            if found.least < _CLEAR:
                found = measured_signal(*told, plan, P, _REPEATS)
            checked_signal(found, choice.averages)
        choice = choice._replace(snr=found.least)
    return plan, choice
