"""The outermost layer of the page's server: requests that another site's page makes a browser send are refused.

A browser on the lab's network shows pages of other sites as well, and those may ask any address that it reaches. So a
request must name this server as its host, which keeps names out that were pointed here later (DNS rebinding), and where
the browser says by whose page it was sent (``Origin``, ``Sec-Fetch-Site``) that must be this one. What changes
something needs a header besides that no other site's form can set.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OWN_HEADER = "x-labctl-page"
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_LARGEST_BODY_BYTES = 1 << 20
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?")
"""A name or an address and a port, and nothing else (RFC 9112, section 3.2, without its percent signs)."""
# Vue compiles its templates in the browser, hence unsafe-eval; nothing is loaded from elsewhere.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_ADDED = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Door:
    """names: hosts, besides addresses and the machine's own names, by which browsers may call this server."""

    def __init__(self, app: ASGIApp, names: Iterable[str] = (), *, tls: bool = False) -> None:
        self._app = app
        self._names = {"localhost", socket.gethostname().lower(), socket.getfqdn().lower(), *map(str.lower, names)}
        self._scheme = "https" if tls else "http"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal:
            await _refuse(scope, receive, send, refusal)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _ADDED.items():
                    headers[name] = value
            await send(message)

        await self._app(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> str:
        """Why a request is not taken; "" if it is."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_ours(host):
            return f"this page is not called {host[:80]!r}; start it with --name HOST, or use its address"
        origin = headers.get("origin")
        if origin is not None and origin.lower() != f"{self._scheme}://{host}".lower():
            return "a page of another origin may not ask here"
        if scope["type"] == "websocket":
            return "" if origin is not None else "a websocket without an origin"
        fetched = headers.get("sec-fetch-site", "same-origin")
        if fetched not in ("same-origin", "none") and not _is_visit(scope, headers):
            return "a page of another site may not ask here"
        if scope["method"] not in _SAFE_METHODS:
            if OWN_HEADER not in headers and not scope["path"].startswith("/_nicegui_ws/"):
                return f"the header {OWN_HEADER} is missing"
            if "transfer-encoding" in headers or not headers.get("content-length", "0").isdecimal():
                return "a length that is none"  # no browser does so; it would be read to its end, which may never come
            if int(headers.get("content-length", "0")) > _LARGEST_BODY_BYTES:
                return "too much at once"
        return ""

    def _is_ours(self, host: str) -> bool:
        if not _HOST.fullmatch(host):  # else what is checked here may be another name than what others make of it
            return False
        try:
            name = urlsplit(f"//{host}").hostname or ""
            if name in self._names:
                return True
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True  # an address cannot be pointed elsewhere


def _is_visit(scope: Scope, headers: Headers) -> bool:
    """Whether somebody follows a link to the page, which then is loaded as a page of its own."""
    return bool(scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate")


async def _refuse(scope: Scope, receive: Receive, send: Send, why: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        closing: dict[str, Any] = {"type": "websocket.close", "code": 1008, "reason": why[:100]}
        await send(closing)
        return
    await PlainTextResponse(f"refused: {why}\n", status_code=403)(scope, receive, send)
