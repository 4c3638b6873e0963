"""A simulated table in virtual time as bytes, and back: what every server of a bench keeps of it, in one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.frozen import freeze, spoilt_told, thaw, unlike
from labctl.bus.reach import Reach


def freeze_table(servers: Mapping[str, Reach], fingerprint: str) -> NDArray[np.uint8] | None:
    """Devices of every server, and the world, which one of them tells; None where one has what cannot be frozen.

    fingerprint: of the bench, by which it is known again.
    """
    kept: dict[str, Any] = {"fingerprint": fingerprint, "servers": {}, "world": None}
    for name, server in servers.items():
        found = server.calls.request("", "freeze", arguments=kept["world"] is None)
        if found is None:
            return None
        kept["servers"][name] = np.array(found[0], np.uint8)
        kept["world"] = np.array(found[1], np.uint8) if kept["world"] is None else kept["world"]
    return freeze(kept)


def thaw_table(
    servers: Mapping[str, Reach], fingerprint: str, frozen: NDArray[np.uint8], make_safe: Callable[[], object]
) -> list[str]:
    """Put every server back to where it was; the roles that emitted then, and are dark now.

    make_safe: is called once what is frozen has been found to be of this bench. Raises ConfigurationError if it is
    spoilt or of another one.
    """
    lit: list[str] = []
    with spoilt_told():
        kept = thaw(frozen)
        if kept["fingerprint"] != fingerprint or set(kept["servers"]) != set(servers):
            raise unlike(f"that of a bench of fingerprint {kept['fingerprint']!r:.40} is of another one")
        make_safe()
        world = kept["world"]
        for name, server in servers.items():
            lit += server.calls.request("", "thaw", arguments=[kept["servers"][name], world])
            world = None
    return lit
