"""Where the pump makes condensates, how strongly each is pumped, and which see each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.worlds.condensates.parameters import CondensateParameters
from simulators.worlds.condensates.sample import coupling, detunings, efficiencies, on_sample
from simulators.worlds.parts.sensor import Region

Array = NDArray[np.float64]

_FAINT = 0.15
"""Of the brightest spot's pumping: what is weaker is the hologram's stray light and makes no condensate."""
_APART_PX = 2
"""Pixels either way in which a spot is the brightest."""


@dataclass(frozen=True, eq=False)
class Network:
    """Sites that see each other, directly or by others: their numbers (n,), and J (n, n)."""

    sites: NDArray[np.int64]
    couplings: NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class Sites:
    """places: (sites, 2) camera pixels. pumping: (states, sites) gamma per W of the laser, in each state of the panel's
    flicker. g: (sites,). pairs: (pairs, 2) sites of dyads and J (pairs,); a lone site has itself as partner and J = 0.
    networks: of more than two."""

    places: Array
    pumping: Array
    g: Array
    pairs: NDArray[np.int64]
    pair_couplings: NDArray[np.complex128]
    networks: tuple[Network, ...]


def mesa_region(p: CondensateParameters) -> Region:
    """The mesa on the sensor: row, column, rows, columns."""
    m, c = p.sample.mesa, p.camera
    return (c.axis_row + m.row - m.rows // 2, c.axis_column + m.column - m.columns // 2, m.rows, m.columns)


@dataclass(frozen=True, eq=False)
class PumpSpots:
    """Spots on the sample: places (spots, 2) in camera pixels, and what they would pump there with an efficiency of 1,
    (states, spots) gamma per W of the laser."""

    places: Array
    pumping: Array


def find_spots(p: CondensateParameters, power: Array) -> PumpSpots:
    """Spots of a pump of (states, rows, columns) W on each pixel of the mesa, per W of the laser.

    A spot excites by its overlap with a condensate's mode, spread by the carriers' diffusion.
    """
    from scipy.ndimage import (
        gaussian_filter,
        maximum_filter,
    )  # a seventh of a second, which every process of a bench would pay

    s, pixel_m = p.sample, p.sample_pixel_m
    row, column = mesa_region(p)[:2]
    width = np.hypot(s.mode_radius / 2, s.diffusion) / pixel_m
    smooth = np.stack([gaussian_filter(state, width, mode="constant") for state in power])
    smooth *= 2 * np.pi * width**2 / s.threshold  # the peak of a filter's Gaussian is 1 over this
    mean = smooth[0]
    peak = maximum_filter(mean, 2 * _APART_PX + 1, mode="constant")
    rows, columns = np.nonzero((mean == peak) & (mean > max(_FAINT * float(mean.max()), 0.0)))
    inside = (rows > 0) & (columns > 0) & (rows < len(mean) - 1) & (columns < mean.shape[1] - 1)
    rows, columns = rows[inside], columns[inside]
    places = np.stack([rows + _top(mean, rows, columns, 0), columns + _top(mean, rows, columns, 1)], axis=1)
    places += (row, column)
    return PumpSpots(places, smooth[:, rows, columns])


def sites_at(p: CondensateParameters, spots: PumpSpots, time_s: float) -> Sites:
    """What the sample makes of spots, where it has drifted to by then."""
    places = spots.places
    on = on_sample(p, places - (p.camera.axis_row, p.camera.axis_column), time_s)
    neighbours = np.empty((0, 2), np.int64)
    if len(places) > 1:
        from scipy.spatial import cKDTree  # a fifth of a second, which every process of a bench would pay

        neighbours = cKDTree(on).query_pairs(p.sample.reach, output_type="ndarray").astype(np.int64)
        neighbours = neighbours[np.lexsort(neighbours.T[::-1])]
    pairs, pair_J, networks = _grouped(len(places), neighbours, coupling(p, neighbours, on))
    return Sites(places, spots.pumping * efficiencies(p, on), detunings(p, on), pairs, pair_J, networks)


def _top(mean: Array, rows: NDArray[np.intp], columns: NDArray[np.intp], axis: int) -> Array:
    """Where between pixels a spot is brightest, by a parabola through three of them."""
    step = (1, 0) if axis == 0 else (0, 1)
    before, here, after = (mean[rows + k * step[0], columns + k * step[1]] for k in (-1, 0, 1))
    bend = before - 2 * here + after
    return np.asarray(np.where(bend < 0, (before - after) / np.where(bend < 0, 2 * bend, 1), 0.0))


def _grouped(
    count: int, neighbours: NDArray[np.int64], J: NDArray[np.complex128]
) -> tuple[NDArray[np.int64], NDArray[np.complex128], tuple[Network, ...]]:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(neighbours))
    graph = coo_matrix((ones, (neighbours[:, 0], neighbours[:, 1])), shape=(count, count))
    group = connected_components(graph, directed=False)[1] if count else np.empty(0, np.int32)
    size = np.bincount(group, minlength=1)
    alone = np.flatnonzero(size[group] == 1) if count else np.empty(0, np.int64)
    coupled = size[group[neighbours[:, 0]]] == 2 if len(neighbours) else np.empty(0, np.bool_)
    pairs = np.concatenate([neighbours[coupled], np.stack([alone, alone], axis=1)])
    pair_J = np.concatenate([J[coupled], np.zeros(len(alone))])
    order = np.argsort(pairs[:, 0], kind="stable")
    networks = []
    for g in np.flatnonzero(size > 2):
        members = np.flatnonzero(group == g)
        place = np.full(count, -1)
        place[members] = np.arange(len(members))
        matrix = np.zeros((len(members), len(members)), np.complex128)
        mine = group[neighbours[:, 0]] == g
        for (i, j), strength in zip(place[neighbours[mine]], J[mine], strict=True):
            matrix[i, j] = matrix[j, i] = strength
        networks.append(Network(members.astype(np.int64), matrix))
    return pairs[order].astype(np.int64), pair_J[order], tuple(networks)
