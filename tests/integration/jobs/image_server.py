# SPDX-License-Identifier: MIT
"""A server on the loopback with the images of applications, which can be made to misbehave."""

from __future__ import annotations

import re
import ssl
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(slots=True, kw_only=True)
class Images:
    """What the server gives out, and how.

    Attributes:
        files: Content by path.
        port: Where it listens.
        ranges: Whether it sends parts.
        codes: Statuses that it answers with first, one a request.
        cut: Bytes of an answer after which it ends the connection; once.
        longer: Bytes that it says and sends more.
        shift: What it adds to where a part begins, in what it says.
        slow: Seconds that it waits after each byte; 0 for an answer in two parts.
        header: Seconds that it waits after each byte of a header that does not end; 0 for none.
        gate: Holds answers back in the middle of them.
        asked: The ranges that it was asked for.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    port: int = 0
    ranges: bool = True
    codes: list[int] = field(default_factory=list)
    cut: int = 0
    longer: int = 0
    shift: int = 0
    slow: float = 0
    header: float = 0
    gate: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"https://localhost:{self.port}{path}"


class _Server(ThreadingHTTPServer):
    images: Images
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Leave failures to the client, who tells."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        images = cast("_Server", self.server).images
        images.asked.append(self.headers.get("Range", ""))
        if images.codes:
            self.send_error(images.codes.pop(0))
            return
        data = images.files.get(self.path.partition("?")[0])
        if data is None:
            self.send_error(404)
            return
        data += bytes(images.longer)
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        start = int(found[1]) if found and images.ranges else 0
        self.send_response(206 if found and images.ranges else 200)
        if images.ranges:
            begin = start + images.shift
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        if images.header:
            self.flush_headers()
        while images.header:
            self.wfile.write(b"a")
            time.sleep(images.header)
        self.end_headers()
        body = data[start:]
        if images.cut:
            body, images.cut = body[: images.cut], 0
        while images.slow and body:
            self.wfile.write(body[:1])
            body = body[1:]
            time.sleep(images.slow)
        half = len(body) // 2
        self.wfile.write(body[:half])
        images.gate.wait(60)
        self.wfile.write(body[half:])
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        del format, args


@contextmanager
def served(certificate: Path, key: Path) -> Iterator[Images]:
    """Run the server; it listens on localhost."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.images = Images(port=server.server_port)
        server.images.gate.set()
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.images
        finally:
            server.images.gate.set()
            server.shutdown()
