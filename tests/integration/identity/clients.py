# SPDX-License-Identifier: MIT
"""TLS clients that use the key in the device's token, as they are installed here.

Debian 13 has OpenSSL's pkcs11-provider; Debian 12 has only the engine that it replaced, and its
mosquitto_pub (2.0.11) cannot use that: it looks for a file of the key's name first.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from tests.integration.identity.board import LIBRARIES, SCRIPT, library

from bootseal.boot.catalogue.bench import cloud

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.identity.board import Board

    from bootseal.boot.catalogue.bench.servers import Server

PROVIDER: Final = LIBRARIES / "ossl-modules/pkcs11.so"
# What the device has, and where its own library is.
CONFIGURATION: Final = SCRIPT.with_name("openssl.cnf")
INSTALLED: Final = "/usr/lib/pkcs11/libtpm2_pkcs11.so"
HAS_PROVIDER: Final = PROVIDER.exists()
# MQTT 3.1.1: CONNECT with an empty client identifier, and DISCONNECT; accepted is CONNACK with 0.
HELLO: Final = bytes.fromhex("100c 00044d51545404 02003c 0000 e000")
ACCEPTED: Final = cloud.ACCEPTED
# A client of TLS 1.3 speaks before it knows whether it was refused; the server then hangs up, and
# whether its reason arrives is chance. In TLS 1.2 the reason comes first.
OPENSSL_12: Final = ("-tls1_2",)
CURL_12: Final = ("--tls-max", "1.2")
TOPIC: Final = "devices/dev-1"


def uri(board: Board, kind: str = "private") -> str:
    """Return the URI of the key; the PIN is in the file that it names."""
    pin = board.root / "run/identity/pin"
    if HAS_PROVIDER:
        return f"pkcs11:token=device;object=identity;type={kind}?pin-source=file:{pin}"
    return f"pkcs11:token=device;object=identity;type={kind};pin-value={pin.read_text()}"


def environment(board: Board) -> dict[str, str]:
    """Return what a client needs to find the token."""
    names = os.environ | board.env | {"PKCS11_MODULE_PATH": str(library())}
    if not HAS_PROVIDER:
        return names
    path = board.root / "openssl.cnf"
    text = CONFIGURATION.read_text()
    assert INSTALLED in text
    path.write_text(text.replace(INSTALLED, str(library())))
    return names | {"OPENSSL_CONF": str(path)}


def wrapped(board: Board) -> Path:
    """Write the URI as a file in PEM form, for programs that take a key from a file only."""
    path = board.root / "uri.pem"
    path.write_text(cloud.wrapped(uri(board)))
    return path


def run(board: Board, *args: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a client to its end, and free what it left in the TPM."""
    try:
        return subprocess.run(
            args,
            env=environment(board),
            input=given,
            capture_output=True,
            timeout=240,
            check=False,
        )
    finally:
        board.flush()


def openssl_command(
    board: Board, server: Server, certificate: Path | str, *more: str, key: Path | None = None
) -> list[str | Path]:
    """Return the command that connects, by the key in the token or in a file."""
    args: list[str | Path] = ["openssl", "s_client", "-quiet", "-verify_return_error"]
    args += ["-connect", f"localhost:{server.port}", "-CAfile", server.ca, "-cert", certificate]
    args += more
    if key is not None:
        return [*args, "-key", key]
    # With -engine, all of OpenSSL would go through the engine, tpm2-tss's own use of it too.
    return [
        *args,
        "-key",
        uri(board) if HAS_PROVIDER else f"org.openssl.engine:pkcs11:{uri(board)}",
    ]


def openssl(
    board: Board, server: Server, certificate: Path | str, *more: str, key: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Say hello to a broker with `openssl s_client`, by the key in the token or in a file."""
    command = openssl_command(board, server, certificate, *more, key=key)
    return run(board, *command, given=HELLO)


def mosquitto(
    board: Board, program: str, server: Server, certificate: Path, *more: str
) -> subprocess.CompletedProcess[bytes]:
    """Run `mosquitto_pub` or `mosquitto_sub` with the key in the token."""
    args: list[str | Path] = [program, "-h", "localhost", "-p", str(server.port), "-t", TOPIC]
    args += ["--cafile", server.ca, "--cert", certificate, "--key", wrapped(board)]
    return run(board, *args, *more)


def curl(
    board: Board, server: Server, certificate: Path, *more: str
) -> subprocess.CompletedProcess[bytes]:
    """Ask the credentials endpoint, as Greengrass does."""
    args: list[str | Path] = ["curl", "-sS", "--cacert", server.ca, "--cert", certificate]
    args += ["--key", wrapped(board) if HAS_PROVIDER else uri(board)]
    args += ["-H", "x-amzn-iot-thingname: dev-1"]
    url = f"https://localhost:{server.port}/role-aliases/gateway/credentials"
    return run(board, *args, *more, url)


AWSCRT: Final = """
import sys
from awscrt import io, mqtt
library, pin, certificate, ca, port = sys.argv[1:]
behavior = io.Pkcs11Lib.InitializeFinalizeBehavior.STRICT
options = io.TlsContextOptions.create_client_with_mtls_pkcs11(
    pkcs11_lib=io.Pkcs11Lib(file=library, behavior=behavior), user_pin=pin, token_label="device",
    private_key_label="identity", cert_file_path=certificate)
options.override_default_trust_store_from_path(None, ca)
client = mqtt.Client(tls_ctx=io.ClientTlsContext(options))
connection = mqtt.Connection(
    client=client, host_name="localhost", port=int(port), client_id="dev-1")
connection.connect().result(120)
print("connected")
connection.disconnect().result(120)
"""


def awscrt(board: Board, server: Server, certificate: Path) -> subprocess.CompletedProcess[bytes]:
    """Connect with the library below AWS's SDKs, which has a TLS of its own."""
    pin = (board.root / "run/identity/pin").read_text()
    args = [str(library()), pin, str(certificate), str(server.ca), str(server.port)]
    return run(board, sys.executable, "-c", AWSCRT, *args)
