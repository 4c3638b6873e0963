"""The page's server: one process, one bench; its routes, and in which order everything begins and ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import JSONResponse, PlainTextResponse
from nicegui import Client, ui
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocketDisconnect

from drivers.errors import ConfigurationError, LabError
from labctl.bus.roles import Role
from labctl.page import pictures
from labctl.page.access.door import Door
from labctl.page.access.sessions import Session, Sessions, SignInRefused
from labctl.page.access.tokens import LONGEST_TOKEN
from labctl.page.feed.hub import Hub
from labctl.page.feed.socket import watch
from labctl.page.feed.traces import Traces
from labctl.page.link.calibrations import Calibrations
from labctl.page.link.control import Control
from labctl.page.link.link import Link
from labctl.page.link.live import Live
from labctl.page.runs.listing import Listing
from labctl.page.runs.runner import Runner
from labctl.page.views.frame import Frame
from labctl.page.views.visit import Services, Visit

log = logging.getLogger(__name__)

_STATIC = Path(__file__).parent / "static"
_LARGEST_WORDS = 1000
_MOST_VISITS = 300


@dataclass(frozen=True)
class Options:
    """bench: name of one that is up, ``at`` another machine. out: folder of runs. names: by which browsers may call
    this server, besides addresses and the machine's own. certificate, key: files for TLS. signing_in: whether anybody
    may be more than an observer here. port: where it listens."""

    bench: str
    at: str | None
    out: Path
    names: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    signing_in: bool = True
    port: int = 0

    @property
    def tls(self) -> bool:
        """Whether browsers speak TLS."""
        return self.certificate is not None


def serve(options: Options, listening: socket.socket, told: Callable[[], None]) -> None:
    """Serve until interrupted; ``told`` is called when browsers may come. Once in a process: NiceGUI has one page."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    page = Page(options)
    app.router.lifespan_context = page.living(told)
    page.add_routes(app)
    ui.run_with(app, title=f"{options.bench} · labctl", dark=True, show_welcome_message=False, reconnect_timeout=5.0,
                favicon="🔬", tailwind=True)  # fmt: skip
    door = Door(app, options.names, tls=options.tls)
    config = uvicorn.Config(
        door, log_config=None, access_log=False, loop="asyncio", ws_max_size=1 << 20, timeout_graceful_shutdown=2,
        ws_per_message_deflate=False,  # noise does not get smaller, and takes a processor's time to find that out
        server_header=False, proxy_headers=False,
        ssl_certfile=options.certificate, ssl_keyfile=options.key,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listening])


class Page:
    """What lives as long as the server."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.sessions = Sessions()
        self._cookie = f"labctl-page-{options.port}"  # browsers keep one jar for all ports of a host
        self._controls: dict[Session, Control] = {}
        self._services: Services | None = None

    @property
    def services(self) -> Services:
        """What visits share; there from the beginning of the server to its end."""
        assert self._services is not None
        return self._services

    def living(self, told: Callable[[], None]) -> Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]:
        """The server's life, as FastAPI has it."""

        @contextlib.asynccontextmanager
        async def life(_: FastAPI) -> AsyncIterator[None]:
            options = self._options
            link = Link(options.bench, options.at)
            self._services = made = Services(
                link, self.sessions, Hub(link), Traces(link), Live(link), Runner(link, options.out),
                Listing(link, options.out), Calibrations(link), options.out,
            )  # fmt: skip
            keeping = asyncio.create_task(link.keep())
            told()
            try:
                yield
            finally:
                # The run first: it has the light. Then lasers that people control, then what only looks on.
                await made.runner.end()
                self.sessions.end()
                for control in self._controls.values():
                    with contextlib.suppress(LabError):
                        await control.give_back()
                await made.live.end()
                await made.hub.end()
                keeping.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await keeping
                link.close()

        return life

    def session(self, cookies: dict[str, str]) -> Session:
        """Who a request is from."""
        return self.sessions.find(cookies.get(self._cookie))

    def control(self, session: Session) -> Control | None:
        """The control that a session may take, over any number of tabs; None of an observer."""
        if session.role == Role.OBSERVER:
            return None
        if session not in self._controls:
            for old in [one for one in self._controls if one.over]:
                del self._controls[old]
            self._controls[session] = Control(self.services.link, session)
        return self._controls[session]

    # --- routes -----------------------------------------------------------------------------------------------------

    def add_routes(self, app: FastAPI) -> None:
        """Every address that this server knows, but NiceGUI's own."""
        app.add_api_route("/stop", self._stop, methods=["POST"])
        app.add_api_route("/sign-in", self._sign_in, methods=["POST"])
        app.add_api_route("/sign-out", self._sign_out, methods=["POST"])
        app.add_api_route("/palettes.json", self._palettes, methods=["GET"])
        app.add_api_route("/runs/{run}/plot.png", self._run_plot, methods=["GET"])
        app.add_api_route("/runs/{run}/picture/{name}", self._run_picture, methods=["GET"])
        app.add_api_route("/calibrations/{calibration}/plot.png", self._calibration_plot, methods=["GET"])
        app.add_api_websocket_route("/stop", self._stop_by_socket)
        app.add_api_websocket_route("/feed/{device}", self._feed)
        app.mount("/static", StaticFiles(directory=_STATIC))
        ui.add_head_html(
            '<link rel="stylesheet" href="/static/page.css"><script src="/static/page.js"></script>'
            '<meta name="color-scheme" content="dark">',
            shared=True,
        )
        # On a phone a choice would be a dialog over all of the page, and STOP below it.
        ui.select.default_props("behavior=menu")
        ui.page("/")(self._visit)
        ui.page("/{view}")(self._visit)

    async def _visit(self, request: Request, view: str = "bench") -> Response | None:
        if len(Client.instances) > _MOST_VISITS:  # each keeps memory for a minute, also if nobody ever looks
            return PlainTextResponse("too many at once look at this page; try again in a minute\n", 503)
        session = self.session(request.cookies)
        visit = Visit(self.services, session, self.control(session))
        frame = Frame(visit, view, signing_in=self._options.signing_in)
        # Not when it disconnects: it may come back, and one that never connected does not.
        ui.context.client.on_delete(frame.leave)
        frame.build()
        return None

    async def _stop(self, request: Request) -> Response:
        """Emergency stop. It needs no role, as `labctl stop` needs none (`docs/bus.md`)."""
        return JSONResponse(await self._stopped(dict(request.cookies)))

    async def _stop_by_socket(self, socket: WebSocket) -> None:
        """The same. Browsers have six connections for requests to a server, in which slow pictures may be waited for;
        websockets are not counted among them."""
        await socket.accept()
        told = await self._stopped(dict(socket.cookies))
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await socket.send_json(told)
            await socket.close()

    async def _stopped(self, cookies: dict[str, str]) -> dict[str, object]:
        """Stop; what came of it. Nothing that can fail comes before."""
        token = self.session(cookies).token  # only for its name: whether the list of tokens can be read is no matter
        try:
            told = await self.services.link.stop(f"{token.name if token else 'somebody'} at the page")
        except LabError as error:
            return {"stopped": False, "text": f"NOT STOPPED: {error}"}
        failed = {server: result for server, result in told.items() if isinstance(result, str)}
        if failed:
            text = "; ".join(f"{server} NOT STOPPED: {result}" for server, result in failed.items())
            return {"stopped": False, "text": text, "servers": told}
        worst = max((result for result in told.values() if isinstance(result, float)), default=0.0)
        text = f"Stopped: everything is safe after {1000 * worst:.0f} ms, and nobody has control any more."
        return {"stopped": True, "text": text, "servers": told}

    async def _sign_in(self, request: Request) -> Response:
        if not self._options.signing_in:
            return JSONResponse({"text": "tokens are not taken here: this server has no TLS"}, status_code=403)
        body = await request.body()
        try:
            token = msgspec.json.decode(body[:_LARGEST_WORDS], type=dict[str, str]).get("token", "")
        except msgspec.MsgspecError:
            token = ""
        address = request.client.host if request.client else ""
        try:
            secret = self.sessions.sign_in(token[:LONGEST_TOKEN], address)
        except SignInRefused as error:
            return JSONResponse({"text": str(error)}, status_code=429 if error.wait_s else 403)
        except ConfigurationError as error:
            log.error("page: %s", error)
            return JSONResponse(
                {"text": "the list of tokens cannot be believed; see the server's log"}, status_code=500
            )
        # Whoever was signed in at this browser is no more: their tabs would go on in their role.
        self.sessions.sign_out(request.cookies.get(self._cookie))
        answer = JSONResponse({"text": "welcome"})
        answer.set_cookie(self._cookie, secret, httponly=True, samesite="strict", secure=self._options.tls, path="/")
        return answer

    async def _sign_out(self, request: Request) -> Response:
        self.sessions.sign_out(request.cookies.get(self._cookie))
        answer = JSONResponse({"text": "signed out"})
        answer.delete_cookie(self._cookie, path="/")
        return answer

    async def _feed(self, socket: WebSocket) -> None:
        await watch(socket, self.services.hub)

    async def _palettes(self) -> Response:
        return JSONResponse(pictures.palettes())

    async def _run_plot(self, run: str) -> Response:
        return await self._drawn(lambda: pictures.run_plot(pictures.run_file(self._options.out, run)))

    async def _run_picture(self, run: str, name: str) -> Response:
        return await self._drawn(lambda: pictures.run_picture(pictures.run_file(self._options.out, run), name))

    async def _calibration_plot(self, calibration: str) -> Response:
        try:
            found = await self.services.calibrations.calibration(calibration)
        except LabError as error:
            return Response(str(error), 404, media_type="text/plain")
        return await self._drawn(lambda: pictures.calibration_plot(found))

    async def _drawn(self, draw: Callable[[], bytes]) -> Response:
        try:
            png = await self.services.link.apart(draw)
        except LabError as error:
            return Response(str(error), 404, media_type="text/plain")
        return Response(png, media_type="image/png", headers={"Cache-Control": "no-store"})
