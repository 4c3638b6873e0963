"""Unmodified Directors of pyleco use a simulated bench through a real Coordinator on the loopback."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest
from processes import finish, labctl_process, next_line
from pyleco.directors.director import Director
from pyleco.json_utils.errors import InvalidParams, JSONRPCError

from drivers.contract import ConfigurationError
from drivers.errors import ERROR_TYPES, BusError
from labctl.bus.roles import Role
from labctl.leco.component import ERROR_CODES
from labctl.leco.serve import coordinator, gateway

Meet = Callable[..., Director]


@pytest.fixture
def port() -> Iterator[int]:
    with coordinator(0, namespace="lab") as taken:
        yield taken


@pytest.fixture
def meet(port: int) -> Iterator[Meet]:
    """A Director of a component, by the name it has."""
    with ExitStack() as stack:

        def made(actor: str, name: str = "alice") -> Director:
            director = Director(actor=actor, name=f"{name}-{actor}", host="127.0.0.1", port=port, timeout=20)
            return stack.enter_context(closing(director))

        yield made


def code(failed: pytest.ExceptionInfo[JSONRPCError]) -> int:
    return int(failed.value.rpc_error.code)


def test_settings_are_read_and_set_and_operations_called(bench_file: Path, port: int, meet: Meet) -> None:
    with gateway(bench_file, role=Role.OPERATOR, port=port):
        camera = meet("camera")
        camera.set_parameters({"exposure_s": 0.01})
        read = camera.get_parameters(["exposure_s", "roi", "kind", "settings"])
        assert read["exposure_s"] == pytest.approx(0.01, rel=1e-3)  # in whole rows of the sensor
        assert read["roi"]["columns"] == 24
        assert read["kind"] == "camera"
        assert read["settings"]["exposure_s"]["unit"] == "s"
        camera.set_parameters({"roi": {"row": 8, "column": 8, "rows": 64, "columns": 48}})
        frame, payload = camera.ask_rpc("call_action", action="trigger", extract_additional_payload=True)
        assert frame["data"] == {"array": 0, "shape": [64, 48], "dtype": "<u2"}
        assert np.frombuffer(payload[0], "<u2").reshape(64, 48).mean() > 50
        assert len(meet("meter").call_action("trace", 5)) == 5
        assert meet("slm").call_action("write", [[0.0, 1.0], [2.0, 3.0]], row=4) >= 0
        assert any(method["name"] == "call_action" for method in camera.get_rpc_capabilities()["methods"])
        assert meet("neighbour").get_parameters("devices")["devices"] == ["slm", "camera", "pump", "meter"]


def test_errors_are_json_rpc_errors_that_name_their_type(bench_file: Path, port: int, meet: Meet) -> None:
    with gateway(bench_file, role=Role.LASER_OPERATOR, port=port):
        pump = meet("pump")
        with pytest.raises(JSONRPCError, match="outside") as failed:
            pump.set_parameters({"power_w": 7.0})
        assert code(failed) == ERROR_CODES["LimitError"]
        assert failed.value.rpc_error.data == {"type": "LimitError"}
        with pytest.raises(JSONRPCError) as failed:
            pump.set_parameters({"emission": True})
        assert code(failed) == ERROR_CODES["LeaseError"]
        for ask in (
            lambda: pump.get_parameters("_connection"),
            lambda: pump.get_parameters("description.settings"),
            lambda: pump.set_parameters({"name": "x"}),
            lambda: pump.call_action("__repr__"),
            lambda: pump.call_action("_connection.close"),
            lambda: pump.ask_rpc("get_parameters", parameters=7),
        ):
            with pytest.raises(InvalidParams):
                ask()
        for method in ("shut_down", "set_log_level", "connect", "disconnect"):
            with pytest.raises(JSONRPCError, match="-32601"):
                pump.ask_rpc(method)
        assert pump.get_parameters("power_w") == {"power_w": 1.0}


def test_every_type_of_error_has_a_code_of_its_own() -> None:
    assert set(ERROR_CODES) == set(ERROR_TYPES)
    assert len(set(ERROR_CODES.values())) == len(ERROR_CODES)


def test_observers_look_and_stop_and_change_nothing(bench_file: Path, port: int, meet: Meet) -> None:
    with gateway(bench_file, port=port):
        pump, bench = meet("pump"), meet("neighbour")
        assert pump.get_parameters("emission") == {"emission": False}
        for ask in (
            lambda: pump.set_parameters({"power_w": 2.0}),
            lambda: meet("camera").call_action("trigger"),
            lambda: bench.call_action("take_control"),
        ):
            with pytest.raises(JSONRPCError, match="observer") as failed:
                ask()
            assert code(failed) == ERROR_CODES["LeaseError"]
        bench.call_action("stop", "a drill")


def test_an_operator_makes_no_light(bench_file: Path, port: int, meet: Meet) -> None:
    with gateway(bench_file, role=Role.OPERATOR, port=port):
        pump = meet("pump")
        # Names of Directors are unique, and control is one Director's: it asks the bench under the same name.
        pump.call_action("take_control", actor="neighbour")
        with pytest.raises(JSONRPCError, match="laser-operator"):
            pump.set_parameters({"emission": True})


def test_control_is_kept_by_calling_and_lost_by_silence(bench_file: Path, port: int, meet: Meet) -> None:
    with gateway(bench_file, role=Role.LASER_OPERATOR, port=port):
        alice, bob = meet("pump"), meet("pump", "bob")
        alice.call_action("take_control", 5.0, actor="neighbour")
        alice.set_parameters({"emission": True})
        assert bob.get_parameters("emission") == {"emission": True}
        for ask in (
            lambda: bob.set_parameters({"power_w": 2.0}),
            lambda: bob.call_action("take_control", actor="neighbour"),
            lambda: bob.call_action("give_back", actor="neighbour"),
        ):
            with pytest.raises(JSONRPCError, match="alice-pump") as failed:
                ask()
            assert code(failed) == ERROR_CODES["LeaseError"]
        alice.call_action("give_back", actor="neighbour")
        assert bob.get_parameters("emission") == {"emission": False}

        bob.call_action("take_control", 0.5, actor="neighbour")
        bob.set_parameters({"emission": True})
        while alice.get_parameters("emission")["emission"]:  # whoever else asks does not keep it on
            time.sleep(0.05)
        assert bob.call_action("renew", actor="neighbour") is False


def test_roles_above_observers_are_for_the_loopback(bench_file: Path) -> None:
    with pytest.raises(ConfigurationError, match="no keys"), gateway(bench_file, role=Role.OPERATOR, host="192.0.2.1"):
        pass


def test_a_name_that_is_taken_is_told(bench_file: Path, port: int) -> None:
    with gateway(bench_file, port=port):
        with pytest.raises(BusError, match="--prefix"), gateway(bench_file, port=port):
            pass
        with gateway(bench_file, port=port, prefix="b-") as names:
            assert names["camera"] == "b-camera"


def test_the_command_serves_until_it_is_interrupted(bench_file: Path) -> None:
    with labctl_process("leco", bench_file, "--coordinator", "--port", "0", "--role", "operator") as child:
        told = next_line(child)
        assert "slm, camera, pump, meter" in told
        port = int(told.partition("127.0.0.1:")[2].partition(" ")[0])
        with closing(Director(actor="pump", host="127.0.0.1", port=port, timeout=20)) as director:
            assert director.get_parameters("power_w") == {"power_w": 1.0}
        child.send_signal(signal.SIGINT)
        assert finish(child)[0] == 130
