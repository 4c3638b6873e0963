"""Registers of the emulated camera: what may be read and written, in which state, and what follows from it.

An application reads and writes them by address; the names of most are in ``camera.xml``, which it reads as well.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, IntEnum, auto
from pathlib import Path
from string import Template
from typing import NamedTuple

from drivers.contract import ROI
from simulators.emulators.gige import wire


class At(IntEnum):
    """Addresses: of the bootstrap registers, then of what ``camera.xml`` describes."""

    XML_URL = 0x200
    INTERFACES = 0x600
    STREAMS = 0x904
    CAPABILITIES = 0x934
    HEARTBEAT = 0x938
    CLOCK_CONTROL = 0x944
    CLOCK_VALUE = 0x948
    CONTROL = 0xA00
    STREAM_PORT = 0xD00
    STREAM_PACKET = 0xD04
    STREAM_DELAY = 0xD08
    STREAM_ADDRESS = 0xD18
    STREAM_SOURCE = 0xD1C
    STREAM_CONFIGURATION = 0xD24
    WIDTH = 0xA008
    HEIGHT = 0xA00C
    OFFSET_X = 0xA010
    OFFSET_Y = 0xA014
    FORMAT = 0xA018
    MODE = 0xA020
    START = 0xA024
    STOP = 0xA028
    EXPOSURE_AUTO = 0xA02C
    TRIGGER_MODE = 0xA030
    TRIGGER_SOURCE = 0xA034
    TRIGGER = 0xA038
    PAYLOAD = 0xA03C
    FRAMES = 0xA040
    EXPOSURE = 0xA048
    FRAME_RATE = 0xA050
    FASTEST = 0xA058
    FIRMWARE = 0xA100
    XML = 0x10000


_JUST_KEPT = (At.STREAM_PORT, At.STREAM_DELAY, At.STREAM_ADDRESS, At.HEARTBEAT, At.STREAM_CONFIGURATION)
_FIRE_TEST, _LATCH = 1 << 31, 2
_CAN = 1 << 1 | 1 << 2 | 1 << 30
"""Memory can be written, packets are sent again, the serial number is told."""

MONO8, MONO12, MONO16 = 0x01080001, 0x01100005, 0x01100007
COLUMNS = (64, 16)
ROWS = (16, 2)
"""Least number that is read, and steps of number and place."""
_SHORTEST_US = 10.0
_AUTO_US = 10_000.0
_POWER_ON_US = 8_000.0
_PACKET_BYTES = 1500


class Refused(Exception):
    """The camera answers with this status instead."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status:#06x}")
        self.status = status


class Act(Enum):
    """What the camera is to do, besides keeping what was written."""

    CONTROL = auto()
    START = auto()
    STOP = auto()
    TRIGGER = auto()
    TEST_PACKET = auto()


class Model(NamedTuple):
    """What kind of camera it is."""

    address: str
    model: str
    serial: str
    firmware: str
    columns: int
    rows: int
    pitch_um: float
    row_ns: int
    longest_us: float
    link_bytes_per_s: float


@dataclass(frozen=True)
class Settings:
    """Of an exposure. line: it begins with a pulse. frames: after which acquisition ends; 0 for none."""

    exposure_us: float
    roi: ROI
    pixel_format: int
    line: bool
    frames: int

    @property
    def exposure_ns(self) -> int:
        """Exposure time."""
        return round(self.exposure_us * 1e3)

    @property
    def frame_bytes(self) -> int:
        """Of its pixels."""
        return self.roi.rows * self.roi.columns * (1 if self.pixel_format == MONO8 else 2)


class Registers:
    """The camera's memory; it knows of no sockets. ``plain``: of an old firmware, which calls the exposure by another
    name and whose clock cannot be read.

    told: settings as they read back. true: settings as they act. Exposures are whole microseconds.
    """

    def __init__(self, model: Model, clock_ns: Callable[[], int], *, plain: bool) -> None:
        self.model = model
        self._clock_ns = clock_ns
        self._plain = plain
        self.deaf = False
        """Whether set-points are confirmed and not acted on."""
        self.acquiring = False
        self.triggered = False
        full = ROI(row=0, column=0, rows=model.rows, columns=model.columns)
        self.told = self.true = Settings(_POWER_ON_US, full, MONO8, line=False, frames=0)
        self._mode, self._count = 0, 1
        self._auto = 1  # as somebody may have left it
        self._memory = bytearray(0xB000)
        self._xml = self._description()
        self._fill()

    def _description(self) -> bytes:
        m = self.model
        text = Template((Path(__file__).parent / "camera.xml").read_text(encoding="utf-8")).substitute(
            columns=m.columns,
            rows=m.rows,
            pitch_um=m.pitch_um,
            least_columns=min(COLUMNS[0], m.columns),
            columns_step=COLUMNS[1],
            least_rows=min(ROWS[0], m.rows),
            rows_step=ROWS[1],
            shortest_us=_SHORTEST_US,
            longest_us=m.longest_us,
            exposure="ExposureTimeAbs" if self._plain else "ExposureTime",
        )
        return text.encode()

    def _fill(self) -> None:
        m = self.model
        here = int(ipaddress.IPv4Address(m.address))
        self._put(0x000, 0x00020000, 1 << 31 | 1, 0x0000D47B, here & 0xFFFFFFFF, 1 << 1, 1 << 1)
        self._put(0x024, here)
        self._put(0x034, 0xFF000000)
        texts = {
            0x48: "labctl",
            0x68: m.model,
            0x88: m.firmware,
            0xA8: "emulated",
            0xD8: m.serial,
            At.FIRMWARE: m.firmware,
        }
        for at, text in texts.items():
            data = text.encode()[: 31 if at != 0xD8 else 15]
            self._memory[at : at + len(data)] = data
        url = f"Local:camera.xml;{At.XML:x};{len(self._xml):x}".encode()
        self._memory[At.XML_URL : At.XML_URL + len(url)] = url
        self._put(At.INTERFACES, 1)
        self._put(At.STREAMS, 1)
        self._put(At.CAPABILITIES, _CAN)
        self._put(At.HEARTBEAT, 3000, 0, 1_000_000_000)
        self._put(At.STREAM_PACKET, _PACKET_BYTES)

    def _put(self, at: int, *words: int) -> None:
        struct.pack_into(f">{len(words)}I", self._memory, at, *words)

    def _get(self, at: int) -> int:
        return int(struct.unpack_from(">I", self._memory, at)[0])

    # --- what the camera looks up -----------------------------------------------------------------------------------

    @property
    def controlled(self) -> bool:
        """Whether an application controls it."""
        return self._get(At.CONTROL) != 0

    @property
    def heartbeat_s(self) -> float:
        """After it, the controlling application is taken for dead."""
        return self._get(At.HEARTBEAT) * 1e-3

    @property
    def destination(self) -> tuple[str, int] | None:
        """Where the stream goes; None while there is none."""
        port = self._get(At.STREAM_PORT) & 0xFFFF
        return (str(ipaddress.IPv4Address(self._get(At.STREAM_ADDRESS))), port) if port else None

    @property
    def packet_bytes(self) -> int:
        """Of a stream packet, headers included."""
        return self._get(At.STREAM_PACKET) & 0xFFFF

    def put_source(self, port: int) -> None:
        """Where the stream comes from."""
        self._put(At.STREAM_SOURCE, port)

    def readout_ns(self, settings: Settings) -> int:
        """Two halves of the sensor are read at once, outwards from the middle."""
        return (-(-settings.roi.rows // 2) + 2) * self.model.row_ns

    def busy_ns(self, settings: Settings) -> int:
        """From the beginning of an exposure until the next one may begin."""
        wire_ns = round(settings.frame_bytes / self.model.link_bytes_per_s * 1e9)
        return max(settings.exposure_ns + self.readout_ns(settings), wire_ns)

    def release(self) -> None:
        """Nobody controls it any more: it stops."""
        self._put(At.CONTROL, 0)
        self._put(At.STREAM_PORT, 0)
        self.acquiring = False

    # --- reading ----------------------------------------------------------------------------------------------------

    def read(self, at: int, size: int) -> bytes:
        """Memory as an application reads it. Raises Refused."""
        if at % 4 or size % 4:
            raise Refused(wire.BAD_ALIGNMENT)
        if size > wire.MOST_MEMORY:
            raise Refused(wire.INVALID_PARAMETER)
        if at >= At.XML:
            data = self._xml[at - At.XML : at - At.XML + size]
            if not data:
                raise Refused(wire.INVALID_ADDRESS)
            return data.ljust(size, b"\0")
        if at + size > len(self._memory):
            raise Refused(wire.INVALID_ADDRESS)
        self._refresh()
        return bytes(self._memory[at : at + size])

    def _refresh(self) -> None:
        t = self.told
        self._put(At.WIDTH, t.roi.columns, t.roi.rows, t.roi.column, t.roi.row, t.pixel_format)
        self._put(At.MODE, self._mode)
        self._put(At.FRAMES, self._count)
        self._put(At.EXPOSURE_AUTO, self._auto, int(self.triggered), int(t.line))
        self._put(At.PAYLOAD, t.frame_bytes)
        fastest_hz = 1e9 / self.busy_ns(t)
        struct.pack_into(">d", self._memory, At.EXPOSURE, t.exposure_us)
        struct.pack_into(">dd", self._memory, At.FRAME_RATE, fastest_hz, fastest_hz)

    # --- writing ----------------------------------------------------------------------------------------------------

    def write(self, at: int, data: bytes) -> Act | None:
        """Memory as an application writes it; what follows from it. Raises Refused, and changes nothing then."""
        if at == At.EXPOSURE and len(data) == 8:
            self._write_exposure(struct.unpack(">d", data)[0])
            return None
        if at == At.FRAME_RATE and len(data) == 8:
            return None  # triggered, it is as fast as its triggers
        if len(data) != 4:
            raise Refused(wire.INVALID_PARAMETER)
        return self._write_word(at, int.from_bytes(data, "big"))

    def _write_word(self, at: int, value: int) -> Act | None:
        if at in _JUST_KEPT:
            self._put(at, value)
            return None
        if at == At.CONTROL:
            self._put(at, value)
            return Act.CONTROL
        if at == At.CLOCK_CONTROL:
            if value & _LATCH and not self._plain:
                self._memory[At.CLOCK_VALUE : At.CLOCK_VALUE + 8] = struct.pack(">Q", self._clock_ns())
            return None
        if at == At.STREAM_PACKET:
            if not 576 <= value & 0xFFFF <= 9000:
                raise Refused(wire.INVALID_PARAMETER)
            self._put(at, value & ~_FIRE_TEST)
            return Act.TEST_PACKET if value & _FIRE_TEST else None
        if at == At.TRIGGER:
            return Act.TRIGGER
        if at == At.START:
            self.acquiring = True
            return Act.START
        if at == At.STOP:
            self.acquiring = False
            return Act.STOP
        self._write_setting(at, value)
        return None

    def _write_setting(self, at: int, value: int) -> None:
        if self.acquiring:
            raise Refused(wire.ACCESS_DENIED)
        t = self.told
        roi = t.roi
        match at:
            case At.WIDTH:
                new = replace(t, roi=_roi(roi, columns=self._size(value, roi.column, COLUMNS, self.model.columns)))
            case At.HEIGHT:
                new = replace(t, roi=_roi(roi, rows=self._size(value, roi.row, ROWS, self.model.rows)))
            case At.OFFSET_X:
                new = replace(t, roi=_roi(roi, column=self._place(value, roi.columns, COLUMNS, self.model.columns)))
            case At.OFFSET_Y:
                new = replace(t, roi=_roi(roi, row=self._place(value, roi.rows, ROWS, self.model.rows)))
            case At.FORMAT if value in (MONO8, MONO12, MONO16):
                new = replace(t, pixel_format=value)
            case At.MODE if value in (0, 1, 2):
                self._mode, new = value, t
            case At.FRAMES if 1 <= value <= 0xFFFF:
                self._count, new = value, t
            case At.EXPOSURE_AUTO if value in (0, 1):
                self._auto, new = value, t
            case At.TRIGGER_MODE if value in (0, 1):
                self.triggered, new = bool(value), t
            case At.TRIGGER_SOURCE if value in (0, 1):
                new = replace(t, line=bool(value))
            case _:
                raise Refused(wire.INVALID_PARAMETER if At.WIDTH <= at <= At.FASTEST else wire.WRITE_PROTECT)
        self._take(replace(new, frames=(0, 1, self._count)[self._mode]))

    def _write_exposure(self, exposure_us: float) -> None:
        if not _SHORTEST_US <= exposure_us <= self.model.longest_us:
            raise Refused(wire.INVALID_PARAMETER)
        self._take(replace(self.told, exposure_us=float(round(exposure_us))))

    def _take(self, told: Settings) -> None:
        self.told = told
        kept = self.true
        true = replace(told, exposure_us=_AUTO_US) if self._auto else told
        if self.deaf:  # size and format show, so they cannot be ignored without being noticed by anybody
            place = _roi(told.roi, row=kept.roi.row, column=kept.roi.column)
            true = replace(true, exposure_us=kept.exposure_us, roi=self._inside(place))
        self.true = true

    def _inside(self, roi: ROI) -> ROI:
        row, column = min(roi.row, self.model.rows - roi.rows), min(roi.column, self.model.columns - roi.columns)
        return _roi(roi, row=row, column=column)

    def _size(self, value: int, place: int, steps: tuple[int, int], most: int) -> int:
        least, step = min(steps[0], most), steps[1]
        if value < least or value + place > most or (value - least) % step:
            raise Refused(wire.INVALID_PARAMETER)
        return value

    def _place(self, value: int, size: int, steps: tuple[int, int], most: int) -> int:
        if value + size > most or value % steps[1]:
            raise Refused(wire.INVALID_PARAMETER)
        return value


def _roi(roi: ROI, **changed: int) -> ROI:
    kept = {"row": roi.row, "column": roi.column, "rows": roi.rows, "columns": roi.columns}
    return ROI(**(kept | changed))
