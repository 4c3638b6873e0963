"""What visits share: pictures, lists of runs, runs that were started, and the stop that waits for none of them."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest
from starlette.requests import Request

from benchmarks.page_stage import Stage, at_the_page
from drivers.errors import ConfigurationError
from labctl.bus.roles import Role
from labctl.page import server
from labctl.page.access import tokens
from labctl.page.access.sessions import Session, Sessions
from labctl.page.feed import hub
from labctl.page.feed.hub import Feed, Hub
from labctl.page.feed.sources import Source
from labctl.page.feed.traces import Traces
from labctl.page.link.calibrations import Calibrations
from labctl.page.link.link import Link
from labctl.page.link.live import Live
from labctl.page.runs.listing import Listing
from labctl.page.runs.runner import Runner
from labctl.page.server import Options, Page
from labctl.page.views.frame import Frame
from labctl.page.views.visit import Services, View, Visit


@pytest.mark.usefixtures("_in_its_folders")
def test_stop_waits_for_nothing_that_keeps_the_page_busy(bench: Stage) -> None:
    going = threading.Event()

    async def stopped(link: Link) -> dict[str, float | str]:
        busy = [asyncio.ensure_future(wait(going.wait)) for wait in (link.in_thread, link.apart) for _ in range(100)]
        try:
            return await asyncio.wait_for(link.stop("a test"), 30)
        finally:
            going.set()
            await asyncio.gather(*busy)

    told = at_the_page(stopped)
    assert told
    assert all(isinstance(result, float) for result in told.values())


@pytest.mark.usefixtures("_in_its_folders")
def test_of_two_that_start_at_once_one_does_and_a_revoked_token_ends_it(bench: Stage) -> None:
    async def started(link: Link) -> str:
        sessions, runner = Sessions(), Runner(link, bench.out)
        session = sessions.find(sessions.sign_in(tokens.make("paula", "operator"), "here"))
        given = {"count": 100_000, "camera": "camera"}
        told = await asyncio.gather(
            *(runner.start(session, "bench.series", given, seed=k) for k in range(3)), return_exceptions=True
        )
        try:
            refused = [one for one in told if isinstance(one, ConfigurationError)]
            assert len(refused) == 2
            assert "bench.series is still starting" in str(refused[0])
            run = runner.run
            assert run is not None
            while run.status == "starting":
                await asyncio.sleep(0.05)
            assert run.status == "running"
            tokens.revoke("paula")
            while run.alive:
                await asyncio.sleep(0.05)
            assert "token of paula was revoked" in "".join(run.lines)
            return run.status
        finally:
            await runner.end()

    assert at_the_page(started) == "interrupted"
    for path in bench.out.glob("*.h5"):
        path.unlink()


class _Counted(View):
    left = 0

    def leave(self) -> None:
        self.left += 1


def test_a_view_is_left_once_however_often_its_browser_goes(tmp_path: Path) -> None:
    async def visits() -> int:
        link, sessions = Link("nowhere"), Sessions()
        services = Services(
            link, sessions, Hub(link), Traces(link), Live(link), Runner(link, tmp_path), Listing(link, tmp_path),
            Calibrations(link), tmp_path,
        )  # fmt: skip
        visit = Visit(services, sessions.observer, None)
        frame, view = Frame(visit, "bench", signing_in=False), _Counted(visit)
        frame._view = view
        frame.leave()
        frame.leave()
        link.close()
        return view.left

    assert asyncio.run(visits()) == 1


class _Vanished(Source):
    """A device that the bench lacks for a while, since it was started again."""

    times = 0

    async def read(self) -> bool:
        self.times += 1
        if self.times == 1:
            raise KeyError("camera")
        return True

    def message(self, most: int, stretch: bool, number: int) -> bytes | None:
        return b"picture"

    async def close(self) -> None: ...


def test_a_picture_that_comes_no_more_says_so_and_comes_again() -> None:
    async def looks() -> None:
        link = Link("nowhere")
        feed = Feed(_Vanished(), link)
        feed.asked()
        try:
            first = await asyncio.wait_for(feed.newer(0), 30)
            if first == 1:
                assert "camera" in str(feed.note()["trouble"])
            await asyncio.wait_for(feed.newer(1), 30)
            assert feed.note()["trouble"] == ""
        finally:
            await feed.end()
            link.close()

    asyncio.run(looks())


def test_where_nobody_asks_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_LINGER_S", 0.1)

    async def looks() -> tuple[int, int]:
        link, source = Link("nowhere"), _Vanished()
        feed = Feed(source, link)
        feed.asked()
        while feed.reading:
            await asyncio.sleep(0.01)
        before = source.times
        feed.asked()
        await asyncio.wait_for(feed.newer(feed.number), 30)
        await feed.end()
        link.close()
        return before, source.times

    before, after = asyncio.run(looks())
    assert after > before > 0


def test_who_signs_in_at_a_browser_replaces_who_was_before(tmp_path: Path) -> None:
    page = Page(Options("stage", None, tmp_path))
    kept: dict[str, str] = {}

    def signed_in(token: str) -> Session:
        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": json.dumps({"token": token}).encode()}

        cookies = "; ".join(f"{name}={secret}" for name, secret in kept.items())
        request = Request({"type": "http", "headers": [(b"cookie", cookies.encode())]}, receive)
        answer = asyncio.run(page._sign_in(request))
        assert answer.status_code == 200
        name, _, secret = answer.headers["set-cookie"].partition(";")[0].partition("=")
        kept[name] = secret
        return page.session(kept)

    before = signed_in(tokens.make("lara", "laser-operator"))
    assert (before.name, before.role) == ("lara", Role.LASER_OPERATOR)
    now = signed_in(tokens.make("otto", "operator"))
    assert (now.name, now.role) == ("otto", Role.OPERATOR)
    assert (before.over, before.role) == (True, Role.OBSERVER)


def test_too_many_visitors_are_put_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_MOST_VISITS", -1)
    request = Request({"type": "http", "headers": []})
    answer = asyncio.run(Page(Options("stage", None, tmp_path))._visit(request))
    assert answer is not None
    assert answer.status_code == 503


def test_a_list_of_runs_is_read_once_for_all_browsers(tmp_path: Path) -> None:
    async def looks() -> list[int]:
        link = Link("nowhere")
        listing = Listing(link, tmp_path)
        try:
            (tmp_path / "first.h5").touch()
            found = [len(runs) for runs in await asyncio.gather(*(listing.newest() for _ in range(20)))]
            (tmp_path / "second.h5").touch()
            return [*found, len(await listing.newest())]
        finally:
            link.close()

    assert asyncio.run(looks()) == [1] * 21
