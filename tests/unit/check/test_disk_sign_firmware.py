# SPDX-License-Identifier: MIT
"""Late signing of a device with a boot ROM: its boot loaders get the new U-Boot and signatures."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests import samples
from tests.unit.check import rom_disk
from tests.unit.check.rom_disk import COUNTER, ROOT
from tests.unit.firmware import fips
from typer.testing import CliRunner

from bootseal import device as devices
from bootseal.check import disk as disk_check
from bootseal.check.expected import of_device
from bootseal.cli.app import app
from bootseal.device import Device, Firmware, Qemu, describe
from bootseal.disk import image as source
from bootseal.disk import partitions
from bootseal.errors import BootsealError, UsageError, VerificationRefused
from bootseal.firmware import rom
from bootseal.firmware.chain import Key
from bootseal.formats import boot_partition, fip
from bootseal.keys.algorithms import Algorithm
from bootseal.progress import Silent
from bootseal.resign import apply, provenance
from bootseal.resign import plan as late
from bootseal.resign.plan import Signing
from bootseal.units import KIB

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.check.conftest import Base

    from bootseal.check.disk import DiskVerdict
    from bootseal.keys.signers.file import FileSigner
    from bootseal.resign.provenance import Provenance

QEMU = Qemu(system="qemu-system-aarch64", machine="virt", cpu="cortex-a57", cpus=1, memory=128)
OTHERS = fips.signers(first=20)
OTHER_ROOT = fips.root_hash(first=20)


@pytest.fixture
def built(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the build directory of a device with a boot ROM; its roots are not file systems."""
    monkeypatch.setattr("bootseal.check.rootfs.check.policy_key", lambda *_: None)
    directory = tmp_path / "built"
    directory.mkdir()
    armed = rom_disk.armed(base, directory / "disk.img")
    u_boot = armed.target.control
    images = rom_disk.images(armed)
    contents = {
        "bios": u_boot,
        "control-dtb": base.target.control,
        "fit": armed.fit,
        "rom": b"BL1" * 30 + rom.HEAD + bytes.fromhex(ROOT) + b"end",
        "firmware": rom_disk.signed(images),
        "bl2": images["tb-fw"],
        "bl31": images["soc-fw"],
    }
    for name, data in contents.items():
        (directory / name).write_bytes(data)
    found = rom_disk.predictions(armed, armed.fit)
    slots = [replace(slot, events=found[slot.name].measurements) for slot in armed.target.slots]
    device = Device(
        name="small",
        profile="dev",
        login=True,
        epoch=0,
        qemu=QEMU,
        artefacts={name: describe(directory, directory / name) for name in contents}
        | {"disk": describe(directory, directory / "disk.img")},
        partitions=armed.target.partitions,
        slots=tuple(slots),
        keys={"fit": base.target.fit_key, "policy": "0" * 64},
        firmware=Firmware(mrk=ROOT, counter=COUNTER, banks=tuple(rom_disk.BANKS)),
    )
    devices.save(device, directory)
    return directory


def signing(base: Base, **changes: object) -> Signing:
    made = Signing(
        fit=base.signer, hint="dev", algorithm=Algorithm.parse("sha256,rsa2048"), trust=False
    )
    return replace(made, **changes)  # type: ignore[arg-type] # names of fields


NEW = samples.signer("rsa2048", 40)
TRUSTED = {"fit": NEW, "hint": "prod", "trust": True}


def trusted(base: Base) -> dict[str, object]:
    """Return what replaces the key of the FITs: the policy names the U-Boot that holds it."""
    return TRUSTED | {"policy": base.vendor}


def run(directory: Path, how: Signing, output: Path) -> Provenance:
    target = of_device(directory)
    with source.opened(target.image) as disk:
        plan = late.plan(disk, target, partitions.read(disk, disk.size), how)
    return apply.write(target, plan, how, target.image, output, who="me", when="now")


def checked(base: Base, directory: Path) -> DiskVerdict:
    target = of_device(directory, policy_key=base.target.policy_key)
    with source.opened(target.image) as disk:
        return disk_check.check(disk, target, Silent(), inside=False)


def test_built_device_is_accepted(base: Base, built: Path) -> None:
    assert checked(base, built).errors == ()


@pytest.mark.parametrize(
    ("first", "root"), [(0, ROOT), (20, OTHER_ROOT)], ids=["same root", "other root"]
)
def test_signed_device_is_accepted_with_its_new_u_boot(
    base: Base, built: Path, tmp_path: Path, first: int, root: str
) -> None:
    output = tmp_path / "signed"

    how = signing(base, firmware=fips.signers(first=first), **trusted(base))
    record = run(built, how, output)

    assert checked(base, output).errors == ()
    described = devices.load(output)
    assert described.firmware == Firmware(mrk=root, counter=COUNTER, banks=("fw-a", "fw-b"))
    assert {*described.keys} == {"fit", "policy"}
    for artefact in described.artefacts.values():
        assert devices.digest_file(output / artefact.path) == artefact.sha256
    package = fip.parse((output / "firmware").read_bytes())
    assert package.image("nt-fw") == (output / "bios").read_bytes()
    assert package.image("tb-fw") == (output / "bl2").read_bytes()
    assert ((output / "rom").read_bytes() == (built / "rom").read_bytes()) is (root == ROOT)
    assert described.slots[0].pcrs["0"] != devices.load(built).slots[0].pcrs["0"]
    statement = json.loads((output / provenance.FILE_NAME).read_text())
    keys = statement["predicate"]["buildDefinition"]["externalParameters"]["keys"]
    assert keys["mrk"]["fingerprint"] == record.keys["mrk"] == root


def test_boot_loaders_that_the_slots_bring_are_signed_like_the_banks(
    base: Base, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot_partition, "LOADERS_SIZE", 256 * KIB)
    device = devices.load(built)
    places = [
        each.offset + boot_partition.loaders_place(each.size)
        for each in device.partitions
        if each.name.startswith("boot-")
    ]
    with (built / "disk.img").open("r+b") as file:
        for place in places:
            file.seek(place)
            file.write((built / "firmware").read_bytes())
    artefacts = device.artefacts | {"disk": describe(built, built / "disk.img")}
    devices.save(replace(device, artefacts=artefacts), built)
    output = tmp_path / "signed"
    run(built, signing(base, firmware=OTHERS, **trusted(base)), output)

    verdict = checked(base, output)
    assert verdict.errors == ()
    assert [bank.brought for bank in verdict.banks] == [False, False, True, True]
    content = (output / "disk.img").read_bytes()
    package = (output / "firmware").read_bytes()
    assert package != (built / "firmware").read_bytes()
    for place in places:
        assert content[place:][: 256 * KIB] == package.ljust(256 * KIB, b"\0")


def test_policy_that_names_the_old_boot_loader_does_not_stay(
    base: Base, built: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        UsageError, match="this changes the measurements of the boot loaders"
    ) as refusal:
        run(built, signing(base, firmware=fips.signers(), **TRUSTED), tmp_path / "signed")
    assert "policy key" in refusal.value.hint
    assert not (tmp_path / "signed").exists()


def test_old_and_new_boot_roms_refuse_each_other(base: Base, built: Path, tmp_path: Path) -> None:
    output = tmp_path / "signed"
    run(built, signing(base, firmware=OTHERS, **trusted(base)), output)
    old, new = devices.load(built), devices.load(output)
    for directory, known, other in ((built, old, new), (output, new, old)):
        devices.save(replace(known, firmware=other.firmware), directory)
        found = {each.id for each in checked(base, directory).errors}
        assert {"firmware.root-key", "disk.firmware-root-key"} <= found


def test_other_root_key_needs_trust(base: Base, built: Path, tmp_path: Path) -> None:
    run(built, signing(base, firmware=fips.signers()), tmp_path / "same")
    assert checked(base, tmp_path / "same").errors == ()

    with pytest.raises(UsageError, match="the boot ROM holds") as refusal:
        run(built, signing(base, firmware=OTHERS), tmp_path / "other")
    assert "--trust" in refusal.value.hint
    assert not (tmp_path / "other").exists()


def test_new_u_boot_needs_new_boot_loaders(base: Base, built: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fw-a holds boot loaders with U-Boot"):
        run(built, signing(base, **TRUSTED), tmp_path / "signed")
    assert not (tmp_path / "signed").exists()
    run(built, signing(base), tmp_path / "fits")
    assert checked(base, tmp_path / "fits").errors == ()


def test_bank_with_another_u_boot_is_not_signed(base: Base, built: Path, tmp_path: Path) -> None:
    target = of_device(built)
    bank = next(each for each in target.partitions if each.name == "fw-b")
    other = rom_disk.signed(
        {"tb-fw": (built / "bl2").read_bytes(), "soc-fw": b"BL31", "nt-fw": b"another"}
    )
    with target.image.open("r+b") as file:
        file.seek(bank.offset)
        file.write(other)

    with pytest.raises(VerificationRefused, match="the U-Boot in fw-b is not the build's"):
        run(built, signing(base, firmware=fips.signers()), tmp_path / "signed")


def test_firmware_that_outgrows_its_bank_is_refused(base: Base, built: Path) -> None:
    target = of_device(built)
    size = len((built / "firmware").read_bytes()) + 16
    small = tuple(
        replace(each, size=size) if each.name == "fw-b" else each for each in target.partitions
    )
    with source.opened(target.image) as disk:
        table = replace(partitions.read(disk, disk.size), entries=small)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="fw-b has room for"):
            late.plan(
                disk, target, table, signing(base, firmware=fips.signers("rsa2048"), trust=True)
            )


def bootseal(*arguments: object) -> str:
    """Return what a command says; raises the error it ends in."""
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    if isinstance(result.exception, BootsealError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stderr


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Write the new keys as files, and the public half of the master root key."""
    directory = tmp_path / "files"
    directory.mkdir()
    keys: dict[str, FileSigner] = {"fit": NEW, **{str(name): each for name, each in OTHERS.items()}}
    for name, signer in keys.items():
        samples.write_key(directory, name, signer._private)
        (directory / f"{name}.pub").write_bytes(signer.public_key.pem)
    return directory


def test_master_root_key_may_be_on_another_machine(
    base: Base, built: Path, files: Path, tmp_path: Path
) -> None:
    """In two steps; the requests are answered with the key there."""
    requests = tmp_path / "requests"
    rest = [key for key in Key if key is not Key.MRK]
    samples.write_key(files, "policy", base.vendor._private)
    command = ["disk", "sign", built, "--key", files / "fit.key", "--hint", "prod", "--trust"]
    command += ["--policy-key", files / "policy.key"]
    for key in rest:
        command += ["--firmware-key", f"{key}={files / f'{key}.key'}"]
    with pytest.raises(UsageError, match="no mrk"):
        bootseal(*command, "-o", tmp_path / "signed")
    command += ["--firmware-public-key", f"mrk={files / 'mrk.pub'}"]
    with pytest.raises(UsageError, match="--export-requests"):
        bootseal(*command, "-o", tmp_path / "signed")

    bootseal(*command, "--export-requests", requests)
    assert len([*requests.glob("mrk-*.digest")]) == len([*requests.glob("*.digest")]) == 2
    bootseal("disk", "sign-requests", requests, "--role", "mrk", "--key", files / "mrk.key")
    bootseal(*command, "--import-signatures", requests, "-o", tmp_path / "signed")

    assert checked(base, tmp_path / "signed").errors == ()
    assert (devices.load(tmp_path / "signed").firmware or 0) == Firmware(
        mrk=OTHER_ROOT, counter=COUNTER, banks=("fw-a", "fw-b")
    )
    one, two = sorted(requests.glob("mrk-*.sig"))
    one.write_bytes(two.read_bytes())
    with pytest.raises(VerificationRefused, match="signature is not by"):
        bootseal(*command, "--import-signatures", requests, "-o", tmp_path / "again")


def test_keys_of_boot_loaders_need_a_boot_rom(built: Path, files: Path) -> None:
    device = devices.load(built)
    less = {role: each for role, each in device.artefacts.items() if role not in devices.ROM_ROLES}
    devices.save(replace(device, firmware=None, artefacts=less), built)

    with pytest.raises(UsageError, match="is not known to be of a device with a boot ROM"):
        bootseal(
            *("disk", "sign", built, "--key", files / "fit.key", "--hint", "prod"),
            *("--firmware-key", f"mrk={files / 'mrk.key'}"),
        )
