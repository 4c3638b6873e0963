"""Who may do what, held to by the device servers, whatever the page shows or forgets to ask."""

from __future__ import annotations

import asyncio
import time

import pytest

from benchmarks.page_stage import Stage, at_the_page
from drivers.errors import LabError, LeaseError
from labctl import open_bench
from labctl.bus.client_side import ClientSide
from labctl.bus.messages import ROLE_SHIFT, Decoder
from labctl.bus.roles import Role
from labctl.page.access.sessions import Session, Sessions
from labctl.page.link import control as control_module
from labctl.page.link.control import Control
from labctl.page.link.link import Link

pytestmark = pytest.mark.usefixtures("_in_its_folders")


def test_an_observers_requests_change_nothing(bench: Stage) -> None:
    async def tries(link: Link) -> list[str]:
        table = await link.bench_for(Role.OBSERVER)
        told = []
        for act in (
            lambda: setattr(table.camera, "exposure_s", 0.001),
            lambda: table.camera.trigger(),
            lambda: table.slm.write_gray([[0]]),
            lambda: setattr(table.pump, "power_w", 0.5),
            lambda: table.arm("pump"),
            lambda: table.acknowledge(),
            lambda: table.control("page").__enter__(),
        ):
            with pytest.raises(LeaseError) as refused:
                await link.in_thread(act)
            told.append(str(refused.value))
        assert link.observer is not None
        with pytest.raises(LeaseError):
            await link.observer.set("camera", "exposure_s", 0.001)
        return told

    assert all("an observer" in text for text in at_the_page(tries))


def test_no_operator_arms_or_makes_light(bench: Stage) -> None:
    async def tries(link: Link) -> None:
        table = await link.bench_for(Role.OPERATOR)
        for act in (lambda: table.arm("pump"), lambda: table.acknowledge()):
            with pytest.raises(LeaseError, match="is for laser-operators"):
                await link.in_thread(act)
        await link.in_thread(lambda: setattr(table.pump, "power_w", 0.5))

        def lit() -> None:
            with table.control("page", ["pump"]):
                table.pump.emission = True

        with pytest.raises(LeaseError, match="is for laser-operators"):
            await link.in_thread(lit)

    with open_bench(bench.bench_file) as script:
        script.arm("pump")  # so that nothing but the role is in the way
        at_the_page(tries)
        assert not script.pump.emission


def laser_operator(bench: Stage, sessions: Sessions) -> Session:
    return sessions.find(sessions.sign_in(bench.tokens["laser-operator"], "here"))


def test_light_lasts_as_long_as_the_browser_is_heard_of(bench: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_module, "LEASE_S", 2.5)

    async def lights(link: Link) -> None:
        control = Control(link, laser_operator(bench, Sessions()))
        await control.take("pump")
        await control.act(lambda table: table.arm("pump"))
        await control.act(lambda table: setattr(table.pump, "emission", True))
        begun = time.monotonic()
        while time.monotonic() - begun < 3.5:  # for longer than its lease
            await asyncio.sleep(0.1)
            control.heard()
        assert await emits(link)
        deadline = time.monotonic() + 30
        while await emits(link):
            assert time.monotonic() < deadline, "nobody is heard of, and the light stays on"
            await asyncio.sleep(0.1)
        await control.settle()
        assert not control.devices
        assert "not heard of" in control.lost
        with pytest.raises(LeaseError, match="control was lost"):
            await control.act(lambda table: setattr(table.pump, "emission", True))

    at_the_page(lights)


def test_signing_out_turns_the_light_off(bench: Stage) -> None:
    async def lights(link: Link) -> None:
        sessions = Sessions()
        secret = sessions.sign_in(bench.tokens["laser-operator"], "here")
        control = Control(link, sessions.find(secret))
        await control.take("pump")
        await control.act(lambda table: table.arm("pump"))
        await control.act(lambda table: setattr(table.pump, "emission", True))
        sessions.sign_out(secret)
        while control.devices or await emits(link):
            await asyncio.sleep(0.05)
        with pytest.raises(LabError):
            await control.take("pump")

    at_the_page(lights)


async def emits(link: Link) -> bool:
    assert link.observer is not None
    return bool(await link.observer.get("pump", "emission"))


def test_a_process_for_somebody_else_never_asks_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    from labctl.bus import client_side

    def role_of(side: ClientSide) -> int:
        _, frames = side.request("pump", "get", "emission")
        return Decoder().request(frames).flags >> ROLE_SHIFT

    monkeypatch.setattr(client_side, "_highest_role", 0)
    side = ClientSide()
    assert role_of(side) == 0
    client_side.cap_roles(Role.OPERATOR)
    assert role_of(side) == role_of(ClientSide()) == Role.OPERATOR
    side.role_cap = Role.OBSERVER
    assert role_of(side) == Role.OBSERVER
    client_side.cap_roles(Role.LASER_OPERATOR)
    assert role_of(ClientSide()) == Role.OPERATOR, "it is only ever lowered"
