"""`labctl leco`: a bench for Directors of LECO."""

from __future__ import annotations

import contextlib
import logging
import threading

from drivers.errors import ConfigurationError
from labctl.bus.roles import ROLES


def serve_gateway(
    bench: str, role: str, with_coordinator: bool, host: str, port: int, prefix: str, at: str | None
) -> int:
    """Serve until interrupted."""
    if role not in ROLES:
        raise ConfigurationError(f"no role {role!r}; roles are {', '.join(ROLES)}")
    try:
        from labctl.leco.serve import LOOPBACK, coordinator, gateway
    except ImportError as error:
        raise ConfigurationError(f"{error}; install what it needs: pip install 'labctl[leco]'") from None
    if with_coordinator and host != LOOPBACK:
        raise ConfigurationError("--coordinator is on the loopback: leave out --host")
    logging.getLogger("pyleco").setLevel(logging.CRITICAL)  # it would tell of every refused request with a traceback
    with contextlib.ExitStack() as stack:
        if with_coordinator:
            port = stack.enter_context(coordinator(port))
        names = stack.enter_context(gateway(bench, role=ROLES[role], host=host, port=port, prefix=prefix, at=at))
        told = ", ".join(name for device, name in names.items() if device)
        print(f"bench {names['']} is shown at {host}:{port} to {role}s: {told}", flush=True)  # noqa: T201
        threading.Event().wait()
    return 0
