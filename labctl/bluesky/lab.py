"""A whole bench in Bluesky: what plans stage to have control, and find devices in."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from labctl.bench.client import Bench, open_bench
from labctl.bench.config import BenchConfig
from labctl.bluesky.control import Control
from labctl.bluesky.device import Device
from labctl.bluesky.devices import device
from labctl.bluesky.signals import Part


class Lab(Part):
    """Devices by role, as attributes or items. Staging it takes control of the bench; unstaging gives it back.

    Plans that stage their devices, as those of `bluesky.plans` do, stage it by themselves, since it is the ancestor of
    all its devices. Light that must be on before: ``lab.controlled(plan)``.
    """

    def __init__(self, bench: Bench, purpose: str = "bluesky", *, images: bool = True) -> None:
        """images: whether images of cameras are in events, or only what follows from them."""
        super().__init__(Control(bench, purpose), bench.name, None)
        self.bench = bench
        self.devices: dict[str, Device] = {}
        for name, proxy in bench.devices.items():
            self.devices[name] = device(self._control, proxy, self)
            self.devices[name].images = images

    def __getattr__(self, name: str) -> Device:
        devices: dict[str, Device] = self.__dict__.get("devices", {})
        if name not in devices:
            raise AttributeError(f"the bench has no device {name!r}; it has {', '.join(devices)}")
        return devices[name]

    def __getitem__(self, role: str) -> Device:
        return self.devices[role]

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *self.devices]

    def stage(self) -> list[Any]:
        """Take control for the plan that is being run; LeaseError if somebody else has it."""
        self._control.take()
        return [self]

    def unstage(self) -> list[Any]:
        """Give it back: light off, devices safe."""
        self._control.give_back()
        return [self]

    def controlled(self, plan: Iterable[Any]) -> Generator[Any, Any, Any]:
        """The plan, with control of the bench from its begin to its end, however that comes."""
        from bluesky.preprocessors import stage_wrapper

        wrapped: Generator[Any, Any, Any] = stage_wrapper(plan, [self])  # type: ignore[no-untyped-call]
        return (yield from wrapped)

    def close(self) -> None:
        """Give back control, if a plan still has it."""
        self._control.close()


@contextlib.contextmanager
def open_lab(
    source: str | Path | BenchConfig,
    overrides: Mapping[str, object] | None = None,
    at: str | None = None,
    *,
    purpose: str = "bluesky",
    images: bool = True,
) -> Iterator[Lab]:
    """A bench for Bluesky; arguments and errors as of `labctl.open_bench` and `Lab`."""
    with open_bench(source, overrides, at) as bench, contextlib.closing(Lab(bench, purpose, images=images)) as lab:
        yield lab
