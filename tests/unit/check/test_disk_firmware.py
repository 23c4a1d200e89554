# SPDX-License-Identifier: MIT
"""Boot loaders on a disk: a good one is accepted, and each tampered twin is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import pytest
from tests.unit.check import rom_disk
from tests.unit.check.rom_disk import ROOT
from tests.unit.firmware import fips
from typer.testing import CliRunner

from bootseal import device as devices
from bootseal import documents
from bootseal.check import coverage, diff, prove
from bootseal.check import disk as disk_check
from bootseal.cli.app import app
from bootseal.device import Device, Qemu, describe
from bootseal.disk import image as source
from bootseal.findings.model import Severity
from bootseal.firmware import banks, rom
from bootseal.firmware import verify as firmware_verify
from bootseal.formats import bank_choice, boot_partition, fip
from bootseal.measure import pcr_policy
from bootseal.progress import Silent
from bootseal.protection import State
from bootseal.units import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.check.conftest import Base

    from bootseal.check.disk import DiskVerdict
    from bootseal.check.expected import Expected

    Errors: TypeAlias = Callable[..., dict[str, str]]

IMAGES = ("tb-fw", "soc-fw", "nt-fw")


@pytest.fixture(scope="session")
def armed(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Base:
    return rom_disk.armed(base, tmp_path_factory.mktemp("armed") / "disk.img")


@pytest.fixture
def errors(armed: Base, tmp_path: Path) -> Errors:
    """Check an image and return the errors: id to the place of the first."""

    def run(
        image: bytes | None = None, change: Callable[[Expected], Expected] | None = None
    ) -> dict[str, str]:
        found: dict[str, str] = {}
        for each in checked(armed, tmp_path, image, change).findings:
            if each.severity is Severity.ERROR:
                found.setdefault(each.id, each.where)
        return found

    return run


def checked(
    armed: Base,
    directory: Path,
    image: bytes | None = None,
    change: Callable[[Expected], Expected] | None = None,
) -> DiskVerdict:
    path = directory / "disk.img"
    path.write_bytes(armed.image if image is None else image)
    target = replace(armed.target, image=path)
    with source.opened(path) as disk:
        return disk_check.check(disk, change(target) if change else target, Silent(), inside=False)


def with_bank(armed: Base, name: str, package: bytes) -> bytes:
    """Return the disk with something else in a bank, and zeros behind it."""
    return armed.changed(name, 0, package.ljust(rom_disk.BANKS[name], b"\0"))


def test_good_disk_is_accepted_and_says_what_its_boot_rom_leads_to(
    armed: Base, base: Base, tmp_path: Path
) -> None:
    verdict = checked(armed, tmp_path)

    assert {f.severity for f in verdict.findings} <= {Severity.INFO}
    assert [(bank.entry.name, bank.good) for bank in verdict.banks] == [
        ("fw-a", True),
        ("fw-b", True),
    ]
    said = verdict.summary(inside=False)
    assert (
        "every byte of fw-a and fw-b is as the key in the boot ROM requires, with this U-Boot"
        in said
    )
    assert "assumed to be immutable" not in said
    (tmp_path / "plain.img").write_bytes(base.image)
    with source.opened(tmp_path / "plain.img") as disk:
        plain = disk_check.check(disk, base.target, Silent(), inside=False)
    said = plain.summary(inside=False)
    assert said.endswith("boot loader: not verified here, assumed to be immutable.")


@pytest.mark.parametrize("bank", rom_disk.BANKS)
@pytest.mark.parametrize("name", [*IMAGES, *fips.ROWS])
def test_flipped_bit_in_a_bank_is_refused(
    armed: Base, errors: Errors, bank: str, name: str
) -> None:
    package = rom_disk.signed(rom_disk.images(armed))
    entry = next(each for each in fip.parse(package).entries if each.name == name)
    expected = "firmware.hash" if name in IMAGES else "firmware.signature"

    assert errors(armed.flipped(bank, entry.end - 1))[expected] == f"{bank}: {name}"


@pytest.mark.parametrize("place", [0, 4, 8, 0x10, 0x20, 0x28, 0x30])
def test_flipped_bit_of_the_table_is_refused(armed: Base, errors: Errors, place: int) -> None:
    found = errors(armed.flipped("fw-b", place))

    assert found.get("disk.firmware") == "fw-b"


def test_bytes_behind_the_firmware_are_refused(armed: Base, errors: Errors) -> None:
    size = len(rom_disk.signed(rom_disk.images(armed)))
    for place in (size, MIB - 1):
        found = errors(armed.flipped("fw-a", place))
        assert found == {"disk.hidden-data": "fw-a, unused end"}


def test_empty_bank_is_refused(armed: Base, errors: Errors) -> None:
    assert errors(with_bank(armed, "fw-b", b"")) == {"disk.firmware": "fw-b"}


def test_firmware_larger_than_its_bank_is_refused(armed: Base, errors: Errors) -> None:
    large = rom_disk.images(armed) | {"soc-fw": bytes(MIB)}

    assert errors(with_bank(armed, "fw-b", rom_disk.signed(large)[:MIB])) == {
        "disk.firmware": "fw-b"
    }


def test_firmware_of_another_master_root_key_is_refused(armed: Base, errors: Errors) -> None:
    other = fips.root_hash(first=5)
    package = rom_disk.signed(rom_disk.images(armed, other), first=5)

    found = errors(with_bank(armed, "fw-a", package))

    assert found["firmware.root-key"] == "fw-a: tb-fw-cert"
    assert found["disk.firmware-root-key"] == "fw-a: tb-fw"


@pytest.mark.parametrize(
    "held",
    [b"", rom.HEAD + bytes(32), 2 * (rom.HEAD + b"\1" * 32)],
    ids=["none", "zeros", "others"],
)
def test_bl2_that_does_not_hold_this_root_key_alone_is_refused(
    armed: Base, errors: Errors, held: bytes
) -> None:
    images = rom_disk.images(armed)
    package = rom_disk.signed(images | {"tb-fw": b"BL2" + held})

    assert errors(with_bank(armed, "fw-b", package)) == {"disk.firmware-root-key": "fw-b: tb-fw"}


def test_other_u_boot_is_refused(armed: Base, errors: Errors) -> None:
    images = rom_disk.images(armed)
    package = rom_disk.signed(images | {"nt-fw": images["nt-fw"] + b"\0"})

    assert errors(with_bank(armed, "fw-b", package)) == {"disk.firmware-u-boot": "fw-b: nt-fw"}


@pytest.mark.parametrize("counter", [rom_disk.COUNTER - 1, rom_disk.COUNTER + 1])
def test_other_security_version_is_refused(armed: Base, errors: Errors, counter: int) -> None:
    package = rom_disk.signed(rom_disk.images(armed), counter)

    assert errors(with_bank(armed, "fw-b", package)) == {"disk.firmware-counter": "fw-b"}


@pytest.mark.parametrize("bank", [0, 1])
def test_choice_of_a_bank_has_two_values_and_zeros(armed: Base, errors: Errors, bank: int) -> None:
    block = bank_choice.emit(bank)
    assert errors(armed.changed("bootstate", bank_choice.PLACE, block)) == {}
    for twin in (
        bank_choice.emit(2),
        b"\1" + block[1:],
        block[:-1] + b"\1",
        b"\0\0\0\0" + block[4:-1] + b"\1",
    ):
        assert errors(armed.changed("bootstate", bank_choice.PLACE, twin)) == {
            "disk.firmware-choice": "bootstate"
        }


@pytest.mark.parametrize(
    "place", [16 * KIB, 64 * KIB - 1, 64 * KIB + 512, 512 * KIB - 1, 528 * KIB, MIB - 1]
)
def test_bytes_around_the_choice_are_refused(armed: Base, errors: Errors, place: int) -> None:
    assert [*errors(armed.flipped("bootstate", place))] == ["disk.hidden-data"]


def test_bank_that_nothing_describes_is_named(armed: Base, tmp_path: Path) -> None:
    def alone(target: Expected) -> Expected:
        return replace(target, firmware=None)

    found = [f for f in checked(armed, tmp_path, None, alone).findings if f.severity != "info"]
    empty = with_bank(armed, "fw-a", b"")
    less = [f for f in checked(armed, tmp_path, empty, alone).findings if f.severity != "info"]

    assert [(f.id, f.where) for f in found] == [
        ("disk.firmware-unchecked", "fw-a"),
        ("disk.firmware-unchecked", "fw-b"),
        ("disk.policy-unchecked", "boot-a"),
        ("disk.policy-unchecked", "boot-b"),
    ]
    assert [f.where for f in less] == ["fw-b", "boot-a", "boot-b"]


@pytest.mark.parametrize(
    ("held", "refused"),
    [
        (rom.HEAD + bytes.fromhex(ROOT), False),
        (rom.HEAD + bytes.fromhex(fips.root_hash(first=5)), True),
        (rom.HEAD + bytes.fromhex(ROOT) + rom.HEAD + b"\1" * 32, True),
        (bytes.fromhex(ROOT), True),
        (b"", True),
    ],
    ids=["alone", "another", "and another", "no DigestInfo", "none"],
)
def test_boot_rom_holds_this_root_key_alone(
    armed: Base, errors: Errors, tmp_path: Path, held: bytes, *, refused: bool
) -> None:
    (tmp_path / "rom.bin").write_bytes(b"BL1" * 100 + held + b"more")

    def described(target: Expected) -> Expected:
        return replace(target, device=device(armed, tmp_path), directory=tmp_path)

    expected = {"disk.firmware-root-key": "rom.bin"} if refused else {}
    assert errors(None, described) == expected


def test_boot_rom_that_is_not_the_described_one_is_refused(
    armed: Base, errors: Errors, tmp_path: Path
) -> None:
    good = b"BL1" * 100 + rom.HEAD + bytes.fromhex(ROOT)
    (tmp_path / "rom.bin").write_bytes(good)
    known = device(armed, tmp_path)
    (tmp_path / "rom.bin").write_bytes(b"bl1" + good[3:])

    found = errors(None, lambda target: replace(target, device=known, directory=tmp_path))

    assert found == {"disk.artefact": "rom.bin"}


def device(armed: Base, directory: Path) -> Device:
    return Device(
        name="small",
        profile="dev",
        login=True,
        epoch=0,
        qemu=Qemu(system="", machine="", cpu="", cpus=1, memory=1),
        artefacts={"rom": describe(directory, directory / "rom.bin")},
        partitions=armed.target.partitions,
        slots=armed.target.slots,
        keys={},
    )


@pytest.fixture(scope="module")
def proof(armed: Base) -> prove.DiskProof:
    with source.opened(armed.target.image) as disk:
        verdict = disk_check.check(disk, armed.target, Silent(), inside=False)
        return prove.prove(disk, armed.target, verdict, Silent(), seed=1, tries=12)


def test_every_change_of_a_covered_part_is_refused(proof: prove.DiskProof) -> None:
    assert proof.broken == ()
    covered = {each.name for each in proof.regions if each.covered}
    assert covered >= {
        f"{bank}: {name}" for bank in rom_disk.BANKS for name in (*IMAGES, *fips.ROWS)
    }


def test_uncovered_parts_are_the_documented_ones(proof: prove.DiskProof) -> None:
    found = {each.name: each for each in proof.uncovered if each.name.startswith(("fw-", "boots"))}

    assert {*found} == {
        "bootstate: slot state",
        "bootstate: slot state, second copy",
        "bootstate, unused",
        "bootstate: bank choice",
        "bootstate, unused end",
        *(f"{bank}: {part}" for bank in rom_disk.BANKS for part in ("header", "ToC", "padding")),
        *(f"{bank}, unused end" for bank in rom_disk.BANKS),
    }
    # No signature covers them, and each change is noticed all the same.
    assert all(each.refused == each.tries for each in found.values())


def test_change_that_the_verifier_does_not_notice_breaks_the_proof(
    armed: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    with source.opened(armed.target.image) as disk:
        verdict = disk_check.check(disk, armed.target, Silent(), inside=False)
        monkeypatch.setattr(firmware_verify, "_image", lambda *_: iter(()))
        found = prove.prove(disk, armed.target, verdict, Silent(), seed=1, tries=2)

    assert {each.name for each in found.broken} == {
        f"{bank}: {name}" for bank in rom_disk.BANKS for name in IMAGES
    }


def test_refused_bank_is_not_drawn_as_signed(armed: Base, tmp_path: Path) -> None:
    image = armed.flipped("fw-b", len(rom_disk.signed(rom_disk.images(armed))) - 20)
    path = tmp_path / "disk.img"
    path.write_bytes(image)
    with source.opened(path) as disk:
        verdict = disk_check.check(disk, replace(armed.target, image=path), Silent(), inside=False)
        states = {each.name: each.state for each in coverage.regions(disk, verdict)}

    assert [bank.good for bank in verdict.banks] == [True, False]
    assert states["fw-a: nt-fw"] is State.SIGNED
    assert states["fw-b: nt-fw"] is State.UNSIGNED


def test_names_of_the_banks_are_those_of_the_layout() -> None:
    assert tuple(rom_disk.BANKS) == banks.NAMES
    assert {*devices.ROM_ROLES} == {"rom", "firmware", "bl2", "bl31"}


def test_show_names_what_the_banks_hold(armed: Base, base: Base, tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(with_bank(armed, "fw-b", b""))

    result = CliRunner().invoke(app, ["disk", "show", str(path)], catch_exceptions=False)
    document = json.loads(CliRunner().invoke(app, ["disk", "show", str(path), "--json"]).stdout)

    assert "fw-a: " in result.stdout
    assert "tb-fw, soc-fw, nt-fw, trusted-key-cert" in result.stdout
    assert "fw-b: no boot loaders" in result.stdout
    assert [each["size"] > 0 for each in document["banks"]] == [True, False]
    plain = CliRunner().invoke(app, ["disk", "show", str(base.target.image), "--json"])
    assert "banks" not in json.loads(plain.stdout)


def test_diff_names_the_image_of_a_bank(armed: Base, tmp_path: Path) -> None:
    images = rom_disk.images(armed)
    other = rom_disk.signed(images | {"soc-fw": b"another BL31"})
    path = tmp_path / "disk.img"
    path.write_bytes(with_bank(armed, "fw-b", other))
    with source.opened(armed.target.image) as first, source.opened(path) as second:
        changes = list(diff.diff(diff.Side(disk=first), diff.Side(disk=second)))

    assert [(each.part, each.where) for each in changes] == [
        ("firmware", "fw-b: soc-fw"),
        ("firmware", "fw-b: soc-fw-cert"),
    ]
    path.write_bytes(armed.flipped("fw-a", MIB - 1))
    with source.opened(armed.target.image) as first, source.opened(path) as second:
        (change,) = diff.diff(diff.Side(disk=first), diff.Side(disk=second))
    assert (change.part, change.where, change.name) == ("partition", "fw-a", "content")


def test_boot_loader_that_no_policy_names_is_refused(armed: Base, errors: Errors) -> None:
    """It is signed, has the right U-Boot and version, and would find the data closed."""
    other = rom_disk.images(armed) | {"soc-fw": b"another BL31" * 9}
    image = with_bank(armed, "fw-b", rom_disk.signed(other))
    assert set(errors(image)) == {"policy.missing"}
    found = [
        *rom_disk.predictions(armed, armed.fit).values(),
        *rom_disk.predictions(armed, armed.fit, other).values(),
    ]
    both = boot_partition.pad_policy(documents.dump(pcr_policy.sign(found, armed.vendor)))
    changed = bytearray(image)
    for name in ("boot-a", "boot-b"):
        start = armed.offset(name) + MIB - len(both)
        changed[start : start + len(both)] = both
    assert errors(bytes(changed)) == {}


@pytest.mark.parametrize(
    ("declared", "expected"),
    [(None, "disk.firmware-version"), (4, "disk.firmware-version"), (3, ""), (0, "")],
)
def test_release_says_for_which_boot_loaders_it_is(
    base: Base, tmp_path: Path, declared: int | None, expected: str
) -> None:
    changed = rom_disk.armed(base, tmp_path / "other.img", declared=declared)
    found = {each.id for each in checked(changed, tmp_path).errors}
    assert found == ({expected} if expected else set())
