"""SCPI instruments over pyvisa: opening, questions with checked answers, and a line that heals itself.

Whatever pyvisa or its backend raises becomes TimeoutError, ConnectionError or ValueError here, so that `drivers.link`
can tell an instrument that is late from a line that is broken.
"""

from __future__ import annotations

import contextlib
import math
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from drivers.errors import ConfigurationError, DeviceError
from drivers.link import Link

if TYPE_CHECKING:
    from pyvisa.resources import MessageBasedResource

OVERFLOW = 9.9e37
"""What SCPI instruments send for infinity, and Thorlabs power meters for a power beyond the range."""
NOT_A_NUMBER = 9.91e37

_MOST_ERRORS = 20
_RESYNC_S = 0.3


class Line:
    """One open resource. Times in s; every answer is checked for being what was asked for."""

    def __init__(self, resource: MessageBasedResource, timeout_s: float) -> None:
        self._resource = resource
        self._timeout_s = timeout_s
        self._is_socket = str(resource.resource_name).upper().endswith("::SOCKET")

    def write(self, command: str) -> None:
        """Send a command."""
        with _translated():
            self._resource.write(command)

    def read(self, extra_s: float = 0.0) -> str:
        """The next answer, for which ``extra_s`` more than the timeout is waited."""
        with _translated(), self._patience(self._timeout_s + extra_s):
            return self._resource.read().strip()

    def ask(self, query: str, extra_s: float = 0.0) -> str:
        """Answer to a query."""
        self.write(query)
        return self.read(extra_s)

    def number(self, query: str, extra_s: float = 0.0) -> float:
        """Answer to a query as a number; ValueError if it is none. `OVERFLOW` stays what it is."""
        return to_number(query, self.ask(query, extra_s))

    def block(self, query: str, datatype: Literal["B", "H"], extra_s: float = 0.0) -> NDArray[Any]:
        """The data of a definite-length block (IEEE 488.2, 8.7.9), exact whatever bytes are in it.

        datatype: unsigned numbers of one ("B") or two ("H", the higher byte first) bytes.
        """
        with _translated(), self._patience(self._timeout_s + extra_s):
            data = self._resource.query_binary_values(
                query, datatype=datatype, is_big_endian=True, container=np.ndarray
            )
        return np.asarray(data)

    def errors(self) -> list[str]:
        """What stood in the instrument's error queue, oldest first; it is empty now."""
        found: list[str] = []
        for _ in range(_MOST_ERRORS):
            reply = self.ask("SYST:ERR?")
            code, _, text = reply.partition(",")
            if int(to_number("SYST:ERR?", code)) == 0:
                break
            found.append(f"{code.strip()} {text.strip().strip(chr(34))}")
        return found

    def check(self, device: str, what: str, cure: str) -> None:
        """DeviceError with the instrument's own words if it refused something since the last time."""
        errors = self.errors()
        if errors:
            raise DeviceError(f"{device}.{what}: the instrument refused it ({'; '.join(errors)}). {cure}")

    def flush(self) -> None:
        """Throw away what may still come; ConnectionError on a socket, which has no messages that could be cleared and
        is opened anew instead.
        """
        if self._is_socket:
            raise ConnectionError("a socket is opened anew")
        with _translated(), self._patience(_RESYNC_S):
            self._resource.clear()

    def resynchronise(self) -> None:
        """Wait for an identification as a mark: what comes after it answers what is asked after it.

        Not needed on a new socket. Others may still hold an answer to the last user, and pyvisa-py cannot clear them.
        """
        if self._is_socket:
            return
        with _translated(), self._patience(_RESYNC_S):
            self._resource.write("*IDN?")
            for _ in range(_MOST_ERRORS):
                reply = self._resource.read().strip()
                if reply.count(",") >= 2 and reply[0].isalpha():
                    return
        raise ConnectionError("the instrument does not find back to answering what it is asked")

    def close(self) -> None:
        """Close the resource."""
        with _translated():
            self._resource.close()

    @contextlib.contextmanager
    def _patience(self, seconds: float) -> Iterator[None]:
        self._resource.timeout = max(1, math.ceil(1e3 * seconds))
        try:
            yield
        finally:
            with contextlib.suppress(Exception):
                self._resource.timeout = max(1, math.ceil(1e3 * self._timeout_s))


def to_number(query: str, reply: str) -> float:
    """ValueError that says what was asked if ``reply`` is no number, or SCPI's not-a-number."""
    try:
        value = float(reply)
    except ValueError:
        raise ValueError(f"{query!r} was answered by {reply!r:.80}, which is not a number") from None
    if not math.isfinite(value) or value == NOT_A_NUMBER:
        raise ValueError(f"{query!r} was answered by {reply!r:.80}: not a number")
    return value


def make_link(
    device: str, resource: str, timeout_s: float, library: str, greet: Callable[[Line], None], baud: int | None = None
) -> Link[Line]:
    """A line that is opened at the first conversation and anew after a failure.

    greet: said first on every new line; brings the instrument into the state the driver left it in.
    """

    link = Link(
        device,
        lambda: open_line(device, resource, timeout_s, library, baud),
        Line.close,
        Line.flush,
        late=(TimeoutError,),
        garbled=(ValueError,),
        broken=(OSError, EOFError),
    )

    def first_words(line: Line) -> None:
        line.resynchronise()
        greet(line)

    link.on_connect = first_words
    link.on_doubt = Line.resynchronise
    return link


def open_line(device: str, resource: str, timeout_s: float, library: str, baud: int | None = None) -> Line:
    """Open a resource through a VISA library ("@py": pyvisa-py; "": the vendor's).

    ConfigurationError if a package is missing or the name is none; ConnectionError if it does not open.
    """
    try:
        import pyvisa
        from pyvisa.resources import MessageBasedResource
    except ImportError as error:
        raise ConfigurationError(
            f"{device}: the package pyvisa is missing ({error}); pip install 'labctl[hardware]'"
        ) from None
    try:
        # Shared by all drivers of the process and never closed: closing it would close the others' instruments.
        manager = pyvisa.ResourceManager(library)
        opened = manager.open_resource(resource, open_timeout=math.ceil(1e3 * timeout_s))
    except pyvisa.errors.VisaIOError as error:
        if error.error_code == pyvisa.constants.StatusCode.error_invalid_resource_name:
            raise ConfigurationError(
                f'{device}: resource = "{resource}" is not a VISA resource name; write for example '
                '"USB0::0x1313::0x8078::P0001234::INSTR" or "TCPIP0::192.168.0.7::5025::SOCKET"'
            ) from None
        raise ConnectionError(f"{resource}: {error}") from error
    except ValueError as error:
        raise ConfigurationError(
            f"{device}: {resource} cannot be opened with VISA library {library!r} ({error}); pip install "
            "'labctl[hardware]', for USB also pyusb"
        ) from None
    except Exception as error:  # pyvisa-py raises bare Exception where it cannot connect
        raise ConnectionError(f"{resource}: {error}") from error
    if not isinstance(opened, MessageBasedResource):
        opened.close()
        raise ConfigurationError(f"{device}: {resource} does not speak in messages; SCPI needs an INSTR or SOCKET")
    opened.timeout = math.ceil(1e3 * timeout_s)
    opened.write_termination = "\n"
    opened.read_termination = "\n"
    if baud is not None and hasattr(opened, "baud_rate"):
        opened.baud_rate = baud
    _send_at_once(opened)
    return Line(opened, timeout_s)


def _send_at_once(resource: MessageBasedResource) -> None:
    """On a socket, do not hold back a message until the one before it was acknowledged: that costs 40 ms each.

    Vendors' libraries do so by default; pyvisa-py 0.8 does not, and fails to set the attribute that would tell it to.
    """
    sessions = getattr(resource.visalib, "sessions", {})
    interface = getattr(sessions.get(resource.session), "interface", None)
    if isinstance(interface, socket.socket) and interface.family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            interface.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    import pyvisa

    try:
        yield
    except pyvisa.errors.VisaIOError as error:
        if error.error_code == pyvisa.constants.StatusCode.error_timeout:
            raise TimeoutError(str(error)) from error
        raise ConnectionError(str(error)) from error
    except (pyvisa.errors.InvalidSession, NotImplementedError) as error:  # not every backend can clear every line
        raise ConnectionError(f"{type(error).__name__} {error}") from error
