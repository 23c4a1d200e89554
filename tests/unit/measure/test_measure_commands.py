# SPDX-License-Identifier: MIT
from __future__ import annotations

import hashlib
import json
import struct
from typing import TYPE_CHECKING

import pytest
from tests import event_logs
from tests.tree_edits import node
from typer.testing import CliRunner

from bootseal import device, documents, proc
from bootseal.cli.measure import app
from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.formats.tpm import eventlog
from bootseal.formats.tpm.eventlog import EventLog
from bootseal.measure import pcr_policy
from bootseal.measure.pcr_policy import PcrPolicy
from bootseal.measure.predict import predict

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.keys.signers.base import Signer

VERSION = b"U-Boot 2025.01 (Jan 01 2026 - 00:00:00 +0000)"


@pytest.fixture
def fit(tree: fdt.Node, tmp_path: Path) -> Path:
    path = tmp_path / "fit.itb"
    path.write_bytes(fdt.emit(tree))
    return path


@pytest.fixture
def built(fit: Path) -> Path:
    """The directory of a built device, as far as measuring looks at it."""
    bios = fit.with_name("u-boot.bin")
    bios.write_bytes(b"code\0" + VERSION + b"\0" + b"control device tree")
    slots = [device.Slot.named(name) for name in ("b", "a")]
    device.save(
        device.Device(
            name="test",
            profile="dev",
            login=True,
            epoch=0,
            qemu=device.Qemu(
                system="qemu-system-aarch64", machine="virt", cpu="max", cpus=1, memory=1
            ),
            artefacts={
                "fit": device.describe(fit.parent, fit),
                "bios": device.describe(fit.parent, bios),
            },
            partitions=(),
            slots=tuple(slots),
            keys={},
        ),
        fit.parent,
    )
    return fit.parent


def measure(*args: str | Path) -> tuple[str, str]:
    """Return stdout and stderr; errors come out as they are raised."""
    result = CliRunner().invoke(app, list(map(str, args)), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout, result.stderr


def test_predict_prints_whole_digests_of_every_configuration(
    fit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    stdout, stderr = measure("predict", fit)

    for name in ("conf-a", "conf-b"):
        prediction = predict(fit_format.parse(fit.read_bytes()), name)
        assert f"configuration {name}\n" in stdout
        assert all(prediction.pcrs[pcr].hex() in stdout for pcr in (1, 8, 9))
        assert pcr_policy.policy_digest(prediction).hex() in stdout
    assert not stderr


def test_predict_of_a_device_names_its_slots_in_their_order(built: Path) -> None:
    document = json.loads(measure("predict", built, "--json")[0])

    assert document["schema"] == "bootseal.prediction/1"
    found = [(one["slot"], one["configuration"]) for one in document["predictions"]]
    assert found == [("b", "conf-b"), ("a", "conf-a")]
    pcrs = predict(
        fit_format.parse((built / "fit.itb").read_bytes()), "conf-b", version=VERSION
    ).pcrs
    assert document["firmware"] == VERSION.decode()
    assert document["predictions"][0]["pcrs"] == {str(k): v.hex() for k, v in pcrs.items()}
    assert list(document["predictions"][0]["banks"]) == ["sha256", "sha384", "sha512"]
    assert len(document["predictions"][0]["events"]) == 13


def test_predict_of_one_configuration_prints_it_alone(fit: Path) -> None:
    stdout, _ = measure("predict", fit, "--configuration", "conf-b")

    assert "conf-b" in stdout
    assert "conf-a" not in stdout


def with_overlay(root: fdt.Node) -> None:
    """Let the configuration of slot b apply an overlay."""
    node(root, "/configurations/conf-b").properties["fdt"] = b"fdt-a\0fdt-b\0"


def test_overlay_is_not_predicted_and_does_not_spoil_the_others(fit: Path) -> None:
    before, _ = measure("predict", fit, "--configuration", "conf-a")
    fit.write_bytes(fdt.rewrite(fit.read_bytes(), with_overlay))

    stdout, stderr = measure("predict", fit)
    assert stdout == before
    reason = "/configurations/conf-b: 'fdt' names fdt-a, fdt-b: overlays and several images are not"
    assert f"WARNING: not predicted: {reason}" in stderr

    document = json.loads(measure("predict", fit, "--json")[0])
    assert [one["configuration"] for one in document["predictions"]] == ["conf-a"]
    assert list(document["not_predicted"]) == ["conf-b"]


def test_overlay_that_is_asked_for_or_belongs_to_a_slot_is_refused(built: Path) -> None:
    fit = built / "fit.itb"
    fit.write_bytes(fdt.rewrite(fit.read_bytes(), with_overlay))

    with pytest.raises(FormatError, match="overlays and several images are not predicted"):
        measure("predict", fit, "--configuration", "conf-b")
    with pytest.raises(FormatError, match="overlays and several images are not predicted"):
        measure("predict", built)
    with pytest.raises(FormatError, match="overlays and several images are not predicted"):
        measure(
            "approve", fit, "--u-boot", built / "u-boot.bin", "--name", "1", "--list", built / "l"
        )


def test_fit_in_which_nothing_can_be_predicted_is_refused(fit: Path) -> None:
    def change(root: fdt.Node) -> None:
        root.children[:] = [each for each in root.children if each.name == "images"]

    fit.write_bytes(fdt.rewrite(fit.read_bytes(), change))

    with pytest.raises(FormatError, match="the FIT has no configuration to boot"):
        measure("predict", fit)


@pytest.mark.parametrize("from_device", [False, True], ids=["fit", "device"])
def test_sign_writes_a_policy_for_every_configuration(
    built: Path, keys: Path, signer: Signer, *, from_device: bool
) -> None:
    source, output = built if from_device else built / "fit.itb", built / pcr_policy.FILE_NAME

    _, stderr = measure("sign", source, "--key", keys / "ours" / "DEV-policy.key", "-o", output)

    data = (built / "fit.itb").read_bytes()
    predictions = [predict(fit_format.parse(data), name) for name in ("conf-a", "conf-b")]
    pcr_policy.verify(output.read_bytes(), signer.public_key, predictions)
    assert stderr.startswith("OK: ")
    assert signer.public_key.fingerprint() in stderr


def test_sign_to_standard_output_writes_the_document_alone(
    fit: Path, keys: Path, signer: Signer
) -> None:
    stdout, _ = measure("sign", fit, "--key", keys / "ours" / "DEV-policy.key", "-o", "-")

    predictions = [
        predict(fit_format.parse(fit.read_bytes()), name) for name in ("conf-a", "conf-b")
    ]
    pcr_policy.verify(stdout.encode(), signer.public_key, predictions)


def test_sign_that_fails_leaves_the_old_policy_and_nothing_else(
    fit: Path, keys: Path, tmp_path: Path
) -> None:
    output = tmp_path / "policy.json"
    output.write_text("old")
    before = sorted(tmp_path.iterdir())

    with pytest.raises(UsageError, match="is rsa4096"):
        measure("sign", fit, "--key", keys / "ours" / "DEV-root.key", "-o", output)
    fit.write_bytes(b"broken")
    with pytest.raises(FormatError):
        measure("sign", fit, "--key", keys / "ours" / "DEV-policy.key", "-o", output)

    assert output.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == before


def test_missing_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no FIT or disk"):
        measure("predict", tmp_path / "none.itb")
    with pytest.raises(UsageError, match="not a built device"):
        measure("predict", tmp_path)


def write_log(built: Path, name: str, bootargs: bytes = b"") -> Path:
    """Write the log that a configuration leaves."""
    fit = (built / "fit.itb").read_bytes()
    found = predict(fit_format.parse(fit), name, version=VERSION, bootargs=bootargs)
    path = built / "log"
    path.write_bytes(event_logs.emit(EventLog(algorithms=("sha256",), events=found.events)))
    return path


def test_log_without_a_prediction_is_explained(built: Path) -> None:
    stdout, _ = measure("log", write_log(built, "conf-a"))

    assert "13 entries, not compared with a boot" in stdout
    assert f"U-Boot's version: {VERSION.decode()}" in stdout
    assert (
        predict(fit_format.parse((built / "fit.itb").read_bytes()), "conf-a").pcrs[8].hex()
        in stdout
    )


@pytest.mark.parametrize("slot", ["a", "b"])
def test_log_of_a_predicted_boot_matches_its_slot(built: Path, slot: str) -> None:
    log = write_log(built, f"conf-{slot}")

    document = json.loads(measure("log", log, "--against", built, "--json")[0])

    assert document["schema"] == "bootseal.event-log/2"
    assert document["compared_with"] == f"test, slot {slot}"
    assert {entry["match"] for entry in document["entries"]} == {"matching"}
    measure("log", log, "--against", built, "--slot", slot)


def test_log_of_another_slot_or_boot_is_refused(built: Path) -> None:
    with pytest.raises(VerificationRefused, match="not that of test, slot b, the closest"):
        measure("log", write_log(built, "conf-a"), "--against", built, "--slot", "b")
    with pytest.raises(VerificationRefused, match="1 unexpected and 1 missing entries"):
        measure("log", write_log(built, "conf-a", bootargs=b"x"), "--against", built)
    with pytest.raises(UsageError, match="does not approve any boot of slot c"):
        measure("log", write_log(built, "conf-a"), "--against", built, "--slot", "c")


def test_log_shows_no_control_characters_of_its_text(built: Path) -> None:
    log = write_log(built, "conf-a", bootargs=b"\x1b[2Jinit=/bin/sh")

    stdout, _ = measure("log", log)

    assert "\x1b" not in stdout
    assert "init=/bin/sh" in stdout


def test_log_that_is_cut_short_is_malformed(built: Path) -> None:
    log = write_log(built, "conf-a")
    log.write_bytes(log.read_bytes()[:-1])

    with pytest.raises(FormatError, match="event data needs 4 bytes, 3 are left"):
        measure("log", log)


def write_values(log: Path, **changed: bytes) -> Path:
    """Write what tpm2_pcrread prints after this log, with some PCRs changed (`p8=...`)."""
    values = eventlog.replay(eventlog.parse(log.read_bytes()).events)
    values |= {int(name[1:]): value for name, value in changed.items()}
    path = log.with_name("pcrs")
    lines = [f"    {pcr:<2}: 0x{value.hex()}\n" for pcr, value in values.items()]
    path.write_text("".join(["  sha256:\n", *lines]))
    return path


def test_log_that_adds_up_to_the_values_of_the_tpm_says_which(built: Path) -> None:
    log = write_log(built, "conf-a")
    values = write_values(log, p10=b"\1" * 32)

    stdout, _ = measure("log", log, "--pcrs", values, "--against", built)
    assert "sha256  as logged: PCR 0, 1, 2, 3, 4, 5, 6, 7, 8, 9" in stdout
    assert "not checked: PCR 10" in stdout

    document = json.loads(measure("log", log, "--pcrs", values, "--json")[0])
    assert document["pcr_values"]["matches"]
    assert document["pcr_values"]["not_logged"] == {"sha256": [10]}


def test_log_that_does_not_add_up_to_the_values_of_the_tpm_is_refused(built: Path) -> None:
    log = write_log(built, "conf-a")

    with pytest.raises(VerificationRefused, match=r"sha256 PCR 8 holds 0{64}, the log gives"):
        measure("log", log, "--pcrs", write_values(log, p8=bytes(32)))

    values = write_values(log)
    log.write_bytes(log.read_bytes().replace(hashlib.sha256(b"KERNEL").digest(), bytes(32)))
    with pytest.raises(
        VerificationRefused, match="does not add up to the PCR values: sha256 PCR 8"
    ):
        measure("log", log, "--pcrs", values)


def test_log_of_another_kind_is_described(built: Path) -> None:
    log = write_log(built, "conf-a")
    log.write_bytes(log.read_bytes() + bytes(100))

    stdout, _ = measure("log", log, "--against", built)
    assert "note: 100 bytes of filler after the last entry" in stdout

    old = struct.pack("<II", 0, 8) + bytes.fromhex("aa" * 20) + struct.pack("<I", 2) + b"v\0"
    log.write_bytes(old)
    stdout, _ = measure("log", log)
    assert "note: this is a log in TPM 1.2 format" in stdout
    with pytest.raises(VerificationRefused, match="is not that of test, slot"):
        measure("log", log, "--against", built)


def test_approved_release_judges_logs_until_it_is_revoked(built: Path) -> None:
    listed = built / "approved.json"
    measure("approve", built, "--name", "1.0", "--list", listed)
    log = write_log(built, "conf-b")

    stdout, _ = measure("log", log, "--against", listed)
    assert "compared with 1.0, slot b" in stdout

    measure("revoke", "1.0", "--list", listed)
    with pytest.raises(UsageError, match="does not approve any boot"):
        measure("log", log, "--against", listed)


def test_approve_of_a_bare_fit_needs_u_boots_binary(built: Path) -> None:
    listed = built / "approved.json"
    approve = ("approve", built / "fit.itb", "--name", "1.0", "--list", listed)

    with pytest.raises(UsageError, match="PCR 0 is not predicted"):
        measure(*approve)
    measure(*approve, "--u-boot", built / "u-boot.bin")

    (release,) = json.loads(listed.read_text())["releases"]
    assert [boot["configuration"] for boot in release["boots"]] == ["conf-a", "conf-b"]


def test_revoke_without_a_list_says_how_to_make_one(built: Path) -> None:
    with pytest.raises(UsageError, match="there is no approved list at"):
        measure("revoke", "1.0", "--list", built / "none.json")


def test_sign_keeps_the_previous_release_until_it_is_revoked(
    built: Path, tree: fdt.Node, keys: Path, signer: Signer
) -> None:
    old, new, listed = (built / name for name in ("old.json", "new.json", "approved.json"))
    key = keys / "ours" / "DEV-policy.key"
    before = predict(fit_format.parse((built / "fit.itb").read_bytes()), "conf-a")
    measure("approve", built, "--name", "1.0", "--list", listed)
    measure("sign", built, "--key", key, "-o", old)
    kernel = tree.find("/images/kernel-1")
    assert kernel is not None
    kernel.properties["data"] = b"NEW KERNEL"
    (built / "fit.itb").write_bytes(fdt.emit(tree))
    sign = ("sign", built, "--key", key, "-o", new, "--keep", old, "--approved", listed)

    _, stderr = measure(*sign)
    assert "2 earlier states kept" in stderr
    pcr_policy.verify(new.read_bytes(), signer.public_key, [before])

    measure("revoke", "1.0", "--list", listed)
    measure(*sign)
    with pytest.raises(VerificationRefused, match="no valid entry approves its state"):
        pcr_policy.verify(new.read_bytes(), signer.public_key, [before])


def test_sign_refuses_a_policy_that_the_boot_partition_has_no_room_for(
    built: Path, keys: Path, signer: Signer
) -> None:
    many = documents.dump(
        PcrPolicy(
            sha256=tuple(
                approval
                for number in range(160)
                for approval in pcr_policy.sign(
                    [
                        predict(
                            fit_format.parse((built / "fit.itb").read_bytes()),
                            "conf-a",
                            bootargs=b"%d" % number,
                        )
                    ],
                    signer,
                ).sha256
            )
        )
    )
    (built / "old.json").write_bytes(many)
    key, output = keys / "ours" / "DEV-policy.key", built / "new.json"

    with pytest.raises(UsageError, match="expected at most 65536, the room behind the FIT"):
        measure("sign", built, "--key", key, "-o", output, "--keep", built / "old.json")
    assert not output.exists()


def test_sign_with_a_list_and_nothing_to_keep_is_refused(built: Path) -> None:
    with pytest.raises(UsageError, match="needs --keep POLICY"):
        measure("sign", built, "--key", "x", "-o", "-", "--approved", built / "list.json")


@pytest.mark.parametrize("form", ["keylime-tpm-policy", "keylime-refstate", "comid-json"])
def test_export_prints_one_json_document(built: Path, form: str) -> None:
    listed = built / "approved.json"
    measure("approve", built, "--name", "1.0", "--list", listed)

    stdout, _ = measure("export", "--list", listed, "--format", form)

    assert isinstance(json.loads(stdout), dict)


def test_export_of_a_corim_writes_cbor(built: Path) -> None:
    listed, output = built / "approved.json", built / "corim.cbor"
    measure("approve", built, "--name", "1.0", "--list", listed)

    measure("export", "--list", listed, "--format", "corim", "-o", output)

    # Tag 501 in CBOR.
    assert output.read_bytes().startswith(b"\xd9\x01\xf5")


def write_disk(path: Path, fits: dict[str, bytes]) -> Path:
    """Write a disk with one partition of 1 MiB for each FIT."""
    lines = [b"label: gpt", *(b"size=1MiB, name=%s" % name.encode() for name in fits)]
    with path.open("wb") as file:
        file.truncate(8 << 20)
    proc.run("sfdisk", ["-q", path], stdin=b"\n".join(lines) + b"\n", timeout=30)
    with path.open("r+b") as file:
        for number, data in enumerate(fits.values(), start=1):
            file.seek(number << 20)
            file.write(data)
    return path


@pytest.mark.tool("sfdisk")
def test_predict_of_a_bare_disk_is_that_of_the_fit_in_its_slots(built: Path) -> None:
    fit = (built / "fit.itb").read_bytes()
    disk = write_disk(built / "disk.img", {"boot-a": fit, "boot-b": fit})

    document = json.loads(measure("predict", disk, "--u-boot", built / "u-boot.bin", "--json")[0])
    expected = json.loads(measure("predict", built, "-c", "conf-a", "-c", "conf-b", "--json")[0])

    assert document == expected
    assert [one["slot"] for one in document["predictions"]] == ["a", "b"]


@pytest.mark.tool("sfdisk")
def test_disk_that_holds_no_one_release_is_refused(built: Path, tree: fdt.Node) -> None:
    fit = (built / "fit.itb").read_bytes()
    tree.properties["description"] = b"another"
    other = fdt.emit(tree)

    with pytest.raises(UsageError, match="holds different FITs in boot-a and boot-b"):
        measure("predict", write_disk(built / "1", {"boot-a": fit, "boot-b": other}))
    with pytest.raises(FormatError, match="has no partition boot-b: it has boot-a"):
        measure("predict", write_disk(built / "2", {"boot-a": fit}))
    with pytest.raises(FormatError, match="boot-b does not begin with a FIT"):
        measure("predict", write_disk(built / "3", {"boot-a": fit, "boot-b": b"x" * 99}))
