"""A lattice of dyads that is moved over its sample, by a blaze added to its hologram."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import Bench
from protocols.dyad.table.alignment import DyadAlignment
from protocols.dyad.table.lattice import DyadLattice
from protocols.dyad.table.reading import fit_windows, misread

Array = NDArray[np.float64]

_LOOKED = 80
"""Shots after a move, of which the image of every dyad is known."""
_DIM = 0.25
"""Of the lattice's median light: what is darker has left the sample, and is no dyad."""


class MovedLattice(DyadLattice):
    """The lattice of a bench at other places: whole units of the hologram's transform from where it is planned.

    A blaze of whole units changes neither the spots' powers nor their phases, so that they need not be made even anew.
    moves: (k, 2) rows and columns to which it may be moved; the camera's region holds them all. bright: (n,) dyads that
    give light where the lattice is.
    """

    def __init__(
        self,
        bench: Bench,
        plan: DyadAlignment,
        rng: np.random.Generator,
        moves: Sequence[tuple[int, int]],
        known: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        self._moves = np.array(moves, np.float64)
        super().__init__(bench, plan, rng, known=known)
        self._home, self._aberrations = self.found, self._flat
        self.bright = np.ones(self.n, np.bool_)

    @property
    def unit_px(self) -> Array:
        """A unit down and a unit along the rows (2, 2), as camera pixels (rows, columns), by where the spots are."""
        units = self.planned.units - self.planned.units.mean(axis=0)
        places = self.found.places - self.found.places.mean(axis=0)
        if np.linalg.matrix_rank(units) < 2:  # of a single row: what is down, the plan tells
            return np.eye(2) * self.planned.unit_px
        return np.asarray(np.linalg.lstsq(units, places, rcond=None)[0])

    def move(self, rows: int, columns: int) -> None:
        """To so many units from home, at even pump ratios; the light is on."""
        y, x = (np.arange(n) - (n - 1) / 2 for n in self._panel)
        blaze = 2 * math.pi / self.planned.size * (rows * y[:, None] + columns * x[None, :])
        self._flat = self._aberrations - blaze
        self.found = replace(self._home, places=self._home.places + np.array([rows, columns]) @ self.unit_px)
        self._ratios, self._pattern = np.ones(self.n), None
        self._write(self._ratios)
        frames = self._bench.camera.burst(_LOOKED).data
        places = self.found.places.reshape(-1, 2, 2) - self._corner
        mean = frames.mean(axis=0) - self._dark_image
        self._windows = fit_windows(mean, places, self._windows.radius_px, self._gain)
        self._dark = self._windows.sums(self._dark_image[None])[0]
        intensity = (self._windows.sums(frames) - self._dark) * self._gain - self._leak * self.power_w
        self._misread = misread(intensity, self._windows.noise_e)
        light = intensity.mean(axis=(0, 2))
        self.bright = np.asarray(light > _DIM * np.median(light))

    def _look_at(self) -> None:
        """A region that holds all places."""
        here = self.found
        reached = here.places + (self._moves @ self.unit_px)[:, None]
        self.found = replace(here, places=np.concatenate([here.places, reached.reshape(-1, 2)]))
        try:
            super()._look_at()
        finally:
            self.found = here
