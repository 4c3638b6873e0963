"""Looking up what is installed, and saying clearly what is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import Distribution, EntryPoint, EntryPoints, PackageNotFoundError
from typing import Any

import pytest

from drivers.contract import Camera
from drivers.errors import ConfigurationError
from labctl import registry


class FakeDistribution(Distribution):
    """Only what an error message asks for."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def metadata(self) -> Any:
        return {"Name": self._name, "Version": "1.2"}

    def read_text(self, filename: str) -> str | None:
        raise PackageNotFoundError(filename)

    def locate_file(self, path: Any) -> Any:
        return path


Register = Callable[..., None]


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Iterator[Register]:
    """Register (name, value, distribution) triples as the only entry points there are."""
    points: list[EntryPoint] = []

    def add(name: str, value: str, distribution: str = "somelab") -> None:
        point = EntryPoint(name, value, "labctl.kinds")
        vars(point).update(dist=FakeDistribution(distribution))
        points.append(point)

    monkeypatch.setattr(registry, "entry_points", lambda: EntryPoints(points))
    registry._registered.cache_clear()
    yield add
    registry._registered.cache_clear()


def test_a_registered_name_is_loaded(register: Register) -> None:
    register("camera", "drivers.contract:Camera")
    register("atlas", "nowhere:Atlas")
    assert registry.names("labctl.kinds") == ("atlas", "camera")
    assert registry.load("labctl.kinds", "camera") is Camera


def test_an_unknown_name_is_answered_with_the_nearest_and_with_all(register: Register) -> None:
    register("camera", "drivers.contract:Camera")
    register("slm", "drivers.contract:SLM")
    with pytest.raises(ConfigurationError, match=r'"camra".*did you mean "camera".*camera, slm'):
        registry.load("labctl.kinds", "camra")


def test_an_empty_group_says_that_labctl_is_not_installed(register: Register) -> None:
    with pytest.raises(ConfigurationError, match="install labctl itself"):
        registry.load("labctl.worlds", "prbm")


@pytest.mark.parametrize("value", ["no_such_module_anywhere:X", "drivers.contract:NoSuchClass", "json:dumps.nope"])
def test_a_failed_import_names_the_distribution_and_the_cause(register: Register, value: str) -> None:
    register("camera", value)
    with pytest.raises(ConfigurationError, match=r"somelab 1\.2") as caught:
        registry.load("labctl.kinds", "camera")
    assert value in str(caught.value)
    assert type(caught.value.__cause__).__name__ in str(caught.value)


def test_two_distributions_with_one_name_are_both_named(register: Register) -> None:
    register("camera", "drivers.contract:Camera", "labctl")
    register("camera", "drivers.contract:SLM", "somelab")
    assert registry.names("labctl.kinds") == ("camera",)
    with pytest.raises(ConfigurationError, match=r"labctl 1\.2.*somelab 1\.2.*uninstall one"):
        registry.load("labctl.kinds", "camera")
