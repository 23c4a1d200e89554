# SPDX-License-Identifier: MIT
"""What counts as a connection with the identity key, and what as its refusal."""

from __future__ import annotations

import base64
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

import pytest

from bootseal.boot.catalogue.bench import cloud, servers, station
from bootseal.boot.catalogue.bench.cloud import ACCEPTED
from bootseal.boot.catalogue.bench.station import NAME, Port
from bootseal.errors import VerificationRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bootseal.boot.scenario.workspace import Workspace

UNKNOWN: Final = b"tlsv1 alert unknown ca:ssl/record/rec_layer_s3.c:908:SSL alert number 48"
REVOKED: Final = b"sslv3 alert certificate revoked:ssl/record/rec_layer_s3.c:908"


def said(output: bytes, errors: bytes = b"", code: int = 0) -> bytes:
    return b"%d\n%s\n%s\n" % (code, base64.b64encode(output), errors)


def seen(name: str) -> str:
    return json.dumps({"client": name, "path": "/role-aliases", "thing": NAME})


def answer(name: str = NAME, note: str = servers.DOUBLE) -> bytes:
    return b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps({"client": name, "note": note}).encode()


def connected(name: str) -> str:
    return f"1: New client connected from 127.0.0.1:5 as device-1 (p2, c1, k60, u'{name}').\n"


@dataclass
class Course:
    """What a device and its servers say."""

    clients: list[bytes] = field(
        default_factory=lambda: [
            *(said(ACCEPTED), said(answer()), said(b""), said(answer())),
            *(said(b"", UNKNOWN, 1), said(b"", UNKNOWN, 1)),
        ]
    )
    broker: str = connected(NAME) * 2
    endpoint: str = f"{seen(NAME)}\n" * 2


@dataclass(frozen=True)
class Place:
    """What `cloud` needs of a workspace."""

    work: Path


def carry_out(course: Course, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the device say its lines to what looks at them."""
    # Another list of clients is that of a device with a revoked certificate.
    first = len(course.clients) > 2
    place = work / ("servers" if first else "servers-later")
    place.mkdir()
    (place / "server.pem").write_text("-----END CERTIFICATE-----\n")
    (place / "broker.log").write_text(course.broker)
    (place / "endpoint.log").write_text(course.endpoint)
    ours, theirs = os.pipe()
    os.write(theirs, (b"\n" if first else b"") + b"".join(course.clients))
    os.close(theirs)
    sink = os.open(os.devnull, os.O_WRONLY)

    @contextmanager
    def opened(_workspace: Workspace) -> Iterator[Port]:
        yield Port(incoming=ours, outgoing=sink)

    monkeypatch.setattr(station, "opened", opened)
    monkeypatch.setattr(station, "certify", lambda _workspace: None)
    try:
        what = cloud.connects if first else cloud.is_refused
        what(cast("Workspace", Place(work)))
    finally:
        os.close(ours)
        os.close(sink)


def test_device_is_seen_by_both_servers_and_a_software_key_by_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_out(Course(), tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("place", "instead", "reason"),
    [
        (0, said(b"", b"alert handshake failure", 1), "the broker does not accept the device"),
        (0, said(bytes.fromhex("20020005")), "the broker does not accept the device"),
        (1, said(b"", b"alert", 1), "the endpoint does not see the device"),
        (1, said(answer("device-2")), "the endpoint does not see the device"),
        (1, said(answer(note="AWS")), "the endpoint does not see the device"),
        (2, said(b"", b"Error: A TLS error occurred.", 8), "mosquitto_pub does not reach"),
        (3, said(b"", b"curl: (58)", 58), "the endpoint does not see the device"),
        (4, said(ACCEPTED), "the broker answers"),
        (4, said(b"", b"no route", 1), "the broker does not refuse with 'alert unknown ca'"),
        (5, said(answer()), "the endpoint answers"),
        (5, said(b"", REVOKED, 1), "the endpoint does not refuse with 'alert unknown ca'"),
        (1, b"0\n!\n\n", "what a client said is malformed"),
    ],
)
def test_anything_else_of_a_client_is_refused(
    place: int, instead: bytes, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    course = Course()
    course.clients[place] = instead
    with pytest.raises(VerificationRefused, match=reason):
        carry_out(course, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (Course(broker=connected(NAME)), "the broker saw .*-1'.:"),
        (Course(broker=connected(NAME) + connected("device-2")), "the broker saw .*device-2"),
        (
            Course(endpoint=f"{seen(NAME)}\n{seen('device-2')}\n"),
            "the endpoint saw .*-1'.:",
        ),
    ],
)
def test_another_name_in_the_log_of_a_server_is_refused(
    changed: Course, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(VerificationRefused, match=reason):
        carry_out(changed, tmp_path, monkeypatch)


def test_revoked_certificate_is_refused_by_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = [said(b"", REVOKED, 1), said(b"", REVOKED, 1)]
    carry_out(Course(clients=clients, broker="", endpoint=""), tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("course", "reason"),
    [
        (Course(clients=[said(ACCEPTED), said(b"", REVOKED)], broker=""), "the broker answers"),
        (Course(clients=[said(b"", UNKNOWN), said(b"", REVOKED)]), "certificate revoked'"),
        (Course(clients=[said(b"", REVOKED), said(answer())], broker=""), "the endpoint answers"),
        (Course(clients=[said(b"", REVOKED)] * 2, endpoint=""), "a server saw the device"),
    ],
)
def test_revoked_certificate_that_is_accepted_is_refused_here(
    course: Course, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(VerificationRefused, match=reason):
        carry_out(course, tmp_path, monkeypatch)
