"""Where a device server's lanes pass by: what they carry is recorded, or answered from a record, or neither."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from drivers.errors import BusError
from labctl.bus.messages import Request
from labctl.bus.roles import LOCAL_USER, Caller, Role

if TYPE_CHECKING:
    from drivers.contract import DeviceDescription
    from labctl.record.recording import Recording
    from labctl.record.replay import Replay

Handler = Callable[[Request, Caller], Any]


class Traffic:
    """Of one device server. describe: its devices now. time_ns: bench time."""

    def __init__(
        self, server: str, describe: Callable[[], list[DeviceDescription]], time_ns: Callable[[], int]
    ) -> None:
        self.replay: Replay | None = None
        """Of a server that has devices which are replayed."""
        self._server = server
        self._describe = describe
        self._time_ns = time_ns
        self._recording: Recording | None = None

    def on(self, lane: str, handler: Handler) -> Handler:
        """A lane's handler, seen from outside."""

        def handle(request: Request, caller: Caller) -> Any:
            if request.verb == "record" and lane == "calls" and not request.device:
                return self._command(request, caller)
            recording, replay = self._recording, self.replay
            if recording is None and replay is None:
                return handler(request, caller)

            def serve() -> Any:
                if replay is None:
                    return handler(request, caller)
                return replay.serve(lane, request, lambda: handler(request, caller))

            return serve() if recording is None else recording.through(lane, serve, request)

        return handle

    def _command(self, request: Request, caller: Caller) -> Any:
        """Begin, with a map of ``file``, ``most_bytes`` and ``asker``, or end, with nil; the status of what was or is
        going on. For this user on this host alone, as it names a file."""
        if caller.name != LOCAL_USER.name:
            raise BusError("a record is begun on the bench's own machine: its file lies there")
        caller.must_be(Role.OPERATOR, "record")
        recording = self._recording
        if request.arguments is not None and recording is not None and not recording.ended:
            raise BusError(f"server {self._server} is being recorded to {recording.path}; end that first, with Ctrl-C")
        self.close()
        if request.arguments is None:
            return None if recording is None else recording.status()
        from labctl.record.recording import Recording  # with it comes zstd, which nobody else needs

        try:
            file, most_bytes = str(request.arguments["file"]), int(request.arguments["most_bytes"])
            pid, start = request.arguments["asker"]
        except (TypeError, LookupError, ValueError) as error:
            raise BusError(f"record: malformed arguments ({error})") from None
        about = {"devices": [msgspec.to_builtins(description) for description in self._describe()]}
        self._recording = Recording(
            Path(file), self._server, about, most_bytes=most_bytes, asker=(int(pid), str(start)), time_ns=self._time_ns
        )
        return self.status()

    def status(self) -> dict[str, Any] | None:
        """What is being recorded; None if nothing is."""
        return None if self._recording is None else self._recording.status()

    def close(self) -> None:
        """End a recording, with everything written."""
        recording, self._recording = self._recording, None
        if recording is not None:
            recording.close()
