"""The SCPI language of the emulated instruments, against worked examples of vendors' documents and of IEEE 488.2.

Examples: [1] Thorlabs PM100USB Operation Manual (2020), section "Computer Interface", and the same text in the PM400
manual (2017), 5.5.1; [2] Thorlabs PM100D manual, 6.4; [3] HP 1650B/1651B Programming Reference, 1-17 (definite-length
blocks); [4] Keysight InfiniiVision 4000 X-Series Programmer's Guide, :WAVeform:DATA and :WAVeform:PREamble;
[5] SCPI-99 error texts as quoted in Agilent E4400 "Instrument Messages".
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from drivers.contract import ConfigurationError, DeviceError
from drivers.visa import Line, make_link, open_line
from simulators.emulators.base import EmulatorOptions
from simulators.emulators.scpi import ScpiEmulator, ScpiOptions
from simulators.emulators.scpi_language import Interpreter, Numeric, block, header


class Bare(ScpiEmulator):
    """An instrument that returns blocks it was given and one number."""

    def __init__(self, data: bytes = b"", options: EmulatorOptions | None = None) -> None:
        super().__init__("bare", None, options or ScpiOptions.model_validate({"latency": "0 s"}))
        self.level = 1.0
        number = Numeric(0, 10, 1, "V")
        self.interpreter.define("DATA?", lambda call: block(data))
        self.interpreter.define("SOURce:LEVel", lambda call: setattr(self, "level", number.parse(call.one())))
        self.interpreter.define("SOURce:LEVel?", lambda call: f"{self.level:.6E}")

    def identify(self) -> str:
        return "MAKER,BARE,1,2"

    def reset(self) -> None:
        self.level = 1.0


def interpreter() -> Interpreter:
    made = Interpreter(lambda: "MAKER,MODEL,1,2", lambda: None)
    values = {"CURR": 1.0, "WAV": 1000.0}
    current, wavelength = Numeric(0, 1, 1, "A"), Numeric(185, 25000, 635, "M", 1e-9)

    def setting(pattern: str, key: str, numeric: Numeric) -> None:
        made.define(pattern, lambda call: values.__setitem__(key, numeric.parse(call.one())))
        made.define(
            pattern + "?",
            lambda call: f"{numeric.special(call.parameters[0]) if call.parameters else values[key]:.6E}",
        )

    setting("CURRent[:DC]:RANGe", "CURR", current)
    setting("[SENSe:]CORRection:WAVelength", "WAV", wavelength)
    setting("[SENSe:]CORRection:WAVE", "WAV", wavelength)
    return made


@pytest.fixture
def newlines() -> Iterator[Bare]:
    emulator = Bare(b"\x0a" * 50_000)
    yield emulator
    emulator.stop()


# --- grammar --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["CURR", "CURRENT", "current", "Current"])
def test_short_and_long_forms_are_taken_in_any_case(word: str) -> None:
    """[1]: "CURR and CURRENT are both acceptable forms ... CURRENT, current and Current are all acceptable"."""
    spoken = interpreter()
    assert spoken.execute(f"{word}:RANG?".encode()) == b"1.000000E+00"
    assert spoken.execute(b"SYST:ERR?") == b'+0,"No error"'


@pytest.mark.parametrize("word", ["CUR", "CURREN"])
def test_other_abbreviations_are_errors(word: str) -> None:
    """[1]: "Other forms, such as CUR and CURREN, will generate an error"; [5]: -113, undefined header."""
    spoken = interpreter()
    assert spoken.execute(f"{word}:RANG?".encode()) == b""
    assert spoken.execute(b"SYST:ERR?").startswith(b"-113,")


def test_an_optional_keyword_may_be_left_out() -> None:
    """[1]: CURR:DC:RANG 50E-6 "can be shortened"."""
    spoken = interpreter()
    spoken.execute(b"CURR:DC:RANG 50E-6")
    assert spoken.execute(b"CURR:RANG?") == b"5.000000E-05"


def test_the_manual_s_wavelength_example_works() -> None:
    """[1]: "CORR:WAVE 1550", "CORR:WAVE?", "CORR:WAVE? MIN", "CORR:WAVE? MAX"."""
    spoken = interpreter()
    spoken.execute(b"CORR:WAVE 1550")
    replies = [spoken.execute(q) for q in (b"CORR:WAVE?", b"CORR:WAVE? MIN", b"CORR:WAVE? MAX")]
    assert [float(r) for r in replies] == [1550, 185, 25000]


def test_common_commands_may_be_joined_by_semicolons() -> None:
    """[1]: "*RST; *CLS; *ESE 32; *OPC?"."""
    spoken = interpreter()
    assert spoken.execute(b"*RST; *CLS; *ESE 32; *OPC?") == b"1"
    assert spoken.execute(b"*ESE?") == b"32"


def test_a_header_after_a_semicolon_goes_on_where_the_last_one_was() -> None:
    spoken = interpreter()
    assert spoken.execute(b"SENS:CORR:WAV 700;WAV?;:CURR:RANG?") == b"7.000000E+02;1.000000E+00"
    assert spoken.execute(b"SENS:CORR:WAV 700;CURR:RANG?") == b""
    assert spoken.execute(b"SYST:ERR?").startswith(b"-113,")


@pytest.mark.parametrize(("text", "value"), [("700", 700), ("700 nm", 700), ("0.7UM", 700), (".7e3", 700)])
def test_suffixes_are_understood(text: str, value: float) -> None:
    """[1]: "You can also send engineering unit suffixes with numeric parameters (e.g., M, K, or u)"."""
    spoken = interpreter()
    spoken.execute(b"SENS:CORR:WAV " + text.encode())
    assert float(spoken.execute(b"SENS:CORR:WAV?")) == pytest.approx(value)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"*XYZ", -113),
        (b"SENS:CORR:WAV", -109),
        (b"SENS:CORR:WAV 1,2", -108),
        (b"SENS:CORR:WAV 5 kg", -131),
        (b"SENS:CORR:WAV blue", -104),
        (b"SENS:CORR:WAV 1e9", -222),
        (b"*ESE 0,1", -108),
        (b"*ESE", -109),
    ],
)
def test_errors_have_the_numbers_of_the_standard(message: bytes, code: int) -> None:
    """[5], among them its own examples *XYZ, *ESE and *ESE 0,1."""
    spoken = interpreter()
    before = spoken.execute(b"SENS:CORR:WAV?")
    spoken.execute(message)
    assert spoken.execute(b"SYST:ERR?").startswith(b"%d," % code)
    assert spoken.execute(b"SENS:CORR:WAV?") == before


def test_errors_queue_in_order_and_overflow() -> None:
    spoken = interpreter()
    spoken.execute(b"SENS:CORR:WAV 1e9")
    for _ in range(40):
        spoken.execute(b"*XYZ")
    codes = [int(spoken.next_error().split(",")[0]) for _ in range(31)]
    assert codes[0] == -222
    assert codes[1] == -113
    assert codes[-2:] == [-350, 0]


def test_an_error_shows_in_the_event_register_and_asks_for_service() -> None:
    """IEEE 488.2, 11.2 and 11.5: ESR bit 5 command, bit 4 execution; STB bit 5 summary, bit 6 service."""
    spoken = interpreter()
    spoken.execute(b"*CLS;*ESE 48;*SRE 32")
    assert spoken.execute(b"*STB?") == b"0"
    spoken.execute(b"SENS:CORR:WAV 1e9")
    assert int(spoken.execute(b"*STB?")) & 0b1100000 == 0b1100000
    assert spoken.execute(b"*ESR?;*ESR?") == b"16;0"


def test_suffixes_of_headers_are_numbers() -> None:
    matched = header("CHANnel<n>:SCALe").fullmatch("chan2:scale")
    assert matched is not None
    assert matched.groups() == ("2",)
    assert header("CHANnel<n>:SCALe").fullmatch("CHANN2:SCAL") is None


def test_a_block_says_how_long_it_is() -> None:
    """[3]: eighty bytes are sent as #800000080 and the bytes; [4]: #800001000."""
    assert block(bytes(80)).startswith(b"#800000080")
    assert block(bytes(1000))[:10] == b"#800001000"


# --- on the wire ----------------------------------------------------------------------------------------------------


def test_blocks_full_of_newlines_arrive_exactly(newlines: Bare) -> None:
    line = open_line("bare", newlines.start()["resource"], 2.0, "@py")
    data = line.block("DATA?", "B")
    assert line.ask("*IDN?") == "MAKER,BARE,1,2"
    line.close()
    assert data.tobytes() == b"\x0a" * 50_000


def test_large_random_blocks_arrive_exactly() -> None:
    data = np.random.default_rng(5).integers(0, 256, 1_000_000, np.uint8).tobytes()
    emulator = Bare(data)
    line = open_line("bare", emulator.start()["resource"], 2.0, "@py")
    received = [line.block("DATA?", "B").tobytes() for _ in range(2)]
    line.close()
    emulator.stop()
    assert received == [data, data]


def test_words_come_the_higher_byte_first() -> None:
    emulator = Bare(b"\x01\x02\x0a\x0a")
    line = open_line("bare", emulator.start()["resource"], 2.0, "@py")
    words = line.block("DATA?", "H").tolist()
    line.close()
    emulator.stop()
    assert words == [0x0102, 0x0A0A]


def test_messages_may_come_in_pieces_and_together() -> None:
    emulator = Bare()
    _, address, port, _ = emulator.start()["resource"].split("::")
    with socket.create_connection((address, int(port)), 2) as raw:
        raw.sendall(b"SOUR:LEV 3\r\nSOUR:")
        time.sleep(0.05)
        raw.sendall(b"LEV?\n*OPC?\n")
        received = b""
        while received.count(b"\n") < 2:
            received += raw.recv(100)
    emulator.stop()
    assert received == b"3.000000E+00\n1\n"


def test_starting_and_stopping_again_leaves_no_threads() -> None:
    emulator = Bare()
    before = threading.active_count()
    for _ in range(3):
        emulator.start()
        emulator.start()
        emulator.stop()
        emulator.stop()
    assert threading.active_count() == before


def test_a_cut_line_comes_back_at_the_same_port() -> None:
    emulator = Bare()
    resource = emulator.start()["resource"]
    host, port = resource.split("::")[1:3]
    emulator.inject("port-loss")
    with pytest.raises(ConnectionError):
        socket.create_connection((host, int(port)), 1)
    emulator.inject(None)
    socket.create_connection((host, int(port)), 1).close()
    emulator.stop()


# --- the drivers' line on instruments that are not ours -------------------------------------------------------------


def test_pyvisa_sim_s_instrument_is_identified_set_and_read() -> None:
    """Instrument "device 3" of pyvisa-sim's own bench."""
    line = open_line("sim", "USB::0x1111::0x2222::0x3692::INSTR", 0.5, "@sim")
    assert line.ask("*IDN?") == "SCPI,MOCK,VERSION_1.0"
    line.write(":VOLT:IMM:AMPL 2.500")
    assert line.number(":VOLT:IMM:AMPL?") == 2.5
    line.close()


def test_pyvisa_sim_s_error_queue_is_read_until_it_is_empty() -> None:
    """Instrument "device 4", whose error numbers are positive and whose texts are not quoted."""
    line = open_line("sim", "USB::0x1111::0x2222::0x4444::INSTR", 0.5, "@sim")
    line.write(":NO:SUCH:HEADER")
    assert line.ask(":SYST:ERR?") == "1, Command error"
    assert line.ask(":SYST:ERR?") == "0, No Error"
    line.close()


def test_garbage_from_pyvisa_sim_is_an_error_of_the_contract() -> None:
    """Instrument "device 3" answers INVALID_COMMAND where a number was asked for."""
    link = make_link("sim", "USB::0x1111::0x2222::0x3692::INSTR", 0.5, "@sim", lambda line: None)
    with pytest.raises(DeviceError, match="INVALID_COMMAND"), link.talk("power_w") as line:
        line.number("MEAS:POW?")
    link.drop()


# --- mistakes in the bench file -------------------------------------------------------------------------------------


@pytest.mark.parametrize("resource", ["nonsense", "TCPIP0::127.0.0.1::SOCKET::5"])
def test_a_name_that_is_none_is_a_mistake_of_the_bench_file(resource: str) -> None:
    with pytest.raises(ConfigurationError, match="resource"):
        open_line("meter", resource, 0.5, "@py")


def test_a_port_where_nobody_listens_is_a_device_error_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    link = make_link("meter", f"TCPIP0::127.0.0.1::{port}::SOCKET", 1.0, "@py", _greet)
    begun = time.monotonic()
    with pytest.raises(DeviceError, match=r"meter\.open"), link.talk("open"):
        pass
    assert time.monotonic() - begun < 4


def _greet(line: Line) -> Any:
    line.ask("*IDN?")
