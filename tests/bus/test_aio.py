"""The bus for asyncio programs: the same answers, many at once, and nothing that renews a lease."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator
from typing import Any

import numpy as np
import pytest

from benchmarks.table import Table, table
from drivers.errors import BusError, LeaseError
from labctl import open_bench, stop_benches
from labctl.bench.observe import open_observer
from labctl.bus.aio import AsyncBench


@pytest.fixture(scope="module")
def served() -> Iterator[Table]:
    with table("pages") as made:
        made.up()
        yield made


@pytest.fixture(autouse=True)
def _folders(served: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, place in (("LABCTL_RUNTIME", "run"), ("LABCTL_LOGS", "logs"), ("LABCTL_KEYS", "keys")):
        monkeypatch.setenv(variable, str(served.folder / place))


def on_a_page(what: Any) -> Any:
    async def go() -> Any:
        async with open_observer("pages") as bench:
            work: Coroutine[Any, Any, Any] = what(bench)
            return await asyncio.wait_for(work, 60)

    return asyncio.run(go())


def test_settings_of_several_devices_are_read_at_once() -> None:
    async def read(bench: AsyncBench) -> list[Any]:
        return await asyncio.gather(*(bench.get(d, "rows") for d in ("camera", "slm") for _ in range(20)))

    assert on_a_page(read) == [2160] * 20 + [1080] * 20


def test_a_device_is_described() -> None:
    description = on_a_page(lambda bench: bench.describe("laser"))
    assert description.kind == "pump"
    assert "emission" in [s.name for s in description.settings]


def test_frames_come_through_shared_memory_and_are_right() -> None:
    async def take(bench: AsyncBench) -> list[bool]:
        frames = [await bench.call("camera", "trigger") for _ in range(12)]
        return [bool(f.data[-1, -1] == f.frame_id & 0xFFFF) for f in frames]

    assert all(on_a_page(take))


def test_a_stream_shows_what_others_measure() -> None:
    async def look(bench: AsyncBench) -> Any:
        async def first() -> Any:
            return await anext(bench.stream("camera", bin=16))

        looking = asyncio.create_task(first())
        while not looking.done():
            await bench.call("camera", "trigger")
            await asyncio.sleep(0.02)
        return looking.result()

    item = on_a_page(look)
    assert (item.lost, item.value.data.shape, item.value.data.dtype) == (0, (135, 160), np.float32)


def test_a_page_does_not_change_what_somebody_controls(served: Table) -> None:
    with open_bench(served.bench_file) as bench, bench.control("experiment"):
        with pytest.raises(LeaseError, match=r"controlled by experiment"):
            on_a_page(lambda page: page.set("laser", "power_w", 3.0))
        assert bench.laser.power_w == 1.0


def test_a_page_shows_leases_and_does_not_renew_them(served: Table) -> None:
    with open_bench(served.bench_file) as bench, pytest.raises(LeaseError), bench.control("experiment", lease_s=0.5):  # noqa: PT012
        state = on_a_page(lambda page: page.status())
        assert state["light"]["leases"][0]["holder"].startswith("experiment")

        async def watch(page: AsyncBench) -> None:
            until = time.monotonic() + 1.0
            while time.monotonic() < until:
                await page.get("laser", "power_w")

        on_a_page(watch)
        bench.renew()


def test_a_page_has_the_emergency_stop(served: Table) -> None:
    told = r"emergency stop by .*the red button"
    with open_bench(served.bench_file) as bench, pytest.raises(LeaseError, match=told), bench.control("x"):  # noqa: PT012
        bench.laser.emission = True
        on_a_page(lambda page: page.stop("the red button"))
        assert not served.mark.read()[0]
        bench.renew()


def test_a_script_has_the_emergency_stop_without_opening_a_bench(served: Table) -> None:
    with open_bench(served.bench_file) as bench, pytest.raises(LeaseError, match=r"smoke"), bench.control("experiment"):  # noqa: PT012
        bench.laser.emission = True
        (told,) = stop_benches(reason="smoke").values()
        assert not served.mark.read()[0]
        assert set(told) == {"light", "camera", "slm"}
        assert all(isinstance(seconds, float) for seconds in told.values())
        bench.renew()


def test_an_unknown_device_or_bench_is_named() -> None:
    with pytest.raises(BusError, match=r"has no device 'sun'; it has .*camera"):
        on_a_page(lambda bench: bench.get("sun", "power_w"))

    async def nowhere() -> None:
        async with open_observer("elsewhere"):
            pass

    with pytest.raises(BusError, match=r"elsewhere is not up"):
        asyncio.run(nowhere())
