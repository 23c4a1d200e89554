# SPDX-License-Identifier: MIT
"""The boot loaders that a release brings for the banks: good ones, and each tampered twin."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests import samples
from tests.unit.check import rom_disk

from bootseal import documents
from bootseal.check import coverage, firmware, slot_fit
from bootseal.check import disk as disk_check
from bootseal.check.slot_policy import check_policies
from bootseal.disk import image as source
from bootseal.disk import partitions
from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.findings.model import Severity
from bootseal.formats import boot_partition, fip
from bootseal.measure import pcr_policy
from bootseal.progress import Silent
from bootseal.protection import State
from bootseal.units import KIB, MIB

if TYPE_CHECKING:
    from tests.unit.check.conftest import Base

    from bootseal.check.disk import DiskVerdict
    from bootseal.findings.model import Finding
    from bootseal.measure.predict import Prediction

LAYER: Final = Path(__file__).parents[3] / "meta-secureboot"
SIZE: Final = 256 * KIB
PLACE: Final = MIB - boot_partition.POLICY_SIZE - SIZE
BOOT: Final = "boot-a, boot loaders"


@pytest.fixture
def armed(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Base:
    """Return a disk whose slots bring what is in the banks; it is as small as its partitions."""
    monkeypatch.setattr(boot_partition, "LOADERS_SIZE", SIZE)
    return bringing(rom_disk.armed(base, tmp_path / "armed.img"))


def bringing(armed: Base, package: bytes | None = None, slots: str = "ab") -> Base:
    """Return a disk whose slots bring something, and zeros behind it."""
    for slot in slots:
        content = rom_disk.signed(rom_disk.images(armed)) if package is None else package
        image = armed.changed(f"boot-{slot}", PLACE, content.ljust(SIZE, b"\0"))
        armed = replace(armed, image=image)
    return armed


def checked(armed: Base, directory: Path) -> DiskVerdict:
    path = directory / "disk.img"
    path.write_bytes(armed.image)
    with source.opened(path) as disk:
        return disk_check.check(disk, replace(armed.target, image=path), Silent(), inside=False)


def errors(armed: Base, directory: Path) -> dict[str, str]:
    found = checked(armed, directory).findings
    return {each.id: each.where for each in found if each.severity is Severity.ERROR}


def test_disk_whose_slots_bring_its_boot_loaders_is_accepted(armed: Base, tmp_path: Path) -> None:
    verdict = checked(armed, tmp_path)

    assert {f.severity for f in verdict.findings} <= {Severity.INFO}
    assert [(bank.entry.name, bank.good, bank.brought) for bank in verdict.banks] == [
        ("fw-a", True, False),
        ("fw-b", True, False),
        (BOOT, True, True),
        ("boot-b, boot loaders", True, True),
    ]
    assert "every byte of fw-a and fw-b is as" in verdict.summary(inside=False)
    with source.opened(tmp_path / "disk.img") as disk:
        regions = coverage.regions(disk, verdict)
    states = {
        name: [(r.size, r.state) for r in regions if r.partition == name] for name in ("fw-a", BOOT)
    }
    assert State.SIGNED in {state for _, state in states[BOOT]}
    # The bank has the rest of its partition behind.
    assert states[BOOT] == states["fw-a"][: len(states[BOOT])]
    assert not [each for each in regions if each.name == "unknown"]


@pytest.mark.parametrize("name", ["tb-fw", "nt-fw"])
def test_flipped_bit_is_refused(armed: Base, tmp_path: Path, name: str) -> None:
    package = rom_disk.signed(rom_disk.images(armed))
    entry = next(each for each in fip.parse(package).entries if each.name == name)
    image = armed.flipped("boot-a", PLACE + entry.end - 1)

    assert errors(replace(armed, image=image), tmp_path)["firmware.hash"] == f"{BOOT}: {name}"


@pytest.mark.parametrize(
    ("place", "found"),
    [
        (16, {"disk.firmware": BOOT}),
        (SIZE - 1, {"disk.hidden-data": "boot-a, unused end"}),
        # It does not begin with a FIP, and so it has no business to be there.
        (0, {"disk.hidden-data": "boot-a, unused end"}),
    ],
    ids=["table", "behind", "header"],
)
def test_bytes_that_no_signature_covers_have_one_value(
    armed: Base, tmp_path: Path, place: int, found: dict[str, str]
) -> None:
    image = armed.flipped("boot-a", PLACE + place)

    assert errors(replace(armed, image=image), tmp_path) == found


def test_boot_loaders_of_another_build_are_refused(armed: Base, tmp_path: Path) -> None:
    older = rom_disk.signed(rom_disk.images(armed), rom_disk.COUNTER - 1)

    assert errors(bringing(armed, older, "b"), tmp_path) == {
        "disk.firmware-counter": "boot-b, boot loaders"
    }


def test_boot_loaders_are_not_checked_where_no_rom_is_known(armed: Base, tmp_path: Path) -> None:
    unknown = replace(armed, target=replace(armed.target, firmware=None))
    found = checked(unknown, tmp_path).findings

    assert [f.where for f in found if f.id == "disk.firmware-unchecked"] == [
        *("fw-a", "fw-b", BOOT, "boot-b, boot loaders")
    ]


def of_update(
    armed: Base, directory: Path, package: bytes
) -> tuple[list[Finding], firmware.Bank | None]:
    """Check what an update of the device brings."""
    path = directory / "update.img"
    path.write_bytes(bringing(armed, package).image)
    with source.opened(path) as disk:
        boot = partitions.read(disk, disk.size).entry("boot-a")
        assert boot is not None
        return firmware.check_brought(disk, boot, armed.target)


def later(armed: Base) -> dict[str, bytes]:
    """Return boot loaders with a U-Boot of another day, which holds the same keys."""
    found = rom_disk.images(armed)
    version = rom_disk.VERSION.replace(b"Jan 01", b"Feb 02")
    return found | {"nt-fw": found["nt-fw"].replace(rom_disk.VERSION, version)}


@pytest.mark.parametrize("counter", [rom_disk.COUNTER, rom_disk.COUNTER + 1])
def test_update_may_bring_newer_boot_loaders(armed: Base, tmp_path: Path, counter: int) -> None:
    found, bank = of_update(armed, tmp_path, rom_disk.signed(later(armed), counter))

    assert found == []
    assert bank is not None
    about = firmware.described(bank)
    assert (about["version"], str(about["u_boot"])[:22]) == (counter, "U-Boot 2025.01 (Feb 02")


def test_update_may_bring_none(armed: Base, tmp_path: Path) -> None:
    assert of_update(armed, tmp_path, b"") == ([], None)


def test_update_does_not_bring_what_the_rom_refuses(armed: Base, tmp_path: Path) -> None:
    older = rom_disk.signed(later(armed), rom_disk.COUNTER - 1)
    foreign = rom_disk.signed(later(armed), first=20)
    keyless = rom_disk.signed(later(armed) | {"nt-fw": rom_disk.U_BOOT})

    assert {e.id for e in of_update(armed, tmp_path, older)[0]} == {"disk.firmware-counter"}
    assert "firmware.root-key" in {e.id for e in of_update(armed, tmp_path, foreign)[0]}
    assert {e.id for e in of_update(armed, tmp_path, keyless)[0]} == {"disk.firmware-u-boot"}


def test_policy_has_to_name_what_a_release_brings(armed: Base, tmp_path: Path) -> None:
    found, bank = of_update(armed, tmp_path, rom_disk.signed(later(armed)))
    assert (found, bank is not None) == ([], True)
    assert bank is not None
    predicted = rom_disk.predictions(armed, armed.fit, later(armed))
    now = rom_disk.predictions(armed, armed.fit)
    both = pcr_policy.sign([*now.values(), *predicted.values()], armed.vendor)
    tail = boot_partition.pad_policy(documents.dump(both))
    for policy, missing in ((b"", True), (tail, False)):
        device = armed
        for slot in "ab" if policy else "":
            place = MIB - boot_partition.POLICY_SIZE
            device = replace(device, image=device.changed(f"boot-{slot}", place, policy))
        verdict = checked(device, tmp_path)
        assert verdict.errors == ()
        with source.opened(tmp_path / "disk.img") as disk:
            fits = verdict.chain.fits
            problems, _ = check_policies(disk, device.target, fits, (*verdict.banks, bank))
        assert ("policy.missing" in {e.id for e in problems["a"]}) is missing


def test_fit_does_not_reach_into_the_boot_loaders(armed: Base, tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(armed.image)
    with source.opened(path) as disk:
        table = partitions.read(disk, disk.size)
        slot = armed.target.slots[0]
        boot = table.entry(slot.boot)
        assert boot is not None
        found = slot_fit.find(disk, slot, boot, armed.target.memory)
        assert found.room == PLACE
        assert found.policy_offset == boot.end - boot_partition.POLICY_SIZE


def test_boot_loaders_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="a bank has 4194304"):
        boot_partition.emit(b"", b"{}", 8 * MIB, bytes(4 * MIB + 1))
    with pytest.raises(UsageError, match="for the policy and the boot loaders"):
        boot_partition.emit(bytes(4 * MIB), b"{}", 8 * MIB, fip.HEADER)
    with pytest.raises(FormatError, match="has no room for boot loaders of 4"):
        boot_partition.emit(b"", b"{}", 4 * MIB, fip.HEADER)


def test_bitbake_task_approves_the_boot_loaders_that_run_in_the_field(
    armed: Base, tmp_path: Path
) -> None:
    (tmp_path / "fit.itb").write_bytes(armed.fit)
    fips = {"firmware.fip": later(armed), "before.fip": rom_disk.images(armed)}
    for name, found in fips.items():
        (tmp_path / name).write_bytes(rom_disk.signed(found))
    samples.write_key(tmp_path, "policy", armed.vendor._private)
    approved = {}
    for before in ("", "before.fip", "before.fip before.fip"):
        done = subprocess.run(
            ["sh", "-euc", policy_task(before)],
            cwd=tmp_path,
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        policy = (tmp_path / "tpm2-pcr-signature.json").read_bytes()
        approved[before] = {
            name
            for name, found in fips.items()
            if covers(policy, armed, rom_disk.predictions(armed, armed.fit, found))
        }
    assert approved == {
        "": {"firmware.fip"},
        "before.fip": {*fips},
        "before.fip before.fip": {*fips},
    }


def policy_task(before: str) -> str:
    """Return what bitbake runs for `do_bootseal_policy`, up to the layout of the partitions."""
    text = (LAYER / "classes-recipe/bootseal_disk.bbclass").read_text()
    body = text.partition("do_bootseal_policy() {\n")[2].partition("    bootseal device parts")[0]
    values = {
        "BOOTSEAL_DEVICE": ".",
        "BOOTSEAL_KEYS": ".",
        "BOOTSEAL_POLICY_KEY": "policy",
        "BOOTSEAL_FIRMWARE_BEFORE": before,
    }
    for name, value in values.items():
        body = body.replace(f"${{{name}}}", value)
    asked = re.compile(
        r"\$\{@bb\.utils\.contains\('BOOTSEAL_REQUESTS', '\S+', '(.*?)', '.*?', d\)\}"
    )
    body = asked.sub(r"\1", body)
    assert "$" + "{" not in body
    return body


def covers(policy: bytes, armed: Base, predicted: dict[str, Prediction]) -> bool:
    """Tell whether a policy approves these boots."""
    try:
        pcr_policy.verify(policy, armed.vendor.public_key, [*predicted.values()])
    except VerificationRefused:
        return False
    return True
