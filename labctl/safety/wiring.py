"""Which server of a bench watches what for whom, as its file says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from labctl.safety.observer import Observer
from labctl.safety.rules import Interlock
from labctl.safety.sources import Key, Local, Remote, Source
from labctl.safety.watches import Watch, watch_of

if TYPE_CHECKING:
    from labctl.bench.config import BenchConfig


def home_of(config: BenchConfig, device: str) -> str:
    """The server that has a device."""
    return next(name for name, devices in config.servers.items() if device in devices)


def guarded_by(config: BenchConfig, mine: Collection[str]) -> dict[str, Interlock]:
    """Interlocks that guard an emitter among a server's devices."""
    return {
        name: Interlock(
            name,
            interlock.rule,
            tuple(g for g in interlock.guards if g in mine),
            tuple(g for g in interlock.guards if g not in mine),
        )
        for name, interlock in config.interlocks.items()
        if any(guard in mine for guard in interlock.guards)
    }


def watches_of(config: BenchConfig, mine: Collection[str], set_points: Mapping[str, str]) -> dict[Key, Watch]:
    """Watches on a server's devices, for emitters anywhere. set_points: name of each device's set-point, "" without."""
    found = {}
    for name, interlock in config.interlocks.items():
        for device in interlock.rule.watched(interlock.guards):
            watch = watch_of(interlock.rule, device, set_points[device]) if device in mine else None
            if watch is not None:
                found[name, device] = watch
    return found


def sources_of(
    config: BenchConfig,
    guarded: Mapping[str, Interlock],
    mine: Collection[str],
    observer: Observer,
    remotes: dict[str, Remote],
    connect: Callable[[str], Remote],
) -> dict[Key, Source]:
    """Where a server's guard learns what is seen: here, or at other servers, which are added to ``remotes``."""
    found: dict[Key, Source] = {}
    local = Local(observer)
    for name, interlock in guarded.items():
        for device in interlock.rule.watched(interlock.guards):
            if device in mine:
                found[name, device] = local
                continue
            home = home_of(config, device)
            if home not in remotes:
                remotes[home] = connect(home)
            found[name, device] = remotes[home]
    return found
