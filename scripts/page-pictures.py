"""Pictures of the page's views for docs/page.md: `python scripts/page-pictures.py [FOLDER]`, or `make pictures`.

A simulated bench is brought up, lit, measured and calibrated, as people would do it, in Debian's Chromium.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.page_stage import Stage, chromium, light_up, look, sign_in, stage
from labctl import open_bench
from labctl.client import ROI

LARGEST_BYTES = 200_000
DRAWN = "(() => { const all = [...document.images]; return all.length && all.every((i) => i.naturalWidth); })()"


def main() -> int:
    """Take them."""
    into = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    into.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="labctl-page-") as folder,
        stage(Path(folder), rows=720, columns=960) as made,
    ):
        os.environ.update({k: v for k, v in made.environment.items() if k.startswith("LABCTL_")})
        calibrate = [sys.executable, "-m", "labctl", "calibrate", "camera.dark", "--bench", str(made.bench_file)]
        subprocess.run([*calibrate, "--out", str(made.out)], env=dict(made.environment), check=True)
        with made.page() as served, chromium() as browser:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(served.url)
            sign_in(page, made.tokens["laser-operator"])
            _take(page, made, into)
            phone = browser.new_context(viewport={"width": 390, "height": 844}, device_scale_factor=1.5).new_page()
            phone.goto(served.url + "camera")
            phone.wait_for_selector("[data-view=camera]")
            look(page, "Camera")
            page.get_by_role("button", name="Expose all the time").click()
            phone.wait_for_function("labctl.shown.camera > 3")
            phone.wait_for_timeout(700)
            _keep(phone, into / "page-phone.png")
    return 0


def _lens(rows: int = 1080, columns: int = 1920) -> np.ndarray:
    """Phase of a lens, rad: something to see on a panel, and on a camera."""
    y, x = np.mgrid[0:rows, 0:columns]
    return np.mod(((x - 1300) ** 2 + (y - 950) ** 2) / 40000.0, 2 * np.pi)


def _take(page: Page, made: Stage, into: Path) -> None:
    with open_bench(made.bench_file) as script:
        look(page, "SLM")
        script.slm.write(_lens())
        page.wait_for_function("!document.querySelector('.words').innerText.includes(', 1 in use')")
        page.wait_for_timeout(1500)
        _keep(page, into / "page-slm.png")
        light_up(page)
        page.wait_for_timeout(1500)
        _keep(page, into / "page-lasers.png")
        look(page, "Bench")
        page.wait_for_timeout(2500)
        _keep(page, into / "page-bench.png")
        look(page, "Camera")
        script.camera.exposure_s = 0.002  # calibrations have left others
        script.camera.roi = ROI(row=330, column=800, rows=720, columns=960)
        page.get_by_role("button", name="Expose all the time").click()
        page.wait_for_function("labctl.shown.camera > 20")
        box = page.locator("canvas.over").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 0.35 * box["width"], box["y"] + 0.3 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.7 * box["height"], steps=4)
        page.mouse.up()
        page.wait_for_timeout(800)
        _keep(page, into / "page-camera.png")
        page.get_by_role("button", name="Stop exposing").click()
        look(page, "Lasers")
        page.get_by_role("button", name="Give back").click()
        page.wait_for_selector("#light:has-text('dark')")
    look(page, "Protocol")
    page.get_by_label("protocol", exact=True).fill("bench.series")
    page.get_by_role("option", name="bench.series").click()
    for name, value in (("count", "2000"), ("camera", "camera"), ("detector", "meter"), ("laser", "pump")):
        page.get_by_label(name, exact=True).fill(value)
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_function(
        "parseInt(document.querySelector('#run-steps')?.innerText.split(' ')[1]) > 300", timeout=90_000
    )
    page.wait_for_timeout(2500)
    page.evaluate("window.scrollTo(0, 0)")
    _keep(page, into / "page-protocol.png")
    look(page, "Detectors")
    page.wait_for_timeout(4000)
    _keep(page, into / "page-detectors.png")
    look(page, "Protocol")
    page.get_by_role("button", name="Stop the run").click()
    page.wait_for_selector("#run-title:has-text('interrupted')")
    look(page, "Runs")
    page.get_by_text("bench-series.h5").wait_for()
    page.locator("tbody .q-checkbox").first.click()
    page.wait_for_function(DRAWN)
    page.evaluate("window.scrollTo(0, 0)")
    _keep(page, into / "page-runs.png")
    look(page, "Calibrations")
    page.locator("tbody .q-checkbox").first.click()
    page.wait_for_function(DRAWN)
    page.evaluate("window.scrollTo(0, 0)")
    _keep(page, into / "page-calibrations.png")
    look(page, "Log")
    page.wait_for_timeout(1500)
    _keep(page, into / "page-log.png")


def _keep(page: Page, path: Path) -> None:
    """A picture of 256 colours, of which there are few on a dark page."""
    page.screenshot(path=path)
    Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path}: {size / 1000:.0f} kB{'' if size <= LARGEST_BYTES else ', TOO LARGE'}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
