# SPDX-License-Identifier: MIT
"""The scenarios' verifier and the commands it answers, with a software TPM in the place of a boot.

Debian 12 has no pkcs11-provider: `openssl dgst` is tpm2_sign here.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final, cast

import pytest
from tests.integration.attest.fleet import SCRIPT as ATTEST
from tests.integration.attest.fleet import listed, powered
from tests.integration.identity.board import KERNEL, SCRIPT, Board, start

from bootseal import proc
from bootseal.boot.catalogue.bench import cloud, station
from bootseal.boot.machine import swtpm
from bootseal.errors import VerificationRefused
from bootseal.identity.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.boot.scenario.workspace import Workspace

ENVIRONMENT: Final = SCRIPT.with_name("identity.env")
OPENSSL: Final = """\
#!/bin/sh
[ "$1" = dgst ] || exec /usr/bin/openssl "$@"
cd "$(mktemp -d)"
tpm2_load -Q -C 0x81000001 -u "$KEY_DIR/key.pub" -r "$KEY_DIR/key.priv" -c key
tpm2_flushcontext -t
tpm2_sign -Q -c key -g sha256 -s ecdsa -f plain -o signature FILE
tpm2_flushcontext -t
cat signature
"""

pytestmark = [
    *(pytest.mark.tool(name) for name in ("swtpm", "swtpm_setup", "tpm2", "sqlite3", "openssl")),
    pytest.mark.slow,
    pytest.mark.timeout(900),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the station needs of a workspace."""

    work: Path
    tpm: Path
    keys: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """A device at its shell, and the station's workspace."""

    board: Board
    place: Place

    def run(self, signed: str) -> str:
        """Have both talk with each other, the token signing a file of this name."""
        bench = self.place.work
        programs = bench / "bin"
        programs.mkdir()
        for name, text in {
            "bootseal-attest": f'#!/bin/sh\nexec sh {ATTEST} "$@"\n',
            "bootseal-identity": f'#!/bin/sh\nexec sh {SCRIPT} "$@"\n',
            "openssl": OPENSSL.replace("FILE", signed),
        }.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        ours, theirs = socket.socketpair()
        commands = station.COMMANDS.replace(station.PATH, f"&{theirs.fileno()}")
        commands = commands.replace("3<>", "3>").replace("/tmp/", f"{bench}/")  # noqa: S108
        commands = commands.replace("/usr/lib/bootseal/identity.env", str(ENVIRONMENT))
        path = f"{programs}:{os.environ['PATH']}"
        device = subprocess.Popen(
            ["bash", "-c", commands],
            env=os.environ | self.board.env | {"PATH": path},
            pass_fds=[theirs.fileno()],
            stdout=subprocess.PIPE,
            text=True,
        )
        theirs.close()

        @contextmanager
        def opened(_workspace: Workspace) -> Iterator[station.Port]:
            yield station.Port(incoming=ours.fileno(), outgoing=ours.fileno())

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(station, "opened", opened)
            patch.setattr(station, "_approved", lambda _workspace: listed(KERNEL, "as-built"))
            try:
                station.certify(cast("Workspace", self.place))
            finally:
                ours.close()
                said, _ = device.communicate(timeout=300)
        return said


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Talk]:
    swtpm.manufacture(tmp_path / "chip")
    start(tmp_path)
    with powered(tmp_path / "chip") as chip:
        board = Board(chip=chip, root=tmp_path)
        board.run("keys", "generate", "--profile", "dev", tmp_path / "keys", "--only", "root")
        board.run("keys", "generate", "--profile", "dev", tmp_path / "keys", "--only", "device-ca")
        (tmp_path / "work").mkdir()
        place = Place(work=tmp_path / "work", tpm=tmp_path / "chip", keys=tmp_path / "keys")
        yield Talk(board=board, place=place)


def test_genuine_device_is_certified(talk: Talk) -> None:
    talk.board.chip.boot(KERNEL)

    said = talk.run(f"{talk.place.work}/t")

    assert "token made, with a certificate" in said
    (entry,) = Registry(talk.place.work / "verifier").entries()
    installed = (talk.board.root / "data/identity/certificate.pem").read_text()
    assert (entry.device, entry.release) == (station.NAME, "as-built")
    assert installed == (talk.place.work / "c").read_text()


def test_signature_over_something_else_is_refused(talk: Talk) -> None:
    talk.board.chip.boot(KERNEL)

    with pytest.raises(VerificationRefused, match="signature is not by key"):
        talk.run("/dev/null")


def test_device_that_runs_something_else_gets_no_certificate(talk: Talk) -> None:
    talk.board.chip.boot(b"KERNEL 2")

    with pytest.raises(VerificationRefused, match="the proof of the device is refused"):
        talk.run(f"{talk.place.work}/t")

    assert not (talk.board.root / "data/identity/certificate.pem").exists()
    assert Registry(talk.place.work / "verifier").entries() == []


def test_servers_next_to_a_device_learn_what_was_revoked(talk: Talk) -> None:
    talk.board.chip.boot(KERNEL)
    talk.run(f"{talk.place.work}/t")
    (entry,) = Registry(talk.place.work / "verifier").entries()

    with ExitStack() as held:
        device = SimpleNamespace(epoch=0)
        found = SimpleNamespace(**dataclasses.asdict(talk.place), device=device, held=held)
        cloud.serve_after_revocation(cast("Workspace", found))

    servers = talk.place.work / "servers-later"
    text = proc.run("openssl", ["crl", "-text", "-in", servers / "revoked.pem"], timeout=30).stdout
    assert entry.serial in text.decode().lower()
    assert set(found.network.forwards) == {cloud.MQTT_PORT, cloud.HTTPS_PORT}
