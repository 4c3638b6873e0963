"""Light of the condensates: each site's pulse after pulse, and its image on the camera."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.contract import DeviceError
from simulators.physics.compiled import kernel
from simulators.physics.condensates.network_pulse_kernel import condense_network, links
from simulators.physics.condensates.pulse import Pulse
from simulators.physics.condensates.pulse_kernel import condense
from simulators.physics.counter_random import noise_key
from simulators.worlds.condensates.parameters import CondensateParameters
from simulators.worlds.condensates.sites import Sites
from simulators.worlds.parts.sensor import Region

Array = NDArray[np.float64]

_REACH = 2.2
"""Of an image in its 1/e^2 radii: 6e-5 of the light lies beyond."""


class Events(NamedTuple):
    """Condensations (events,): the exposure each falls into by its place among them, and its numbers for the noise.
    power: of each, relative to the plateau that the laser is set to. weights: (events, states) of the panel's
    flicker."""

    frame: NDArray[np.int64]
    exposures: NDArray[np.int64]
    numbers: NDArray[np.int64]
    power: Array
    weights: Array


class Spots(NamedTuple):
    """What the camera sees of sites and of neighbours' interference, all Gaussians of one width: places (spots, 2) in
    camera pixels, the sites first, and electrons (frames, spots) of each."""

    places: Array
    electrons: Array


def emitted(p: CondensateParameters, sites: Sites, pump_w: float, pulse: Pulse, events: Events, frames: int) -> Spots:
    """What the sites emit in exposures that see some condensations each."""
    key, quantum = noise_key(p.seed, "condensates"), 1 / p.sample.polaritons
    gamma = pump_w * events.power[:, None] * (events.weights @ sites.pumping)
    coherent = p.emission.detection == "coherent"
    if coherent and sites.networks:
        raise DeviceError(
            f"the table adds fields coherently, which is defined for dyads, and the pump makes a network of "
            f'{len(sites.networks[0].sites)} sites: set [world] emission.detection = "incoherent"'
        )
    places = [sites.places]
    electrons = np.zeros((frames, len(sites.places)))
    beside = []
    first, second = sites.pairs[:, 0], sites.pairs[:, 1]
    lone = first == second
    if len(sites.pairs):
        both = gamma[:, sites.pairs]
        both[:, lone, 1] = 0.0
        g, J, xi = sites.g, sites.pair_couplings, p.sample.nonlinearity
        settings = np.stack(
            [g[first], g[second], np.full(len(g[first]), xi), np.full(len(g[first]), xi), J.real, J.imag]
        )
        found = condense(settings, both, pulse, quantum, key, events.exposures, events.numbers)
        one, two, cross = _added(found, events.frame, frames, coherent)
        electrons[:, first] += one
        electrons[:, second[~lone]] += two[:, ~lone]
        places.append((sites.places[first[~lone]] + sites.places[second[~lone]]) / 2)
        beside.append(2 * cross[:, ~lone] * _overlap(p, sites.places, sites.pairs[~lone]))
    for network in sites.networks:
        n, members = len(network.sites), network.sites
        settings = np.stack([sites.g[members], np.full(n, p.sample.nonlinearity)])
        density, product = condense_network(
            settings, gamma[:, members], network.couplings, pulse, quantum, key, events.exposures, events.numbers,
            first_site=int(members[0]) + (1 << 20),
        )  # fmt: skip
        electrons[:, members] += _by_frame(density, events.frame, frames)
        pairs = members[links(network.couplings)]
        places.append((sites.places[pairs[:, 0]] + sites.places[pairs[:, 1]]) / 2)
        beside.append(2 * _by_frame(product.real, events.frame, frames) * _overlap(p, sites.places, pairs))
    # A polariton leaves as a photon once in a lifetime: N0 rho dt / tau, and dt is t0 = 2 tau.
    per_unit = 2 * p.sample.polaritons * p.emission.collection * p.emission.attenuation * p.camera.quantum_efficiency
    # Half a quantum of every site is the vacuum's, which no detector sees.
    each = np.bincount(events.frame, minlength=frames)[:, None]
    electrons -= each * (pulse.duration * quantum / 2)
    return Spots(np.concatenate(places), np.concatenate([electrons, *beside], axis=1) * per_unit)


def _added(found: Array, frame: NDArray[np.int64], frames: int, coherent: bool) -> tuple[Array, Array, Array]:
    """Integrals of frames (frames, dyads) from those of events (events, dyads, 4): of both sites, of psi_1 psi_2*."""
    if not coherent:
        one, two, cross = (_by_frame(found[..., k], frame, frames) for k in range(3))
        return one, two, cross
    # The denser condensate has phase 0 in every event, the other one theirs.
    size = np.sqrt(found[..., :2])
    turn = found[..., 2] + 1j * found[..., 3]
    turn /= np.maximum(np.abs(turn), 1e-300)
    second = found[..., 1] > found[..., 0]
    fields = size[..., 0] * np.where(second, turn, 1), size[..., 1] * np.where(second, 1, turn.conj())
    events = np.maximum(np.bincount(frame, minlength=frames), 1)[:, None]
    a, b = (_by_frame(f.real, frame, frames) + 1j * _by_frame(f.imag, frame, frames) for f in fields)
    return np.abs(a) ** 2 / events, np.abs(b) ** 2 / events, (a * b.conj()).real / events


def _by_frame(values: Array, frame: NDArray[np.int64], frames: int) -> Array:
    """Sums (frames, n) of events' values (events, n)."""
    if len(values) == frames:
        return np.asarray(values)
    out = np.zeros((frames, values.shape[1]))
    np.add.at(out, frame, values)
    return out


def _overlap(p: CondensateParameters, places: Array, pairs: NDArray[np.int64]) -> Array:
    """By how much neighbours' images interfere: the product of two fields is a Gaussian half-way, of this size."""
    away = ((places[pairs[:, 0]] - places[pairs[:, 1]]) ** 2).sum(axis=1)
    return np.asarray(np.exp(-away / (2 * image_radius_px(p) ** 2)))


def image_radius_px(p: CondensateParameters) -> float:
    """1/e^2 radius of a condensate on the camera."""
    return math.hypot(p.sample.mode_radius, p.optics.psf_radius) / p.sample_pixel_m


def draw(p: CondensateParameters, spots: Spots, region: Region, lit: Array, out: Array) -> None:
    """Add the light of spots to electrons ``out`` (frames, rows, columns) of a region. lit: (rows,) of the region, 0 or
    1: which rows are exposed while there is light."""
    radius = image_radius_px(p)
    half = math.ceil(_REACH * radius / math.sqrt(2) * 1.5)
    origins = np.floor(spots.places + 0.5).astype(np.int64) - half
    edges = np.arange(2 * half + 2) - 0.5
    profiles = []
    for axis in (0, 1):
        at = origins[:, axis, None] + edges[None, :] - spots.places[:, axis, None]
        profiles.append(0.5 * np.diff(_erf(at * math.sqrt(2) / radius), axis=1))
    _draw(spots.electrons, profiles[0], profiles[1], origins - region[:2], lit, out)


def _erf(values: Array) -> Array:
    from scipy.special import erf

    return np.asarray(erf(values))


@kernel
def _draw(electrons: Array, down: Array, across: Array, origins: NDArray[np.int64], lit: Array, out: Array) -> None:
    frames, rows, columns = out.shape
    size = down.shape[1]
    for f in range(frames):
        for s in range(len(origins)):
            value = electrons[f, s]
            if value == 0.0:
                continue
            for i in range(size):
                r = origins[s, 0] + i
                if r < 0 or r >= rows:
                    continue
                line = value * down[s, i] * lit[r]
                for j in range(size):
                    c = origins[s, 1] + j
                    if 0 <= c < columns:
                        out[f, r, c] += line * across[s, j]
