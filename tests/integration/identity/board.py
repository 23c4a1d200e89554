# SPDX-License-Identifier: MIT
"""A device with a software TPM, its own script and a data partition, and its verifier."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests.integration.attest.fleet import SCRIPT as ATTEST
from tests.integration.attest.fleet import enrolled, listed, powered
from typer.testing import CliRunner

from bootseal import documents, proc
from bootseal.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.attest.fleet import Chip

SCRIPT: Final = (
    Path(__file__).parents[3]
    / "meta-secureboot/recipes-core/bootseal-identity/files/bootseal-identity"
)
KERNEL: Final = b"KERNEL 1"
LIBRARIES: Final = Path(f"/usr/lib/{os.uname().machine}-linux-gnu")
LIBRARY: Final = LIBRARIES / "pkcs11/libtpm2_pkcs11.so"


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A powered chip with a data partition and memory, and the verifier next to it."""

    chip: Chip
    root: Path

    @property
    def env(self) -> dict[str, str]:
        return self.chip.env | {
            "DATA": os.devnull,
            "KEY_DIR": str(self.root / "data/identity"),
            "ATTEST": str(ATTEST),
            "TOKEN_DIR": str(self.root / "run/identity"),
            "TPM2_PKCS11_STORE": str(self.root / "run/identity"),
            "TPM2_PKCS11_BACKEND": "esysdb",
            "TPM2_PKCS11_TCTI": self.chip.env["TPM2TOOLS_TCTI"],
        }

    def script(self, *args: str | Path) -> bytes:
        return proc.run("sh", [SCRIPT, *args], env=self.env, timeout=300).stdout

    def run(self, *args: str | Path, code: int = 0) -> str:
        result = CliRunner().invoke(app, list(map(str, args)), catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result.stdout

    def verify(self, proof: bytes, *, code: int = 0) -> list[str]:
        """Verify a proof by the command line; the ids of its findings."""
        path = self.root / "proof"
        path.write_bytes(proof)
        store = ("--store", self.root / "store", "--approved", self.root / "approved.json")
        found = json.loads(self.run("identity", "verify", path, *store, "--json", code=code))
        return [each["id"] for each in found["findings"]]

    def challenge(self) -> str:
        return self.run("identity", "challenge", "dev-1", "--store", self.root / "store").strip()

    @property
    def authority(self) -> tuple[str | Path, ...]:
        """The options that name what certifies devices."""
        keys = self.root / "keys"
        return ("--ca", keys / "DEV-device-ca.crt", "--key", keys / "DEV-device-ca.key")

    def flush(self) -> None:
        for kind in ("-t", "-l"):
            self.chip.run("tpm2_flushcontext", kind)


def start(root: Path) -> None:
    """Give a chip its storage key, and the verifier its list."""
    with powered(root / "chip") as chip:
        # As systemd makes it. Without noDA, a failure in a session that is bound to it would count.
        attributes = "restricted|decrypt|fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda"
        args = ["-C", "o", "-G", "ecc256", "-a", attributes, "-c", "srk.ctx"]
        chip.run("tpm2_createprimary", "-Q", *args)
        chip.run("tpm2_flushcontext", "-t")
        chip.run("tpm2_evictcontrol", "-Q", "-C", "o", "-c", "srk.ctx", "0x81000001")
    (root / "approved.json").write_bytes(documents.dump(listed(KERNEL, "1.0")))
    for name in ("data", "run"):
        (root / name).mkdir()


@contextmanager
def certified(root: Path) -> Iterator[Board]:
    """A device in an approved boot with an identity key and a certificate for it."""
    fleet = enrolled(root)
    start(root)
    keys = ("keys", "generate", "--profile", "dev", root / "keys", "--only", "root")
    with powered(fleet.state) as chip:
        chip.boot(KERNEL)
        made = Board(chip=chip, root=root)
        made.run(*keys, "--only", "device-ca")
        made.script("create")
        assert made.verify(made.script("prove", made.challenge())) == []
        store = ("--store", root / "store")
        made.run("identity", "issue", "dev-1", *store, *made.authority, "-o", root / "pem")
        made.script("install", root / "pem")
        yield made


def library() -> Path:
    if LIBRARY.exists():
        return LIBRARY
    if os.environ.get("BOOTSEAL_CI") == "1":
        pytest.fail(f"{LIBRARY} is missing: libtpm2-pkcs11-1 of ci/apt-packages.txt")
    pytest.skip("libtpm2-pkcs11-1 is not installed")


def python(code: str, *args: str, env: dict[str, str]) -> str:
    """Run Python in a process of its own: the library looks at the environment once."""
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
