# SPDX-License-Identifier: MIT
"""Servers on the loopback that ask for a client's certificate: a real mosquitto, and a double."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

from bootseal import proc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.identity.board import Board

DOUBLE: Final = "a double of the AWS IoT credentials endpoint, for tests: not AWS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that runs.

    Attributes:
        port: Where on the loopback it listens; its name is `localhost`.
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

    @classmethod
    def of(cls, board: Board, root: Path) -> Trust:
        """Return what a server is given when a device is certified, written to a directory."""
        keys, made = board.root / "keys", cls(authorities=root / "chain.pem", revoked=root / "crl")
        names = ("DEV-device-ca.crt", "DEV-root.crt")
        made.authorities.write_bytes(b"".join((keys / name).read_bytes() for name in names))
        args = ("--store", board.root / "store", *board.authority, "-o", made.revoked)
        board.run("identity", "crl", *args)
        return made


def certify_file(board: Board, directory: Path, name: str) -> tuple[Path, Path]:
    """Make a key file and a genuine certificate for it; returns both."""
    key, certificate = directory / f"{name}.key", directory / f"{name}.pem"
    args: list[str | Path] = ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key]
    proc.run("openssl", args, timeout=30)
    request = directory / f"{name}.csr"
    args = ["req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", request]
    proc.run("openssl", args, timeout=30)
    keys = board.root / "keys"
    args = ["x509", "-req", "-in", request, "-CA", keys / "DEV-device-ca.crt", "-days", "1"]
    args += ["-CAkey", keys / "DEV-device-ca.key", "-CAcreateserial"]
    args += ["-CAserial", directory / f"{name}.serial", "-out", certificate]
    proc.run("openssl", args, timeout=30)
    return key, certificate


def _own_certificate(directory: Path) -> tuple[Path, Path]:
    key, certificate = directory / "server.key", directory / "server.pem"
    args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    args += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    proc.run("openssl", [*args, "-keyout", key, "-out", certificate], timeout=30)
    return key, certificate


@contextmanager
def broker(directory: Path, trust: Trust) -> Iterator[Server]:
    """Run mosquitto with clients' certificates and the list of those revoked."""
    key, certificate = _own_certificate(directory)
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        port = chosen.getsockname()[1]
    log = directory / "broker.log"
    lines = [
        f"listener {port} 127.0.0.1",
        f"cafile {trust.authorities}",
        f"crlfile {trust.revoked}",
        f"certfile {certificate}",
        f"keyfile {key}",
        "require_certificate true",
        "use_identity_as_username true",
        "allow_anonymous false",
        f"log_dest file {log}",
        "user root",
    ]
    (directory / "broker.conf").write_text("\n".join(lines) + "\n")
    with subprocess.Popen(["/usr/sbin/mosquitto", "-c", directory / "broker.conf"]) as running:
        try:
            _wait(running, port)
            yield Server(port=port, ca=certificate, log=log)
        finally:
            running.terminate()


def _wait(running: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert running.poll() is None, "mosquitto did not start"
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("mosquitto does not listen")


class _Credentials(BaseHTTPRequestHandler):
    """Answers with credentials of nobody, and with the name in the client's certificate."""

    def do_GET(self) -> None:
        connection = self.connection
        assert isinstance(connection, ssl.SSLSocket)
        certificate = connection.getpeercert() or {}
        # Of ssl's nested tuples: the subject's common name.
        subject = dict(part[0] for part in certificate.get("subject", ()))  # type: ignore[misc]
        body = json.dumps(
            {
                "note": DOUBLE,
                "client": subject["commonName"],
                "path": self.path,
                "thing": self.headers["x-amzn-iot-thingname"],
                "credentials": {
                    "accessKeyId": "AK",
                    "secretAccessKey": "SK",
                    "sessionToken": "ST",
                    "expiration": "2100-01-01T00:00:00Z",
                },
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        del format, args


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A handshake that fails is told by the client."""


@contextmanager
def credentials_endpoint(directory: Path, trust: Trust) -> Iterator[Server]:
    """Run the double of the credentials endpoint."""
    key, certificate = _own_certificate(directory)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(trust.authorities))
    context.load_verify_locations(cafile=str(trust.revoked))
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    with _Quiet(("127.0.0.1", 0), _Credentials) as server:
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Server(port=server.server_port, ca=certificate, log=directory / "none")
        server.shutdown()
