"""Where places are on the camera, and how its fringes run, from windows that are lit in a pattern of their own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.sparse import csr_matrix, diags, eye, hstack
from scipy.sparse.linalg import splu

from labctl.client import CalibrationError
from protocols.nep.table.alignment import NepAlignment
from protocols.nep.table.encoding import FULL, Phases
from protocols.nep.table.reading import Places, profile
from protocols.nep.table.rig import Rig

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

_REPEATS = 4
_FILL = 0.6
_TURNS = 0.5 * math.pi * np.arange(4)
_SCALES = np.linspace(-0.02, 0.02, 5)
_ROTATIONS = np.linspace(-0.0175, 0.0175, 5)
_SHARPEST = 1e-3
"""Of images, sigma of their blur in nodes."""
_LIKE = 0.7
"""Correlation of what is seen with what is looked for, below which it is something else."""


def product(rig: Rig, T: Complex) -> Complex:
    """E R* (rows, columns) of the light of macro-pixels T (down, across), by turning its phase step by step."""
    patterns = turned(rig, T)
    frames = np.mean([rig.frames(patterns).astype(np.float64) for _ in range(_REPEATS)], axis=0)
    return np.asarray(np.tensordot(np.exp(-1j * _TURNS), frames, axes=1) / len(_TURNS))


def turned(rig: Rig, T: Complex) -> Phases:
    """Macro-pixels T (down, across) in four phases."""
    return rig.pump.patterns(np.exp(1j * _TURNS)[:, None, None] * T[None])


def lit_windows(plan: NepAlignment) -> NDArray[np.bool_]:
    """(across,) such that neither a shift nor a mirror takes the pattern for itself."""
    wide = plan.places[1]
    rng = np.random.default_rng(5)
    best, found = -math.inf, np.ones(wide, np.bool_)
    for _ in range(200):
        lit = rng.random(wide) < 0.55
        lit[0] = lit[-1] = True
        signal = lit - lit.mean()
        apart = np.correlate(signal, signal, "full")
        apart[wide - 1] = -math.inf
        alike = max(apart.max(), np.correlate(signal, signal[::-1], "full").max())
        score = float((signal**2).sum() - alike)
        if score > best and 2 * lit.sum() > wide / 2:
            best, found = score, lit
    return found


def find(rig: Rig, first: tuple[int, int]) -> tuple[Places, tuple[float, float]]:
    """Places in the frame, whose corner is pixel ``first`` of the sensor, and fringes per pixel along rows' order and
    along a row. Raises CalibrationError where windows are not seen near their plan."""
    plan = rig.plan
    lit, every = (np.zeros(plan.places, np.complex128) for _ in range(2))
    lit[0] = 0.95 * FULL * lit_windows(plan)
    # All in phase, nodes would drive what resonates.
    every[:] = 0.45 * FULL * np.exp(2j * math.pi * np.random.default_rng(3).random(plan.places))
    every[0] = 0.9 * FULL
    every[1], every[2:][plan.walls] = 0, 0
    rig.meter(turned(rig, every), _FILL)
    of_lit, of_all = product(rig, lit), product(rig, every)
    places = find_roughly(of_lit, plan, lit[0].real, first)
    carrier = plan.carrier.row, plan.carrier.column
    for _ in range(2):
        carrier = fit_carrier(of_all, plan, places, carrier, rig.alive)
        places = fit_places(of_lit, plan, places, carrier, rig.alive)
    return places, carrier


def find_roughly(seen: Complex, plan: NepAlignment, lit: Array, first: tuple[int, int]) -> Places:
    """By the likeness of light with windows of amplitudes lit (across,)."""
    bright = np.abs(seen)
    bright = np.maximum(bright - np.median(bright), 0.0)
    c = plan.camera
    best, start = -1.0, Places(c.row - first[0], c.column - first[1], c.pitch, blur=c.blur)
    found = start
    for mirrored in (False, True):
        for scale in _SCALES:
            for turn in _ROTATIONS:
                guess = start._replace(pitch=c.pitch * (1 + scale), turn=float(turn), mirrored=mirrored)
                shift, like = _best_shift(bright, _image(plan, lit, guess, bright.shape), c.search)
                if like > best:
                    best = like
                    found = guess._replace(row=guess.row + shift[0], column=guess.column + shift[1])
    if best < _LIKE:
        raise CalibrationError(
            f"the light of windows is not seen where the plan has it (correlation {best:.2f}, {_LIKE:g} at least): are "
            "pump and reference on, is [alignment.nep] that of this table, is the image off by more than camera.search?"
        )
    return found


def fit_places(
    seen: Complex, plan: NepAlignment, start: Places, carrier: tuple[float, float], alive: Callable[[], None]
) -> Places:
    """By least squares of the light of windows, each of its own amplitude. alive: is called now and then."""
    high = math.ceil(2.5 * start.pitch)
    top = max(0, math.floor(start.at(plan.places)[0, 0].min()) - high)
    part = seen[top : math.ceil(start.at(plan.places)[0, 0].max()) + high]

    def places(x: Array) -> Places:
        row, column = start.row + x[0], start.column + x[1]
        return start._replace(
            row=row,
            column=column,
            pitch=start.pitch * (1 + x[2] / 300),
            turn=start.turn + x[3] / 300,
            blur=max(start.blur + x[4] / 100, _SHARPEST),
        )

    def left(x: Array) -> Array:
        alive()
        at = places(x)
        near = _images(plan_images(plan, at._replace(row=at.row - top))[: plan.places[1]], part.shape)
        return _unexplained(part, near, carrier)

    return places(least_squares(left, np.zeros(5), diff_step=1e-3, x_scale=1.0, xtol=1e-5).x)


def fit_carrier(
    seen: Complex,
    plan: NepAlignment,
    places: Places,
    start: tuple[float, float],
    alive: Callable[[], None],
) -> tuple[float, float]:
    """By least squares of the light of all places, each of its own amplitude. alive: is called now and then."""
    images = _images(plan_images(plan, places), seen.shape)

    def left(off: Array) -> Array:
        alive()
        return _unexplained(seen, images, (start[0] + 1e-3 * off[0], start[1] + 1e-3 * off[1]))

    off = least_squares(left, np.zeros(2), diff_step=1e-3, xtol=1e-5).x
    return start[0] + 1e-3 * float(off[0]), start[1] + 1e-3 * float(off[1])


def _unexplained(seen: Complex, images: csr_matrix, carrier: tuple[float, float]) -> Array:
    """What of E R* no amplitudes of places explain, real parts first. Light that no gray level reaches makes that of
    places differ from step to step, without fringes; so there is a term for each without."""
    rows, columns = np.indices(seen.shape).reshape(2, -1)
    waves = np.exp(-2j * math.pi * (carrier[0] * rows + carrier[1] * columns))
    terms = hstack([diags(waves) @ images, images.multiply(images).astype(np.complex128)]).tocsr()
    adjoint = terms.conj().T
    fit = splu((adjoint @ terms + 1e-6 * eye(terms.shape[1])).tocsc()).solve(adjoint @ seen.ravel())
    left = (seen.ravel() - terms @ fit) / np.sqrt((np.abs(seen) ** 2).sum())
    return np.concatenate([left.real, left.imag])


class _Image(NamedTuple):
    """First row and column, and amplitudes along rows and columns."""

    first: tuple[int, int]
    down: Array
    across: Array


def plan_images(plan: NepAlignment, places: Places) -> list[_Image]:
    """Images of all places, in their order."""
    half = math.ceil(places.pitch * (0.5 + 3 * places.blur)) + 1
    found = []
    for r, c in places.at(plan.places).reshape(2, -1).T:
        first = math.floor(r) - half, math.floor(c) - half
        away = np.arange(2 * half + 2)
        found.append(
            _Image(
                first,
                profile(first[0] + away - r, places.pitch, places.blur),
                profile(first[1] + away - c, places.pitch, places.blur),
            )
        )
    return found


def _images(images: list[_Image], shape: tuple[int, ...]) -> csr_matrix:
    """(pixels, places) of a frame of that shape."""
    pixels, places, values = [], [], []
    for k, image in enumerate(images):
        r, c = (
            first + np.arange(len(line)) for first, line in zip(image.first, (image.down, image.across), strict=True)
        )
        ok = np.outer((r >= 0) & (r < shape[0]), (c >= 0) & (c < shape[1]))
        pixels.append((r[:, None] * shape[1] + c[None, :])[ok])
        values.append(np.outer(image.down, image.across)[ok])
        places.append(np.full(len(pixels[-1]), k))
    where = np.concatenate(pixels), np.concatenate(places)
    return csr_matrix((np.concatenate(values), where), shape=(shape[0] * shape[1], len(images)))


def _image(plan: NepAlignment, lit: Array, places: Places, shape: tuple[int, ...]) -> Array:
    """What the camera is to see of amplitudes lit (across,) of windows."""
    out = np.zeros(shape)
    at = places.at(plan.places)[:, 0]
    half = math.ceil(places.pitch * (0.5 + 3 * places.blur)) + 1
    for r, c, size in zip(*at, lit, strict=True):
        first = math.floor(r) - half, math.floor(c) - half
        rows = np.arange(max(0, first[0]), min(shape[0], first[0] + 2 * half + 2))
        columns = np.arange(max(0, first[1]), min(shape[1], first[1] + 2 * half + 2))
        if size and len(rows) and len(columns):
            across = profile(columns - c, places.pitch, places.blur)
            out[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += (
                size * profile(rows - r, places.pitch, places.blur)[:, None] * across[None, :]
            )
    return out


def _best_shift(seen: Array, image: Array, search: float) -> tuple[tuple[int, int], float]:
    """By which an image is most like what is seen, and how much so."""
    spectrum = np.fft.rfft2(seen) * np.fft.rfft2(image).conj()
    like = np.fft.irfft2(spectrum, seen.shape)
    down, across = (np.fft.fftfreq(n, 1 / n) for n in seen.shape)
    like[(np.abs(down)[:, None] > search) | (np.abs(across)[None, :] > search)] = -math.inf
    k = np.unravel_index(int(like.argmax()), like.shape)
    size = math.sqrt(float((seen**2).sum() * (image**2).sum())) or 1.0
    return (int(down[k[0]]), int(across[k[1]])), float(like[k]) / size
