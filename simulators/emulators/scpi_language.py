"""SCPI without a wire (IEEE 488.2, SCPI-99 volume 1): headers, parameters, common commands, status, error queue."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

INFINITY = "9.900000E+37"
_QUEUE_LENGTH = 30

_TEXTS = {
    -100: "Command error",
    -101: "Invalid character",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -113: "Undefined header",
    -120: "Numeric data error",
    -131: "Invalid suffix",
    -141: "Invalid character data",
    -151: "Invalid string data",
    -200: "Execution error",
    -221: "Settings conflict",
    -222: "Data out of range",
    -224: "Illegal parameter value",
    -230: "Data corrupt or stale",
    -240: "Hardware error",
    -340: "Calibration failed",
    -350: "Queue overflow",
    -363: "Input buffer overrun",
}
_OPERATION_COMPLETE, _QUERY_ERROR, _DEVICE_ERROR, _EXECUTION_ERROR, _COMMAND_ERROR, _POWER_ON = 1, 4, 8, 16, 32, 128
_MULTIPLIERS = {
    "": 1.0,
    "EX": 1e18,
    "PE": 1e15,
    "T": 1e12,
    "G": 1e9,
    "MA": 1e6,
    "K": 1e3,
    "M": 1e-3,
    "U": 1e-6,
    "N": 1e-9,
    "P": 1e-12,
    "F": 1e-15,
    "A": 1e-18,
}


class ScpiError(Exception):
    """Goes into the error queue; nothing was changed."""

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.text = _TEXTS[code] + (f";{detail}" if detail else "")


@dataclass(frozen=True)
class Call:
    """What came with a header: its numeric suffixes (1 where left out) and the parameters."""

    suffixes: tuple[int, ...]
    parameters: tuple[str, ...]

    def one(self) -> str:
        """The only parameter."""
        self.at_most(1)
        if not self.parameters:
            raise ScpiError(-109)
        return self.parameters[0]

    def at_most(self, n: int) -> None:
        """-108 if there are more parameters."""
        if len(self.parameters) > n:
            raise ScpiError(-108)


Handler = Callable[[Call], "str | bytes | None"]


def mnemonic(pattern: str) -> str:
    """Regular expression for the short or the long form of a mnemonic such as "WAVelength", and nothing between."""
    short = re.match(r"[A-Z]+", pattern)
    assert short is not None, pattern
    rest = pattern[short.end() :].upper()
    return f"{short[0]}(?:{rest})?" if rest else short[0]


_SYNTAX = {"<n>": r"(\d*)", "[": "(?:", "]": ")?", ":": ":", "?": r"\?"}


def header(pattern: str) -> re.Pattern[str]:
    """Expression for a header such as "[SENSe:]POWer[:DC]:RANGe[:UPPer]?" or "CHANnel<n>:SCALe"."""
    tokens = re.findall(r"<n>|[A-Z]+[a-z]*|[][:?]", pattern)
    assert "".join(tokens) == pattern, pattern
    return re.compile("".join(_SYNTAX.get(t) or mnemonic(t) for t in tokens), re.IGNORECASE)


def choice(text: str, patterns: Sequence[str]) -> str:
    """Which of the patterns a character parameter is, by its short or long form; the answer is the short form."""
    for pattern in patterns:
        if re.fullmatch(mnemonic(pattern), text.strip(), re.IGNORECASE):
            return re.match(r"[A-Z]+", pattern)[0]  # type: ignore[index]
    raise ScpiError(-141 if re.fullmatch(r"\w+", text.strip()) else -104, text)


def boolean(text: str) -> bool:
    """ON, OFF or a number."""
    word = text.strip().upper()
    if word in ("ON", "OFF"):
        return word == "ON"
    try:
        return round(float(word)) != 0
    except ValueError:
        raise ScpiError(-104, text) from None


@dataclass(frozen=True)
class Numeric:
    """A numeric parameter: limits and default in the unit that a plain number has.

    unit: SI unit that a suffix ends with. plain: what a number without suffix counts in, in that unit (1e-9 for nm).
    """

    minimum: float
    maximum: float
    default: float
    unit: str = ""
    plain: float = 1.0

    def special(self, text: str) -> float | None:
        """The value of MINimum, MAXimum or DEFault."""
        for pattern, value in (("MINimum", self.minimum), ("MAXimum", self.maximum), ("DEFault", self.default)):
            if re.fullmatch(mnemonic(pattern), text.strip(), re.IGNORECASE):
                return value
        return None

    def parse(self, text: str) -> float:
        """Value in plain units; ScpiError if it is none or out of range."""
        found = self.special(text)
        if found is not None:
            return found
        matched = re.fullmatch(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:\s*[eE]\s*[+-]?\d+)?)\s*([A-Za-z]*)\s*", text)
        if matched is None:
            raise ScpiError(-120 if re.match(r"\s*[+\-.\d]", text) else -104, text)
        value = float(matched[1].replace(" ", ""))
        if matched[2]:
            value *= self._multiplier(matched[2].upper()) / self.plain
        # A limit sent back by the instrument in decimal may be one rounding away from itself.
        if not self.minimum * (1 - 1e-9) <= value <= self.maximum * (1 + 1e-9):
            raise ScpiError(-222, text)
        return min(max(value, self.minimum), self.maximum)

    def _multiplier(self, suffix: str) -> float:
        if not self.unit or not suffix.endswith(self.unit.upper()):
            raise ScpiError(-131, suffix)
        factor = _MULTIPLIERS.get(suffix.removesuffix(self.unit.upper()))
        if factor is None:
            raise ScpiError(-131, suffix)
        return factor


class Interpreter:
    """Commands by header, the error queue and the status registers of IEEE 488.2."""

    def __init__(self, identity: Callable[[], str], reset: Callable[[], None]) -> None:
        self._commands: list[tuple[re.Pattern[str], Handler]] = []
        self._found: dict[str, tuple[Handler, tuple[int, ...]]] = {}
        self._errors: deque[tuple[int, str]] = deque()
        self._event = _POWER_ON
        self._event_enable = 0
        self._service_enable = 0
        self._reset = reset
        self.questionable = 0
        """Condition register: bit 3 for a doubtful power."""
        self._questionable_event = 0
        self._common: dict[str, Handler] = {
            "*IDN?": lambda call: identity(),
            "*RST": lambda call: self._reset(),
            "*CLS": lambda call: self.clear(),
            "*OPC": lambda call: self._mark(_OPERATION_COMPLETE),
            "*OPC?": lambda call: "1",
            "*TST?": lambda call: "0",
            "*WAI": lambda call: None,
            "*ESR?": lambda call: str(self._read_event()),
            "*ESE?": lambda call: str(self._event_enable),
            "*ESE": self._write_event_enable,
            "*SRE?": lambda call: str(self._service_enable),
            "*SRE": self._write_service_enable,
            "*STB?": lambda call: str(self.status_byte()),
        }
        self.define("SYSTem:ERRor[:NEXT]?", lambda call: self.next_error())
        self.define("SYSTem:ERRor:COUNt?", lambda call: str(len(self._errors)))
        self.define("SYSTem:VERSion?", lambda call: "1999.0")
        self.define("STATus:QUEStionable:CONDition?", lambda call: str(self.questionable))
        self.define("STATus:QUEStionable[:EVENt]?", lambda call: str(self._read_questionable()))

    def define(self, pattern: str, handler: Handler) -> None:
        """A command, or a query if the pattern ends in "?"."""
        self._commands.append((header(pattern), handler))

    def execute(self, message: bytes) -> bytes:
        """One program message without its terminator; the response message without terminator, b"" if there is none."""
        replies: list[bytes] = []
        path = ""
        for unit in _split(message.decode("latin-1"), ";"):
            text = unit.strip()
            if not text:
                continue
            head, *rest = text.split(None, 1)
            full = head if head[0] == "*" else head[1:] if head[0] == ":" else path + head
            if head[0] != "*":
                path = full.rpartition(":")[0] + ":" if ":" in full else ""
            try:
                reply = self._run(full, tuple(p.strip() for p in _split(rest[0], ",")) if rest else ())
            except ScpiError as error:
                self.error(error)
                if error.code > -200:
                    break  # a command error ends the message (IEEE 488.2, 11.5.1.1.4)
                continue
            if reply is not None:
                replies.append(reply if isinstance(reply, bytes) else reply.encode("ascii"))
        return b";".join(replies)

    def _run(self, full: str, parameters: tuple[str, ...]) -> str | bytes | None:
        if full[0] == "*":
            common = self._common.get(full.upper())
            if common is None:
                raise ScpiError(-113, full)
            return common(Call((), parameters))
        handler, suffixes = self._find(full)
        return handler(Call(suffixes, parameters))

    def _find(self, full: str) -> tuple[Handler, tuple[int, ...]]:
        found = self._found.get(full)
        if found is None:
            for pattern, handler in self._commands:
                matched = pattern.fullmatch(full)
                if matched:
                    found = self._found[full] = handler, tuple(int(g or 1) for g in matched.groups())
                    break
            else:
                raise ScpiError(-113, full)
        return found

    # --- status -----------------------------------------------------------------------------------------------------

    def error(self, error: ScpiError) -> None:
        """Into the queue and the event register."""
        bit = {1: _COMMAND_ERROR, 2: _EXECUTION_ERROR, 3: _DEVICE_ERROR, 4: _QUERY_ERROR}[-error.code // 100]
        self._mark(bit)
        if len(self._errors) < _QUEUE_LENGTH:
            self._errors.append((error.code, error.text))
        else:
            self._errors[-1] = (-350, _TEXTS[-350])

    def next_error(self) -> str:
        """Oldest error, which leaves the queue."""
        code, text = self._errors.popleft() if self._errors else (0, "No error")
        return f'{code:+d},"{text}"'

    def clear(self) -> None:
        """As *CLS does."""
        self._errors.clear()
        self._event = self._questionable_event = 0

    def doubt(self, bit: int, doubtful: bool) -> None:
        """Set or clear a bit of the questionable condition register."""
        self.questionable = self.questionable | bit if doubtful else self.questionable & ~bit
        self._questionable_event |= self.questionable

    def status_byte(self) -> int:
        """Bit 2 errors, 3 questionable, 5 standard events, 6 a request for service."""
        byte = 4 * bool(self._errors) | 8 * bool(self._questionable_event)
        byte |= 32 * bool(self._event & self._event_enable)
        return byte | 64 * bool(byte & self._service_enable)

    def _mark(self, bit: int) -> None:
        self._event |= bit

    def _read_event(self) -> int:
        event, self._event = self._event, 0
        return event

    def _read_questionable(self) -> int:
        event, self._questionable_event = self._questionable_event, 0
        return event

    def _write_event_enable(self, call: Call) -> None:
        self._event_enable = int(Numeric(0, 255, 0).parse(call.one()))

    def _write_service_enable(self, call: Call) -> None:
        self._service_enable = int(Numeric(0, 255, 0).parse(call.one()))


def block(data: bytes) -> bytes:
    """Definite-length arbitrary block response (IEEE 488.2, 8.7.9), with eight digits as Keysight sends them."""
    return b"#8%08d" % len(data) + data


def _split(text: str, separator: str) -> list[str]:
    """Parts at separators that are not within quotes."""
    parts, quote, current = [], "", ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == separator:
            parts.append(current)
            current = ""
            continue
        current += character
    return [*parts, current]
