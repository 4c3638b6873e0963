"""`labctl page`: a bench in a browser."""

from __future__ import annotations

import ipaddress
import logging
import socket
from pathlib import Path
from urllib.parse import urlsplit

from drivers.errors import ConfigurationError
from labctl.server import runtime


def serve_page(
    bench: str | None, host: str, port: int, out: Path, names: list[str], certificate: Path | None, key: Path | None,
    at: str | None,
) -> int:  # fmt: skip
    """Serve until interrupted."""
    bench = _meant(bench, at)
    local = is_loopback(host)
    if (certificate is None) != (key is None):
        raise ConfigurationError("--certificate and --key go together")
    for file in (certificate, key):
        if file is not None and not file.is_file():
            raise ConfigurationError(f"there is no file {file}; make one, for example with `openssl req -x509 …`")
    try:
        from labctl.page.server import Options, serve
    except ImportError as error:
        raise ConfigurationError(f"{error}; install what it needs: pip install 'labctl[page]'") from None
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(printable)
    for noisy in ("uvicorn", "nicegui", "socketio", "engineio", "httpx", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    signing_in = local or certificate is not None
    listening = _listen(host, port)
    address, number = listening.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address
    url = f"{'https' if certificate else 'http'}://{shown}:{number}/"

    up = at is not None or bench in _benches_up()

    def told() -> None:
        print("\n".join(greeting(bench, url, up=up, signing_in=signing_in)), flush=True)  # noqa: T201

    serve(Options(bench, at, out, tuple(names), certificate, key, signing_in, number), listening, told)
    return 0


def greeting(bench: str, url: str, *, up: bool, signing_in: bool) -> list[str]:
    """What is told when the page listens."""
    lines = [f"bench {bench} is shown at {url}"]
    if not up:
        lines.append("it is not up, which is shown until it is: `labctl up`, from another terminal")
    if not signing_in:
        number = urlsplit(url).port
        lines.append(
            "everybody on that network may look on and stop the bench; nobody can sign in, since tokens would go "
            "over it for all to read. For more give --certificate and --key, or leave --host out and tunnel: "
            f"ssh -L {number}:127.0.0.1:{number} THIS-MACHINE"
        )
    return lines


def printable(record: logging.LogRecord) -> bool:
    """Spell out what is no text of one line: browsers may have messages logged, which come to a terminal."""
    text = record.getMessage()
    record.msg = "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)
    record.args = None
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address. ConfigurationError for what is none."""
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host).is_loopback
    except ValueError:
        raise ConfigurationError(
            f"--host {host}: an address of this machine is needed, such as 127.0.0.1 or 0.0.0.0"
        ) from None


def _meant(bench: str | None, at: str | None) -> str:
    if bench is not None:
        return Path(bench).stem if bench.endswith(".toml") else bench
    if at is not None:
        raise ConfigurationError(f"name the bench that is shown; --at {at} says where it is")
    up = _benches_up()
    if len(up) != 1:
        told = (
            f"several benches are up: {', '.join(up)}; name one" if up else "no bench is up; start one with `labctl up`"
        )
        raise ConfigurationError(told)
    return up[0]


def _benches_up() -> list[str]:
    return [host.bench for host in runtime.all_hosts() if host.kind == "up"]


def _listen(host: str, port: int) -> socket.socket:
    address = "127.0.0.1" if host == "localhost" else host
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((address, port))
    except OSError as error:
        made.close()
        raise ConfigurationError(
            f"{host}:{port} cannot be listened on: {error}; give another --port or --host"
        ) from None
    return made
