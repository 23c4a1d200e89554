# SPDX-License-Identifier: MIT
"""What servers know of the devices that a test certifies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bootseal import proc
from bootseal.boot.catalogue.bench.servers import Trust

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.identity.board import Board


def trust_of(board: Board, root: Path) -> Trust:
    """Return what a server is given when a device is certified, written to a directory."""
    keys, made = board.root / "keys", Trust(authorities=root / "chain.pem", revoked=root / "crl")
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
