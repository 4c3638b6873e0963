"""Machines whose fields are hundreds of couplings: patterns thousands of times as bright as the reference's."""

from __future__ import annotations

import numpy as np

from labctl.client import open_bench
from protocols.prbm.light.layers import rbm_layers
from protocols.prbm.light.readout import ReadoutParameters
from protocols.prbm.light.table import Table
from protocols.prbm.model import RBM


def test_spins_that_all_pull_one_way_are_measured_without_saturation() -> None:
    rbm = RBM(np.full((250, 16), 0.01), np.zeros(250), np.zeros(16))
    layers = {"hidden": rbm_layers(rbm)["hidden"]}
    with open_bench("prbm-sim") as bench, bench.control("bright"):
        table = Table(bench, layers, ReadoutParameters())
        measured = table.measure(table.encode(layers["hidden"]), np.ones(250, np.int8))
    # So much light is so much shot noise: 16 fields within six standard deviations, false alarm 3e-8.
    assert np.abs((measured.fields - 2.5) / measured.predicted_noise).max() < 6
    assert measured.exposure_s < 1e-3
