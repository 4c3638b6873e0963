"""Steady states of the sheet on its table, for whatever trains on them: free phases, and those with an injected nudge.

What is compared is measured by turns, so that what drifts meanwhile drifts for all alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import Bench, ConfigurationError, Recorder
from protocols.nep.loop import Fields, Loop, NudgePlan
from protocols.nep.network import Network
from protocols.nep.phases import LoopParameters
from protocols.nep.table.rig import Rig
from protocols.nep.table.setting_up import SetUp, set_up
from protocols.nep.table.sheet import Table
from simulators.physics.sheet.equation import Sheet, rate
from simulators.physics.sheet.gradients import injected_pump

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

MOST_REPEATS = 64
WANTED_SNR = 16.0
"""Of the contrast of |psi|^2 between phases, in the mean over nodes and samples."""
_TRUSTED = 1e-3
"""Square of nudges that stands for their plan, until they were measured."""
_LARGEST_OFF = 0.5
_FOLLOWED = 0.3
"""Of what is seen of a drift, that is taken out at once."""
_STRAY = 0.002
"""Pump that is not cancelled, rms: from one measurement to the next, about."""
_BRIGHT = 0.5
"""Densities of all states together, below which they do not tell it."""
LEAST_SNR = 0.5
"""With so many repeats, below which updates would be noise."""


@dataclass
class Contrast:
    """Of the last nudged phases: rms of the contrast of |psi|^2, and of its noise in the mean of the repeats."""

    signal: float = 0.0
    noise: float = 0.0
    repeats: int = 1

    @property
    def snr(self) -> float:
        """Signal to noise."""
        return self.signal / self.noise if self.noise > 0 else math.inf


@dataclass
class NudgeGain:
    """By what nudges differ from those that were written: a small pump beside a background that is cancelled has an
    amplitude and a phase of its own, and these decide about the sign of an update. It is learnt as phases are measured.
    """

    product: complex = 0j
    weight: float = 0.0

    @property
    def gain(self) -> complex:
        """Of a nudge, 1 by plan."""
        found = (self.product + _TRUSTED) / (self.weight + _TRUSTED)
        return found if abs(found - 1) < _LARGEST_OFF else 1.0

    def learn(self, seen: Complex, written: Complex) -> None:
        """From changes of the pump (samples, *shape) as the equation tells them, and what was written (the same)."""
        at = written != 0
        self.product += complex((seen[at] * written[at].conj()).sum())
        self.weight += float((np.abs(written[at]) ** 2).sum())


def opened(bench: Bench, network: Network, p: LoopParameters, record: Recorder) -> TableLoop:
    """The table of a bench under control, set up. Raises ConfigurationError where it is none for this network, and
    CalibrationError where it cannot be set up."""
    rig = Rig(bench)
    check_sheet(network.sheet, rig)
    begun_s = bench.time_s()
    table, found = set_up(rig, np.random.default_rng([record.seed, 2]))
    record.console.done(told(found, bench.time_s() - begun_s))
    loop = TableLoop(table, network.sheet, p.averages if p.averages > 1 else None)
    loop.told = {"residual": found.residual, "frame_noise": found.noise}
    loop.begun_s = begun_s
    return loop


def told(found: SetUp, bench_s: float) -> str:
    """The console's line."""
    response, lift = found.response, found.lift
    at = response.edges.open_nodes
    gamma = -response.D[at].imag
    differ = float(np.std(lift.ground[lift.open_nodes].real))
    strength = float(np.median(lift.strength[lift.open_nodes]))
    return (
        f"table set up in {bench_s:.0f} s of bench time: fields {found.residual:.1%} off the equation, "
        f"{found.noise:.1%} noise a frame; gamma = {gamma.mean():.4f}, potentials of nodes differ by {differ:.3f}; "
        f"light lifts by {strength:.3f}, gain {lift.gain:.2f}, blur {lift.blur:.2f} nodes; exposures of "
        f"{1e3 * found.calm.exposure_s:.0f} ms"
    )


def check_sheet(sheet: Sheet, rig: Rig) -> None:
    """Raise ConfigurationError unless a network's sheet is the bench's."""
    plan = rig.plan
    own = plan.sheet(plan.gamma)
    name = rig.bench.name
    walls = [np.zeros(s.shape, np.bool_) if s.blocked is None else np.asarray(s.blocked) for s in (sheet, own)]
    if sheet.shape != own.shape or not np.array_equal(walls[0], walls[1]):
        raise ConfigurationError(
            f"a sheet of {sheet.shape} with {int(walls[0].sum())} nodes behind walls; that of bench {name} has "
            f"{own.shape} with {int(walls[1].sum())}: choose nodes and blocked like those, or another bench"
        )
    if (sheet.g, sheet.nonlinearity) != (own.g, own.nonlinearity):
        raise ConfigurationError(
            f"a sheet of g = {sheet.g:g} ({sheet.nonlinearity}); the sample of bench {name} has g = {own.g:g} "
            f"({own.nonlinearity}): choose those, or another bench"
        )


class TableLoop(Loop):
    """A table that is set up. repeats: frames of each state; None chooses them by the contrast's signal-to-noise."""

    def __init__(self, table: Table, sheet: Sheet, repeats: int | None = None) -> None:
        super().__init__(sheet)
        check_sheet(sheet, table.rig)
        self.table, self._fixed = table, repeats
        self.repeats = repeats or 1
        self.contrast = Contrast()
        self._first_off: float | None = None
        self._drift = 0.0
        self.begun_s = 0.0
        self.told: dict[str, float] = {}
        self._gamma = table.rig.plan.gamma
        self._plain = table.sheet(self._gamma)
        self._nudge = NudgeGain()

    def report(self) -> dict[str, Any]:
        """`bench_s` with set-up, `frames` of phases, `repeats` of each; `residual` and `frame_noise` of set-up.

        `nudge_gain`: by what nudges differ from their plan, as it was learnt, [re, im]. `detuning_followed`: E0.
        """
        gain = complex(self._nudge.gain)
        return {
            "bench_s": self.table.rig.bench.time_s() - self.begun_s,
            "frames": self.table.frames,
            "repeats": self.repeats,
            "nudge_gain": [gain.real, gain.imag],
            "detuning_followed": self._drift,
            **self.told,
        }

    def state(self) -> dict[str, Any]:
        """See `Loop`."""
        c, n = self.contrast, self._nudge
        off = math.nan if self._first_off is None else self._first_off
        numbers = [self._drift, off, c.signal, c.noise, n.product.real, n.product.imag, n.weight]
        return {"loop_numbers": np.array(numbers), "loop_counts": np.array([self.repeats, c.repeats]),
                **self.table.state()}  # fmt: skip

    def restore(self, kept: Mapping[str, Any]) -> None:
        """See `Loop`."""
        self._drift, off, signal, noise, real, imaginary, weight = (float(x) for x in kept["loop_numbers"])
        self._first_off = None if math.isnan(off) else off
        self.repeats, repeats = (int(x) for x in kept["loop_counts"])
        self.contrast, self._nudge = Contrast(signal, noise, repeats), NudgeGain(complex(real, imaginary), weight)
        self.table.restore(kept)

    def measure(self, V: Complex, pumps: Complex, near: Complex | None = None) -> Fields:
        """See `Loop`. V is written as near as it can be. Raises ConfigurationError where a pump is too strong."""
        return self._by_turns(V, [pumps], self.repeats)[0]

    def phases(self, V: Complex, pumps: Complex, targets: Array, plan: NudgePlan) -> tuple[Fields, list[Fields]]:
        """See `Loop`; repeats are chosen by what contrast was measured."""
        if not plan.injects:
            raise ConfigurationError(
                "nudge=self-consistent: a table can only inject a fixed pump; choose nudge=injected"
            )
        free = self.measure(V, pumps)
        e = plan.error(free.outputs(plan.outputs, self.sheet), targets)
        wanted = injected_pump(free.psi, plan.outputs, e, np.full(len(e), plan.beta), plan.rule)
        pull = wanted / self._nudge.gain
        sets = [pumps + sign * pull for sign in plan.signs]
        if plan.sides == 1:
            sets.append(pumps)
        while True:
            found = self._by_turns(V, sets, self.repeats)
            self._judge(found)
            if self._fixed is not None or self.contrast.snr >= WANTED_SNR or not self.contrast.signal:
                break
            if self.repeats >= MOST_REPEATS:
                if self.contrast.snr < LEAST_SNR:
                    raise ConfigurationError(
                        f"beta = {plan.beta:g} is too small for the noise: phases differ by {self.contrast.signal:.2g} "
                        f"in |psi|^2 (rms), known to {self.contrast.noise:.2g} with {self.repeats} frames of each; "
                        f"choose beta of {plan.beta * 2 * WANTED_SNR / max(self.contrast.snr, 0.1):.1g} or more with "
                        "sides=2, or longer exposures. The run goes on from its last checkpoint with labctl resume"
                    )
                break
            self.repeats = min(2 * self.repeats, MOST_REPEATS)
        self._nudge.learn(self._pump_of(found[0].psi) - self._pump_of(found[1].psi), plan.sides * pull)
        self._follow(found, sets)
        if plan.sides == 1:
            free = Fields(found[1].psi, found[1].density, found[1].good & free.good)
        return free, found[: len(plan.signs)]

    def _follow(self, found: list[Fields], sets: list[Complex]) -> None:
        """What the equation tells of all states: light of the pump's panel that is not cancelled, which follows the
        room's temperature, is cancelled; the drive's detuning, which drifts by some ueV an hour, is kept as it was at
        first. Near resonance both are seen."""
        psi, P = np.concatenate([f.psi for f in found]), np.concatenate(sets)
        density = float((np.abs(psi) ** 2).sum())
        if not density > _BRIGHT:
            return
        # kappa = 0 with D off by delta and more light b at every node: pump of psi - P = b - i delta psi.
        more = self._pump_of(psi) - P
        swing = psi - psi.mean(axis=0)
        off = float((1j * swing.conj() * (more - more.mean(axis=0))).real.sum() / (np.abs(swing) ** 2).sum())
        left = more + 1j * off * psi
        light = left.mean(axis=0)
        noise = (np.abs(left - light) ** 2).mean(axis=0) / len(left)
        self.table.lighter(self._on_mesa(light * _STRAY**2 / (_STRAY**2 + noise)))
        if self._first_off is None:
            self._first_off = off
            return
        drift = _FOLLOWED * (off - self._first_off)
        self._drift += drift
        self.table.detuned_by(drift)

    def _pump_of(self, psi: Complex) -> Complex:
        """By which measured steady states (samples, *shape) must have been driven."""
        at = -rate(psi, self.table.D_on_sheet + 1j * self._gamma, np.zeros(()), self._plain)
        return np.asarray(at)

    def shown(self, V: Complex) -> Complex:
        """What of V the table can make: light is not negative, nor more than full, and blurred."""
        lift = self.table.lift
        real = lift.lifted(lift.light_for(self._on_mesa(V.real))).real
        return np.asarray(self.table.on_sheet(np.where(lift.open_nodes, real, 0.0)) + 0j)

    def _on_mesa(self, values: NDArray[Any]) -> NDArray[Any]:
        return values.reshape(*values.shape[: values.ndim - len(self.sheet.shape)], *self.table.rig.plan.mesa)

    def _by_turns(self, V: Complex, sets: list[Complex], repeats: int) -> list[Fields]:
        """Of each set of pumps, sample after sample, its states one after the other and so on for all repeats."""
        self.table.write_potential(self._on_mesa(V.real))
        count, kinds = len(sets[0]), len(sets)
        order = np.stack([self._on_mesa(s) for s in sets], axis=1)  # (samples, kinds, rows, columns)
        P = np.repeat(order[:, None], repeats, axis=1).reshape(-1, *order.shape[2:])
        seen = self.table.measure(P)
        psi = seen.psi.reshape(count, repeats, kinds, *order.shape[2:])
        full = seen.full.reshape(count, repeats, kinds)
        fields = []
        for k in range(kinds):
            mean = psi[:, :, k].mean(axis=1)
            density = (np.abs(psi[:, :, k]) ** 2).mean(axis=1)
            if repeats > 1:
                # Noise adds its own square to each |psi|^2.
                spread = psi[:, :, k].var(axis=1, ddof=1)
                density = density - spread
            good = ~full[:, :, k].any(axis=1) & np.isfinite(mean).reshape(count, -1).all(axis=1)
            fields.append(Fields(self.table.on_sheet(mean), self.table.on_sheet(density).real, good))
        self._spread = (np.abs(psi) ** 2).std(axis=1, ddof=1) if repeats > 1 else None
        return fields

    def _judge(self, found: list[Fields]) -> None:
        """Contrast and noise of phases."""
        good = found[0].good & found[1].good
        if not good.any():
            self.contrast = Contrast(repeats=self.repeats)
            return
        change = (found[0].density - found[1].density)[good]
        if self._spread is None:
            noise = math.inf if self._fixed is None else 0.0
        else:
            noise = math.sqrt(float((self._spread[good][:, :2] ** 2).sum(axis=1).mean()) / self.repeats)
        total = float((change**2).mean())
        signal = math.sqrt(max(total - noise**2, 0.0)) if math.isfinite(noise) else math.sqrt(total)
        self.contrast = Contrast(max(signal, 1e-3 * math.sqrt(total)), noise, self.repeats)
