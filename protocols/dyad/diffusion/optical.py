"""The forward process by light: an image on the projector, noise from the lattice, both in one exposure.

A step x_t = √(1-β)·x_{t-1} + √β·ε is read from D, the difference of a dyad's sites:

    D = E + P (o + g v) + noise,   v = 1/2 + k x_{t-1},   P g k = σ √((1-β)/β),   x_t = (D - mean) √β/σ

E: of the emission, P: the lamp's power, o and g: of the projector at the dyad, v: share of its light, σ: of the noise.
The lamp's power sets β. What is taken away is the mean over all images of a step, of which the projected part is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from labctl.client import Bench, CalibrationError
from protocols.dyad.diffusion.projector import Blocks, Expose, lamp, show

Array = npt.NDArray[np.float64]

_LEVELS = (0.25, 0.75)
_LAMP_FRAMES = 100
_BELIEVED = 0.5
_REACH = 4.2
"""Standard deviations of an image's noise that the projector must still show."""


@dataclass(frozen=True, eq=False)
class OpticalNoise:
    """What is known of noise and lamp, all of the difference D: variance (n,) of the emission, electrons²; gain (n,),
    electrons per W of the lamp at full light; shot, electrons² of the lamp's own noise per electron of its light;
    variance_err, relative, of the mean variance."""

    variance: Array
    gain: Array
    shot: float
    variance_err: float


def learn_noise(bench: Bench, blocks: Blocks, expose: Expose, frames: int, power_w: float) -> OpticalNoise:
    """Measure the lamp's own noise with the pump off, its light on top of the emission, then the emission's noise.

    The camera's answer to the lamp is a little less linear than an image needs, so it is measured where it is used.
    The pump is on afterwards. Raises CalibrationError where a dyad gives no noise, or the lamp no light.
    """
    bench.pump.emission = False
    power_w = lamp(bench, power_w)
    show(bench, blocks.pattern(np.full(len(blocks.edges), 0.5)))
    alone = expose(_LAMP_FRAMES)
    bench.pump.emission = True
    light = []
    for level in _LEVELS:
        show(bench, blocks.pattern(np.full(len(blocks.edges), level)))
        light.append(expose(_LAMP_FRAMES).mean(axis=0))
    lamp(bench, 0.0)
    gain = (light[1] - light[0]) / (_LEVELS[1] - _LEVELS[0]) / power_w
    if gain.min() <= 0.2 * gain.mean():
        raise CalibrationError(
            f"the projector hardly lights dyad {int(gain.argmin())}: look for what blocks it, or align it"
        )
    shot = float(alone.var(axis=0, ddof=1).mean()) / (power_w * float(gain.mean()) * 0.5)
    dark = np.concatenate([expose(min(50, frames - k)) for k in range(0, frames, 50)])
    variance = dark.var(axis=0, ddof=1)
    # A dyad that is nearly always in one state makes little noise, and would need a projector as dark.
    if variance.min() < 0.04 * np.median(variance):
        k = int(variance.argmin())
        raise CalibrationError(
            f"dyad {k} makes {math.sqrt(variance[k] / np.median(variance)):.2f} of the others' noise: it is not fair; "
            "calibrate the lattice anew (labctl run dyad.calibrate)"
        )
    return OpticalNoise(variance, gain, shot, math.sqrt(2 / (frames * len(variance))))


def followed(noise: OpticalNoise, step: Step, before: Array, after: Array) -> OpticalNoise:
    """What the next step may expect, by the noise of this one: a laser that warms up makes more of it.

    before, after: x (m, n). Half of what was found beyond the plan is believed, as it is itself uncertain.
    """
    m = len(before)
    rest = after - math.sqrt(1 - step.beta) * before
    found = float((rest**2).sum()) / ((m - 1) * rest.shape[1] * step.beta)
    own = math.sqrt(2 / (m * rest.shape[1]))
    known_to = math.hypot((1 - _BELIEVED) * noise.variance_err, _BELIEVED * own)
    return replace(noise, variance=noise.variance * (1 + _BELIEVED * (found - 1)), variance_err=known_to)


@dataclass(frozen=True, eq=False)
class Step:
    """Of one β: lamp_w, its power; swing (n,): change of a block's light with x; sigma (n,): noise, electrons."""

    beta: float
    lamp_w: float
    swing: Array
    sigma: Array


def needed_power(noise: OpticalNoise, beta: float, reach: float) -> float:
    """Of the lamp, W: at least as much as shows images up to |x| = reach."""
    ratio = math.sqrt((1 - beta) / beta)
    power = 0.0
    for _ in range(20):  # its own noise is part of what it must outshine, a small one
        sigma = np.sqrt(noise.variance + noise.shot * power * noise.gain / 2)
        power = 2 * reach * ratio * float((sigma / noise.gain).max())
    return power


def plan_step(noise: OpticalNoise, beta: float, lamp_w: float, middle: Array) -> Step:
    """How a step is made with this power of the lamp. middle (n,): mean of x, for the lamp's own noise."""
    ratio = math.sqrt((1 - beta) / beta)
    sigma, swing = np.sqrt(noise.variance), np.zeros_like(noise.variance)
    for _ in range(20):
        swing = ratio * sigma / (noise.gain * lamp_w)
        bright = np.clip(0.5 + swing * middle, 0, 1)
        sigma = np.sqrt(noise.variance + noise.shot * lamp_w * noise.gain * bright)
    return Step(beta, lamp_w, swing, sigma)


def take_step(bench: Bench, blocks: Blocks, expose: Expose, step: Step, images: Array) -> tuple[Array, float]:
    """x_t (m, n) of images x_{t-1} (m, n), an exposure each; and the share of pixels beyond the projector's range.

    The lamp has the power of the plan. Raises CalibrationError if the pump or the lamp went off meanwhile.
    """
    wanted = 0.5 + step.swing * images
    light = np.clip(wanted, 0.0, 1.0)
    read = np.empty_like(images)
    for k, shares in enumerate(light):
        show(bench, blocks.pattern(shares))
        read[k] = expose(1)[0]
    for name in ("pump", "lamp"):
        if not bench[name].emission:
            raise CalibrationError(f"the {name} went off during the step: look at its interlock and its error state")
    root = math.sqrt(step.beta)
    expected = math.sqrt(1 - step.beta) * images
    x = read * (root / step.sigma)
    # Emission and the lamp's constant light are the same for all images: their mean over them is known from x itself.
    return x - (x - expected).mean(axis=0), float((wanted != light).mean())


def reach_of(alpha_bar: float) -> float:
    """The largest |x| of images whose ink is between -1 and 1, after noise of variance 1 - alpha_bar."""
    return math.sqrt(alpha_bar) + _REACH * math.sqrt(1 - alpha_bar)
