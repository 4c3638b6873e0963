"""The lease of one client: control of devices taken at their servers, renewed while calls are made, given back."""

from __future__ import annotations

import contextlib
import functools
import getpass
import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping

from drivers.errors import LabError, LeaseError
from labctl.bus.connection import Pending
from labctl.bus.reach import Reach
from labctl.bus.together import raise_first, together

CONTROL_TIMEOUT_S = 2.0
"""Of what is asked of a server's control or emergency lane, where nobody is ever busy."""
_RENEWALS_PER_LEASE = 4


class Lease:
    """Control as one client has it, at all servers of a bench that have some of its devices.

    servers: by name, those of the bench; more may come until control is taken. lease_s: the bench's time-to-live.
    Every call of the thread that took it renews it, also while it is waited for; another thread's calls do not, since
    it would go on for a control loop that hangs.
    """

    def __init__(self, servers: Mapping[str, Reach], lease_s: float) -> None:
        self._servers = servers
        self._lease_s = lease_s
        self.patience_s = lease_s / _RENEWALS_PER_LEASE
        """How long a call is waited for before the lease is renewed (s)."""
        self.token = ""
        """Its name at the servers; empty without control."""
        self.whole = False
        """Whether it is control of the whole bench."""
        self.held: dict[str, list[str]] = {}
        """Devices under control by server."""
        self._thread = 0
        self._renew_due_ns = 0
        self._renewing = threading.Lock()

    def take(
        self,
        purpose: str,
        held: Mapping[str, list[str]],
        run: str = "",
        lease_s: float | None = None,
        *,
        whole: bool,
        calibrating: bool = False,
    ) -> None:
        """Take control of devices, by server; for the arguments see `Bench.control`. At once everywhere, or nowhere."""
        holder = f"{purpose} ({getpass.getuser()}@{socket.gethostname()}, pid {os.getpid()})"
        for name, names in held.items():  # asked first, where nobody is ever busy
            self._servers[name].control.request("", "may-acquire", arguments=names, timeout_s=CONTROL_TIMEOUT_S)
        self.token = secrets.token_hex(16)
        self._thread = threading.get_ident()
        self.held = {}
        self._set_patience((lease_s or self._lease_s) / _RENEWALS_PER_LEASE)
        try:
            for name, names in held.items():
                arguments = {
                    "token": self.token, "holder": holder, "run": run, "devices": names, "whole": whole,
                    "ttl_s": lease_s, "calibrating": calibrating,
                }  # fmt: skip
                # It must begin soon, and then takes as long as the devices take.
                self._servers[name].calls.request("", "acquire", arguments=arguments)
                self.held[name] = names
                self._servers[name].set_lease(self.token, self._thread)
        except BaseException:
            for name, names in held.items():  # also where it may have been granted without our knowing
                self.held.setdefault(name, names)
                self._servers[name].set_lease(self.token)
            with contextlib.suppress(LabError):
                self.give_back()
            raise
        self._renew_due_ns = 0
        self.whole = whole
        if len(self._servers) > 1:  # what goes to one server does not renew the lease at the others
            for server in self._servers.values():
                server.calls.before_request = self._renew_if_due

    def give_back(self) -> None:
        """Makes the devices safe. The control lane acts at once, even while a long sequence is being played."""
        self.whole = False
        held, self.held, self.token = list(self.held), {}, ""  # first: from now on nothing renews, come what may
        for server in self._servers.values():
            server.calls.before_request = None
            server.calls.lease = ""

        def release(server: Reach) -> None:
            try:
                server.control.request("", "release", timeout_s=CONTROL_TIMEOUT_S)
            finally:
                server.set_lease("")

        results = together({name: functools.partial(release, self._servers[name]) for name in held})
        self._set_patience(self._lease_s / _RENEWALS_PER_LEASE)
        raise_first(results)

    def renew(self) -> None:
        """Renew it without doing anything else; without control, nothing.

        Raises LeaseError if it was lost, and in a thread that did not take control.
        """
        if self.token and threading.get_ident() != self._thread:
            raise LeaseError("the thread that took control renews its lease, and no other; take control in your loop")
        if self.token:
            self._renew()

    def watch(self, server: Reach, session: str, number: int) -> str | None:
        """Called while a call is waited for: renews the lease, and finds out whether the call still lives."""
        return self._renew((server, session, number))

    def _renew(self, what: tuple[Reach, str, int] | None = None) -> str | None:
        """Renew at every server at once. what: a request to ask after at its server; returns where it is.

        Of a thread that is not the control loop's only the question is answered, and nothing renewed.
        """
        if not self._renewing.acquire(blocking=False):
            return None  # another thread of this program is just doing it
        try:
            self._renew_due_ns = time.monotonic_ns() + int(self.patience_s * 1e9)
            mine = threading.get_ident() == self._thread
            asked: list[tuple[Reach, Pending, bool]] = []
            lost: LabError | None = None
            for name, server in self._servers.items():
                try:
                    if what is not None and server is what[0]:
                        sent = server.control.submit("", "renew-where", "", list(what[1:]), CONTROL_TIMEOUT_S)
                        asked.append((server, sent, True))
                    elif name in self.held and mine:
                        sent = server.control.submit("", "renew", timeout_s=CONTROL_TIMEOUT_S)
                        asked.append((server, sent, False))
                except LabError as error:  # the others must be renewed, or told apart, all the same
                    lost = lost or error
            where = None
            for server, sent, about_call in asked:
                try:
                    answer = sent.result()
                    if about_call:
                        where = server.still(*answer)
                except LabError as error:
                    lost = lost or error
            if lost is not None:
                raise lost
            return where
        finally:
            self._renewing.release()

    def _renew_if_due(self) -> None:
        if time.monotonic_ns() > self._renew_due_ns and threading.get_ident() == self._thread:
            self._renew()

    def _set_patience(self, patience_s: float) -> None:
        self.patience_s = patience_s
        for server in self._servers.values():
            server.calls.set_patience(patience_s)
