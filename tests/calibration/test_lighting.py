"""A routine's band of wavelengths: edges never cross on their way, and no filter is asked for what it cannot do."""

from __future__ import annotations

import pytest

from calibration.lighting import limits, set_band, whole_band
from labctl.client import CalibrationError, open_bench

BANDS_NM = ((599.0, 600.0), (700.0, 701.0), (500.0, 501.0), (500.5, 500.6))


def test_a_band_follows_another_wherever_it_lies() -> None:
    with open_bench("prbm-sim") as bench, bench.control("bands"):
        for low, high in BANDS_NM:
            assert set_band(bench, low * 1e-9, high * 1e-9) == pytest.approx((low * 1e-9, high * 1e-9))
        whole_band(bench)
        assert float(bench.source.wavelength_min_m) == limits(bench, "source", "wavelength_min_m")[0]
        assert float(bench.source.wavelength_max_m) == limits(bench, "source", "wavelength_max_m")[1]


@pytest.mark.parametrize(("low", "high"), [(390.0, 600.0), (600.0, 2500.0), (601.0, 600.0)])
def test_a_band_out_of_reach_is_told_and_nothing_changes(low: float, high: float) -> None:
    with open_bench("prbm-sim") as bench, bench.control("bands"):
        set_band(bench, 599e-9, 600e-9)
        with pytest.raises(CalibrationError, match="filter goes from 400 to 2400 nm"):
            set_band(bench, low * 1e-9, high * 1e-9)
        assert float(bench.source.wavelength_min_m) == pytest.approx(599e-9)
