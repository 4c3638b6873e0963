"""The board: what units do between the registers and the converters."""

from __future__ import annotations

import math
import threading
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.contract import DeviceError
from drivers.frozen import freeze, spoilt_told, thaw, unlike
from simulators.clock import RealClock, VirtualClock, make_clock
from simulators.physics.counter_random import noise_key
from simulators.physics.langevin.kernel import LANES, Couplings, evolve
from simulators.physics.langevin.potential import LangevinError, Units
from simulators.worlds.operations import world_operation
from simulators.worlds.ports import FLAGS, DetectorPort
from simulators.worlds.state import frozen_clock, frozen_ports, thaw_clock, thaw_ports
from simulators.worlds.thermodynamic.parameters import ThermodynamicParameters
from simulators.worlds.thermodynamic.truth import board_truth, couplings_on_board, crossed

_AT_ONCE = 2 * LANES
"""Repeats that are computed side by side; between them a run can be stopped."""


class _Stage(NamedTuple):
    """As units feel it. read: steps of dt, of ``until``, after which they are read."""

    couplings: Couplings
    biases: tuple[NDArray[np.float64], NDArray[np.float64]]
    until: int
    dt: float
    read: list[int]


class ThermodynamicWorld:
    """One board and the computer on it; see `simulators.worlds.table.TableWorld` for what devices reach it by."""

    Parameters = ThermodynamicParameters
    State = np.dtype([*FLAGS], align=True)
    clock_of_kind = staticmethod(make_clock)

    def __init__(
        self,
        parameters: ThermodynamicParameters,
        clock: VirtualClock | RealClock,
        state: NDArray[Any] | None = None,
    ) -> None:
        self.parameters = parameters
        self.clock = clock
        self.state = np.zeros(1, self.State) if state is None else state
        self.turn = threading.RLock()
        self._session = ""
        self._ports: dict[str, DetectorPort] = {}

    def warm_up(self) -> None:
        """Compile what a run needs."""
        J = np.array([[0.0, 0.1], [0.1, 0.0]])
        evolve(np.zeros((1, 2)), Units.of(2), Couplings.of(J), (np.zeros(2), np.zeros(2)), 1, 1e-3, np.uint64(0))

    # --- frozen state -----------------------------------------------------------------------------------------------

    @world_operation
    def freeze(self) -> NDArray[np.uint8] | None:
        """See `simulators.worlds.table.TableWorld.freeze`."""
        if not isinstance(self.clock, VirtualClock):
            return None
        return freeze({"clock": frozen_clock(self.clock, self.state), "ports": frozen_ports(dict(self._ports))})

    @world_operation
    def thaw(self, data: NDArray[np.uint8]) -> None:
        """See `simulators.worlds.table.TableWorld.thaw`."""
        with spoilt_told():
            kept = thaw(data)
            if not isinstance(self.clock, VirtualClock):
                raise unlike("a board in virtual time in place of one in real time")
            thaw_ports(dict(self._ports), kept["ports"])
            thaw_clock(self.clock, self.state, kept["clock"])

    # --- devices ----------------------------------------------------------------------------------------------------

    @world_operation
    def begin(self, session: str) -> None:
        """Set the board up anew for a session, in virtual time at its ``elapsed``. Again for the same one, nothing."""
        if session == self._session:
            return
        self._session = session
        if isinstance(self.clock, VirtualClock):
            self.clock.reset()
            self.clock.sleep_until(round(self.parameters.elapsed * 1e9))
        self.state["stop"] = 0
        self._ports = {}

    @world_operation
    def attach(self, device: str, what: str) -> int:
        """The computer, as it is after power-on; returns the number of its stop flag in ``state``."""
        if what != "computer" or any(name != device for name in self._ports):
            raise DeviceError(f"{device}: this board is one thermodynamic computer, and has no place for {what!r} more")
        self._ports.setdefault(device, DetectorPort(device, flag=0))
        return 0

    @world_operation
    def detach(self, device: str) -> None:
        """Take it off, if it is there."""
        self._ports.pop(device, None)

    # --- a run ------------------------------------------------------------------------------------------------------

    @world_operation
    def compute(
        self,
        device: str,
        repeats: int,
        start: NDArray[np.float64],
        durations: list[float],
        couplings: NDArray[np.float64],
        biases: NDArray[np.float64],
        biases_end: NDArray[np.float64],
        read_at: list[NDArray[np.float64]],
        quadratic: float,
        quartic: float,
    ) -> tuple[int, int, int, NDArray[np.float32], NDArray[np.int64]]:
        """Run stages (couplings (stages, units, units), biases (stages, units)) ``repeats`` times from ``start``.

        Returns the run's number, when it begins and ends (ns), readings (repeats, times, units) as digitised, and how
        many of each repeat lie at the end of the converter; fewer repeats if the stop flag was set.
        """
        port = self._ports.get(device)
        if port is None:
            raise DeviceError(f"{device} is not on the board; open it (again, if a new session has begun)")
        p, truth, share = self.parameters, board_truth(self.parameters), self.parameters.hidden.crosstalk
        number, start_ns = port.next_number(), self.clock.now_ns()
        units = Units.of(
            p.units, quadratic * truth.quadratic, quartic * truth.quartic, truth.mobility, truth.temperature
        )
        stages = [
            self._felt(duration, J, (crossed(b, share), crossed(e, share)), np.asarray(at))
            for duration, J, b, e, at in zip(durations, couplings, biases, biases_end, read_at, strict=True)
        ]
        readings = np.empty((repeats, sum(len(at) for at in read_at), p.units), np.float32)
        stop, done = self.state["stop"][0], 0
        while done < repeats and not stop[port.flag]:
            some = slice(done, min(done + _AT_ONCE, repeats))
            try:
                self._go_through(stages, units, start, noise_key(p.seed, device, f"run {number}"), readings[some], done)
            except LangevinError as error:
                raise DeviceError(f"{device}: units left every bound in run {number} ({error})") from None
            done = some.stop
        readings = readings[:done]
        beyond = self._digitise(device, number, readings)
        each_s = p.repeat_s(sum(durations), readings.shape[1])
        return number, start_ns, start_ns + round(repeats * each_s * 1e9), readings, beyond

    def _felt(
        self,
        duration: float,
        J: NDArray[np.float64],
        biases: tuple[NDArray[np.float64], NDArray[np.float64]],
        read_at: NDArray[np.float64],
    ) -> _Stage:
        count = max(1, math.ceil(duration / self.parameters.step - 1e-9))
        steps = np.rint(read_at / duration * count).astype(int)
        felt = Couplings.of(couplings_on_board(self.parameters, J))
        return _Stage(felt, biases, count, duration / count, steps.tolist())

    def _go_through(
        self,
        stages: list[_Stage],
        units: Units,
        start: NDArray[np.float64],
        key: np.uint64,
        out: NDArray[np.float32],
        first: int,
    ) -> None:
        """Repeats from ``first`` on, as many as ``out`` (repeats, times, units) has room for."""
        x = np.broadcast_to(start.astype(np.float32), (len(out), len(start)))
        done = 0
        for k, s in enumerate(stages):
            of_stage = np.uint64((int(key) + k * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF)
            states = evolve(
                x, units, s.couplings, s.biases, s.until, s.dt, of_stage, [*s.read, s.until], first_trajectory=first
            )
            out[:, done : done + len(s.read)] = states[:-1].transpose(1, 0, 2)
            x, done = states[-1], done + len(s.read)

    def _digitise(self, device: str, number: int, readings: NDArray[np.float32]) -> NDArray[np.int64]:
        """Noise and converter, in place; how many readings of each repeat lie at the converter's end."""
        c = self.parameters.converters
        if self.parameters.noise and c.reading_noise:
            rng = np.random.default_rng([int(noise_key(self.parameters.seed, device, "readings")), number])
            readings += np.float32(c.reading_noise) * rng.standard_normal(readings.shape, np.float32)
        beyond = (np.abs(readings) >= c.reading_range).sum(axis=(1, 2))
        np.clip(readings, -c.reading_range, c.reading_range, out=readings)
        if c.reading_step:
            np.rint(readings / np.float32(c.reading_step), out=readings)
            readings *= np.float32(c.reading_step)
        return np.asarray(beyond, np.int64)
