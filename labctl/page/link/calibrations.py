"""Calibrations in force, as the bench's server tells them to an observer."""

from __future__ import annotations

import re
from typing import Any

from drivers.errors import ConfigurationError
from labctl.bench.client import Bench
from labctl.bench.shelf import Shelf, fetch
from labctl.bus.roles import Role
from labctl.page.link.link import Link
from labctl.store.calibration import Calibration

_ID = re.compile(r"[0-9a-f]{64}")


class Calibrations:
    """Of one bench."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def shelf(self) -> Shelf:
        """Those in force, without their arrays. BusError while the bench is not there."""
        bench = await self._link.bench_for(Role.OBSERVER)
        return await self._link.in_thread(bench.calibrations)

    async def calibration(self, calibration_id: str) -> Calibration:
        """One of them, whole. ConfigurationError for what is no id."""
        if not _ID.fullmatch(calibration_id):
            raise ConfigurationError(f"{calibration_id!r:.80} is no id of a calibration")
        bench = await self._link.bench_for(Role.OBSERVER)
        return await self._link.in_thread(
            lambda: fetch(lambda verb, arguments: _ask(bench, verb, arguments), calibration_id)
        )


def _ask(bench: Bench, verb: str, arguments: Any) -> Any:
    return next(iter(bench.servers.values())).calls.request("", verb, arguments=arguments)
