# SPDX-License-Identifier: MIT
"""A device that talks TLS with its identity key, and servers next to it that say whom they saw.

Next to the device are a real broker and a double of AWS's endpoint for credentials, both with the
list of revoked certificates. The device has the URI, the PIN file and the `openssl.cnf` that a
product's clients would have.
"""

from __future__ import annotations

import base64
import json
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.boot.catalogue.bench import servers, station
from bootseal.boot.catalogue.bench.station import NAME, URI
from bootseal.boot.machine.qemu import Network
from bootseal.boot.scenario.model import Action, Do
from bootseal.errors import VerificationRefused
from bootseal.identity import issue as issuing
from bootseal.identity.registry import Registry
from bootseal.keys import identity as certificates
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bootseal.boot.catalogue.bench.station import Port
    from bootseal.boot.scenario.workspace import Workspace

MQTT_PORT: Final = 8883
HTTPS_PORT: Final = 443
ACCEPTED: Final = bytes.fromhex("20020000")
"""MQTT 3.1.1: CONNACK without an error."""
_LIST_DAYS: Final = 30
SERVERS: Final = "servers"
"""Directory of the servers of a scenario, in its own."""
_SERVERS_LATER: Final = "servers-later"
_OWN: Final = "/data/identity/certificate.pem"
TOKEN: Final = f"-cert '{URI.format('cert')}' -key '{URI.format('private')}'"
_REQUEST: Final = "/role-aliases/gateway/credentials"
_THING: Final = f"x-amzn-iot-thingname: {NAME}"

FUNCTIONS: Final = (
    # Runs a command and sends three lines: its exit code, what it wrote in base64, what it said.
    (
        'r() { "$@" >/tmp/o 2>/tmp/e; echo $? >&3; base64 -w 0 /tmp/o >&3; echo >&3; '
        "tr '\\n' ' ' </tmp/e >&3; echo >&3; }"
    ),
    (
        "s() { h=$1; shift; r openssl s_client -quiet -verify_return_error -CAfile /tmp/ca "
        '-verify_hostname ${h%:*} -connect $h "$@"; }'
    ),
    # CONNECT with an empty client identifier, and DISCONNECT.
    (
        r"m() { printf '\020\014\0\004MQTT\004\002\0\074\0\0\340\0' | "
        f's {servers.BROKER}:{MQTT_PORT} "$@"; }}'
    ),
    (
        rf"g() {{ printf 'GET {_REQUEST} HTTP/1.0\r\n{_THING}\r\n\r\n' | "
        f's {servers.ENDPOINT}:{HTTPS_PORT} "$@"; }}'
    ),
)
# The status is sent again once the servers have said what they saw.
END: Final = ("read -r d <&3", "systemctl restart bootseal-status.service")

CONNECT: Final = "; ".join(
    (
        "sed '/^-----END/q' <&3 >/tmp/ca",
        "echo >&3",
        "sed '/^-----END/q' <&3 >/tmp/u",
        *FUNCTIONS,
        f"m {TOKEN}",
        f"g {TOKEN}",
        (
            f"r mosquitto_pub -h {servers.BROKER} -p {MQTT_PORT} --cafile /tmp/ca --cert {_OWN} "
            f"--key /tmp/u -i {NAME} -t devices/{NAME} -m 42 -q 1"
        ),
        (
            f"r curl -sS --cacert /tmp/ca --cert {_OWN} --key /tmp/u -H '{_THING}' "
            f"https://{servers.ENDPOINT}{_REQUEST}"
        ),
        (
            "(unset OPENSSL_CONF; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
            f"-nodes -subj /CN={NAME} -keyout /tmp/k -out /tmp/s 2>/dev/null)"
        ),
        "m -cert /tmp/s -key /tmp/k -tls1_2",
        "g -cert /tmp/s -key /tmp/k -tls1_2",
        *END,
    )
)
"""What is typed behind `station.COMMANDS`, for `connects` at the other end."""

CONNECT_ONCE: Final = "; ".join(("sed '/^-----END/q' <&3 >/tmp/ca", *FUNCTIONS, f"m {TOKEN}", *END))
"""What is typed behind `station.COMMANDS`, for `connects_once` at the other end."""

CONNECT_AGAIN: Final = "; ".join(
    (
        f"exec 3<>{station.PATH}",
        "sed '/^-----END/q' <&3 >/tmp/ca",
        "set -a",
        ". /usr/lib/bootseal/identity.env",
        *FUNCTIONS,
        f"m {TOKEN} -tls1_2",
        f"g {TOKEN} -tls1_2",
        *END,
    )
)
"""What is typed on a device with a revoked certificate, for `is_refused` at the other end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a client on the device came to: exit code, output, messages."""

    code: int
    output: bytes
    errors: str

    @classmethod
    def by(cls, port: Port) -> Said:
        """Read it.

        Raises:
            Inconclusive: The device does not send it.
            VerificationRefused: It is not what the typed commands send.
        """
        code, output, errors = (port.line().strip() for _ in range(3))
        try:
            return cls(
                code=int(code),
                output=base64.b64decode(output, validate=True),
                errors=errors.decode(errors="replace"),
            )
        except ValueError as error:
            raise VerificationRefused(f"what a client said is malformed: {error}") from error


def serve(workspace: Workspace) -> None:
    """Start both servers, and connect the device with them.

    Raises:
        ToolError: mosquitto does not start.
    """
    station.plug(workspace)
    _serve(workspace, workspace.work / SERVERS)


def serve_after_revocation(workspace: Workspace) -> None:
    """Revoke the device's certificate, start both servers anew, and connect the device with these.

    Raises:
        ToolError: mosquitto does not start.
    """
    registry = Registry(workspace.work / "verifier")
    registry.revoke(NAME, "", reason="keyCompromise", now=int(time.time()))
    _serve(workspace, workspace.work / _SERVERS_LATER)


def _serve(workspace: Workspace, place: Path) -> None:
    place.mkdir()
    known, own = trust(workspace, place), servers.Own.made(place, workspace.device.epoch)
    broker = workspace.held.enter_context(servers.broker(place, known, own))
    endpoint = workspace.held.enter_context(servers.credentials_endpoint(place, known, own))
    ports = {MQTT_PORT: broker.port, HTTPS_PORT: endpoint.port}
    workspace.network = Network(forwards=ports)


def connects(workspace: Workspace) -> None:
    """Do the verifier's part of `station.COMMANDS`, then see the device's connections.

    Raises:
        VerificationRefused: A connection fails, a server sees another name, or a software key is
            accepted.
        BootsealError: The verifier cannot do its part, or the device does not answer.
    """
    station.certify(workspace)
    place = workspace.work / SERVERS
    with asked(workspace, place) as port:
        port.line()
        port.send(wrapped(URI.format("private")).encode())
        mqtt, https, published, fetched = (Said.by(port) for _ in range(4))
        demand(mqtt.output == ACCEPTED, "the broker does not accept the device", mqtt)
        demand(published.code == 0, "mosquitto_pub does not reach the broker", published)
        for said in (https, fetched):
            demand(_client(said.output) == NAME, "the endpoint does not see the device", said)
        names = connected(place)
        demand(names == [NAME, NAME], f"the broker saw {names}", published)
        seen = [json.loads(line) for line in log(place, "endpoint").splitlines()]
        names = [each["client"] for each in seen if each["thing"] == each["client"]]
        demand(names == [NAME, NAME], f"the endpoint saw {names}", fetched)
        _refused(port, "alert unknown ca")


def connects_once(workspace: Workspace) -> None:
    """Do the verifier's part of `station.COMMANDS`, then see one connection with the broker.

    Raises:
        VerificationRefused: The connection fails, or the broker sees another name.
        BootsealError: The verifier cannot do its part, or the device does not answer.
    """
    station.certify(workspace)
    place = workspace.work / SERVERS
    with asked(workspace, place) as port:
        said = Said.by(port)
        demand(said.output == ACCEPTED, "the broker does not accept the device", said)
        names = connected(place)
        demand(names == [NAME], f"the broker saw {names}", said)


def is_refused(workspace: Workspace) -> None:
    """See that a revoked certificate is refused by both servers.

    Raises:
        VerificationRefused: It is accepted, or refused for another reason.
        BootsealError: The device does not answer.
    """
    place = workspace.work / _SERVERS_LATER
    with asked(workspace, place) as port:
        _refused(port, "alert certificate revoked")
        said = log(place, "broker") + log(place, "endpoint")
        if NAME in said:
            raise VerificationRefused(f"a server saw the device: {said[-200:]!r}")


@contextmanager
def asked(workspace: Workspace, place: Path) -> Iterator[Port]:
    """Send what servers are verified with; in the end, let the device go on."""
    with station.opened(workspace) as port:
        port.send((place / "server.pem").read_bytes())
        try:
            yield port
        finally:
            port.send(b"\n")


def _refused(port: Port, reason: str) -> None:
    """See both servers refuse a client for a reason."""
    for name in ("broker", "endpoint"):
        said = Said.by(port)
        demand(said.output == b"", f"the {name} answers", said)
        demand(reason in said.errors, f"the {name} does not refuse with {reason!r}", said)


def demand(true: bool, otherwise: str, said: Said) -> None:  # noqa: FBT001 - the condition itself
    """Refuse, with what a client came to, unless a condition holds.

    Raises:
        VerificationRefused: It does not hold.
    """
    if not true:
        raise VerificationRefused(
            f"{otherwise}: the client's exit code is {said.code}, its output "
            f"{said.output[-200:]!r}, its message {said.errors[-200:]!r}"
        )


def _client(answer: bytes) -> str:
    """Return whom the endpoint says it saw."""
    try:
        found = json.loads(answer[answer.index(b"{") :])
        return str(found["client"]) if found["note"] == servers.DOUBLE else ""
    except (ValueError, KeyError):
        return ""


def connected(place: Path) -> list[str]:
    """Return the names of the clients that the broker has accepted."""
    return re.findall(r"New client connected .*u'([^']*)'", log(place, "broker"))


def log(place: Path, name: str) -> str:
    """Return what `broker` or `endpoint` has said."""
    return (place / f"{name}.log").read_text(errors="replace")


def trust(workspace: Workspace, place: Path) -> servers.Trust:
    """Write what servers know of devices."""
    authority, signer = station.authority(workspace)
    revoked = issuing.revoked(Registry(workspace.work / "verifier").entries(), authority)
    made = certificates.revocation_list(revoked, authority, signer, int(time.time()), _LIST_DAYS)
    found = servers.Trust(authorities=place / "authorities.pem", revoked=place / "revoked.pem")
    found.authorities.write_bytes(
        b"".join(
            key_directory.certificate_of(workspace.keys, role).read_bytes()
            for role in (Role.DEVICE_CA, Role.ROOT)
        )
    )
    found.revoked.write_bytes(made)
    return found


def wrapped(uri: str) -> str:
    """Return a URI as a file in PEM form, for programs that take a key from a file only.

    Spec: docs/uri-pem.md of pkcs11-provider.
    """
    parts = (b"\x1a", b"PKCS#11 Provider URI v1.0"), (b"\x0c", uri.encode())
    body = b"".join(tag + _length(text) + text for tag, text in parts)
    text = base64.encodebytes(b"\x30" + _length(body) + body).decode()
    label = "PKCS#11 PROVIDER URI"
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n"


def _length(data: bytes) -> bytes:
    """Return the length of a DER value of 65535 bytes at most, in the long form."""
    return bytes([0x82]) + len(data).to_bytes(2)


CERTIFY: Final = Action(
    do=Do.TYPE,
    when="shell",
    text=f"{station.COMMANDS}; {CONNECT_ONCE}\r",
    call=connects_once,
)
"""Enrol and certify a device that runs, and see it connect once."""
