"""What an experiment without devices is given for a bench: nothing to set up, and nothing to be had from it."""

from __future__ import annotations

from typing import Any

from drivers.errors import ConfigurationError
from labctl.bench.client import Bench
from labctl.bench.lease import Lease


class NoBench(Bench):
    """No devices, no time, no lease to renew. Whoever asks it for a device has not said that there must be one."""

    def __init__(self, experiment: str) -> None:
        self._experiment = experiment
        self._config = None
        self._devices = {}
        self._servers = {}
        self._lease = Lease(self._servers, lease_s=0.0)

    def __getattr__(self, role: str) -> Any:
        if role.startswith("_"):
            raise AttributeError(role)
        raise self._nothing(role)

    def __getitem__(self, role: str) -> Any:
        raise self._nothing(role)

    @property
    def name(self) -> str:
        """It has none."""
        return "none"

    @property
    def config(self) -> Any:
        """There is no file."""
        raise self._nothing("config")

    def alignment(self, name: str) -> Any:
        """There is none."""
        raise self._nothing(f"alignment.{name}")

    def time_s(self) -> float:
        """No time passes on a table that is not there."""
        return 0.0

    def control(self, *arguments: Any, **options: Any) -> Any:
        """There is nothing to control."""
        raise self._nothing("control")

    def _ask(self, verb: str, arguments: Any) -> Any:
        raise self._nothing("calibrations")

    def _nothing(self, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self._experiment} names no roles, and so is swept without a bench; it asks for bench.{what}. Name a "
            "bench with --bench, or what it needs in its class (roles, alignments, calibrations)"
        )
