# SPDX-License-Identifier: MIT
"""The device's own script that binds the data volume to the TPM, run against a software TPM."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.layer.device_library import library
from tests.vectors import luks2_headers as headers

from bootseal import documents, proc
from bootseal.boot.attacks import forge_signed
from bootseal.boot.machine import swtpm
from bootseal.errors import ToolError
from bootseal.formats.tpm import policy
from bootseal.keys import certificate
from bootseal.keys.algorithms import Algorithm, KeyKind
from bootseal.keys.profile import Role
from bootseal.keys.signers.file import FileSigner
from bootseal.measure.pcr_policy import PCRS, ROM_PCRS, Approval, PcrPolicy, key_fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.keys.signers.base import Signer

pytestmark = [pytest.mark.tool("swtpm"), pytest.mark.tool("tpm2_nvdefine")]

FILES = Path(__file__).parents[3] / "meta-secureboot/recipes-core/bootseal-device/files"
SHELLS = [s for s in ("dash", "bash", "busybox") if shutil.which(s)]
INDEX = "0x01500b01"
UUID = "ee3b8e92-5d33-47a1-b522-b74188230f50"
TABLE = f"0 98304 crypt aes-xts-plain64 :64:logon:cryptsetup:{UUID}-d0 0 254:8 32768"
DIGEST = hashlib.sha256(b"keyed by the volume key").hexdigest()
OTHER = hashlib.sha256(b"keyed by another").hexdigest()
CAPPED = hashlib.sha256(bytes(32) + hashlib.sha256(b"capped").digest()).hexdigest()


class Board:
    """A powered TPM, a disk with the header of a device, and what the kernel says of them."""

    def __init__(self, root: Path, chip: Path, shell: str) -> None:
        self.root, self.shell, self.run = root, shell, root / "run"
        self.disk, self.table, self.pcr = root / "vda8", root / "table", root / "15"
        self.disk.write_bytes(headers.binary(headers.escrowed()).ljust(1 << 20, b"\0"))
        self.table.write_text(f"{TABLE}\n")
        self.pcr.write_text(f"{DIGEST.upper()}\n")
        block = root / "block/vda8"
        block.mkdir(parents=True)
        (block / "size").write_text("131072\n")
        (block / "dev").write_text("254:8\n")
        tools = root / "bin"
        tools.mkdir()
        (tools / "dmsetup").write_text(f'#!/bin/sh\n[ "$*" = "table data" ] && cat {self.table}\n')
        (tools / "dmsetup").chmod(0o755)
        self.library = library(
            root, {"/dev/disk/by-partlabel/data": self.disk, "/run/bootseal": self.run}
        )
        self.environment = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "TPM2TOOLS_TCTI": f"swtpm:path={chip / 's'}",
            "TMPDIR": str(root),
            "LIBRARY": str(self.library),
        }
        self.approve(forge_signed.stranger(Role.POLICY, "sha256,rsa2048"))

    def approve(self, signer: Signer, pcrs: tuple[int, ...] = PCRS) -> None:
        """Sign a policy for the state of a TPM that nothing was measured into."""
        digest = policy.policy_pcr(dict.fromkeys(pcrs, policy.ZERO_DIGEST))
        signature = signer.sign_digest(
            hashlib.sha256(digest).digest(), Algorithm.parse("sha256,rsa2048")
        )
        approval = Approval(
            pcrs=pcrs,
            pkfp=key_fingerprint(signer.public_key),
            pol=digest.hex(),
            sig=signature,
        )
        document = documents.dump(PcrPolicy(sha256=(approval,)))
        (self.root / "signatures").write_bytes(document)
        if not (self.root / "policy.pem").exists():
            (self.root / "policy.pem").write_bytes(signer.public_key.pem)

    def script(self, verb: str) -> subprocess.CompletedProcess[str]:
        text = (FILES / "volume").read_text()
        for old, new in {
            "/usr/lib/systemd/tpm2-pcr-public-key.pem": self.root / "policy.pem",
            "/run/systemd/tpm2-pcr-signature.json": self.root / "signatures",
            "/sys/class/tpm/tpm0/pcr-sha256/15": self.pcr,
            "run=/run/bootseal": f"run={self.run}",
            "/sys/class/block": self.root / "block",
            "/proc/device-tree/chosen": self.root,
        }.items():
            assert old in text
            text = text.replace(old, str(new))
        path = self.root / "volume"
        path.write_text(text)
        return subprocess.run(
            [self.shell, *(["sh"] if self.shell == "busybox" else []), path, verb],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def refused(self, verb: str) -> str:
        """Return the reason that a verb gives for failing."""
        done = self.script(verb)
        assert done.returncode == 1, done
        assert "<4>bootseal: volume: " in done.stderr
        return (self.run / "data-refused").read_text()

    def made(self) -> None:
        """Be the device in the boot that makes its volume."""
        assert self.script("begin").returncode == 0
        self.run.mkdir(exist_ok=True)
        (self.run / "data-created").touch()
        done = self.script("bind")
        assert (done.returncode, done.stdout) == (0, "bootseal: volume: enrolled in the TPM\n")
        (self.run / "data-created").unlink()

    def tool(self, name: str, *args: str) -> str:
        done = proc.run(name, args, env=self.environment, cwd=self.root, timeout=60)
        return done.stdout.decode()


@contextmanager
def powered(directory: Path, root: Path, shell: str = "dash") -> Iterator[Board]:
    with swtpm.serving(directory / "tpm", directory / "s", directory / "said"):
        yield Board(root, directory, shell)


@pytest.fixture(scope="session")
def new_chip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("new")
    swtpm.manufacture(directory / "tpm")
    return directory / "tpm"


@pytest.fixture
def chip(new_chip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("v")
    shutil.copytree(new_chip, directory / "tpm")
    return directory


@pytest.fixture(params=SHELLS)
def board(chip: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Board]:
    with powered(chip, tmp_path, request.param) as made:
        yield made


def test_volume_is_enrolled_once_and_then_compared(board: Board) -> None:
    none = board.script("state")
    assert (none.stdout, none.stderr) == ("none\n", "")
    assert board.script("begin").returncode == 0
    assert board.script("state").stdout == "making\n"
    board.made()
    assert board.script("state").stdout == "made\n"

    again = board.script("bind")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    board.pcr.write_text(f"{OTHER.upper()}\n")
    assert "not the volume that is enrolled" in board.refused("bind")
    board.pcr.write_text(f"{DIGEST.upper()}\n")
    assert board.script("bind").returncode == 0


def test_policy_covers_the_boot_loader_where_the_release_says_so(
    chip: Path, tmp_path: Path
) -> None:
    signer = forge_signed.stranger(Role.POLICY, "sha256,rsa2048")
    with powered(chip, tmp_path) as board:
        assert board.script("pcrs").stdout == "1+8+9\n"
        (tmp_path / "bootseal,firmware-version").write_bytes((1).to_bytes(4))
        assert board.script("pcrs").stdout == "0+1+8+9\n"
        assert "lets only an approved boot write" in board.refused("begin")
        board.approve(signer, ROM_PCRS)
        board.made()
        # Another boot loader was measured: it decides about everything but that.
        board.tool("tpm2_pcrextend", f"0:sha256={OTHER}")
        (tmp_path / "run/data-refused").unlink()
        assert "lets only an approved boot write" in board.refused("begin")


def test_wiped_volume_is_replaced_by_a_new_one(board: Board) -> None:
    board.made()
    board.pcr.write_text(f"{OTHER.upper()}\n")
    board.made()
    assert board.script("bind").returncode == 0
    board.pcr.write_text(f"{DIGEST.upper()}\n")
    assert "not the volume that is enrolled" in board.refused("bind")


def test_volume_that_no_boot_enrolled_is_refused(board: Board) -> None:
    assert "no volume is enrolled in the TPM" in board.refused("bind")


def test_volume_that_is_being_made_is_not_taken_for_made(board: Board) -> None:
    board.script("begin")
    assert "no volume is enrolled in the TPM" in board.refused("bind")


def test_capped_boot_can_neither_enrol_nor_begin(board: Board) -> None:
    board.made()
    assert board.script("cap").returncode == 0
    assert f"0x{CAPPED.upper()}" in board.tool("tpm2_pcrread", "sha256:9")
    assert "only an approved boot" in board.refused("begin")
    board.pcr.write_text(f"{OTHER.upper()}\n")
    assert board.script("bind").returncode == 1
    board.pcr.write_text(f"{DIGEST.upper()}\n")
    assert board.script("bind").returncode == 0


def test_policy_of_another_key_writes_nothing(board: Board) -> None:
    board.made()
    board.approve(FileSigner(certificate.make_private(KeyKind.RSA2048)))
    assert "only an approved boot" in board.refused("begin")


@pytest.mark.parametrize(
    "table",
    [
        TABLE.replace("aes-xts-plain64", "cipher_null-ecb"),
        TABLE.replace("0 254:8 32768", "0 254:9 32768"),
        TABLE.replace(" 32768", " 0"),
        TABLE.replace("-d0", "-d1"),
        f"{TABLE} 1 allow_discards",
        f"{TABLE}\n0 1 error",
        "0 98304 linear 254:8 32768",
        "",
    ],
)
def test_volume_that_is_mapped_otherwise_is_refused(chip: Path, tmp_path: Path, table: str) -> None:
    with powered(chip, tmp_path) as board:
        board.made()
        board.table.write_text(f"{table}\n")
        reason = board.refused("bind")
        assert "the volume is mapped as" in reason
        assert reason.count("\n") == 1


def test_volume_with_sectors_of_4096_bytes_is_accepted(chip: Path, tmp_path: Path) -> None:
    with powered(chip, tmp_path) as board:
        board.table.write_text(f"{TABLE} 1 sector_size:4096\n")
        board.made()
        assert board.script("bind").returncode == 0


@pytest.mark.parametrize("value", ["0" * 64, "", "x" * 64])
def test_volume_key_that_was_not_measured_is_not_enrolled(
    chip: Path, tmp_path: Path, value: str
) -> None:
    with powered(chip, tmp_path) as board:
        board.script("begin")
        (board.run).mkdir(exist_ok=True)
        (board.run / "data-created").touch()
        board.pcr.write_text(f"{value}\n")
        assert "PCR 15 has no digest of the volume key" in board.refused("bind")
        assert board.script("state").stdout == "making\n"


@pytest.mark.parametrize(
    "attributes",
    [
        "policywrite|authread|ownerwrite|no_da",
        "authwrite|authread|no_da|platformcreate",
        "policywrite|authread|no_da|platformcreate",
    ],
)
def test_index_of_somebody_else_is_recognised(chip: Path, tmp_path: Path, attributes: str) -> None:
    with powered(chip, tmp_path) as board:
        hierarchy = "p" if "platformcreate" in attributes else "o"
        args = ["-C", hierarchy, "-s", "32", "-a", attributes, INDEX]
        board.tool("tpm2_nvdefine", *args)

        assert board.script("state").stdout == "foreign\n"
        assert "no volume is enrolled in the TPM" in board.refused("bind")
        if hierarchy == "p":
            # Nothing depends on it: the boot that makes a volume puts its own in the place.
            board.made()
            assert board.script("state").stdout == "made\n"


def test_only_the_policy_writes_the_index(chip: Path, tmp_path: Path) -> None:
    with powered(chip, tmp_path) as board:
        board.made()
        (board.root / "evil").write_bytes(bytes(32))
        for hierarchy in (INDEX, "o", "p"):
            with pytest.raises(ToolError):
                board.tool("tpm2_nvwrite", "-C", hierarchy, "-i", "evil", INDEX)
        assert board.script("bind").returncode == 0


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (bytes(1 << 20), "no LUKS2 header of 16 KiB"),
        (b"", "no LUKS2 header of 16 KiB"),
        (b"LUKS\xba\xbe\0\1" + bytes(4096), "no LUKS2 header of 16 KiB"),
        (b"LUKS\xba\xbe\0\2\0\0\0\0\0\x40\0\0" + bytes(4096), "no LUKS2 header of 16 KiB"),
    ],
)
def test_partition_without_the_header_is_refused(
    chip: Path, tmp_path: Path, content: bytes, why: str
) -> None:
    with powered(chip, tmp_path) as board:
        board.disk.write_bytes(content)
        assert why in board.refused("header")


def test_header_that_is_refused_says_why(chip: Path, tmp_path: Path) -> None:
    with powered(chip, tmp_path) as board:
        document = headers.escrowed()
        key = document["tokens"]["0"]["tpm2_pubkey"]
        pem = proc.run("base64", ["-d"], stdin=key.encode(), timeout=10).stdout
        (board.root / "policy.pem").write_bytes(pem)
        board.disk.write_bytes(headers.binary(document).ljust(32 << 20, b"\0"))
        done = board.script("header")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        # What is checked is what was read first, and that is kept for this boot.
        (board.run / "luks2.json").unlink()
        document["segments"]["0"]["encryption"] = "cipher_null-ecb"
        board.disk.write_bytes(headers.binary(document).ljust(32 << 20, b"\0"))
        reason = board.refused("header")
        assert 'segments.0.encryption is "cipher_null-ecb"' in reason
