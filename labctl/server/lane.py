"""One socket, one thread: receives requests, answers each in turn, and stops when told."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import zmq

from drivers.errors import BusError, LabError
from labctl.bus.messages import Buffer, Reply, Request, decode_request, encode, failure_of

log = logging.getLogger(__name__)

Handler = Callable[[Request], Any]


class Lane:
    """A ROUTER whose requests are handled one after another. Expired requests are refused, not executed."""

    def __init__(self, context: zmq.Context[Any], endpoint: str, handler: Handler, name: str) -> None:
        self._context = context
        self.endpoint = endpoint
        self._handler = handler
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._bound = threading.Event()
        self._stop_endpoint = f"inproc://stop-{id(self)}"
        self._failure: Exception | None = None
        self._stop: zmq.Socket[Any] | None = None
        self.handled = 0
        self.refused = 0

    def start(self) -> None:
        """Bind and serve. Raises BusError if the endpoint cannot be bound."""
        stop = self._context.socket(zmq.PAIR)
        stop.linger = 0
        stop.bind(self._stop_endpoint)
        self._stop = stop
        self._thread.start()
        self._bound.wait()
        if self._failure is not None:
            raise BusError(f"cannot listen on {self.endpoint}: {self._failure}") from self._failure

    def stop(self) -> None:
        """Finish the request in hand and end the thread. Harmless if it never started."""
        if self._thread.is_alive() and self._stop is not None:
            self._stop.send(b"")
            self._thread.join()
        if self._stop is not None:
            self._stop.close()

    def _serve(self) -> None:
        socket = self._context.socket(zmq.ROUTER)
        socket.linger = 0
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        stop = self._context.socket(zmq.PAIR)
        stop.connect(self._stop_endpoint)
        try:
            socket.bind(self.endpoint)
        except zmq.ZMQError as error:
            self._failure = error
            socket.close()
            stop.close()
            self._bound.set()
            return
        self._bound.set()
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(stop, zmq.POLLIN)
        try:
            while True:
                ready = dict(poller.poll())
                if stop in ready:
                    return
                sender, *frames = socket.recv_multipart(copy=False)
                reply = self._answer([f.buffer for f in frames])
                try:
                    socket.send_multipart([sender.bytes, *reply], copy=False)
                except zmq.ZMQError as error:
                    log.warning("a reply could not be delivered (%s): its client is gone", error)
        finally:
            socket.close()
            stop.close()

    def _answer(self, frames: list[Buffer]) -> list[Buffer]:
        number = -1
        try:
            request = decode_request(frames)
            number = request.number
            if request.expires_ns and time.monotonic_ns() > request.expires_ns:
                raise BusError(
                    f"{request.device}.{request.name} expired before its turn came and was not executed: the server "
                    "was busy with another call. Try again"
                )
            reply = Reply(number, self._handler(request))
            self.handled += 1
            return encode(reply)
        except LabError as error:
            self.refused += 1
            return encode(Reply(number, None, failure_of(error, traceback.format_exc())))
        except Exception as error:
            self.refused += 1
            log.exception("request failed")
            return encode(Reply(number, None, failure_of(error, traceback.format_exc())))
