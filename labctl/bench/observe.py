"""Looking on at a bench from an asyncio program, such as a page.

async with open_observer("prbm-sim") as bench:
    print(await bench.get("camera", "exposure_s"))
    async for item in bench.stream("camera", bin=8):
        ...
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator

from drivers.errors import BusError
from labctl.bus import security
from labctl.bus.aio import AsyncBench, observe
from labctl.bus.transport import Address
from labctl.server import runtime
from labctl.server.directory import trusted_address


@contextlib.asynccontextmanager
async def open_observer(bench: str, at: str | None = None) -> AsyncIterator[AsyncBench]:
    """A bench that is up on this host, or ``at`` another machine as for `labctl.open_bench`.

    Raises BusError if it is not up.
    """
    at = at or os.environ.get("LABCTL_AT") or None
    if at:
        async with observe(trusted_address(at), security.own_keys()) as far:
            yield far
        return
    entry = runtime.find(bench)
    if entry is None:
        raise BusError(f"bench {bench} is not up; start it with `labctl up`")
    async with observe(Address(runtime.wait_until_ready(entry).directory)) as near:
        yield near
