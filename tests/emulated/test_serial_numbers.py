"""Emulated instruments are told from one another as real ones are: each device of each table has its own number."""

from __future__ import annotations

from typing import Any

import pytest
from counting_world import CountingWorld

from labctl import registry
from simulators.emulators.base import Emulator


def emulated(driver: str, name: str, seed: int) -> Emulator:
    world = CountingWorld()
    parameters: Any = world.parameters.model_copy(update={"seed": seed})
    world.parameters = parameters
    return registry.load("labctl.emulators", driver)(name, world)


@pytest.mark.parametrize("driver", registry.names("labctl.emulators"))
def test_names_and_seeds_have_numbers_of_their_own_that_last(driver: str) -> None:
    numbers = [emulated(driver, n, s).serial_like("LP-00217") for n, s in (("a", 7), ("b", 7), ("a", 8), ("a", 7))]
    assert numbers[0] == numbers[3]
    assert len(set(numbers)) == 3
    assert all(len(n) == 8 and n.startswith("LP-") and n[3:].isdigit() for n in numbers)
