"""A sheet's table is set up: what is where, what panels do, and every number of Eq. (13) at every node.

Nothing is taken from the plan but where to look, and the nonlinearity's strength, by which densities are measured. What
is left in the end is measured with pumps of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from labctl.client import CalibrationError
from protocols.nep.table.calm import LONGEST, Calm, calm_exposure
from protocols.nep.table.encoding import FULL, Phases
from protocols.nep.table.finding import find
from protocols.nep.table.law import STEADY, Windows, fit_law
from protocols.nep.table.lifting import Lift, fit_blur, fit_levels
from protocols.nep.table.polishing import MOST_NODES, polished
from protocols.nep.table.reading import Places, Reader, make_reader
from protocols.nep.table.response import Response, edges_of, found_response
from protocols.nep.table.rig import Rig, set_power
from protocols.nep.table.sheet import Table
from simulators.physics.sheet.steady import steady_state

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

FILL = 0.7
"""Of full scale, by the brightest pixel of random pumps."""
_LIGHT = 0.9
"""Share of full light at which the response is found: well below the band, where nodes answer each for itself."""
_SETTINGS, _REPEATS = 96, 6
_LEVELS, _PATTERNS, _PROBES, _FEWEST = 11, 12, 16, 5
_CHECKED = 16
_DARK_ROUNDS, _DARK_FRAMES = 2, 16
_POLISHED = 64
TOO_FAR = 0.15
"""Of fields from those of the equation with what was found, above which a table is not used."""


@dataclass(frozen=True, eq=False)
class SetUp:
    """places, carrier: on the camera. calm: exposures. windows, response, lift: see there. residual: rms of measured
    fields less those of the equation, relative. noise: of psi from frame to frame, at a density of 1."""

    places: Places
    carrier: tuple[float, float]
    calm: Calm
    windows: Windows
    response: Response
    lift: Lift
    residual: float
    noise: float


def set_up(rig: Rig, rng: np.random.Generator) -> tuple[Table, SetUp]:
    """Within `Rig.light`. Raises CalibrationError that names the likely cause where something is not as it must be."""
    plan, bench = rig.plan, rig.bench
    first_s = float(bench.camera.exposure_s)
    try:
        roi = rig.look_at(plan.camera.search + 2 * plan.camera.pitch)
        camera = rig.dark()
        rig.meter_reference(camera)
        set_power(bench.reservoir, plan.lift_w, f"to lift the potential by {plan.lift:g}")
        rig.show_potential(rig.potential.pattern(np.where(plan.walls, 0.0, _LIGHT)))
        pumps = random_pumps(rig, 8, rng)
        rig.meter(rig.pump.patterns(pumps), FILL)
        places, carrier = find(rig, (roi.row, roi.column))
        reader, places = _reader(rig, places, carrier, (roi.row, roi.column))
        bench.camera.exposure_s = LONGEST * first_s
        rig.meter(rig.pump.patterns(pumps), FILL)
        bench.camera.exposure_s = first_s
        calm = calm_exposure(rig, reader, rng)
        reader, _ = _reader(rig, places, carrier, None)
        rig.meter(rig.pump.patterns(pumps), FILL)
        windows = fit_law(rig, reader, rng)
        table = Table(rig, reader, windows)
        response = _response(table, rng)
        table.response = response
        factor = wanted_factor(response, plan.pump_most)
        power = float(bench.pump.power_w) * factor**2
        set_power(bench.pump, power, f"for pumps of {plan.pump_most:g}")
        table.brighter(factor * math.sqrt(float(bench.pump.power_w) / power))
        lift = _lift(table, rng)
        table.lift = lift
        _darken(table)
        if not plan.walls.any() and plan.walls.size <= MOST_NODES:
            _polish(table, rng)
        residual, noise = _checked(table, rng)
    except BaseException:
        bench.camera.exposure_s = first_s
        raise
    if not residual < TOO_FAR:
        raise CalibrationError(
            f"fields are {residual:.1%} off those of the equation with what was measured ({TOO_FAR:.0%} is the most): "
            "is the sample's nonlinearity that of [alignment.nep], are panels calibrated (slm-phase), do things move?"
        )
    return table, SetUp(places, carrier, calm, windows, table.response, table.lift, residual, noise)


def random_pumps(rig: Rig, count: int, rng: np.random.Generator, most: float = 0.95) -> Complex:
    """Macro-pixels (count, down, across): windows steady, open nodes random, from faint to bright settings."""
    plan = rig.plan
    rows, columns = plan.mesa
    size = most * FULL * np.linspace(0.2, 1.0, count)[rng.permutation(count), None, None]
    x, y = rng.uniform(-0.5, 0.5, (2, count, rows, columns))
    T = np.zeros((count, *plan.places), np.complex128)
    T[:, 0] = STEADY
    T[:, 2:] = np.where(plan.walls, 0, size * ((x + y) + 1j * (x - y)))
    return T


def wanted_factor(response: Response, most: float) -> float:
    """Of the pump's amplitude, so that |P| up to ``most`` can be written, but at nodes behind dust, and those where the
    background is against it.

    Whatever flickers does so in proportion to the pump: it is no brighter than it has to be.
    """
    return most * math.sqrt(2) / FULL / float(np.quantile(np.abs(response.c[response.edges.open_nodes]), 0.03))


def _reader(
    rig: Rig, places: Places, carrier: tuple[float, float], first: tuple[int, int] | None
) -> tuple[Reader, Places]:
    """For frames that hold no more than places need, after ``first``, the corner of those of before, is given."""
    plan = rig.plan
    if first is not None:
        at = places.at(plan.places)
        margin = 1.4 * places.pitch
        low = np.floor(at.min(axis=(1, 2)) - margin).astype(int)
        high = np.ceil(at.max(axis=(1, 2)) + margin).astype(int)
        low = np.maximum(low, [-first[0], -first[1]])
        rig.look_in(first[0] + int(low[0]), first[1] + int(low[1]), *(int(n) for n in high - low))
        places = places._replace(row=places.row - low[0], column=places.column - low[1])
    power_w = float(rig.bench.pump.power_w)
    camera = rig.dark()
    alone = rig.meter_reference(camera)
    rig.bench.pump.power_w = power_w
    rig.bench.pump.emission = True
    dark = np.zeros(plan.places, np.bool_)
    dark[1], dark[2:] = True, plan.walls
    return make_reader(places, plan.places, dark, carrier, alone, camera.offset, rig.alive), places


def _response(table: Table, rng: np.random.Generator) -> Response:
    rig, plan = table.rig, table.rig.plan
    T = random_pumps(rig, max(_SETTINGS, 0), rng)
    patterns = rig.pump.patterns(T)
    rig.meter(patterns, FILL)
    fields = np.mean([table.fields(patterns) for _ in range(_REPEATS)], axis=0)
    count = len(T)
    return found_response(
        T[:, 2:].reshape(count, -1),
        fields.reshape(count, -1),
        edges_of(plan.walls),
        plan.g,
        plan.nonlinearity == "density",
        table.windows.leak,
        rig.alive,
    )


def _lift(table: Table, rng: np.random.Generator) -> Lift:
    rig, plan = table.rig, table.rig.plan
    P = _even_pumps(table, _PROBES, 0.16 * plan.pump_most, rng)
    patterns = table.patterns(P)
    flat = table.response.macros(P.reshape(_PROBES, -1))

    def seen(pattern: Phases) -> Complex | None:
        """None where the sheet is so near resonance that frames saturate."""
        rig.show_potential(pattern)
        looks = [table.fields_and_full(patterns) for _ in range(2)]
        ok = ~np.logical_or.reduce([full for _, full in looks])
        if ok.sum() < _PROBES // 2:
            return None
        fields = np.mean([f for f, _ in looks], axis=0).reshape(_PROBES, -1)
        return table.response.detuned(flat[ok], fields[ok]).reshape(plan.mesa)

    open_nodes = ~plan.walls
    levels = {
        phase: D
        for phase in np.linspace(0.15, math.pi, _LEVELS).tolist()
        if (D := seen(rig.potential.of_phases(np.where(open_nodes, phase, 0.0)))) is not None
    }
    if len(levels) < _FEWEST:
        raise CalibrationError(
            f"frames saturate at all but {len(levels)} of {_LEVELS} potentials: put a filter before the camera, expose "
            "for a shorter time, or choose less [alignment.nep] pump_most"
        )
    law, lift = fit_levels(np.array(list(levels)), np.array(list(levels.values())), open_nodes)
    rig.potential.law = law
    pairs = []
    for light in rng.uniform(0.3, 1.0, (_PATTERNS, *plan.mesa)) * open_nodes:
        D = seen(rig.potential.pattern(light))
        if D is not None:
            pairs.append((light, D))
    if len(pairs) < _FEWEST:
        raise CalibrationError("frames saturate at nearly all random potentials: put a filter before the camera")
    light, D = (np.array(part) for part in zip(*pairs, strict=True))
    return fit_blur(lift, light, D)


def _darken(table: Table) -> None:
    """Find what is left of the background where it is seen best: dark, at the potential 0, near resonance."""
    plan = table.rig.plan
    table.write_potential(np.zeros(plan.mesa))
    for _ in range(_DARK_ROUNDS):
        patterns = table.patterns(np.zeros((_DARK_FRAMES, *plan.mesa), np.complex128))
        fields = table.fields(patterns).reshape(_DARK_FRAMES, -1).mean(axis=0)
        table.response = table.response.with_light(fields, table.D.ravel())


def _polish(table: Table, rng: np.random.Generator) -> None:
    """At the potential 0."""
    plan = table.rig.plan
    table.write_potential(np.zeros(plan.mesa))
    size = np.linspace(0.15, 1.0, _POLISHED)[rng.permutation(_POLISHED), None, None]
    P = _even_pumps(table, _POLISHED, 0.4 * plan.pump_most, rng) * size
    T = table.response.macros(P.reshape(_POLISHED, -1))
    seen = [table.fields_and_full(table.patterns(P, turn)) for turn in range(_REPEATS)]
    ok = ~np.logical_or.reduce([full for _, full in seen])
    fields = np.mean([f for f, _ in seen], axis=0).reshape(_POLISHED, -1)
    sheet = table.sheet(plan.gamma)
    found = polished(table.response, table.D.ravel(), T[ok], fields[ok], sheet, table.rig.alive)
    table.response = found.response
    more = found.D.reshape(plan.mesa) - table.D
    table.lift = replace(table.lift, ground=table.lift.ground + more)
    table.light = None


def _checked(table: Table, rng: np.random.Generator) -> tuple[float, float]:
    """Fields of random pumps beside those of the equation, and noise."""
    plan = table.rig.plan
    V = np.where(plan.walls, 0.0, rng.uniform(-0.1, 0.1, plan.mesa))
    table.write_potential(V)
    P = _even_pumps(table, _CHECKED, 0.3 * plan.pump_most, rng)
    looks = np.array([table.measure(P).psi for _ in range(4)])
    expected = steady_state(table.D + 1j * plan.gamma, table.on_sheet(P), table.sheet(plan.gamma)).psi
    expected = expected.reshape(P.shape)
    mean = looks.mean(axis=0)
    size = math.sqrt(float((np.abs(expected) ** 2).mean()))
    residual = math.sqrt(float((np.abs(mean - expected) ** 2).mean())) / size
    return residual, math.sqrt(float((np.abs(looks - mean) ** 2).mean()) * 4 / 3) / size


def _even_pumps(table: Table, count: int, most: float, rng: np.random.Generator) -> Complex:
    """Random P (count, rows, columns) of open nodes, up to so much."""
    plan = table.rig.plan
    x, y = rng.uniform(-1, 1, (2, count, *plan.mesa))
    return np.asarray(np.where(plan.walls, 0, most / math.sqrt(2) * (x + 1j * y)))
