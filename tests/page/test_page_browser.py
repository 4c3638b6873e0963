"""The page in a real Chromium, of a simulated bench in processes of its own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request

from benchmarks.page_stage import Served, Stage, chromium, light_up, look, sign_in
from drivers.errors import LeaseError
from labctl import open_bench
from labctl.bench.client import Bench
from labctl.runs.data import RunData

VIEWS = ("Bench", "Camera", "SLM", "Lasers", "Detectors", "Protocol", "Runs", "Calibrations", "Log")
ANDROID = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36"
PHONE = {"width": 390, "height": 844}
pytestmark = pytest.mark.usefixtures("_in_its_folders")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """A visitor of their own, whose browser found nothing to complain about."""
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"{message.type}: {message.text}")

    def failed(request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # given up since the visitor went elsewhere
            complaints.append(f"{request.url}: {request.failure}")

    context = browser.new_context(viewport={"width": 1280, "height": 800})
    visitor = context.new_page()
    visitor.set_default_timeout(20_000)
    visitor.on("console", hear)
    visitor.on("pageerror", lambda error: complaints.append(str(error)))
    visitor.on("requestfailed", failed)
    foreign: list[str] = []
    visitor.on("request", lambda r: None if r.url.startswith((served.url, "data:", "blob:")) else foreign.append(r.url))
    visitor.goto(served.url)
    visitor.wait_for_selector("#light:has-text('dark')")
    yield visitor
    context.close()
    assert not foreign, "a lab's machine has no internet"
    assert not complaints


@pytest.fixture
def script(bench: Stage) -> Iterator[Bench]:
    """Somebody's script at the same bench."""
    with open_bench(bench.bench_file) as made:
        yield made


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 30.0
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within half a minute"
        time.sleep(0.02)
    return found


def brightness(page: Page) -> float:
    """Mean red of the picture that is shown."""
    return float(
        page.evaluate(
            """() => { const shown = document.querySelector("canvas.picture"), c = document.createElement("canvas");
            c.width = shown.width; c.height = shown.height; const context = c.getContext("2d");
            context.drawImage(shown, 0, 0); const d = context.getImageData(0, 0, c.width, c.height).data; let sum = 0;
            for (let k = 0; k < d.length; k += 4) sum += d[k]; return 4 * sum / d.length; }"""
        )
    )


def test_every_view_is_shown(page: Page) -> None:
    for view in VIEWS:
        look(page, view)
        page.wait_for_selector(".view >> nth=0")
        page.wait_for_function("document.querySelector('.view').innerText.length > 10")
    assert page.locator("#stop").is_visible()


def test_the_picture_is_the_one_that_is_measured(page: Page, script: Bench) -> None:
    look(page, "Camera")
    page.get_by_text("nothing was measured").wait_for()
    script.camera.trigger()
    wait_for(lambda: page.evaluate("labctl.shown.camera"), "the first picture")
    stretched = brightness(page)
    page.get_by_text("stretch from darkest to brightest").click()
    wait_for(lambda: brightness(page) < stretched / 2, "the same picture, from 0 to full scale")
    dark = brightness(page)
    with script.control("light"):
        script.arm("pump")
        script.pump.emission = True
        shown = page.evaluate("labctl.shown.camera")
        script.camera.trigger()
        wait_for(lambda: page.evaluate("labctl.shown.camera") > shown, "the second picture")
        assert brightness(page) > dark + 20
        page.wait_for_selector("#light:has-text('LIGHT ON: pump')")
        assert not page.locator(".viewer.saturated").count()
        script.pump.power_w = 5.0
        script.camera.exposure_s = 0.005
        script.camera.trigger()
        page.wait_for_selector(".viewer.saturated .alarm:has-text('SATURATED')")


def test_a_pattern_on_the_slm_is_shown(page: Page, script: Bench) -> None:
    look(page, "SLM")
    wait_for(lambda: page.evaluate("labctl.shown.slm"), "the panel as it is")
    assert "1 in use" in page.inner_text(".words")
    script.slm.write(np.linspace(0, 6, 1920)[None, :].repeat(1080, axis=0))
    wait_for(lambda: "1 in use" not in page.inner_text(".words"), "the new pattern")


def test_stop_turns_the_light_off(page: Page, script: Bench, bench: Stage) -> None:
    sign_in(page, bench.tokens["laser-operator"])
    light_up(page)
    assert script.pump.emission
    page.click("#stop")
    page.wait_for_selector("#told.good:has-text('everything is safe')")
    assert not script.pump.emission
    page.wait_for_selector("#light:has-text('dark')")


def test_anybody_stops_by_keyboard(page: Page, script: Bench) -> None:
    def lit_until_stopped() -> None:
        with script.control("light"):
            script.pump.emission = True
            page.wait_for_selector("#light:has-text('LIGHT ON')")
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.id") == "stop", "STOP is what the keyboard comes to first"
            page.keyboard.press("Enter")
            page.wait_for_selector("#told.good")
            script.renew()

    script.arm("pump")
    with pytest.raises(LeaseError, match="emergency stop"):
        lit_until_stopped()
    assert not script.pump.emission


def test_escape_twice_stops_once_does_not(page: Page, script: Bench) -> None:
    before = script.status()["lasers"]["stopped"]
    page.keyboard.press("Escape")
    look(page, "Lasers")
    assert page.inner_text("#told") == ""
    page.wait_for_timeout(1100)
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.wait_for_selector("#told.good")
    assert script.status()["lasers"]["stopped"] > before


def test_stop_is_in_reach_while_somebody_signs_in(page: Page, script: Bench) -> None:
    before = script.status()["lasers"]["stopped"]
    page.get_by_role("button", name="Sign in").first.click()
    assert page.evaluate("document.activeElement.id") == "token"
    page.click("#stop")
    page.wait_for_selector("#told.good")
    assert script.status()["lasers"]["stopped"] > before  # by both roads, where the first is slow
    page.keyboard.press("Escape")
    assert not page.locator("#sign-in").is_visible()


def test_stop_does_not_wait_for_what_the_browser_waits_for(page: Page, script: Bench) -> None:
    before = script.status()["lasers"]["stopped"]
    page.evaluate(
        """async () => { const poll = "/_nicegui_ws/socket.io/?EIO=4&transport=polling";
        for (let k = 0; k < 6; k++) {  // each is answered when there is something to say, which is not soon
          const sid = JSON.parse((await (await fetch(poll)).text()).slice(1)).sid;
          fetch(`${poll}&sid=${sid}`).catch(() => {}); } }"""
    )
    page.click("#stop")
    page.wait_for_selector("#told.good", timeout=7000)
    assert script.status()["lasers"]["stopped"] > before


def test_a_choice_on_a_phone_does_not_cover_stop(browser: Browser, served: Served) -> None:
    context = browser.new_context(viewport=PHONE, is_mobile=True, has_touch=True, user_agent=ANDROID)  # type: ignore[arg-type]
    visitor = context.new_page()
    visitor.goto(f"{served.url}protocol")
    visitor.get_by_label("protocol", exact=True).click()
    visitor.get_by_role("option", name="bench.series").wait_for()
    visitor.click("#stop")
    visitor.wait_for_selector("#told.good")
    context.close()


def test_an_observer_changes_nothing_even_with_buttons_forced_open(page: Page, script: Bench) -> None:
    before = script.snapshot()
    for view in ("Camera", "Lasers", "Protocol"):
        look(page, view)
        page.wait_for_timeout(500)
        forced = page.evaluate(
            """() => { const all = [...document.querySelectorAll(".view .q-btn[disabled]")];
            for (const b of all) { b.disabled = false; b.removeAttribute("disabled"); b.classList.remove("disabled");
            b.click(); } return all.length; }"""
        )
        assert forced or view == "Protocol"
    page.wait_for_timeout(500)
    assert script.snapshot() == before
    assert not [lease for told in script.status().values() for lease in told["leases"]]


def test_an_operator_sets_the_camera_but_makes_no_light(page: Page, script: Bench, bench: Stage) -> None:
    sign_in(page, bench.tokens["operator"])
    look(page, "Camera")
    page.get_by_role("button", name="Expose all the time").click()
    wait_for(lambda: page.evaluate("labctl.shown.camera") > 3, "pictures")
    box = page.locator("canvas.over").bounding_box()
    assert box is not None
    assert box["width"] / box["height"] == pytest.approx(640 / 512, rel=0.02), "the whole of it is the picture"
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    wait_for(lambda: page.get_by_label("columns", exact=True).input_value() != "640", "the region that was drawn")
    page.get_by_role("button", name="Set region").click()
    roi = wait_for(lambda: (r := script.camera.roi).columns < 640 and r, "the region")
    assert (roi.rows, roi.columns) == pytest.approx((128, 160), abs=2)
    assert (roi.row - 824, roi.column - 960) == pytest.approx((128, 160), abs=2)
    page.get_by_role("button", name="Stop exposing").click()
    look(page, "Lasers")
    assert page.get_by_role("button", name="Emission on").is_disabled()
    assert page.get_by_role("button", name="Arm for an hour").is_disabled()


def test_a_browser_that_goes_takes_its_light_along(page: Page, script: Bench, bench: Stage) -> None:
    sign_in(page, bench.tokens["laser-operator"])
    light_up(page)
    page.close()
    wait_for(lambda: not script.pump.emission, "dark after the browser was closed")


def start_series(page: Page, **given: str) -> None:
    look(page, "Protocol")
    page.get_by_label("protocol", exact=True).fill("bench.series")
    page.get_by_role("option", name="bench.series").click()
    for name, value in given.items():
        page.get_by_label(name, exact=True).fill(value)
    page.get_by_role("button", name="Start", exact=True).click()


def test_a_form_starts_a_run_that_ends_in_a_run_file(page: Page, bench: Stage) -> None:
    sign_in(page, bench.tokens["operator"])
    start_series(page, count="20", camera="camera", detector="meter")
    page.wait_for_selector("#run-title:has-text('complete')")
    (path,) = bench.out.glob("*.h5")
    run = RunData(path)
    assert run.status == "complete"
    assert run.series("mean_counts").shape == (20,)
    look(page, "Runs")
    page.get_by_text(path.name).wait_for()
    path.unlink()


def test_a_protocol_does_no_more_than_who_started_it_may(page: Page, script: Bench, bench: Stage) -> None:
    script.arm("pump")
    sign_in(page, bench.tokens["operator"])
    start_series(page, count="5", camera="camera", laser="pump")
    page.wait_for_selector("#run-title:has-text('failed')")
    page.get_by_text("is for laser-operators").first.wait_for()
    for path in bench.out.glob("*.h5"):
        path.unlink()


def test_what_is_wrong_with_a_parameter_is_told_before_anything_starts(page: Page, bench: Stage) -> None:
    sign_in(page, bench.tokens["operator"])
    start_series(page, count="0", camera="camera")
    page.get_by_text("greater than or equal to 1").first.wait_for()
    assert not list(bench.out.glob("*.h5"))


def test_a_run_outlives_the_browser_but_not_the_pages_server(browser: Browser, script: Bench, bench: Stage) -> None:
    with bench.page() as own:
        context = browser.new_context()
        visitor = context.new_page()
        visitor.goto(own.url)
        sign_in(visitor, bench.tokens["laser-operator"])
        script.arm("pump")
        start_series(visitor, count="100000", camera="camera", laser="pump")
        wait_for(lambda: script.status()["lasers"]["devices"]["pump"]["emission"], "light")
        context.close()
        (path,) = bench.out.glob("*.h5")
        seen = RunData(path).told["steps"]
        wait_for(lambda: RunData(path).told["steps"] > seen + 20, "steps without a browser")
        os.kill(own.child.pid, signal.SIGKILL)
        wait_for(lambda: RunData(path).status == "interrupted", "the end of the run")
        assert not script.pump.emission
        assert not script.status()["lasers"]["leases"]
    path.unlink()


def test_a_wrong_token_is_refused_and_the_next_try_is_put_off(page: Page) -> None:
    """After those that sign in: from this address the right one would have to wait as well."""
    page.get_by_role("button", name="Sign in").first.click()
    page.fill("#token", "labctl-page-wrong")
    told = []
    while not any("try again in" in text for text in told):
        # Not by the form's own button: Chromium writes refusals into its console, which here is no complaint.
        answer = page.context.request.post(
            page.url.rsplit("/", 1)[0] + "/sign-in", data={"token": "labctl-page-wrong"}, headers={"X-Labctl-Page": "1"}
        )
        assert answer.status in (403, 429)
        told.append(answer.json()["text"])
        assert len(told) < 8, "a slow machine waits by itself, but not for minutes"
    assert "nobody's" in told[0]
    assert page.inner_text("#who") == "observer"


def test_nothing_is_wider_than_a_phone(page: Page) -> None:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    for view in VIEWS:
        look(page, view)
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], view
        box = page.locator("#stop").bounding_box()
        assert box is not None
        assert box["width"] > 300
        assert 0 <= box["y"] < 60, "STOP is at the top of the screen"


def test_no_token_is_in_what_was_written(bench: Stage, served: Served) -> None:
    secrets = [token.encode() for token in bench.tokens.values()]
    written = [path for path in bench.folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".jsonl" for path in written)
    for path in written:
        assert not any(secret in path.read_bytes() for secret in secrets), path
    command = Path(f"/proc/{served.child.pid}/cmdline").read_bytes()
    assert not any(secret in command for secret in secrets)
