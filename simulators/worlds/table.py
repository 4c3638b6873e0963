"""What all optical tables share: devices on them, the trigger line, a panel that is written to, detectors' memories.

A table adds what light there is (`TableWorld.mean_electrons`, `TableWorld.reading`). It is told gray levels, device
settings and time, as a table is; nothing else passes around the light.
"""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from drivers.contract import ROI, ConfigurationError, DeviceError, DeviceTimeout
from drivers.frozen import freeze, spoilt_told, thaw, unlike
from simulators.clock import RealClock, VirtualClock, make_clock
from simulators.physics.counter_random import noise_key, standard_normal
from simulators.slide_show import Pace, play
from simulators.worlds.faults import KINDS, Faults, Kind
from simulators.worlds.operations import world_operation
from simulators.worlds.parts.panel_state import checked_slides, frozen_panel, thaw_panel
from simulators.worlds.ports import STOP_FLAGS, CameraPort, DetectorPort, Exposed, LastFrame, PhotodetectorPort, Port
from simulators.worlds.state import frozen_clock, frozen_ports, thaw_clock, thaw_ports

if TYPE_CHECKING:
    from simulators.worlds.parts.panel import Panel
    from simulators.worlds.parts.sensor import CameraSensor, Region

PLANCK_J_S = 6.62607015e-34
LIGHT_M_S = 299792458.0

_EXPOSURES_AT_ONCE = 64
"""Of a burst; between them it can be stopped."""

AnyPort = TypeVar("AnyPort", bound=Port)


class TableWorld(ABC):
    """One optical table.

    Devices reach it by four things, from whatever process: ``parameters`` (their own copy), ``clock`` and ``state``
    (shared memory) and the operations. What must act at once, though the world may be computing for seconds, is a
    plain store into ``state``: the controls of the sources and the flags that stop a device.
    """

    clock_of_kind = staticmethod(make_clock)
    State: ClassVar[np.dtype[Any]]
    """Aligned, so that each store is a single one; `simulators.worlds.ports.FLAGS` are among its fields."""
    detector_places: ClassVar[tuple[str, ...]] = ()
    """Where a photodetector may stand."""

    parameters: Any
    panel: Panel
    _sensor: CameraSensor

    def __init__(self, parameters: Any, clock: VirtualClock | RealClock, state: NDArray[Any] | None = None) -> None:
        elapsed_s = getattr(parameters, "elapsed", 0.0)  # of tables that drift
        if elapsed_s and not clock.virtual:
            raise ConfigurationError(
                f"world.elapsed = {elapsed_s:g} s: in real time a table is as old as it is; leave it out, or set "
                '[bench] clock = "virtual"'
            )
        self.parameters = parameters
        self.clock = clock
        self.state = np.zeros(1, self.State) if state is None else state
        self.turn = threading.RLock()
        self._flags: dict[str, int] = {}
        self._counted: dict[str, int] = {}
        self._session = ""
        self.rewind()

    def rewind(self) -> None:
        """Set the table up anew: no device on it. Tables add their panel, at rest at gray 0, and no light."""
        self.state["stop"] = 0
        self._written_ns = 0
        self._ports: dict[str, Port] = {}
        self._slides: tuple[NDArray[np.int32], NDArray[np.int32]] | None = None
        self._played = False
        self._faults = Faults(getattr(self.parameters, "faults", ()))
        self._panels: dict[str, str] = {}
        self._sent: dict[str, int] = {}

    def expose(
        self,
        device: str,
        number: int,
        start_ns: int,
        exposure_s: float,
        row: int,
        column: int,
        rows: int,
        columns: int,
        out: NDArray[Any] | None = None,
    ) -> tuple[NDArray[Any], int, float]:
        """One exposure of a region of the sensor: counts (rows, columns), saturated pixels, largest count.

        The counts are written into ``out`` if it is given: uint16, float64 of an ideal camera.
        """
        region = (row, column, rows, columns)
        electrons = self._electrons_in(number, start_ns, exposure_s, region)
        return self._sensor.expose(device, number, exposure_s, region, electrons, out)

    def _electrons_in(self, number: int, start_ns: int, exposure_s: float, region: Region) -> NDArray[np.float64]:
        """`mean_electrons` of an exposure, by whose number a sample on a table may have noise of its own."""
        return self.mean_electrons(start_ns, exposure_s, *region)

    @abstractmethod
    def mean_electrons(
        self, start_ns: int, exposure_s: float, row: int, column: int, rows: int, columns: int
    ) -> NDArray[np.float64]:
        """Photoelectrons (rows, columns) expected in an exposure, before dark current and noise."""

    def reading(
        self, place: str, device: str, number: int, start_ns: int, duration_s: float
    ) -> tuple[float, float, bool]:
        """Power at a place of `detector_places`: reading, its standard deviation (W), whether out of range."""
        raise DeviceError(f"{device}: the table has no place {place!r} for a photodetector")

    # --- devices on the table ---------------------------------------------------------------------------------------

    @world_operation
    def begin(self, session: str) -> None:
        """Set the table up anew for a session, in virtual time at its ``elapsed``. Again for the same one, nothing."""
        if session == self._session:
            return
        self._session = session
        if isinstance(self.clock, VirtualClock):
            self.clock.reset()
            self.clock.sleep_until(round(getattr(self.parameters, "elapsed", 0.0) * 1e9))
        self.rewind()

    @world_operation
    def freeze(self) -> NDArray[np.uint8] | None:
        """All that the table is now, from which `thaw` goes on bit for bit; None in real time, which goes on by itself.

        Light is part of it, but for whether lasers emit.
        """
        return freeze(self._frozen()) if isinstance(self.clock, VirtualClock) else None

    @world_operation
    def thaw(self, data: NDArray[np.uint8]) -> None:
        """Be what a table of the same parameters, with the same devices on it, was; all lasers are dark.

        Raises ConfigurationError if the bytes are spoilt or of another table; then the table is to be set up anew.
        """
        with spoilt_told():
            self._thaw(thaw(data))

    def _frozen(self) -> dict[str, Any]:
        """Plain values; a table adds its light's."""
        assert isinstance(self.clock, VirtualClock)
        return {
            "table": type(self).__name__,
            "clock": frozen_clock(self.clock, self.state),
            "written_ns": self._written_ns,
            "sent": self._sent,
            "ports": frozen_ports(self._ports),
            "slides": None if self._played else self._slides,
            "panel": frozen_panel(self.panel, self._played),
        }

    def _thaw(self, kept: Any) -> None:
        if kept["table"] != type(self).__name__:
            raise unlike(f"a {kept['table']!r:.40} in place of a {type(self).__name__}")
        if not isinstance(self.clock, VirtualClock):
            raise unlike("a table in virtual time in place of one in real time")
        self._slides, self._played = None, False
        patches = thaw_panel(self.panel, kept["panel"])
        self._slides = checked_slides(kept["slides"], patches)
        thaw_ports(self._ports, kept["ports"])
        self._written_ns = int(kept["written_ns"])
        self._sent = {str(panel): int(number) for panel, number in kept["sent"].items()}
        thaw_clock(self.clock, self.state, kept["clock"])

    @world_operation
    def attach(self, device: str, what: str) -> int:
        """Put a device on the table as it is after power-on: "slm", "camera", or a photodetector at a place.

        Returns the number of its stop flag in ``state``, which stays the device's for the life of the world.
        """
        flag = self._flags.setdefault(device, len(self._flags))
        if flag >= STOP_FLAGS:
            del self._flags[device]
            raise DeviceError(f"{device}: the table has room for {STOP_FLAGS} devices and is full")
        match what:
            case "slm" | "projector" | "coupling" if hasattr(self.parameters, what):
                self._ports[device] = Port(device, flag)
                self._panels[what] = device
            case "camera":
                self._ports[device] = CameraPort(device, flag, number=self._first_number(device))
            case _ if what in self.detector_places:
                self._ports[device] = PhotodetectorPort(device, flag, place=what, number=self._first_number(device))
            case _:
                there = ", ".join(self.detector_places) or "none"
                raise DeviceError(f"{device}: the table has no place {what!r}; its places of photodetectors: {there}")
        return flag

    @world_operation
    def detach(self, device: str) -> None:
        """Take a device off the table, if it is on it."""
        self._first_number(device)
        self._ports.pop(device, None)

    def _first_number(self, device: str) -> int:
        """Of a detector's next exposure when it is put on the table again. Noise goes by that number: in real time,
        where the table goes on, what was seen before must not come again."""
        if isinstance(self.clock, VirtualClock):
            return 0
        port = self._ports.get(device)
        if isinstance(port, DetectorPort):
            self._counted[device] = port.number
        return self._counted.get(device, 0)

    @world_operation
    def strike(self, device: str, what: str = "") -> None:
        """A drill while everything is up, in real time: a fault (see `simulators.worlds.faults`) befalls a device from
        now on; "" mends it. Raises ConfigurationError for an unknown one, and in virtual time, where a run that is done
        again must come out the same."""
        known = next((kind for kind in KINDS if kind == what), None)
        if what and known is None:
            raise ConfigurationError(f"{device}: no fault {what!r:.40}; a table has {', '.join(KINDS)}")
        if self.clock.virtual:
            raise ConfigurationError(f"{device}: a drill needs real time; plant the fault by world.faults instead")
        self._faults.strike(device, known)

    @world_operation
    def armed(self, device: str) -> int:
        """How many more pulses of the trigger line a detector answers."""
        return self._armed(self._port(device, DetectorPort))

    def _port(self, device: str, kind: type[AnyPort]) -> AnyPort:
        port = self._ports.get(device)
        if not isinstance(port, kind):
            raise DeviceError(f"{device} is not on the table; open it (again, if a new session has begun)")
        return port

    def _stop_flag(self, port: Port) -> NDArray[np.uint8]:
        flags: NDArray[np.uint8] = self.state["stop"][0]
        return flags[port.flag : port.flag + 1]

    def _armed(self, port: DetectorPort) -> int:
        return 0 if self._stop_flag(port)[0] else port.armed

    # --- SLM and trigger line ---------------------------------------------------------------------------------------

    @world_operation
    def write(self, gray: NDArray[Any], row: int, column: int, at_ns: int = 0) -> int:
        """Gray levels (rows, columns) for the panel, corner at (row, column); when they arrived, ns.

        at_ns: when that was, in real time, for who saw them arrive and tells it late; 0 is now. Levels are integers of
        0 to levels - 1, or real numbers of 0 to 256 for a continuous panel. Drops the loaded sequence.
        """
        now_ns = self.clock.now_ns()
        if at_ns and not self.clock.virtual:
            now_ns = min(now_ns, max(at_ns, self._written_ns))
        self._written_ns = now_ns
        self._slides = None
        if self._takes("slm"):
            self.panel.write(gray, row, column, now_ns)
        return now_ns

    def _takes(self, panel: str) -> bool:
        """Count a pattern that is sent to a panel, and tell whether it is shown."""
        number = self._sent.get(panel, 0)
        self._sent[panel] = number + 1
        return self._faults.of(self._panels.get(panel, panel), number, self.clock.now_ns()) != "stuck"

    @world_operation
    def load(
        self,
        base: NDArray[Any],
        base_origin: tuple[int, int],
        patches: NDArray[Any],
        patch_origins: NDArray[np.int32],
        offsets: NDArray[np.int32],
        indices: NDArray[np.int32],
    ) -> None:
        """Keep a sequence of gray levels; the arguments are those of `drivers.contract.Sequence`."""
        row, column = base_origin
        self.panel.load(base, (row, column), patches, patch_origins)
        self._played = False
        # Copies also because kernels would be compiled once more for the read-only arrays of another process.
        self._slides = np.array(offsets, np.int32), np.array(indices, np.int32)

    @world_operation
    def step(self, pattern: int) -> int:
        """Show a pattern of the loaded sequence; when it was sent, ns."""
        if self._slides is None:
            raise DeviceError("no sequence is loaded; load one (a write or a new session drops it)")
        offsets, indices = self._slides
        now_ns = self.clock.now_ns()
        if self._takes("slm"):
            self.panel.step(indices[offsets[pattern] : offsets[pattern + 1]], now_ns)
        return now_ns

    @world_operation
    def run(self, device: str, base_settle_ns: int, settle_ns: int, dwell_ns: int) -> NDArray[np.int64]:
        """Play the loaded sequence in virtual time, pulsing the trigger line once each pattern is stable.

        Returns when each pattern shown was stable, ns; fewer than loaded if the SLM's stop flag was set.
        """
        if self._slides is None:
            raise DeviceError(f"{device}: no sequence is loaded; load one (a write or a new session drops it)")
        if not self.clock.virtual:
            raise DeviceError(f"{device}: in real time the SLM steps through its sequence by itself")
        stop = self._stop_flag(self._port(device, Port))
        pace = Pace(base_settle_ns, settle_ns, dwell_ns)
        n = len(self._slides[0]) - 1
        stable_ns = np.empty(n, np.int64)

        def play_plainly(first: int, end: int) -> int:
            return play(self.step, self.fire_trigger, lambda: bool(stop[0]), self.clock, pace, stable_ns, first, end)

        shown = play_plainly(0, 1)
        if shown:
            shown = self._play_burst(stop, pace, stable_ns)
            shown = play_plainly(shown, n)
        self._played = shown == n
        return stable_ns[:shown]

    def _play_burst(self, stop: NDArray[np.uint8], pace: Pace, stable_ns: NDArray[np.int64]) -> int:
        """Play patterns 1 and following faster than one by one, where a table can; the pattern that comes next."""
        return 1

    @world_operation
    def fire_trigger(self) -> None:
        """The pulse on the SLM's trigger output: armed detectors start."""
        for port in list(self._ports.values()):
            if isinstance(port, DetectorPort) and self._armed(port):
                port.armed -= 1
                if isinstance(port, CameraPort):
                    self._take_frame(port)
                elif isinstance(port, PhotodetectorPort):
                    taken = self._take_reading(port, port.integration_ns)
                    port.readings += [] if taken is None else [taken]

    # --- camera -----------------------------------------------------------------------------------------------------

    @world_operation
    def trigger(self, device: str, exposure_ns: int, roi: ROI, out: NDArray[Any]) -> tuple[int, int, int]:
        """One exposure by software trigger, its counts into ``out`` (rows, columns).

        Returns its number, when it began (ns) and how many pixels are saturated.
        """
        port = self._port(device, CameraPort)
        port.armed = max(port.armed - 1, 0)
        late, port.late = port.late, None
        if late is not None and late.data.shape == out.shape:
            out[...] = late.data
            return late[1:]
        found = self._expose_at_once(port, exposure_ns, roi, out)
        if found is None:
            raise DeviceTimeout(f"{device}: frame {port.number - 1} did not come; trigger again")
        return found

    @world_operation
    def arm_camera(self, device: str, frames: int, exposure_ns: int, roi: ROI) -> None:
        """Make ready for so many pulses of the trigger line; what was not collected is dropped."""
        dtype = np.float64 if self.parameters.camera.ideal else np.uint16
        self._port(device, CameraPort).arm(frames, exposure_ns, roi, dtype)

    @world_operation
    def collect_frames(
        self, device: str, out: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Frames taken since the camera was armed, into ``out`` (frames, rows, columns); the camera is free again.

        Returns their numbers, beginnings (ns) and saturated pixels, fewer than ``out`` has room for if fewer came.
        """
        data, numbers, start_ns, saturated = self._port(device, CameraPort).collect()
        out[: len(data)] = data
        return numbers, start_ns, saturated

    @world_operation
    def burst(
        self, device: str, exposure_ns: int, dead_ns: int, roi: ROI, out: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Exposures one after another in virtual time, into ``out`` (frames, rows, columns). dead_ns: after each.

        Returns their numbers, beginnings (ns) and saturated pixels; fewer than ``out`` has room for if the camera's
        stop flag was set.
        """
        if not self.clock.virtual:
            raise DeviceError(f"{device}: in real time the camera takes one exposure after the other by itself")
        port = self._port(device, CameraPort)
        stop, n = self._stop_flag(port), len(out)
        numbers, start_ns, saturated = (np.zeros(n, np.int64) for _ in range(3))
        taken = 0
        while taken < n and not stop[0]:
            some = slice(taken, min(taken + _EXPOSURES_AT_ONCE, n))
            if self._faults.may_meet(device, port.number, port.number + some.stop - some.start):
                for k in range(some.start, some.stop):
                    found = self._expose_at_once(port, exposure_ns, roi, out[k])
                    self.clock.sleep_until(self.clock.now_ns() + exposure_ns + dead_ns)
                    if found is None:
                        raise DeviceTimeout(f"{device}: frame {port.number - 1} of a burst did not come; ask again")
                    numbers[k], start_ns[k], saturated[k] = found
                taken = some.stop
                continue
            for k in range(some.start, some.stop):
                numbers[k], start_ns[k] = port.next_number(), self.clock.now_ns()
                self.clock.sleep_until(int(start_ns[k]) + exposure_ns + dead_ns)
            region = (roi.row, roi.column, roi.rows, roi.columns)
            saturated[some] = self.expose_all(
                device, numbers[some], start_ns[some], exposure_ns * 1e-9, region, out[some]
            )
            taken = some.stop
        return numbers[:taken], start_ns[:taken], saturated[:taken]

    def expose_all(
        self,
        device: str,
        numbers: NDArray[np.int64],
        start_ns: NDArray[np.int64],
        exposure_s: float,
        region: Region,
        out: NDArray[Any],
    ) -> NDArray[np.int64]:
        """`expose` many times, into ``out``; how many pixels of each are saturated. Tables may do it all at once."""
        return np.array(
            [
                self.expose(device, int(number), int(start), exposure_s, *region, into)[1]
                for number, start, into in zip(numbers, start_ns, out, strict=True)
            ],
            np.int64,
        )

    def _take_frame(self, port: CameraPort) -> None:
        k = port.taken
        found = self._expose_at_once(port, port.exposure_ns, port.roi, port.data[k])
        if found is not None:
            port.numbers[k], port.start_ns[k], port.saturated[k] = found
            port.taken += 1

    def _expose_at_once(
        self, port: CameraPort, exposure_ns: int, roi: ROI, out: NDArray[Any]
    ) -> tuple[int, int, int] | None:
        """One exposure into ``out``: number, beginning, saturated pixels; None if nothing comes of it in time."""
        number, start_ns = port.next_number(), self.clock.now_ns()
        befalls, last = self._befalls(port.device, number), port.last
        if befalls == "lost":
            return None
        if befalls in ("repeated", "frozen"):
            if last is None or last.data.shape != out.shape:
                return None
            out[...] = last.data
            return last[1:] if befalls == "repeated" else (number, start_ns, last.saturated)
        _, saturated, _ = self.expose(
            port.device, number, start_ns, exposure_ns * 1e-9, roi.row, roi.column, roi.rows, roi.columns, out
        )
        if befalls == "saturated" and out.dtype == np.uint16:
            out[...], saturated = self._full_scale(), out.size
        if befalls == "late":
            port.late = LastFrame(out.copy(), number, start_ns, saturated)
            return None
        if self._faults.watch(port.device):
            port.last = LastFrame(out.copy(), number, start_ns, saturated)
        return number, start_ns, saturated

    def _befalls(self, device: str, number: int) -> Kind | None:
        """What goes wrong with an exposure or reading of this number now."""
        return self._faults.of(device, number, self.clock.now_ns())

    def _full_scale(self) -> int:
        c = self.parameters.camera
        return int(min(2**c.bit_depth - 1, c.offset + c.full_well / c.electrons_per_count))

    # --- photodetectors ---------------------------------------------------------------------------------------------

    @world_operation
    def measure(self, device: str, integration_ns: int) -> Exposed:
        """One reading of a photodetector now: number, beginning (ns), power and its deviation (W), out of range."""
        port = self._port(device, PhotodetectorPort)
        taken = self._take_reading(port, integration_ns)
        if taken is None:
            raise DeviceTimeout(f"{device}: reading {port.number - 1} did not come; ask again")
        return taken

    @world_operation
    def arm_photodetector(self, device: str, readings: int, integration_ns: int) -> None:
        """Make ready for so many pulses of the trigger line; what was not collected is dropped."""
        self._port(device, PhotodetectorPort).arm(readings, integration_ns)

    @world_operation
    def collect_readings(self, device: str) -> list[Exposed]:
        """Readings taken since the photodetector was armed, each as from `measure`; it is free again."""
        return self._port(device, PhotodetectorPort).collect()

    def _take_reading(self, port: PhotodetectorPort, integration_ns: int) -> Exposed | None:
        """None if nothing comes of it."""
        number, start_ns = port.next_number(), self.clock.now_ns()
        befalls, last = self._befalls(port.device, number), port.last
        if befalls in ("lost", "late"):
            return None
        if befalls in ("repeated", "frozen") and last is not None:
            return last if befalls == "repeated" else last._replace(number=number, start_ns=start_ns)
        power_w, sigma_w, beyond = self.reading(port.place, port.device, number, start_ns, integration_ns * 1e-9)
        taken = Exposed(number, start_ns, float(power_w), float(sigma_w), bool(beyond) or befalls == "saturated")
        if self._faults.watch(port.device):
            port.last = taken
        return taken

    def _reading(
        self, device: str, number: int, power_w: float, duration_s: float, nep: float, range_w: float, ideal: bool
    ) -> tuple[float, float, bool]:
        """A photodiode with its amplifier, of a table with ``detector`` parameters; see `reading`."""
        if ideal or not self.parameters.noise:
            beyond = not ideal and power_w >= range_w
            return (range_w if beyond else power_w), 0.0, beyond
        photon_j = PLANCK_J_S * LIGHT_M_S / self.parameters.mean_wavelength_m
        shot = power_w * photon_j / (self.parameters.detector.quantum_efficiency * duration_s)
        sigma = math.sqrt(shot + nep**2 / (2 * duration_s))
        noise = standard_normal(noise_key(self.parameters.seed, device, "reading"), number, 0, 0, 0)
        reading = power_w + sigma * noise
        return min(reading, range_w), sigma, reading >= range_w
