"""Bench files of the ledger: what the rail has on it, simulated, or emulated below the drivers of real tables."""

BENCH = """
[bench]
name = "{name}"
world = "rail"
clock = "real"
lease = "{lease_s} s"

[world]
detector.tap_range = "2 W"
slm = {{ rows = 24, columns = 48 }}
optics = {{ first_row = 3, bands = 6, dispersion = 3e3 }}
camera = {{ rows = 40, columns = 64, axis_row = 20, axis_column = 30 }}

{devices}
[servers.light]
devices = ["pump", "source"]
[servers.eyes]
devices = ["camera", "sequencer", "slm"]
[servers.meter]
devices = ["meter"]
{more}
"""

SIMULATED = """
[devices.pump]
kind = "pump"
backend = "simulated"
power = "4 W"
[devices.source]
kind = "supercontinuum"
backend = "simulated"
power = "40 %"
[devices.slm]
kind = "slm"
backend = "simulated"
[devices.camera]
kind = "camera"
backend = "simulated"
exposure = "8 ms"
[devices.meter]
kind = "photodetector"
backend = "simulated"
port = "tap"
[devices.sequencer]
kind = "sequencer"
slm = "slm"
camera = "camera"
identical = "refuse"
"""

EMULATED = """
[devices.pump]
kind = "pump"
backend = "emulated"
driver = "sprout"
timeout = "0.3 s"
power = "4 W"
[devices.source]
kind = "supercontinuum"
backend = "emulated"
driver = "nkt_superk"
timeout = "0.3 s"
power = "40 %"
[devices.slm]
kind = "slm"
backend = "emulated"
driver = "slmsuite_screen"
timeout = "1 s"
open_within = "5 s"
[devices.camera]
kind = "camera"
backend = "emulated"
driver = "andor_sdk3"
timeout = "1 s"
exposure = "2 ms"
[devices.meter]
kind = "photodetector"
backend = "emulated"
driver = "thorlabs_pm100"
timeout = "0.3 s"
range = "2 W"                       # a meter that looks for its range is blind, and saturated, when light comes on
[devices.sequencer]
kind = "sequencer"
slm = "slm"
camera = "camera"
identical = "refuse"
"""
"""Drivers that lasers, cameras and meters of the tables have, on emulated instruments."""
