"""What all SLMs that slmsuite drives have in common.

slmsuite is told gray levels, never phase: its own mapping is off by up to 0.7 rad away from the design wavelength, and
levels that were written read back one off. Its calls, and those of the vendor's library below it, run on a thread of
their own, so that one which never returns is a timeout here.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import queue
import threading
import time
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from drivers.contract import (
    SLM,
    ConfigurationError,
    DeviceError,
    Identity,
    LabError,
    LimitError,
    Sequence,
    SequenceTimes,
)
from drivers.correction import look_up, nearest_levels
from drivers.link import Link
from drivers.phase import check_pattern
from drivers.quantity import Metres, Seconds
from drivers.slmsuite_window import ScreenLock, close_window
from drivers.x11 import Display, Rectangle

log = logging.getLogger(__name__)

T = TypeVar("T")

SETTLE_S = 75e-3
"""After a local change, until the bench file or a calibration says better."""
BASE_SETTLE_S = 225e-3
"""After a whole new pattern."""

NOT_TOLD = "not told"
"""In an identity, where neither the instrument nor the bench file says."""

CLOSE_S = 5.0


class Stuck(Exception):
    """A call into the vendor's layer did not return in time."""


class Hand:
    """The one thread that talks to an instrument: its calls come in turn, and none is waited for for ever."""

    def __init__(self, name: str) -> None:
        self.stuck = False
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"{name}-slmsuite", daemon=True)
        self._thread.start()

    def call(self, job: Callable[[], T], timeout_s: float) -> T:
        """What ``job`` returns. Raises Stuck if it takes longer; it then still goes on, and nobody waits for it."""
        answer: Future[T] = Future()
        self._jobs.put((answer, job))
        try:
            return answer.result(timeout_s)
        except NotInTime:
            if answer.done():
                raise  # the job's own
            self.stuck = True
            raise Stuck(f"nothing within {timeout_s:g} s") from None

    def end(self, last: Callable[[], object], timeout_s: float) -> None:
        """Do one thing more and end. Of a thread that is stuck it is done when it comes back."""
        answer: Future[Any] = Future()
        self._jobs.put((answer, last))
        self._jobs.put(None)
        if not self.stuck:
            try:
                answer.result(timeout_s)
                self._thread.join(timeout_s)
            except NotInTime:
                log.warning("%s: closing takes longer than %g s", self._thread.name, timeout_s)

    def ended(self, timeout_s: float) -> bool:
        """Whether it has come to its end, within so long."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._jobs.get()) is not None:
            answer, job = item
            try:
                answer.set_result(job())
            except BaseException as error:  # noqa: BLE001 - belongs to whoever asked
                answer.set_exception(error)
            del item, answer, job


class Line:
    """An slmsuite SLM and the thread that talks to it. lost: it must be opened anew."""

    def __init__(self, hand: Hand, slm: Any, timeout_s: float) -> None:
        self.hand = hand
        self.slm = slm
        self.timeout_s = timeout_s
        self.lost = False

    def show(self, frame: NDArray[Any], check: Callable[[], None] = lambda: None) -> None:
        """Send gray levels (rows, columns) and check that they are shown, all within the timeout."""

        def send() -> None:
            self.slm.set_phase(frame, settle=False)
            check()

        self.hand.call(send, self.timeout_s)

    def close(self) -> None:
        """Release the SLM and end the thread."""
        self.hand.end(self.release, CLOSE_S)

    def release(self) -> None:
        """Release the SLM; on its own thread."""
        self.slm.close()


class SlmsuiteOptions(BaseModel):
    """Keys that all SLMs of slmsuite share.

    serial: of the panel; told where the SLM tells none of its own, and one that tells another is refused. model: what
    it is, where the SLM does not tell. pitch: distance of pixels; None is what slmsuite says. wavelength: of the
    light, which only slmsuite's own messages make use of. gray_levels: how many make a turn of 2 pi, if they rise
    linearly; None is all that there are. lut: file with the phase (rad) of the levels from 0 up, one a line, in place
    of a linear rise. timeout: for one pattern. open_within: for opening it, as windows and libraries take their time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    serial: str | None = Field(None, min_length=1, max_length=100)
    model: str | None = Field(None, min_length=1, max_length=100)
    pitch: Metres | None = Field(None, gt=0, le=1e-3)
    wavelength: Metres = Field(633e-9, gt=200e-9, lt=20e-6)
    gray_levels: int | None = Field(None, ge=2, le=65536)
    lut: Path | None = None
    timeout: Seconds = Field(5.0, gt=0, le=60)
    open_within: Seconds = Field(15.0, gt=0, le=300)


class WindowOptions(SlmsuiteOptions):
    """Of SLMs whose panel is a screen. x_display: X11 server, such as ":0"; None is the environment's. x_authority:
    file with the server's cookie, if not the usual one.
    """

    x_display: str | None = Field(None, pattern=r"^[\w.\-/]*:\d+(\.\d+)?$")
    x_authority: str | None = None


class SlmsuiteSLM(SLM):
    """What all SLMs of slmsuite share: patterns composed on the host, own gray levels, real-time settling."""

    def __init__(self, name: str, options: SlmsuiteOptions) -> None:
        super().__init__(name)
        self._options = options
        self._link: Link[Line] = Link(
            name,
            self._connect_anew,
            lambda line: line.close(),
            self._give_up,
            late=(Stuck, TimeoutError),
            broken=self.broken,
        )
        self._link.on_connect = self._begin
        self._turn = threading.RLock()
        self._stopping = threading.Condition()
        self._stops = 0
        self._opened = False
        self._hanging: Hand | None = None
        self._table: NDArray[Any] | None = None
        self._reset()

    broken: ClassVar[tuple[type[BaseException], ...]] = (OSError, RuntimeError, ValueError, AttributeError, TypeError)
    """What slmsuite and the layers below it raise when they fail."""

    def _reset(self) -> None:
        self._settle_s, self._base_settle_s = SETTLE_S, BASE_SETTLE_S
        self._pattern_id = 0
        self._stable_ns = self._restored_ns = 0
        self._told_before = ""
        self._shape = (0, 0)
        self._depth = 256
        self._pitch_m = 0.0
        self._sent = np.zeros((0, 0), np.uint8)

    # --- what differs -----------------------------------------------------------------------------------------------

    @abstractmethod
    def _connect(self) -> Line:
        """Open the SLM."""

    def _check(self, line: Line, frame: NDArray[Any]) -> None:
        """Raise DeviceError unless what was sent is shown, as far as can be found out; on the line's own thread."""

    def _told_serial(self, line: Line) -> str:
        """Serial number that the SLM tells now, "" if it tells none; on the line's own thread."""
        return next((str(getattr(line.slm, a)) for a in ("serial", "serial_number") if getattr(line.slm, a, None)), "")

    def _check_serial(self, told: str) -> None:
        """Raise if what the SLM tells is not the serial number that it must be; "" is never wrong."""
        wanted = self._options.serial
        if told and wanted is not None and told != wanted:
            raise ConfigurationError(
                f"{self.name}: the SLM tells serial number {told}, the bench file says {wanted}; connect that one, or "
                "correct the bench file"
            )
        if told and self._told_before and told != self._told_before:
            raise DeviceError(
                f"{self.name}: serial number {self._told_before} was connected and now it is {told}, another SLM, for "
                "which calibrations do not hold; connect the one before, or close and open the device"
            )
        self._told_before = told or self._told_before

    def _give_up(self, line: Line) -> None:
        # Nothing can be flushed: the line is dropped, and opened anew at the next call.
        self._hanging = line.hand
        raise OSError(f"{self.name}: the call into slmsuite has not returned")

    def _connect_anew(self) -> Line:
        if self._hanging is not None and not self._hanging.ended(min(CLOSE_S / 5, self._options.timeout)):
            raise DeviceError(
                f"{self.name}: an earlier call into slmsuite still hangs. Check the SLM, its cable and its driver "
                "(for a screen, the X11 server); restart the device server if that does not help"
            )
        self._hanging = None
        return self._connect()

    # --- life -------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect and blank the panel (gray 0)."""
        with self._turn:
            if self._opened:
                return
            self._reset()
            self._table = None if self._options.lut is None else _read_levels(self.name, self._options.lut)
            with self._link.talk("open"):
                self._pattern_id = self._restored_ns = 0
            self._opened = True

    def _begin(self, line: Line) -> None:
        """A line that is new: learn the panel and blank it; after a loss, show again what it showed before."""
        self._check_serial(line.hand.call(lambda: self._told_serial(line), line.timeout_s))
        slm = line.slm
        shape, depth = tuple(int(n) for n in slm.shape), 2 ** int(slm.bitdepth)
        pitch_m = self._options.pitch or float(np.ravel(slm.pitch_um)[0]) * 1e-6
        levels = self._options.gray_levels or depth
        if levels > depth:
            raise ConfigurationError(f"{self.name}: gray_levels = {levels}; the panel has {depth}")
        if self._table is not None and self._table.max() >= depth:
            raise ConfigurationError(
                f"{self.name}: lut = {self._options.lut} holds more phases than the panel has levels, {depth}"
            )
        if self._shape not in ((0, 0), shape):
            raise DeviceError(f"{self.name}: the panel was {self._shape} pixels and is now {shape}; close and open it")
        self._shape, self._depth, self._pitch_m = (shape[0], shape[1]), depth, pitch_m
        if self._sent.shape != shape:
            self._sent = np.zeros(self._shape, np.uint8 if depth <= 256 else np.uint16)
        self._show(line, self._sent, whole=True)
        self._restored_ns = self._stable_ns

    def close(self) -> None:
        """Blank the panel and disconnect."""
        self.safe()
        with self._turn:
            self._opened = False
            if self._link.connected:
                try:
                    with self._link.talk("close") as line:
                        line.show(np.zeros_like(self._sent))
                except LabError as error:
                    log.warning("%s: not blanked before it was closed: %s", self.name, error)
            self._link.drop()

    def safe(self) -> None:
        """A phase pattern harms nothing; a wait in progress is stopped. Nothing is said to the panel."""
        with self._stopping:
            self._stops += 1
            self._stopping.notify_all()

    def identity(self) -> Identity:
        """slmsuite's class and name of the SLM; few of its SLMs tell more."""
        self._must_be_open("identity")
        with self._turn, self._link.talk("identity") as line:
            told = line.hand.call(lambda: self._told_serial(line), line.timeout_s)
            return Identity(
                model=self._options.model or f"{type(line.slm).__name__} {line.slm.name}".strip(),
                serial=told or self._options.serial or NOT_TOLD,
                firmware=f"{NOT_TOLD}; slmsuite {version()}",
            )

    # --- patterns ---------------------------------------------------------------------------------------------------

    def write(self, phase: NDArray[np.floating[Any]], row: int = 0, column: int = 0, whole: bool = True) -> int:
        """Show a pattern; see the contract."""
        with self._turn:
            self._must_be_open("write")
            check_pattern(self.name, phase, row, column, *self._shape)
            return self._send(self.gray_for(phase, row, column), row, column, whole, "write")

    def write_gray(self, gray: NDArray[np.integer[Any]], row: int = 0, column: int = 0, whole: bool = True) -> int:
        """Show gray levels as they are; see the contract."""
        with self._turn:
            self._must_be_open("write_gray")
            self._check_gray(gray, row, column)
            return self._send(gray, row, column, whole, "write_gray")

    def _nominal_gray(self, phase: NDArray[np.floating[Any]]) -> NDArray[Any]:
        return super()._nominal_gray(phase) if self._table is None else look_up(self._table, phase)

    def _check_gray(self, gray: NDArray[np.integer[Any]], row: int, column: int) -> None:
        what = f"{self.name}.write_gray"
        if not isinstance(gray, np.ndarray) or gray.ndim != 2 or gray.dtype not in (np.uint8, np.uint16):
            found = f"{gray.dtype} {gray.shape}" if isinstance(gray, np.ndarray) else type(gray).__name__
            raise LimitError(f"{what}: an array (rows, columns) of uint8 or uint16 is needed, not {found}")
        rows, columns = gray.shape
        if row < 0 or column < 0 or row + rows > self._shape[0] or column + columns > self._shape[1]:
            raise LimitError(
                f"{what}: a pattern of {rows}x{columns} at row {row}, column {column} does not fit the panel's "
                f"{self._shape[0]}x{self._shape[1]} pixels"
            )
        if gray.size and gray.max() >= self._read_levels():
            raise LimitError(f"{what}: gray level {gray.max()}; the panel has 0 to {self._read_levels() - 1}")

    def _send(self, gray: NDArray[Any], row: int, column: int, whole: bool, what: str) -> int:
        with self._link.talk(what) as line:
            frame = self._sent.copy()
            frame[row : row + gray.shape[0], column : column + gray.shape[1]] = gray
            self._show(line, frame, whole)
        return self._pattern_id

    def _show(self, line: Line, frame: NDArray[Any], whole: bool) -> None:
        self._pattern_id += 1  # should it fail, it is not known what was shown; no id is given twice
        try:
            line.show(frame, lambda: self._check(line, frame))
        except DeviceError:
            if line.lost:
                self._link.drop()  # opened anew at the next call
            raise
        self._sent = frame
        settle_ns = round((self._base_settle_s if whole else self._settle_s) * 1e9)
        self._stable_ns = max(time.monotonic_ns() + settle_ns, self._restored_ns)

    def settle(self) -> int:
        """Wait until the pattern written last is stable. DeviceError if `safe` was called meanwhile."""
        stable_ns = self._stable_ns
        with self._stopping:
            stops = self._stops
            while (remaining_ns := stable_ns - time.monotonic_ns()) > 0:
                self._stopping.wait(remaining_ns / 1e9)
                if self._stops != stops:
                    raise DeviceError(f"{self.name}.settle: stopped by safe() before the pattern was stable")
        return stable_ns

    def load(self, sequence: Sequence) -> int:
        """Refused: the panel has no memory for sequences. A sequencer with software timing plays them."""
        sequence.validate(*self._shape)
        raise LimitError(f"{self.name}.load: {len(sequence)} patterns, the memory holds 0; use timing = software")

    def run(self, dwell_s: float) -> SequenceTimes:
        """Refused, as `load`."""
        raise DeviceError(f"{self.name}.run: no sequence is stored, and none can be; use timing = software")

    def read_back(self) -> NDArray[Any]:
        """What was last sent: slmsuite does not read panels."""
        with self._turn:
            self._must_be_open("read_back")
            return self._handed_out(self._sent)

    def _handed_out(self, frame: NDArray[Any]) -> NDArray[Any]:
        found = self.allocate(frame.shape, frame.dtype)
        found[:] = frame
        return found

    def _must_be_open(self, what: str) -> None:
        if not self._opened:
            raise DeviceError(f"{self.name}.{what}: it is not open; call open()")

    # --- settings ---------------------------------------------------------------------------------------------------

    def _read_rows(self) -> int:
        self._must_be_open("rows")
        return self._shape[0]

    def _read_columns(self) -> int:
        self._must_be_open("columns")
        return self._shape[1]

    def _read_pixel_pitch_m(self) -> float:
        self._must_be_open("pixel_pitch_m")
        return self._pitch_m

    def _read_levels(self) -> int:
        return self._depth if self._table is not None else self._options.gray_levels or self._depth

    def _read_sequence_memory(self) -> int:
        return 0

    def _read_settle_s(self) -> float:
        return self._settle_s

    def _write_settle_s(self, value: float) -> None:
        self._settle_s = value

    def _read_base_settle_s(self) -> float:
        return self._base_settle_s

    def _write_base_settle_s(self, value: float) -> None:
        self._base_settle_s = value


def _read_levels(device: str, path: Path) -> NDArray[Any]:
    try:
        table = np.loadtxt(path, dtype=np.float64, ndmin=1)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{device}: lut = {path}: {error}; needed are phases in rad, one a line") from error
    if table.ndim != 1 or not 2 <= len(table) <= 65536 or not np.isfinite(table).all():
        raise ConfigurationError(f"{device}: lut = {path}: needed are 2 to 65536 finite phases in rad, one a line")
    return nearest_levels(table)


def version() -> str:
    """slmsuite's."""
    return str(importlib.import_module("slmsuite").__version__)


def quiet_slmsuite(device: str) -> None:
    """Import slmsuite without what it prints. ConfigurationError if it is not installed."""
    try:
        slmsuite = importlib.import_module("slmsuite")
    except ImportError as error:
        raise ConfigurationError(
            f"{device}: slmsuite is not installed ({error}); install it: pip install 'labctl[hardware]'"
        ) from error
    slmsuite.configure_logging(None)  # its messages still reach whoever asks the logger


class WindowLine(Line):
    """An SLM that is a window on a screen, and the lock by which the screen is this process's.

    side: the other side of that screen, None where it cannot be looked at. area: where it lay when the window was
    opened.
    """

    def __init__(
        self,
        hand: Hand,
        slm: Any,
        timeout_s: float,
        lock: ScreenLock | None,
        side: Display | None = None,
        area: Rectangle | None = None,
    ) -> None:
        super().__init__(hand, slm, timeout_s)
        self.lock = lock
        self.side = side
        self.area = area

    def release(self) -> None:
        """Close the window, stop looking at it, and give the screen up."""
        with contextlib.ExitStack() as stack:
            if self.lock is not None:
                stack.callback(self.lock.release)
            if self.side is not None:
                stack.callback(self.side.close)
            close_window(self.slm)
