"""Every mutation of every emulated instrument is found by the conformance suite of its kind."""

from __future__ import annotations

import pytest

from drivers.errors import ConfigurationError
from labctl import registry
from labctl.conformance.runner import run
from labctl.conformance.stand import kind_of, mutations_of

DRIVERS = registry.names("labctl.emulators")
MUTANTS = [(driver, mutation) for driver in DRIVERS for mutation in mutations_of(driver)]


@pytest.mark.parametrize(("driver", "mutation"), MUTANTS)
def test_a_mutant_is_found(driver: str, mutation: str) -> None:
    results = run(driver, mutation)
    assert [result.broken for result in results if result.broken], f"{len(results)} checks found nothing"


@pytest.mark.parametrize("driver", [d for d in DRIVERS if kind_of(d) != "slm"])
def test_lasers_detectors_and_cameras_have_the_mutations_that_mean_something_for_them(driver: str) -> None:
    assert {"scale", "stale", "ignore-setpoint"} <= set(mutations_of(driver))


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_mutation_without_meaning_is_refused(driver: str) -> None:
    with pytest.raises(ConfigurationError, match="has no meaning for it; it has"):
        run(driver, "upside-down")
