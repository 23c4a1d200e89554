# SPDX-License-Identifier: MIT
"""Servers on the loopback that ask for a device's certificate.

One is mosquitto, a real MQTT broker; the other is a double of AWS's endpoint for credentials.
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, cast

from bootseal import proc
from bootseal.errors import ToolError
from bootseal.keys import server as server_certificates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BROKER: Final = "iot.bootseal.test"
ENDPOINT: Final = "credentials.bootseal.test"
"""Their names on the device; `localhost` is in their certificates as well."""
BUNDLES: Final = "updates.bootseal.test"
"""The name of the server with bundles."""
DOUBLE: Final = "a double of the AWS IoT credentials endpoint, for tests: not AWS"
_LOOPBACK: Final = "127.0.0.1"
_PATIENCE: Final = 60.0
_BETWEEN: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that runs.

    Attributes:
        port: Where on the loopback it listens.
        ca: What its own certificate is verified with.
        log: What it says.
    """

    port: int
    ca: Path
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What a server knows of clients.

    Attributes:
        authorities: PEM certificates of who certifies devices, and of its issuers.
        revoked: Their list of revoked certificates, PEM.
    """

    authorities: Path
    revoked: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """The servers' own key and its certificate, PEM, for `BROKER`, `ENDPOINT` and `localhost`."""

    key: Path
    certificate: Path

    @classmethod
    def made(cls, directory: Path, start: int) -> Own:
        """Make them in a directory; valid from `start` on, in seconds since 1970, or from now."""
        own = cls(key=directory / "server.key", certificate=directory / "server.pem")
        key, certificate = server_certificates.make([BROKER, ENDPOINT, "localhost"], start)
        own.key.write_bytes(key)
        own.certificate.write_bytes(certificate)
        return own

    @classmethod
    def issued(cls, directory: Path, authority: server_certificates.Authority) -> Own:
        """Make them in a directory, by the authority that devices of the reference build know."""
        own = cls(key=directory / "server.key", certificate=directory / "server.pem")
        key, certificate = authority.issue([BROKER, BUNDLES, "localhost"])
        own.key.write_bytes(key)
        own.certificate.write_bytes(certificate)
        return own


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What a broker has for the double behind it.

    Attributes:
        rights: What clients may do, an ACL file of mosquitto.
        port: A second listener, for anyone on this computer, without TLS and rights.
    """

    rights: Path
    port: int


@contextmanager
def broker(
    directory: Path, trust: Trust, own: Own, inside: Inside | None = None
) -> Iterator[Server]:
    """Run mosquitto with clients' certificates and the list of those revoked.

    Args:
        directory: For its configuration and its log.
        trust: What it knows of clients.
        own: Its own key and certificate.
        inside: What clients may do, and a second listener; None for neither.

    Raises:
        ToolError: mosquitto is not installed or does not start.
    """
    port, configuration, log = free_port(), directory / "broker.conf", directory / "broker.log"
    rights = [] if inside is None else [f"acl_file {inside.rights}"]
    second = [] if inside is None else [f"listener {inside.port} {_LOOPBACK}"]
    lines = [
        "per_listener_settings true",
        f"log_dest file {log}",
        "user root",
        f"listener {port} {_LOOPBACK}",
        f"cafile {trust.authorities}",
        f"crlfile {trust.revoked}",
        f"certfile {own.certificate}",
        f"keyfile {own.key}",
        "require_certificate true",
        "use_identity_as_username true",
        "allow_anonymous false",
        *rights,
        *second,
        *(["allow_anonymous true"] if second else []),
    ]
    configuration.write_text("\n".join(lines) + "\n")
    output = directory / "broker.output"
    with proc.background("mosquitto", ["-c", configuration], output=output) as running:
        # It opens one after the other, and the double connects to the second.
        for each in (port, *([] if inside is None else [inside.port])):
            _wait(running.pid, each, output)
        yield Server(port=port, ca=own.certificate, log=log)


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.create_server((_LOOPBACK, 0)) as chosen:
        return int(chosen.getsockname()[1])


def _wait(process: int, port: int, output: Path) -> None:
    """Wait until a server listens."""
    end, ended = time.monotonic() + _PATIENCE, os.pidfd_open(process)
    try:
        while time.monotonic() < end and not select.select([ended], [], [], _BETWEEN)[0]:
            with socket.socket() as client:
                if client.connect_ex((_LOOPBACK, port)) == 0:
                    return
    finally:
        os.close(ended)
    said = output.read_text(errors="replace").strip()
    raise ToolError(f"mosquitto does not listen on {_LOOPBACK}:{port}: it said {said[-600:]!r}")


class _Double(ThreadingHTTPServer):
    """The server; `log` is where it says who asked for what."""

    log: Path
    files: Path

    def handle_error(self, request: object, client_address: object) -> None:
        """Leave a handshake that fails to the client, who tells."""


class _Credentials(BaseHTTPRequestHandler):
    """Answers with credentials of nobody, and with the name in the client's certificate."""

    def do_GET(self) -> None:
        """Answer a request."""
        connection, server = cast("ssl.SSLSocket", self.connection), cast("_Double", self.server)
        certificate = connection.getpeercert() or {}
        # Of ssl's nested tuples: the subject's common name.
        subject = dict(part[0] for part in certificate.get("subject", ()))  # type: ignore[misc]
        seen = {
            "client": subject["commonName"],
            "path": self.path,
            "thing": self.headers["x-amzn-iot-thingname"],
        }
        with server.log.open("a") as log:
            log.write(json.dumps(seen) + "\n")
        credentials = {
            "accessKeyId": "AK",
            "secretAccessKey": "SK",
            "sessionToken": "ST",
            "expiration": "2100-01-01T00:00:00Z",
        }
        # No more: nucleus lite has room for seven members of an answer, those inside counted.
        answer = {"note": DOUBLE, "client": seen["client"], "credentials": credentials}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        """Say nothing on standard error."""
        del format, args


class _Files(BaseHTTPRequestHandler):
    """Answers with a part of a file, as RAUC asks for it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a request for one range, RFC 9110 section 14."""
        server = cast("_Double", self.server)
        asked = re.fullmatch(r"bytes=(\d{1,12})-(\d{1,12})", self.headers.get("Range", ""))
        found = server.files / self.path.partition("?")[0].rpartition("/")[2]
        if asked is None or not found.is_file():
            self.send_error(416 if found.is_file() else 404)
            return
        size = found.stat().st_size
        start, end = int(asked[1]), min(int(asked[2]), size - 1)
        with found.open("rb") as file:
            file.seek(start)
            data = file.read(max(end - start + 1, 0))
        with server.log.open("a") as log:
            log.write(f"{start} {len(data)}\n")
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        """Say nothing on standard error."""
        del format, args


@contextmanager
def bundles(directory: Path, own: Own) -> Iterator[Server]:
    """Run an HTTPS server that gives out parts of the files in a directory, to anyone.

    Its log has a line for each request: where it begins, and the bytes that were sent.

    Args:
        directory: The files.
        own: Its own key and certificate.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own.certificate, own.key)
    with _Double((_LOOPBACK, 0), _Files) as server:
        server.files = directory
        with _serving(server, context, directory / "requests.log"):
            yield Server(port=server.server_port, ca=own.certificate, log=server.log)


@contextmanager
def credentials_endpoint(directory: Path, trust: Trust, own: Own) -> Iterator[Server]:
    """Run the double of the credentials endpoint.

    Its log has a line of JSON for each request: the client, by its certificate; the path; the thing
    that it says it is.

    Args:
        directory: For its log.
        trust: What it knows of clients.
        own: Its own key and certificate.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(trust.authorities))
    context.load_verify_locations(cafile=str(trust.revoked))
    context.load_cert_chain(own.certificate, own.key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    with (
        _Double((_LOOPBACK, 0), _Credentials) as server,
        _serving(server, context, directory / "endpoint.log"),
    ):
        yield Server(port=server.server_port, ca=own.certificate, log=server.log)


@contextmanager
def _serving(server: _Double, context: ssl.SSLContext, log: Path) -> Iterator[None]:
    """Have a server answer in a separate thread, by TLS."""
    server.log = log
    log.touch()
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
