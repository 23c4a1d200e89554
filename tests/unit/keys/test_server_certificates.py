# SPDX-License-Identifier: MIT
"""Servers next to a device: who certifies them, and what a strict client makes of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from bootseal import proc
from bootseal.errors import ToolError, UsageError
from bootseal.keys.server import BENCH, Authority

if TYPE_CHECKING:
    from pathlib import Path

START: Final = 1_700_000_000
NAMES: Final = ("iot.example.test", "localhost")


def verify(authority: Path, certificate: Path, *more: str) -> None:
    """Have OpenSSL verify a server as Python 3.13 does, at the time that a device starts with."""
    strict = ("-x509_strict", "-purpose", "sslserver", "-attime", str(START + 60))
    args = (
        "-CAfile",
        str(authority),
        *strict,
        "-verify_hostname",
        NAMES[0],
        *more,
        str(certificate),
    )
    proc.run("openssl", ["verify", *args], timeout=60)


def issued(directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / "server.pem"
    path.write_bytes(Authority.made(directory, START).issue(NAMES)[1])
    return path


def test_server_is_certified_for_devices_whose_clock_starts_at_the_release(tmp_path: Path) -> None:
    server = issued(tmp_path / "one")
    authority = tmp_path / "one" / BENCH / "ca.pem"

    verify(authority, server)
    with pytest.raises(ToolError, match="hostname mismatch"):
        verify(authority, server, "-verify_hostname", "other.example.test")
    with pytest.raises(ToolError, match=r"unable to get local issuer|signature failure"):
        verify(authority, issued(tmp_path / "two"))


def test_authority_is_made_once_and_its_key_is_private(tmp_path: Path) -> None:
    made = Authority.made(tmp_path, START)

    assert Authority.made(tmp_path, START).pem == made.pem == Authority.read(tmp_path).pem
    assert (tmp_path / BENCH / "ca.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----"])
def test_build_without_an_authority_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        Authority.made(tmp_path, START)
        (tmp_path / BENCH / "ca.pem").write_bytes(content)

    with pytest.raises(UsageError, match="no authority for the servers of scenarios"):
        Authority.read(tmp_path)
