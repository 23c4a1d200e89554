# SPDX-License-Identifier: MIT
"""RAUC's pre-install handler on images of a sample release, in every shell and awk at hand."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.check.conftest import make_base

from bootseal import documents
from bootseal.boot.attacks import forge_fit, forge_signed
from bootseal.formats import boot_partition
from bootseal.formats.fdt.edit import Editor
from bootseal.formats.fit import model as fit_format
from bootseal.keys.profile import Role
from bootseal.measure import pcr_policy
from bootseal.measure.predict import predict

if TYPE_CHECKING:
    from bootseal.keys.signers.base import Signer

LAYER = Path(__file__).parents[2] / "meta-secureboot"
FILES = LAYER / "dynamic-layers/meta-rauc/recipes-core/bootseal-update/files"
TPM = LAYER / "recipes-core/bootseal-device/files/tpm"
BOARD = b"sample,board\0sample\0"
SIZE = 1 << 20
INDEX = 5
TOOLS = [
    pytest.param(shell, awk, id=f"{shell[0]}-{awk[0]}")
    for shell, awk in (
        (("dash",), ("mawk",)),
        (("busybox", "sh"), ("busybox", "awk")),
        (("bash",), ("gawk",)),
    )
    if shutil.which(shell[0]) and shutil.which(awk[0])
]

pytestmark = [pytest.mark.tool("openssl"), pytest.mark.tool("busybox")]


@dataclass(frozen=True)
class Sample:
    """A release, and the key that approves it."""

    fit: bytes
    vendor: Signer

    def image(self, *, fit: bytes | None = None, signer: Signer | None = None) -> bytes:
        """Return the image of the boot partition."""
        content = self.fit if fit is None else fit
        return content.ljust(SIZE - 65536, b"\0") + self.policy(content, signer or self.vendor)

    def policy(self, fit: bytes, signer: Signer) -> bytes:
        found = [predict(fit_format.parse(fit), f"conf-{slot}") for slot in "ab"]
        return boot_partition.pad_policy(documents.dump(pcr_policy.sign(found, signer)))


def declaring(fit: bytes, **properties: bytes) -> bytes:
    """Set properties of the device trees of a FIT: in the root, or with a prefix in /chosen."""
    for slot in "ab":
        name = forge_fit.referenced(fit, f"conf-{slot}", "fdt")
        editor = Editor(bytes(fit_format.parse(fit).image(name).payload))
        for key, value in properties.items():
            at_root = key == "compatible"
            editor.set_property("/" if at_root else "/chosen", NAMES.get(key, key), value)
        fit = forge_fit.replace_payload(fit, name, editor.to_bytes())
    return fit


NAMES = {"index": "bootseal,rollback-index"}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    base = make_base(tmp_path_factory.mktemp("disk"))
    fit = declaring(base.fit, compatible=BOARD, index=INDEX.to_bytes(4))
    return Sample(fit, base.vendor)


@dataclass
class Device:
    """What the handler sees of a device, in the place of /proc, /sys and the TPM."""

    directory: Path
    vendor: Signer
    lowest: str = f"echo {INDEX}"
    environment: dict[str, str] = field(default_factory=dict)
    tail: str = ""

    @property
    def reason(self) -> Path:
        """Where the handler leaves why it refused."""
        return self.directory / "refused"

    def kept(self) -> list[Path]:
        """Return the files with reasons, finished or not."""
        return [*self.directory.glob("refused*")]

    def accepts(
        self, image: bytes, shell: tuple[str, ...] = ("dash",), awk: tuple[str, ...] = ("mawk",)
    ) -> str:
        """Return what the handler says of an image, with its exit code in front."""
        tree, library = self.directory / "tree", self.directory / "library"
        block, tools = self.directory / "block", self.directory / "bin"
        for each in (tree / "chosen", library, block / "boot-b", tools):
            each.mkdir(parents=True)
        (tree / "compatible").write_bytes(BOARD)
        (block / "boot-b/size").write_text(f"{SIZE // 512}\n")
        (self.directory / "boot-b").write_bytes(b"")
        shutil.copy(TPM, library / "tpm")
        shutil.copy(FILES / "read-fit", library / "read-fit")
        (library / "read-fit").chmod(0o755)
        (self.directory / "key.pem").write_bytes(self.vendor.public_key.pem)
        for place, body in (
            (library / "rollback", self.lowest),
            (tools / "awk", f'exec {shutil.which(awk[0])} {" ".join(awk[1:])} "$@"'),
            (tools / "tail", f'{self.tail or "exec"} {shutil.which("tail")} "$@"'),
        ):
            place.write_text(f"#!/bin/sh\n{body}\n")
            place.chmod(0o755)
        text = (FILES / "rauc-pre-install").read_text()
        for old, new in {
            "/usr/lib/systemd/tpm2-pcr-public-key.pem": self.directory / "key.pem",
            "/proc/device-tree": tree,
            "/dev/disk/by-partlabel/": f"{self.directory}/",
            "/sys/class/block/": f"{block}/",
        }.items():
            assert old in text
            text = text.replace(old, str(new))
        script, bundle = self.directory / "script", self.directory / "boot.img"
        script.write_text(text)
        bundle.write_bytes(image)
        targets = {
            "RAUC_TARGET_SLOTS": "4 5 6",
            **{f"RAUC_IMAGE_CLASS_{n}": c for n, c in zip("456", CLASSES, strict=True)},
            **{f"RAUC_IMAGE_NAME_{n}": bundle.name for n in "456"},
            "RAUC_BUNDLE_MOUNT_POINT": str(self.directory),
            "RAUC_SLOT_BOOTNAME_4": "B",
            **self.environment,
        }
        done = subprocess.run(
            [*shell, script],
            env={
                "PATH": f"{tools}:{os.environ['PATH']}",
                "LIBRARY": str(library),
                "TMPDIR": str(self.directory),
                "REASON": str(self.reason),
                **targets,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert not list(self.directory.glob("tmp.*"))
        # What the agent reads is what the journal has.
        refused = re.findall("^bootseal: (update refused: .*\n)", done.stdout, re.MULTILINE)
        kept = [self.reason.read_text()] if self.reason.exists() else []
        assert kept == refused
        assert all(each.stat().st_mode & 0o777 == 0o644 for each in self.kept())
        return f"{done.returncode} {done.stdout.strip()} {done.stderr.strip()}".strip()


CLASSES = ("boot", "root", "verity")


@pytest.fixture
def device(sample: Sample, tmp_path: Path) -> Device:
    return Device(tmp_path, sample.vendor)


@pytest.mark.parametrize(("shell", "awk"), TOOLS)
def test_release_that_starts_and_opens_the_data_is_accepted(
    sample: Sample, device: Device, shell: tuple[str, ...], awk: tuple[str, ...]
) -> None:
    said = device.accepts(sample.image(), shell, awk)
    assert said == f"0 bootseal: update accepted: rollback index {INDEX}"


REFUSED = "1 bootseal: update refused: "


@pytest.mark.parametrize(("shell", "awk"), TOOLS)
def test_lower_rollback_index_is_refused(
    sample: Sample, device: Device, shell: tuple[str, ...], awk: tuple[str, ...]
) -> None:
    device.lowest = f"echo {INDEX + 1}"
    said = device.accepts(sample.image(), shell, awk)
    assert said == f"{REFUSED}the release has rollback index {INDEX}: below {INDEX + 1} is refused"


@pytest.mark.parametrize("index", [64, 0x7FFFFFFF, 0xFFFFFFFF])
def test_rollback_index_that_no_tpm_remembers_is_refused(
    sample: Sample, device: Device, index: int
) -> None:
    fit = declaring(sample.fit, index=index.to_bytes(4))
    assert device.accepts(sample.image(fit=fit)).startswith(f"{REFUSED}the release has rollback")


def test_tpm_that_does_not_answer_refuses_every_update(sample: Sample, device: Device) -> None:
    device.lowest = "echo 'index 0x1500b00 is not the one'; exit 1"
    said = device.accepts(sample.image())
    assert said.startswith(f"{REFUSED}the TPM does not say how old a release may be: index 0x1500b")


@pytest.mark.parametrize("board", [b"other,board\0", BOARD[:-1], b"sample,board\0", b""])
def test_release_for_another_board_is_refused(sample: Sample, device: Device, board: bytes) -> None:
    image = sample.image(fit=declaring(sample.fit, compatible=board))
    assert device.accepts(image) == f"{REFUSED}the release is for another board than this one"


def test_policy_of_another_key_is_refused(sample: Sample, device: Device) -> None:
    stranger = forge_signed.stranger(Role.POLICY, "sha256,rsa2048")
    said = device.accepts(sample.image(signer=stranger))
    assert (
        said == f"{REFUSED}its PCR policy does not approve this release: the data would stay closed"
    )


def test_policy_that_claims_the_makers_key_is_refused(sample: Sample, device: Device) -> None:
    stranger = forge_signed.stranger(Role.POLICY, "sha256,rsa2048")
    image = sample.image(signer=stranger)
    theirs, own = (
        pcr_policy.key_fingerprint(key).encode()
        for key in (stranger.public_key, sample.vendor.public_key)
    )
    said = device.accepts(image.replace(theirs, own))
    assert said == f"{REFUSED}its PCR policy is not signed by the maker: the data would stay closed"


@pytest.mark.parametrize("kind", ["kernel", "ramdisk"])
def test_policy_of_another_release_is_refused(sample: Sample, device: Device, kind: str) -> None:
    name = forge_fit.referenced(sample.fit, "conf-b", kind)
    other = forge_fit.replace_payload(sample.fit, name, b"something else")
    image = other.ljust(SIZE - 65536, b"\0") + sample.policy(sample.fit, sample.vendor)
    said = device.accepts(image)
    assert (
        said == f"{REFUSED}its PCR policy does not approve this release: the data would stay closed"
    )


def test_image_of_another_size_is_refused(sample: Sample, device: Device) -> None:
    said = device.accepts(sample.image()[:-512])
    assert said.startswith(f"{REFUSED}the image of the boot partition has {SIZE - 512} bytes")


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"RAUC_TARGET_SLOTS": ""}, "the bundle has no image for boot"),
        ({"RAUC_TARGET_SLOTS": "4 5"}, "the bundle has no image for verity"),
        ({"RAUC_TARGET_SLOTS": "4 5 6 4"}, "the bundle has two images for boot"),
        ({"RAUC_TARGET_SLOTS": "4 5 6$(id)"}, "RAUC names slot '6$(id)'"),
        ({"RAUC_SLOT_BOOTNAME_4": "C"}, "RAUC boots 'C'"),
        (
            {"RAUC_IMAGE_NAME_4": "/dev/zero"},
            "the image of the boot partition is called '/dev/zero'",
        ),
        ({"RAUC_IMAGE_NAME_4": ".."}, "the image of the boot partition is called '..'"),
        ({"RAUC_IMAGE_NAME_4": "tree"}, "tree is not a regular file"),
        ({"RAUC_IMAGE_NAME_4": "nowhere"}, "nowhere is not a regular file"),
    ],
)
def test_what_rauc_should_not_ask_for_is_refused(
    sample: Sample, device: Device, environment: dict[str, str], why: str
) -> None:
    device.environment = environment
    assert device.accepts(sample.image()) == f"{REFUSED}{why}"


def test_reason_of_an_earlier_bundle_does_not_stay(sample: Sample, device: Device) -> None:
    device.reason.write_text("update refused: of yesterday\n")
    assert device.accepts(sample.image()).startswith("0 ")
    assert device.kept() == []


def test_reason_is_not_written_through_what_is_in_its_place(sample: Sample, device: Device) -> None:
    victim = device.directory / "victim"
    victim.write_text("text")
    for name in ("refused", "refused.new"):
        (device.directory / name).symlink_to(victim)
    assert device.accepts(sample.image()[:-512]).startswith(REFUSED)
    assert victim.read_text() == "text"
    assert not device.reason.is_symlink()


# Debian's busybox runs its own tail, whatever is in the PATH.
@pytest.mark.parametrize("shell", [("dash",), ("bash",)], ids=lambda shell: shell[0])
@pytest.mark.parametrize("count", [0, 100])
def test_image_that_cannot_be_read_is_refused_for_that(
    sample: Sample, device: Device, shell: tuple[str, ...], count: int
) -> None:
    """As where a block of the bundle is bad: `tail` ends too early, in front of another program."""
    device.tail = f"head -c {count} /dev/zero; : "
    said = device.accepts(sample.image(), shell)
    assert said == f"{REFUSED}the image of the boot partition cannot be read"


def cut(at: int) -> Callable[[bytes], bytes]:
    return lambda fit: fit[:at]


def word(at: int, value: int) -> Callable[[bytes], bytes]:
    return lambda fit: fit[:at] + value.to_bytes(4) + fit[at + 4 :]


@pytest.mark.parametrize("awk", [awk for _, awk in (p.values for p in TOOLS)], ids=str)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(cut(0), id="nothing"),
        pytest.param(cut(39), id="half a header"),
        pytest.param(cut(300), id="cut"),
        pytest.param(word(0, 0xD00DFEEC), id="magic"),
        pytest.param(word(4, 0xFFFFFFFF), id="size"),
        pytest.param(word(8, 0xFFFFFFFC), id="structure outside"),
        pytest.param(word(12, 0xFFFFFFF0), id="names outside"),
        pytest.param(word(20, 16), id="version"),
        pytest.param(word(32, 0x7FFFFFFF), id="size of the names"),
        pytest.param(word(36, 0x7FFFFFFF), id="size of the structure"),
        pytest.param(lambda fit: fit.replace(b"conf-b\0", b"conf-c\0"), id="configuration"),
        pytest.param(lambda fit: fit.replace(b"conf-b\0", b"conf-a\0"), id="twice"),
        pytest.param(lambda fit: fit.replace(b"conf-b\0", b"con\x1b-b\0"), id="terminal"),
    ],
)
def test_malformed_fit_is_refused(
    sample: Sample,
    device: Device,
    awk: tuple[str, ...],
    change: Callable[[bytes], bytes],
) -> None:
    image = change(sample.fit).ljust(SIZE, b"\0")
    said = device.accepts(image, awk=awk)
    assert said.startswith(f"{REFUSED}the FIT cannot be read: "), said
    assert said.isprintable()


def test_random_changes_of_a_fit_end_in_a_refusal_or_in_the_same_answer(
    sample: Sample, tmp_path: Path
) -> None:
    chance = random.Random(15)  # noqa: S311 - the same in each run
    structure = int.from_bytes(sample.fit[8:12])
    said = set()
    for number in range(24):
        at = chance.randrange(structure + 400)
        fit = bytearray(sample.fit)
        fit[at] ^= 1 << chance.randrange(8)
        directory = tmp_path / str(number)
        directory.mkdir()
        image = bytes(fit).ljust(SIZE - 65536, b"\0") + sample.policy(sample.fit, sample.vendor)
        said.add(Device(directory, sample.vendor).accepts(image))
    accepted = f"0 bootseal: update accepted: rollback index {INDEX}"
    assert all(each == accepted or each.startswith(REFUSED) for each in said), said
    assert any(each.startswith(REFUSED) for each in said)
