"""Records as files: blocks that are whole or not there, appended by several processes, read past what is spoilt.

A block is a header of fixed size with checksums, a *head* (msgpack, compressed) with entries and the places of arrays,
and a *body* (compressed) with the arrays' bytes. A reader takes all heads into memory and bodies as they are asked for.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import zstandard

from drivers.errors import ConfigurationError

MAGIC = b"labctlR1"
_HEADER = struct.Struct("<8sIQQIII")  # magic; bytes of head, body, body unpacked; checksums of both; of the header
_LARGEST_HEAD = 1 << 28
_LARGEST_BODY = 1 << 33
_LEVEL = 1
_SCAN_BYTES = 1 << 20


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """A request and its answer, as wire messages whose arrays are named by their digests.

    number: of its server, in the order in which they were answered. session: a number in place of the client's own
    name. asked, answer: headers of `labctl.bus.messages.Reply` with the arguments, and with value or failure. begun_ns,
    ended_ns: bench time. published: whether the value also went to the streams.
    """

    number: int
    lane: str
    session: int
    device: str
    verb: str
    name: str
    asked: bytes
    asked_arrays: list[bytes]
    answer: bytes
    answer_arrays: list[bytes]
    begun_ns: int
    ended_ns: int
    utc_ns: int
    took_ns: int
    published: bool = False


class ArrayPlace(msgspec.Struct, array_like=True, frozen=True):
    """Bytes of an array within the body of its block."""

    digest: bytes
    offset: int
    size: int


class Head(msgspec.Struct, array_like=True, frozen=True):
    """What a block says. server: who wrote it, "" for who began the record. about: what is told once. ended: why no
    more of this server comes."""

    server: str
    entries: list[Entry] = []
    arrays: list[ArrayPlace] = []
    about: dict[str, Any] = {}
    ended: str = ""


class Body:
    """Where the arrays of a block are in the file."""

    def __init__(self, offset: int, packed: int, size: int, checksum: int) -> None:
        self.offset, self.packed, self.size, self.checksum = offset, packed, size, checksum


_decoder = msgspec.msgpack.Decoder(Head)


def packed(head: Head, arrays: list[bytes]) -> bytes:
    """A whole block; arrays in the order of ``head.arrays``."""
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    top = compressor.compress(msgspec.msgpack.encode(head))
    whole = b"".join(arrays)
    body = compressor.compress(whole) if whole else b""
    fields = (MAGIC, len(top), len(body), len(whole), zlib.crc32(top), zlib.crc32(body))
    checksum = zlib.crc32(_HEADER.pack(*fields, 0)[:-4])
    return _HEADER.pack(*fields, checksum) + top + body


def append(handle: int, block: bytes, most_bytes: int) -> bool:
    """Append a block to a file that others append to as well; False, and nothing done, if the file would be larger than
    ``most_bytes``. Raises OSError, and the file is as it was."""
    with _locked(handle):
        size = os.fstat(handle).st_size
        if size + len(block) > most_bytes:
            return False
        try:
            rest = memoryview(block)
            while rest:
                rest = rest[os.write(handle, rest) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(handle, size)
            raise
    return True


@contextlib.contextmanager
def _locked(handle: int) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # another system: one process alone appends there
        yield
        return
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)


def read_heads(path: Path) -> Iterator[tuple[Head, Body]]:
    """Every whole block of a record. What is cut off or spoilt is left out.

    Raises ConfigurationError if it is no record at all.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ConfigurationError(f"{path} is not a record of bus traffic; make one with `labctl record`")
            at: int | None = 0
            while at is not None:
                found = _block(file, at)
                if found is None:
                    at = _next_magic(file, at + 1)
                else:
                    yield found
                    at = found[1].offset + found[1].packed
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read as a record: {error}; name a file that `labctl record` wrote"
        ) from None


def _block(file: BinaryIO, at: int) -> tuple[Head, Body] | None:
    """The block that begins here; None if none does, or it is not whole."""
    file.seek(at)
    raw = file.read(_HEADER.size)
    if len(raw) < _HEADER.size or zlib.crc32(raw[:-4]) != int.from_bytes(raw[-4:], "little"):
        return None
    magic, top_bytes, body_bytes, size, top_crc, body_crc, _ = _HEADER.unpack(raw)
    if magic != MAGIC or top_bytes > _LARGEST_HEAD or size > _LARGEST_BODY:
        return None
    top = file.read(top_bytes)
    offset = at + _HEADER.size + top_bytes
    if zlib.crc32(top) != top_crc or offset + body_bytes > os.fstat(file.fileno()).st_size:
        return None
    try:
        head = _decoder.decode(_unpacked(top, _LARGEST_HEAD))
    except (zstandard.ZstdError, msgspec.MsgspecError, MemoryError, RecursionError, ValueError):
        return None
    return head, Body(offset, body_bytes, size, body_crc)


def _next_magic(file: BinaryIO, at: int) -> int | None:
    file.seek(at)
    before = b""
    while True:
        piece = file.read(_SCAN_BYTES)
        if not piece:
            return None
        found = (before + piece).find(MAGIC)
        if found >= 0:
            return at + found
        at += len(before) + len(piece) - (len(MAGIC) - 1)
        before = (before + piece)[-(len(MAGIC) - 1) :]


def _unpacked(data: bytes, most_bytes: int) -> bytes:
    """Raises ZstdError for what is spoilt, or would be larger: a frame that tells its size is believed otherwise."""
    told = zstandard.get_frame_parameters(data).content_size
    if told not in (zstandard.CONTENTSIZE_UNKNOWN, zstandard.CONTENTSIZE_ERROR) and told > most_bytes:
        raise zstandard.ZstdError(f"{told} bytes, where {most_bytes} are allowed")
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=most_bytes)


def read_body(path: Path, body: Body) -> bytes:
    """The arrays of a block, unpacked. ConfigurationError if they are spoilt."""
    with path.open("rb") as file:
        file.seek(body.offset)
        data = file.read(body.packed)
    try:
        if zlib.crc32(data) != body.checksum:
            raise ConfigurationError(
                f"{path}: a block at byte {body.offset} is spoilt; bring back the record as it was"
            )
        return _unpacked(data, body.size) if data else b""
    except (zstandard.ZstdError, MemoryError) as error:
        raise ConfigurationError(f"{path}: a block at byte {body.offset} is spoilt: {error}") from None
