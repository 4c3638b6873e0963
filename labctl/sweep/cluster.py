"""A Dask cluster that is there already as the crew of a sweep. Nothing of Dask is imported unless one is asked for."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from drivers.errors import BusError, ConfigurationError
from labctl import registry
from labctl.environment import versions
from labctl.sweep.plan import Plan
from labctl.sweep.point import Measured, measure

_PATIENCE_S = 15.0
_LOOK_EVERY_S = 2.0
_BATCHES_PER_WORKER = 2
"""One that is measured, and one that waits beside it, so that no worker waits for this process."""


class Cluster:
    """Workers of the Dask scheduler at ``address``; they may come and go.

    Each needs labctl, the experiment, and files it reads, as they are here. Raises ConfigurationError if the address is
    none or a worker is not fit for the sweep, BusError if no scheduler or worker answers.
    """

    apart = False

    def __init__(self, plan: Plan, address: str) -> None:
        try:
            import distributed
        except ImportError:
            raise ConfigurationError("Dask is not installed here; pip install 'labctl[dask]'") from None
        self.deaths: tuple[type[BaseException], ...] = (distributed.KilledWorker,)
        self._plan, self._address = plan, address
        try:
            # That a cluster is lost is told by an error of ours, and not with a traceback beside it.
            logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
            client: Any = distributed.Client  # without types
            self._client = client(address, timeout=_PATIENCE_S, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise BusError(
                f"no Dask scheduler answers at {address} ({error}); start one with `dask scheduler`, or give the "
                "address that it prints"
            ) from None
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"--dask {address}: {error}; write tcp://HOST:8786") from None
        try:
            self._wait_for_workers()
            self._check_workers()
        except BaseException:
            self._client.close()
            raise
        self._executor = self._client.get_executor(pure=False)
        self._looked, self._count = 0.0, 0

    @property
    def about(self) -> str:
        """Where it is, and how many workers it has."""
        return f"{self.slots() // _BATCHES_PER_WORKER} workers of {self._address}"

    def slots(self) -> int:
        """By the number of workers there are now."""
        now = time.monotonic()
        if now - self._looked > _LOOK_EVERY_S:
            self._looked, self._count = now, len(self._client.nthreads())
        return _BATCHES_PER_WORKER * max(1, self._count)

    def submit(self, batch: Sequence[int]) -> Future[list[Measured]]:
        """To whichever worker is free first."""
        future: Future[list[Measured]] = self._executor.submit(measure, self._plan, list(batch))
        return future

    def close(self) -> None:
        """What waits is withdrawn; workers end the batch they have."""
        self._executor.shutdown(wait=False)
        self._client.close()

    def _wait_for_workers(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=_PATIENCE_S)
        except TimeoutError:
            raise BusError(
                f"the Dask cluster at {self._address} has no workers; start some: dask worker {self._address} "
                "--nthreads 1"
            ) from None

    def _check_workers(self) -> None:
        """Raise ConfigurationError for a worker whose results would not be those of this machine."""
        here = _about(self._plan.group, self._plan.name)
        try:
            found = self._client.run(_about, self._plan.group, self._plan.name)
        except (ImportError, AttributeError) as error:
            raise ConfigurationError(
                f"a worker of {self._address} has no labctl that could sweep ({error}); install this version there"
            ) from None
        for worker, there in found.items():
            if isinstance(there, str):
                raise ConfigurationError(f"worker {worker}: {there}")
            other = [f"{k} {there.get(k)}, here {v}" for k, v in here.items() if k != "system" and there.get(k) != v]
            if other:
                raise ConfigurationError(
                    f"worker {worker} would not measure what is measured here: {'; '.join(other)}; install the same "
                    "versions there"
                )


def _about(group: registry.Group, name: str) -> Any:
    """Versions of a worker, or in words why it cannot measure."""
    try:
        registry.load(group, name)
    except ConfigurationError as error:
        return str(error)
    return versions()
