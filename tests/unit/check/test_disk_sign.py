# SPDX-License-Identifier: MIT
"""Late signing of a small disk, and of the build directory around it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bootseal import device as devices
from bootseal.check.expected import of_device
from bootseal.device import Device, Qemu, describe
from bootseal.disk import image as source
from bootseal.disk import partitions
from bootseal.errors import ToolError, UsageError, VerificationRefused
from bootseal.fit import control_dtb
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.signers.file import FileSigner
from bootseal.resign import apply, provenance
from bootseal.resign import copy as resign_copy
from bootseal.resign import plan as late
from bootseal.resign.plan import Patch, Signing
from bootseal.units import KIB

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.check.conftest import Base

    from bootseal.check.disk import DiskVerdict
    from bootseal.check.expected import Expected
    from bootseal.resign.provenance import Provenance

SMALL = FileSigner(rsa.generate_private_key(public_exponent=65537, key_size=2048))
LARGE = FileSigner(rsa.generate_private_key(public_exponent=65537, key_size=4096))
CURVE = FileSigner(ec.generate_private_key(ec.SECP384R1()))
QEMU = Qemu(system="qemu-system-aarch64", machine="virt", cpu="cortex-a57", cpus=1, memory=128)


def signing(signer: FileSigner = SMALL, algorithm: str = "", **changes: object) -> Signing:
    name = algorithm or f"sha256,{signer.public_key.kind}"
    made = Signing(fit=signer, hint="prod-1", algorithm=Algorithm.parse(name), trust=True)
    return replace(made, **changes)  # type: ignore[arg-type] # names of fields


@pytest.fixture
def built(base: Base, tmp_path: Path) -> Path:
    """Make a build directory of the small disk."""
    directory = tmp_path / "built"
    directory.mkdir()
    boot = base.offset("boot-a")
    size = next(p.size for p in base.target.partitions if p.name == "boot-a")
    tail = base.image[boot + size - 64 * KIB : boot + size]
    contents = {
        "disk": ("disk.img", base.image),
        "bios": ("u-boot.bin", b"code" * 100 + base.target.control),
        "control-dtb": ("control.dtb", base.target.control),
        "fit": ("fit.itb", base.fit),
        "policy": ("policy.json", tail.rstrip(b"\0")),
        "boot": ("boot.img", base.image[boot : boot + size]),
        "kernel": ("kernel", b"kernel"),
    }
    for name, data in contents.values():
        (directory / name).write_bytes(data)
    device = Device(
        name="small",
        profile="dev",
        login=True,
        epoch=0,
        qemu=QEMU,
        artefacts={r: describe(directory, directory / n) for r, (n, _) in contents.items()},
        partitions=base.target.partitions,
        slots=base.target.slots,
        keys={"fit": base.target.fit_key, "policy": "0" * 64},
    )
    devices.save(device, directory)
    return directory


def run(directory: Path, how: Signing, output: Path | None = None) -> Provenance:
    target = of_device(directory)
    with source.opened(target.image) as disk:
        plan = late.plan(disk, target, partitions.read(disk, disk.size), how)
    return apply.write(target, plan, how, target.image, output or directory, who="me", when="now")


@pytest.mark.parametrize(
    ("signer", "algorithm"),
    [(SMALL, ""), (LARGE, "sha512,rsa4096"), (CURVE, "sha384,ecdsa384")],
    ids=["rsa2048", "rsa4096", "ecdsa384"],
)
def test_signed_device_is_accepted_and_old_and_new_refuse_each_other(
    base: Base,
    built: Path,
    tmp_path: Path,
    check_image: Callable[..., DiskVerdict],
    signer: FileSigner,
    algorithm: str,
) -> None:
    output = tmp_path / "signed"

    run(built, signing(signer, algorithm, profile="production"), output)

    new = (output / "disk.img").read_bytes()
    control = (output / "u-boot.bin").read_bytes()

    def trusting(data: bytes, key: str) -> Callable[[Expected], Expected]:
        return lambda target: replace(target, control=data, fit_key=key)

    fingerprint = signer.public_key.fingerprint()
    assert check_image(new, trusting(control, fingerprint)).errors == ()
    old_key = base.target.fit_key
    assert {f.id for f in check_image(new, trusting(base.target.control, old_key)).errors} >= {
        "fit.no-signature"
    }
    assert {f.id for f in check_image(base.image, trusting(control, fingerprint)).errors} >= {
        "fit.no-signature"
    }
    described = devices.load(output)
    assert (described.profile, described.keys["fit"]) == ("production", fingerprint)
    assert [k.public_key.fingerprint() for k in control_dtb.read_keys(control)] == [fingerprint]


def test_nothing_but_the_fits_changes(base: Base, built: Path, tmp_path: Path) -> None:
    run(built, signing(LARGE), tmp_path / "signed")

    new = (tmp_path / "signed/disk.img").read_bytes()
    fits = [
        range(base.offset(n), base.offset(n) + len(base.fit) + 4096) for n in ("boot-a", "boot-b")
    ]
    changed = [n for n in range(len(new)) if new[n] != base.image[n]]
    assert changed
    assert all(n in fits[0] or n in fits[1] for n in changed)
    old, signed = (
        fit_format.parse(f)
        for f in (
            base.fit,
            new[base.offset("boot-a") :][: fdt.total_size(new[base.offset("boot-a") :])],
        )
    )
    assert [bytes(i.payload) for i in old.images] == [bytes(i.payload) for i in signed.images]
    for name in ("policy.json", "kernel"):
        assert (tmp_path / "signed" / name).read_bytes() == (built / name).read_bytes()


def test_signing_again_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    run(built, signing(), tmp_path / "one")
    run(built, signing(), tmp_path / "two")
    run(tmp_path / "one", signing(), tmp_path / "three")

    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    image = (tmp_path / "one/disk.img").read_bytes()
    assert image == (tmp_path / "three/disk.img").read_bytes()


def test_in_place_signing_replaces_the_files(built: Path) -> None:
    before = (built / "disk.img").read_bytes()

    found = run(built, signing())

    assert (built / "disk.img").read_bytes() != before
    device = devices.load(built)
    for artefact in device.artefacts.values():
        assert devices.digest_file(built / artefact.path) == artefact.sha256
    statement = json.loads((built / provenance.FILE_NAME).read_text())
    subjects = {s["name"]: s["digest"]["sha256"] for s in statement["subject"]}
    assert subjects == dict(found.outputs)
    assert subjects["disk.img"] == device.artefacts["disk"].sha256
    definition = statement["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["keys"]["fit"]["fingerprint"] == device.keys["fit"]
    assert definition["internalParameters"]["who"] == "me"
    assert [p.name for p in built.iterdir() if p.name.startswith(".")] == []


def test_key_that_uboot_does_not_require_is_refused_and_nothing_written(
    built: Path, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in built.iterdir()}

    with pytest.raises(VerificationRefused, match="no signature by the required key 'dev'") as info:
        run(built, signing(trust=False))

    assert "--trust" in info.value.hint
    assert {path.name: path.read_bytes() for path in built.iterdir()} == before
    assert list(tmp_path.glob(".*")) == []


def test_required_key_may_sign_without_changing_uboot(base: Base, built: Path) -> None:
    uboot = (built / "u-boot.bin").read_bytes()

    run(built, signing(base.signer, hint="dev", trust=False))

    assert (built / "u-boot.bin").read_bytes() == uboot


def test_disk_that_is_not_the_described_one_is_refused(built: Path) -> None:
    with (built / "disk.img").open("r+b") as file:
        file.seek(-1000, os.SEEK_END)
        file.write(b"x")

    with pytest.raises(UsageError, match=r"is not the file device\.json describes"):
        run(built, signing())


def test_fit_that_outgrows_its_partition_is_refused(base: Base, built: Path) -> None:
    target = of_device(built)
    with source.opened(target.image) as disk:
        (first, _) = late.fits_of(disk, target, partitions.read(disk, disk.size))
    tight = replace(first, entry=replace(first.entry, size=64 * KIB + len(base.fit) - 100))

    with pytest.raises((UsageError, VerificationRefused)):
        late._patch(tight, bytes(len(base.fit)))


def test_output_that_holds_something_else_is_left_alone(built: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("mine")

    with pytest.raises(UsageError, match="neither empty nor a built device"):
        run(built, signing(), tmp_path / "mine")


def test_difference_elsewhere_is_noticed(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(bytes(1 << 20))
    resign_copy.copy(old, new)
    resign_copy.patch(new, [Patch(4096, b"patch")])
    resign_copy.compare(old, new, [Patch(4096, b"patch")])

    for place in (0, 4095, 4101, (1 << 20) - 1, 4098):
        resign_copy.patch(new, [Patch(place, b"\xff")])
        with pytest.raises(ToolError, match="not written correctly"):
            resign_copy.compare(old, new, [Patch(4096, b"patch")])
        resign_copy.copy(old, new)
        resign_copy.patch(new, [Patch(4096, b"patch")])


def test_digest_is_that_of_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.seek(3 << 20)
        file.write(b"data")
        file.truncate((9 << 20) + 5)

    assert resign_copy.digests([path]) == [devices.digest_file(path)]
