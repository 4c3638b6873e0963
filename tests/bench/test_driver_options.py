"""Keys of a device that are its driver's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.bench import load_bench


@pytest.mark.parametrize("backend", ["simulated", "emulated", "real"])
def test_what_a_device_tells_may_be_an_option_of_its_driver(tmp_path: Path, backend: str) -> None:
    """A power meter tells its range, which is read-only, and its driver can be given a fixed one."""
    path = tmp_path / "meter.toml"
    port = 'port = "tap"\n' if backend == "simulated" else ""
    path.write_text(
        '[bench]\nname = "meter"\nworld = "rail"\nclock = "real"\n[devices.meter]\nkind = "photodetector"\n'
        f'backend = "{backend}"\ndriver = "thorlabs_pm100"\nrange = "20 mW"\nresource = "TCPIP0::localhost::INSTR"\n'
        f"{port}",
        encoding="utf-8",
    )
    config = load_bench(path)
    assert "range_w" not in config.devices["meter"].settings
    options = config.devices["meter"].options_with({})
    assert backend == "simulated" or vars(options)["range"] == 0.02
