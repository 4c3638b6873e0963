"""What the sheet does with a pump, from fields that were read: every number of Eq. (13) at every node.

Of a node i at rest, with psi = y / h of fields y that are read, and P = c (T + leaks of neighbours' T + background):

    T_i = sum_n r_in y_n + r_ii y_i + q_i phi(|psi_i|^2) y_i - sum_n k_in T_n - b_i
    r_in = -i / (2 c_i h_n),  r_ii = i (D_i + d) / (c_i h_i),  q_i = i g / (c_i h_i),  D = V - i gamma

which is linear in unknown numbers of the node, given random pumps. All nodes are read alike, |h| is one number; the
strength g of the nonlinearity says which. Phases of c and h follow from edge to edge, once in each way; what is
read has the reference's wavefront, which is smooth.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.sparse import csc_matrix, identity
from scipy.sparse.linalg import splu

from labctl.client import CalibrationError

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
Index = NDArray[np.int64]


_LEAK_SPREAD = 0.003
"""By which leaks of neighbours differ from node to node."""
_SMOOTH_RAD = 0.05
"""Of the reference's wavefront, that the frequency of fringes leaves, about."""
_EDGE_RAD = 0.1
"""Error of a phase from one node to the next but one, about."""
_LEFT = 0.01
"""What is left of T, about, relative."""
_TURNS = 4
"""In which T* is made up for, each to a fiftieth of what was left."""
_UNITS = np.linspace(math.log(1e-3), math.log(30.0), 24)
"""Logarithms of the mean density in units that are tried."""


class Edges(NamedTuple):
    """Neighbours on the sheet: of every open node (n,), by flat places of the mesa. neighbours: (n, 4), -1 where there
    is none. open_nodes: (n,). axes, columns: of the mesa."""

    open_nodes: Index
    neighbours: Index
    axes: int
    columns: int


def edges_of(walls: NDArray[np.bool_]) -> Edges:
    """Of a mesa (rows, columns) with walls."""
    rows, columns = walls.shape
    place = np.arange(rows * columns).reshape(rows, columns)
    wide = np.pad(np.where(walls, -1, place), 1, constant_values=-1)
    around = np.stack([wide[1:-1, 2:], wide[1:-1, :-2], wide[2:, 1:-1], wide[:-2, 1:-1]], axis=-1).reshape(-1, 4)
    open_nodes = np.flatnonzero(~walls.ravel())
    return Edges(open_nodes, around[open_nodes], 1 if rows == 1 else 2, columns)


@dataclass(frozen=True, eq=False)
class Response:
    """Of places of the mesa (n,), flat; 0 at walls. c, h, D, background: see above. leaks: (n, 4) of neighbours' T.
    off: rms of T that is left, relative.

    conj, conj_leaks: (n,), (n, 4) of T* and neighbours' T*, where they were found. A wavefront that is not even over a
    macro-pixel, or a panel's part with another gain, weighs its four kinds of pixels differently; what comes of that is
    T* for the most part.
    """

    edges: Edges
    g: float
    density: bool
    c: Complex
    h: Complex
    D: Complex
    background: Complex
    leaks: Complex
    off: float
    conj: Complex | None = None
    conj_leaks: Complex | None = None

    def blueshift(self, rho: Array) -> Array:
        """f of densities."""
        return np.asarray(self.g * (rho if self.density else 1 / (1 + rho)))

    def psi(self, fields: Complex) -> Complex:
        """Amplitudes (..., n) of fields (..., n)."""
        return np.asarray(np.divide(fields, self.h, out=np.zeros_like(fields), where=self.h != 0))

    def pump(self, T: Complex) -> Complex:
        """P (..., n) of macro-pixels T (..., n)."""
        seen = T + _around(T, self.edges, self.leaks) + self.background
        return np.asarray(self.c * (seen + self._mirrored(T)))

    def macros(self, P: Complex) -> Complex:
        """Macro-pixels T (..., n) of pumps P (..., n)."""
        wanted = np.divide(P, self.c, out=np.zeros_like(P), where=self.c != 0) - self.background
        T = self._unmixed(wanted)
        for _ in range(_TURNS if self.conj is not None else 0):
            T = self._unmixed(wanted - self._mirrored(T))
        return T

    def _unmixed(self, wanted: Complex) -> Complex:
        T = self._mixing.solve(np.asfortranarray(wanted.reshape(-1, len(self.c)).T, np.complex128)).T
        T[:, self.c == 0] = 0
        return np.ascontiguousarray(T).reshape(wanted.shape)

    def _mirrored(self, T: Complex) -> Complex:
        """What of T* (..., n), and of neighbours', is in pumps."""
        if self.conj is None or self.conj_leaks is None:
            return np.zeros_like(T)
        return np.asarray(self.conj * T.conj() + _around(T.conj(), self.edges, self.conj_leaks))

    @cached_property
    def _mixing(self) -> Any:
        """Factors of T and what neighbours' T let into each place, as a matrix."""
        nodes, around, n = self.edges.open_nodes, self.edges.neighbours, len(self.c)
        k = np.nonzero(around >= 0)
        leaks = csc_matrix((self.leaks[nodes[k[0]], k[1]], (nodes[k[0]], around[k])), shape=(n, n))
        return splu((identity(n, format="csc") + leaks).tocsc(), permc_spec="MMD_AT_PLUS_A")

    def with_light(self, fields: Complex, D: Complex) -> Response:
        """The same with the background by which fields (n,) are explained that should be dark, at a known D (n,)."""
        psi = self.psi(fields)
        energy = D + self.edges.axes + self.blueshift(np.abs(psi) ** 2)
        drive = 1j * energy * psi - 0.5j * _around(psi, self.edges, np.ones_like(self.leaks))
        more = np.divide(drive, self.c, out=np.zeros_like(drive), where=self.c != 0)
        return replace(self, background=self.background + more)

    def detuned(self, T: Complex, fields: Complex) -> Complex:
        """D (n,) of frames T, fields (frames, n) on one potential."""
        psi, P = self.psi(fields), self.pump(T)
        beside = np.ones_like(self.leaks)
        drive = P + 0.5j * _around(psi, self.edges, beside)
        weight = np.abs(psi) ** 2
        energy = -1j * drive * psi.conj() - (self.edges.axes + self.blueshift(weight)) * weight
        total = weight.sum(axis=0)
        return np.asarray(
            np.divide(energy.sum(axis=0), total, out=np.zeros(len(total), np.complex128), where=total > 0)
        )


def _around(values: Complex, edges: Edges, weights: Complex) -> Complex:
    """sum_n weights_in values_n at open nodes, (..., n)."""
    out = np.zeros_like(values)
    for k in range(4):
        neighbour = edges.neighbours[:, k]
        ok = neighbour >= 0
        at = edges.open_nodes[ok]
        out[..., at] += weights[at, k] * values[..., neighbour[ok]]
    return out


def found_response(
    T: Complex, fields: Complex, edges: Edges, g: float, density: bool, leak: complex, alive: Callable[[], None]
) -> Response:
    """From random macro-pixels T (settings, n), 0 at walls, and fields (settings, n) that were read. leak: of a
    neighbour's T, as windows have it. alive: is called now and then.

    Raises CalibrationError where no sheet of this nonlinearity answers like that.
    """
    scale = float((np.abs(fields[:, edges.open_nodes]) ** 2).mean())

    def of(log_nu: float) -> _Fit:
        alive()
        return _fitted(T, fields, edges, math.exp(log_nu) / scale, density, leak)

    def tied(log_nu: float) -> tuple[_Fit, Response]:
        nu = math.exp(log_nu) / scale
        response = _disentangled(of(log_nu), edges, g, density, 1 / math.sqrt(nu))
        at = edges.open_nodes
        shift = 1j * g / (response.c[at] * response.h[at])
        fit = _fitted(T, fields, edges, nu, density, leak, shift)
        return fit, _disentangled(fit, edges, g, density, 1 / math.sqrt(nu))

    # The strength that a unit makes may touch g without passing through, or be lost in noise; what is left tells.
    left = [tied(float(x))[0].off for x in _UNITS]
    k = int(np.argmin(left))
    if k in (0, len(_UNITS) - 1):
        raise CalibrationError(
            f"no unit of density makes the nonlinearity g = {g:g} (the fit gets better up to the last one that was "
            "tried): is g that of this sample, does the pump reach densities at which the sheet is not linear?"
        )
    first, reach = float(_UNITS[k]), float(_UNITS[1] - _UNITS[0])
    best = minimize_scalar(
        lambda x: tied(x)[0].off, bounds=(first - reach, first + reach), method="bounded", options={"xatol": 1e-3}
    )
    return tied(float(best.x))[1]


class _Fit(NamedTuple):
    """Of open nodes: r_ii, q_i, r_in (n, 4), k_in (n, 4), b; off: rms of what is left of T, relative."""

    own: Complex
    shift: Complex
    beside: Complex
    leaks: Complex
    background: Complex
    off: float


def _fitted(
    T: Complex, fields: Complex, edges: Edges, nu: float, density: bool, leak: complex, tied: Complex | None = None
) -> _Fit:
    n = len(edges.open_nodes)
    own, shift, background = (np.zeros(n, np.complex128) for _ in range(3))
    beside, leaks = (np.zeros((n, 4), np.complex128) for _ in range(2))
    rho = nu * np.abs(fields) ** 2
    phi = rho if density else 1 / (1 + rho)
    left, size = 0.0, 0.0
    ones = np.ones(len(T))
    stiffness = _LEFT / _LEAK_SPREAD * math.sqrt(float((np.abs(T[:, edges.open_nodes]) ** 2).mean()))
    for k, (i, around) in enumerate(zip(edges.open_nodes, edges.neighbours, strict=True)):
        ok = around >= 0
        near = around[ok]
        bent = phi[:, i] * fields[:, i]
        terms = np.column_stack([fields[:, i], bent * (tied is None), fields[:, near], -T[:, near], -ones])
        wanted = T[:, i] if tied is None else T[:, i] - tied[k] * bent
        # At an end, the equation of the last node holds in that of its neighbour, too: leaks are alike everywhere.
        expected = np.zeros((len(near), terms.shape[1]), np.complex128)
        expected[:, 2 + len(near) : -1] = np.eye(len(near)) * stiffness
        known = np.concatenate([wanted, np.full(len(near), stiffness * leak)])
        fit, *_ = np.linalg.lstsq(np.concatenate([terms, expected]), known, rcond=None)
        left += float((np.abs(wanted - terms @ fit) ** 2).sum())
        size += float((np.abs(T[:, i]) ** 2).sum())
        own[k], shift[k], background[k] = fit[0], fit[1] if tied is None else tied[k], fit[-1]
        beside[k, ok], leaks[k, ok] = fit[2 : 2 + len(near)], fit[2 + len(near) : -1]
    return _Fit(own, shift, beside, leaks, background, math.sqrt(left / max(size, 1e-300)))


def _pairs(fit: _Fit, edges: Edges) -> tuple[Index, Index, Complex, Complex]:
    """Neighbours, by their number among open nodes, and r in either way; 0: right, 1: left, 2: below, 3: above."""
    number = np.full(int(edges.open_nodes.max()) + 1, -1)
    number[edges.open_nodes] = np.arange(len(edges.open_nodes))
    first, second, one, other = [], [], [], []
    for k, back in ((0, 1), (2, 3)):
        ok = np.flatnonzero(edges.neighbours[:, k] >= 0)
        n = number[edges.neighbours[ok, k]]
        first.append(ok)
        second.append(n)
        one.append(fit.beside[ok, k])
        other.append(fit.beside[n, back])
    return np.concatenate(first), np.concatenate(second), np.concatenate(one), np.concatenate(other)


def _disentangled(fit: _Fit, edges: Edges, g: float, density: bool, h_size: float) -> Response:
    n, places = len(edges.open_nodes), int(edges.open_nodes.max()) + 1
    first, second, one, other = _pairs(fit, edges)
    at_c, at_h = np.concatenate([first, second]), np.concatenate([second, first])
    product = -0.5j / np.concatenate([one, other])
    count = np.bincount(at_c, minlength=n)
    c_size = np.exp(np.bincount(at_c, np.log(np.abs(product)), n) / count) / h_size
    h_turn = _wavefront(edges, at_c, at_h, product)
    turned = product / np.abs(product) * np.exp(-1j * h_turn[at_h])
    c_turn = np.angle(np.bincount(at_c, turned.real, n) + 1j * np.bincount(at_c, turned.imag, n))
    c, h = c_size * np.exp(1j * c_turn), h_size * np.exp(1j * h_turn)
    D = np.asarray(fit.own * c * h / 1j - edges.axes)

    def whole(values: Any) -> Complex:
        out = np.zeros((places, *values.shape[1:]), np.complex128)
        out[edges.open_nodes] = values
        return out

    return Response(edges, g, density, whole(c), whole(h), whole(D), whole(fit.background), whole(fit.leaks), fit.off)


def _wavefront(edges: Edges, at_c: Index, at_h: Index, product: Complex) -> Array:
    """Phases of h (n,), a polynomial of the place, by which c_i h_n of a node's neighbours n differ."""
    rows, columns = np.divmod(edges.open_nodes, edges.columns)
    y, x = (2 * (v - v.mean()) / max(np.ptp(v), 1) for v in (rows, columns))
    terms = np.stack([x, x**2] if edges.axes == 1 else [x, y, x**2, x * y, y**2], axis=1)
    order = np.argsort(at_c, kind="stable")
    same = np.flatnonzero(at_c[order][1:] == at_c[order][:-1])
    one, other = order[same], order[same + 1]
    # Pairs of neighbours are two nodes apart, so that phases do not wrap from one to the other.
    ratio = product[one] / product[other]
    weight = np.minimum(np.abs(product[one]), np.abs(product[other])) ** -1.0
    left = np.angle(ratio)
    design = terms[at_h[one]] - terms[at_h[other]]
    # By the fringes' frequency, what is left of it is small.
    stiff = np.eye(terms.shape[1]) * float(np.sqrt((weight**2).mean())) / _SMOOTH_RAD * _EDGE_RAD
    known = np.concatenate([weight * left, np.zeros(len(stiff))])
    found = np.linalg.lstsq(np.concatenate([weight[:, None] * design, stiff]), known, rcond=None)[0]
    return np.asarray(terms @ found)
