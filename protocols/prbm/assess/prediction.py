"""What local fields read by light will be worth, from the settings: closed forms, before anything is measured.

Errors of a local field L_j = sum W_ij v_i, in units of W_max: shot noise by the flips' code, phases rounded to gray
levels, and what a window of finite width, or a wavefront, does to spins far from the output spin. They add in squares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.prbm.light.encoding import Flips, macro_pixel_places

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Lens:
    """From panel to camera: pitches, focal length and mean wavelength, m."""

    slm_pitch_m: float = 8e-6
    camera_pitch_m: float = 6.5e-6
    focal_length_m: float = 0.2
    wavelength_m: float = 599.5e-9


def patterns_of(flips: str, outputs: int, bands: int) -> int:
    """Patterns that one measurement of a layer takes."""
    most = Flips.most(flips, bands)
    sizes = [min(most, outputs - first) for first in range(0, outputs, most)]
    return sum(n + 1 if flips == "single" else 1 << n.bit_length() for n in sizes)


def shot_noise(flips: str, outputs: int, bands: int, c_rms: float, electrons: float, dark_e: float = 0.0) -> float:
    """Standard deviation of L / W_max by shot noise, and noise in the dark.

    c_rms: of the sums L_j / W_max. electrons: collected in the window from a mean pattern. With I_tot = n (c^2 + 1)
    for the n outputs lit together it is I_tot sqrt(2 / N_e) / 4 for single flips and I_tot / (2 sqrt(n_p N_e)) for
    n_p coded patterns.
    """
    lit = min(outputs, Flips.most(flips, bands))
    total = lit * (c_rms**2 + 1)
    relative = math.sqrt(electrons + dark_e**2) / electrons
    if flips == "single":
        return total * math.sqrt(2) * relative / 4
    return total * relative / (2 * math.sqrt(1 << lit.bit_length()))


def level_noise(couplings: FloatArray, levels: int | None, dithered: bool = True) -> float:
    """rms error of L / W_max by phases rounded to gray levels; couplings: (inputs, outputs) W / W_max.

    phi = pi/2 v +- arccos(c) is rounded to the nearest of the levels, by e and e' on the two checkers: Re of the sum
    changes by (e - e')/2 sqrt(1 - c^2), each uniform in a step of 2 pi / levels. Where pi/2 is a level they are
    opposite, and the error is always the same; a common phase that changes (dithered) makes them independent, and the
    error another one each time.
    """
    if levels is None:
        return 0.0
    step = 2 * math.pi / levels
    return float(np.sqrt(((1 - couplings**2) * step**2 / (24 if dithered else 12)).sum(axis=0).mean()))


def visibility(
    n_inputs: int, pixels_per_spin: int, output_at: str, slit_width: int, lens: Lens, defocus_rad: float = 0.0
) -> FloatArray:
    """How much of each input spin (n_inputs,) is seen in the interference with the output spin, 1 on the axis.

    A window of width w averages exp(2 pi i d x / (lambda f)) over x for a spin at distance d: sinc(w d / (lambda f)).
    A wavefront phi turns it by cos(phi - phi_output); defocus_rad: rms over the strip of a parabola.
    """
    inputs, _, output = macro_pixel_places(n_inputs, n_inputs + 2, output_at)
    distance_m = (inputs - output) * pixels_per_spin * lens.slm_pitch_m
    window_m = slit_width * lens.camera_pitch_m
    seen = np.sinc(window_m * distance_m / (lens.wavelength_m * lens.focal_length_m))
    phase = defocus(n_inputs + 2, defocus_rad)
    return np.asarray(seen * np.cos(phase[inputs] - phase[output]))


def defocus(places: int, rms_rad: float) -> FloatArray:
    """A parabola (places,) along the strip, without its mean, of given rms."""
    x = np.linspace(-1, 1, places)
    parabola = x**2 - (x**2).mean()
    return np.asarray(parabola * (rms_rad / max(float(parabola.std()), 1e-300)))


def window_error(couplings: FloatArray, seen: FloatArray) -> float:
    """rms error of L / W_max from spins that are seen unequally; couplings: (inputs, outputs) W / W_max.

    The unit is measured with spins all over the strip, so that the mean of what is seen is no error.
    """
    uneven = 1 - seen / seen.mean()
    return float(np.sqrt((couplings**2 * uneven[:, None] ** 2).sum(axis=0).mean()))
