# SPDX-License-Identifier: MIT
"""What the boot ROM and its boot loaders measure: predicted, explained, approved and exported."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from tests import event_logs
from tests.unit.check.conftest import TYPE, pack_entries, write_tables
from tests.unit.firmware import fips
from typer.testing import CliRunner

from bootseal import device as devices
from bootseal.cli.app import app
from bootseal.device import Firmware, Partition
from bootseal.errors import BootsealError, FormatError, UsageError
from bootseal.firmware.chain import Counter
from bootseal.firmware.sign import sign
from bootseal.formats import fip
from bootseal.formats.fdt import model as fdt
from bootseal.formats.tpm import eventlog
from bootseal.measure import approved, explain, export, firmware, inputs
from bootseal.measure.approved import Approved
from bootseal.units import MIB

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.formats.tpm.eventlog import Event

VERSION = b"U-Boot 2025.01 (Jan 01 2026 - 00:00:00 +0000)"
U_BOOT = b"code\0" + VERSION + b"\0" + b"control tree"
IMAGES = {"tb-fw": b"BL2" * 50, "soc-fw": b"BL31" * 60, "nt-fw": U_BOOT}
PACKAGE = fip.emit(IMAGES)
NAMES = [b"StartupLocality\0\0", b"BL_2\0", b"SECURE_RT_EL3\0", b"BL_33\0"]


def extended(*digests: bytes) -> str:
    """Return what a PCR of the SHA-256 bank holds after these, by the TPM's own rule."""
    value = bytes(32)
    for digest in digests:
        value = hashlib.sha256(value + digest).digest()
    return value.hex()


PCR_0 = extended(
    *(hashlib.sha256(image).digest() for image in IMAGES.values()),
    hashlib.sha256(VERSION + b"\0").digest(),
    hashlib.sha256(b"\xff" * 4).digest(),
)


@pytest.fixture
def fit(tree: fdt.Node, tmp_path: Path) -> Path:
    (tmp_path / "fit.itb").write_bytes(fdt.emit(tree))
    (tmp_path / "fip.bin").write_bytes(PACKAGE)
    return tmp_path / "fit.itb"


def bootseal(*arguments: object) -> str:
    """Return what a command prints; raises the error it ends in."""
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    if isinstance(result.exception, BootsealError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_events_are_those_of_tf_a_in_their_order() -> None:
    found = firmware.events(firmware.images(fip.parse(PACKAGE)))

    assert [each.data for each in found] == NAMES
    assert [each.type for each in found] == [3, 1, 1, 1]
    assert {each.pcr for each in found} == {0}
    assert found[0].digests == {"sha256": bytes(32)}
    log = event_logs.emit(eventlog.EventLog(algorithms=("sha256",), events=found))
    assert eventlog.parse(log).events == found


def test_firmware_predict_prints_pcr_0(fit: Path) -> None:
    said = bootseal("firmware", "predict", fit.with_name("fip.bin"))
    document = json.loads(bootseal("firmware", "predict", fit.with_name("fip.bin"), "--json"))

    assert PCR_0 in said
    assert "the first boot loader that the boot ROM starts" in said
    assert document["schema"] == "bootseal.firmware-prediction/1"
    assert document["pcr0"] == PCR_0
    assert len(document["events"]) == 6


@pytest.mark.parametrize("name", IMAGES)
def test_other_image_gives_another_pcr_0_and_none_no_prediction(fit: Path, name: str) -> None:
    other = fip.emit(IMAGES | {name: IMAGES[name] + b"x"})
    fit.with_name("fip.bin").write_bytes(other)
    said = bootseal("firmware", "predict", fit.with_name("fip.bin"))
    assert PCR_0 not in said

    less = {each: image for each, image in IMAGES.items() if each != name}
    fit.with_name("fip.bin").write_bytes(fip.emit(less))
    with pytest.raises(FormatError, match=f"the FIP has no {name}"):
        bootseal("firmware", "predict", fit.with_name("fip.bin"))


def test_u_boot_may_be_in_a_fip(fit: Path) -> None:
    options = ("--u-boot", fit.with_name("fip.bin"), "--json")
    document = json.loads(bootseal("measure", "predict", fit, *options))

    for found in document["predictions"]:
        assert found["pcrs"]["0"] == PCR_0
        assert list(found["banks"]) == ["sha256"]
        assert [each["data"] for each in found["events"][:4]] == [name.hex() for name in NAMES]


def described(directory: Path) -> Path:
    """Make the build directory of a device with a boot ROM."""
    files = {"rom": b"BL1", "firmware": PACKAGE, "bl2": IMAGES["tb-fw"], "bl31": IMAGES["soc-fw"]}
    for name, data in {**files, "bios": U_BOOT}.items():
        (directory / name).write_bytes(data)
    bank = Partition(number=1, name="fw-a", type=TYPE, uuid=TYPE, offset=MIB, size=MIB)
    devices.save(
        devices.Device(
            name="rom",
            profile="dev",
            login=True,
            epoch=0,
            qemu=devices.Qemu(
                system="qemu-system-aarch64", machine="virt", cpu="max", cpus=1, memory=1
            ),
            artefacts={
                name: devices.describe(directory, directory / name)
                for name in ("fit.itb", "bios", *files)
            }
            | {"fit": devices.describe(directory, directory / "fit.itb")},
            partitions=(bank,),
            slots=(devices.Slot.named("a"), devices.Slot.named("b")),
            keys={},
            firmware=Firmware(mrk=fips.root_hash(), counter=1, banks=("fw-a",)),
        ),
        directory,
    )
    return directory


def test_device_with_a_boot_rom_is_predicted_approved_and_exported(fit: Path) -> None:
    directory = described(fit.parent)
    source = inputs.load(directory)
    predictions = inputs.predictions(source)
    assert {each.pcrs[0].hex() for _, each in predictions} == {PCR_0}

    release = approved.release("1", predictions, source.fit, source.version or b"")
    listed = approved.parse(documents_of(Approved().add(release)))
    boot = listed.releases[0].boots[0]
    assert [each.type for each in boot.events[:2]] == ["EV_NO_ACTION", "EV_POST_CODE"]
    assert boot.pcrs["sha256"]["0"] == PCR_0

    refstate = json.loads(export.keylime_refstate(listed))
    types = [each["type"] for each in refstate["boots"][0]["events"]]
    assert "EV_NO_ACTION" not in types
    assert types[:3] == ["EV_POST_CODE"] * 3
    policy = json.loads(export.keylime_tpm_policy(listed))
    assert policy["0"] == [PCR_0]


def documents_of(listed: Approved) -> bytes:
    from bootseal import documents  # noqa: PLC0415 - only here

    return documents.dump(listed)


def test_log_of_a_tampered_boot_loader_names_it(fit: Path) -> None:
    expected = inputs.predictions(inputs.load(described(fit.parent)))[0][1].events
    other = firmware.images(fip.parse(PACKAGE)) | {"bl31": b"other"}
    found = (*firmware.events(other), *expected[4:])

    assert explain.closest(expected, {"a": expected}).differences == 0
    wrong = [e for e in explain.compare(found, expected) if e.match is not explain.Match.MATCHING]
    assert {each.meaning for each in wrong} == {"BL31, the runtime firmware"}


def disk(fit: Path, first: bytes, second: bytes) -> Path:
    """Return a disk with a FIT in both slots and these in the banks."""
    names = ("fw-a", "fw-b", "boot-a", "boot-b")
    parts = [
        Partition(
            number=number,
            name=name,
            type=TYPE,
            uuid=f"00000000-0000-0000-0000-{number:012}",
            offset=number * MIB,
            size=MIB,
        )
        for number, name in enumerate(names, start=1)
    ]
    assert len(pack_entries(parts)) == 128 * 128
    data = bytearray(6 * MIB)
    write_tables(data, parts)
    for part, content in zip(parts, (first, second, *2 * [fit.read_bytes()]), strict=True):
        data[part.offset : part.offset + len(content)] = content
    path = fit.with_name("disk.img")
    path.write_bytes(data)
    return path


def test_disk_with_banks_needs_no_u_boot(fit: Path) -> None:
    document = json.loads(bootseal("measure", "predict", disk(fit, PACKAGE, PACKAGE), "--json"))
    assert {each["pcrs"]["0"] for each in document["predictions"]} == {PCR_0}
    assert document["firmware"] == VERSION.decode()

    empty = json.loads(bootseal("measure", "predict", disk(fit, b"", b""), "--json"))
    assert all("0" not in each["pcrs"] for each in empty["predictions"])


def test_disk_with_different_or_damaged_banks_is_refused(fit: Path) -> None:
    other = fip.emit(IMAGES | {"soc-fw": b"other"})
    with pytest.raises(UsageError, match="different boot loaders in fw-a and fw-b"):
        bootseal("measure", "predict", disk(fit, PACKAGE, other))
    with pytest.raises(FormatError, match="fw-b does not contain a FIP"):
        bootseal("measure", "predict", disk(fit, PACKAGE, b"x" + PACKAGE))
    large = fip.emit(IMAGES | {"soc-fw": bytes(MIB)})
    with pytest.raises(
        FormatError, match=r"fw-a does not contain a FIP: the FIP has .* the bank has"
    ):
        bootseal("measure", "predict", disk(fit, large, PACKAGE))


def test_every_event_has_words() -> None:
    found: tuple[Event, ...] = firmware.events(firmware.images(fip.parse(PACKAGE)))
    said = [explain.explain(each) for each in found]

    assert said[1].startswith("BL2")
    assert said[2].startswith("BL31")
    assert said[3] == "U-Boot with its control device tree"
    assert "locality 0" in said[0]


@pytest.mark.parametrize(
    ("package", "version", "why"),
    [
        ("signed", 3, ""),
        ("signed", 0, ""),
        ("signed", 4, "boot loaders of version 4 or higher: this one has 3"),
        ("unsigned", 0, "for a device with a boot ROM"),
        ("u-boot", 0, "for a device with a boot ROM"),
        ("signed", None, ""),
        ("u-boot", None, ""),
    ],
)
def test_release_is_approved_with_the_boot_loaders_that_it_is_for(
    tree: fdt.Node, tmp_path: Path, package: str, version: int | None, why: str
) -> None:
    if version is not None:
        chosen = fdt.Node("chosen", {"bootseal,firmware-version": version.to_bytes(4)})
        board = tree.find("/images/fdt-a")
        assert board is not None
        board.properties["data"] = fdt.emit(fdt.Node("", {}, [chosen]))
    unsigned = fip.parse(PACKAGE)
    contents = {
        "signed": sign(unsigned, fips.signers(), dict.fromkeys(Counter, 3)),
        "unsigned": PACKAGE,
        "u-boot": U_BOOT,
    }
    (tmp_path / "fit.itb").write_bytes(fdt.emit(tree))
    (tmp_path / "loader").write_bytes(contents[package])
    source = inputs.load(tmp_path / "fit.itb", u_boot=tmp_path / "loader")
    assert source.counter == (3 if package == "signed" else None)
    ((_, prediction),) = inputs.predictions(source, ["conf-a"])
    if not why:
        inputs.demand_boot_loader(source, prediction)
        return
    with pytest.raises(UsageError, match=why):
        inputs.demand_boot_loader(source, prediction)
