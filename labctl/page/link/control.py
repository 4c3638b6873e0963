"""Control that somebody at a browser has of lasers: for as long as that browser is heard of, and no longer.

The browser says every half second that it is there, from the one thread in which its page runs; each time renews. A
browser that is closed, hangs or loses its network lets the lease lapse, and the light goes off. Nothing in this process
renews by itself (decisions 9 and 41).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from drivers.errors import LabError, LeaseError
from labctl.bench.client import Bench
from labctl.bench.gate import Gate
from labctl.bus.roles import Role
from labctl.page.access.sessions import Session
from labctl.page.link.link import Link

LEASE_S = 3.0
"""How long a browser may be silent before its lasers go dark. A tab in the background speaks once a second."""


class Control:
    """Of one session, over some devices."""

    def __init__(self, link: Link, session: Session) -> None:
        self._link = link
        self._session = session
        self._gate: Gate | None = None
        self._benches: list[Bench] = []
        self._devices: tuple[str, ...] = ()
        self._changing = asyncio.Lock()
        self.lost = ""
        """Why control ended last, if it was not given back."""
        session.ended.append(self._session_ended)

    @property
    def devices(self) -> tuple[str, ...]:
        """Of which devices this session has control now."""
        return self._devices if self._gate is not None and self._gate.holder else ()

    async def take(self, *devices: str) -> None:
        """Take control, in the session's role; the devices begin with the bench file's settings, without light.

        Raises LeaseError for who is no operator, or if somebody else has one of them.
        """
        self._session.must_be(Role.OPERATOR, "control")
        async with self._changing:
            await self._end()
            role = self._session.role
            free, held = await self._link.opened_for(role), await self._link.opened_for(role)
            self._benches = [free, held]
            gate = Gate(free, held, role, via="page")
            try:
                await self._link.in_thread(lambda: gate.take(self._session.name, LEASE_S, devices))
            except LabError:
                await self._close()
                raise
            self.lost = ""
            self._gate, self._devices = gate, devices

    async def act(self, what: Callable[[Bench], object]) -> None:
        """Do something in the name of this control. LeaseError without."""
        gate = self._gate
        if gate is None or not gate.holder:
            raise LeaseError(f"control was lost: {self.lost or 'it was not taken'}; take it again")
        self._session.must_be(gate.role, "this")

        def turn() -> None:
            with gate.turn(self._session.name) as bench:
                what(bench)

        await self._link.in_thread(turn)

    def heard(self) -> None:
        """The browser has said that it is there."""
        gate = self._gate
        if gate is not None and gate.holder and self._session.role >= gate.role:
            with gate.turn(self._session.name):
                pass

    async def settle(self) -> None:
        """Notice that control was lost, or that the token is good no more, and give the devices back."""
        gate = self._gate
        if gate is None or self._changing.locked() or (gate.holder and self._session.role >= gate.role):
            return
        async with self._changing:
            if self._gate is gate:
                await self._end()
                self.lost = gate.ended or "the token is good no more"

    async def give_back(self) -> None:
        """Give control back: the devices are made safe."""
        async with self._changing:
            await self._end()
            self.lost = ""

    def _session_ended(self) -> None:
        task = asyncio.ensure_future(self.give_back())
        task.add_done_callback(lambda done: done.exception())

    async def _end(self) -> None:
        gate, self._gate, self._devices = self._gate, None, ()
        if gate is not None:
            await self._link.in_thread(gate.close)
        await self._close()

    async def _close(self) -> None:
        while self._benches:
            await self._link.in_thread(self._benches.pop().close)
