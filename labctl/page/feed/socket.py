"""The websocket of one watcher: it says what it wants, and gets one message each time that it asks.

From the browser, JSON: ``{"most": 640, "stretch": false}``, which also asks. To the browser: bytes of a picture, or
JSON where there is none.
"""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from labctl.page.feed.hub import Feed, Hub, Wish

_LARGEST_BYTES = 400
_ALIVE_EVERY_S = 2.0


class Asked(msgspec.Struct):
    """A watcher's message."""

    most: int = 640
    stretch: bool = False


async def watch(socket: WebSocket, hub: Hub) -> None:
    """Serve one watcher until it leaves."""
    await socket.accept()
    feed = hub.feed(socket.path_params["device"])
    if feed is None:
        await socket.close(1008, "there is no camera, sequencer or SLM of that name")
        return
    try:
        await _serve(socket, feed)
    except (WebSocketDisconnect, msgspec.MsgspecError, RuntimeError):
        with contextlib.suppress(RuntimeError):
            await socket.close(1008)


async def _serve(socket: WebSocket, feed: Feed) -> None:
    sent = 0
    while True:
        text = await socket.receive_text()
        if len(text) > _LARGEST_BYTES:
            raise msgspec.ValidationError("a wish of that length")
        asked = msgspec.json.decode(text, type=Asked)
        feed.asked()
        wish = Wish(min(max(asked.most, 16), 2048), asked.stretch)
        try:
            sent = await asyncio.wait_for(feed.newer(sent), _ALIVE_EVERY_S)
        except TimeoutError:
            await socket.send_text(_json(feed.note()))
            continue
        message = None if feed.trouble else await feed.picture(wish)
        if message is None:
            await socket.send_text(_json(feed.note()))
        else:
            await socket.send_bytes(message)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
