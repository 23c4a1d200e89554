# SPDX-License-Identifier: MIT
from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from tests.unit.firmware import fips

from bootseal.errors import UsageError
from bootseal.firmware.chain import Key
from bootseal.fit.key_usage import Relation, Trace, trace
from bootseal.formats import fip
from bootseal.keys.public import RsaPublicKey

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.keys.signers.file import FileSigner


def relations(found: Trace) -> set[tuple[str, str, str]]:
    return {(use.path.rpartition("/")[2], use.relation.value, use.what) for use in found.uses}


def test_every_kind_of_artefact_is_found(
    tmp_path: Path, signed: bytes, control: bytes, signer: FileSigner
) -> None:
    key = signer.public_key
    assert isinstance(key, RsaPublicKey)
    (tmp_path / "control.dtb").write_bytes(control)
    (tmp_path / "u-boot.bin").write_bytes(b"\x1f" * 1001 + control)
    (tmp_path / "fit.itb").write_bytes(signed)
    (tmp_path / "disk.img").write_bytes(bytes(4096) + signed + bytes(512) + control)
    (tmp_path / "key.pub").write_bytes(key.pem)
    policy = hashlib.sha256(key.pkcs1_der).hexdigest()
    (tmp_path / "policy.json").write_text(json.dumps({"sha256": [{"pkfp": policy}]}))
    device = {"schema": "bootseal.device/1", "keys": {"fit": key.fingerprint()}}
    (tmp_path / "device.json").write_text(json.dumps(device))
    (tmp_path / "stranger.txt").write_text("nothing of interest")

    found = trace(key.fingerprint(), [tmp_path])

    assert found.public_key == key
    assert found.files == 8
    by_relation = {
        relation: {use.path.rpartition("/")[2] for use in found.uses if use.relation is relation}
        for relation in Relation
    }
    assert by_relation == {
        Relation.TRUSTS: {"control.dtb", "u-boot.bin", "disk.img"},
        Relation.SIGNED: {"fit.itb", "disk.img", "policy.json"},
        Relation.HOLDS: {"key.pub"},
        Relation.NAMES: {"device.json"},
    }
    offsets = {use.offset for use in found.uses if use.path.endswith("disk.img")}
    assert offsets == {4096, 4096 + len(signed) + 512}
    assert {use.offset for use in found.uses if use.path.endswith("u-boot.bin")} == {1001}


def test_another_key_finds_nothing(
    tmp_path: Path, signed: bytes, control: bytes, stranger: FileSigner
) -> None:
    (tmp_path / "control.dtb").write_bytes(control)
    (tmp_path / "fit.itb").write_bytes(signed)

    key = stranger.public_key
    assert trace(key.fingerprint(), [tmp_path], key=key).uses == ()


def test_signature_without_the_key_at_hand_cannot_be_told(
    tmp_path: Path, signed: bytes, signer: FileSigner
) -> None:
    (tmp_path / "fit.itb").write_bytes(signed)
    fingerprint = signer.public_key.fingerprint()

    blind = trace(fingerprint, [tmp_path])
    seeing = trace(fingerprint, [tmp_path], key=signer.public_key)

    assert (blind.public_key, blind.uses) == (None, ())
    assert {use.relation for use in seeing.uses} == {Relation.SIGNED}


def test_tampered_fit_is_not_signed_by_the_key(
    tmp_path: Path, signed: bytes, signer: FileSigner
) -> None:
    changed = signed.replace(b"kernel-1\0", b"kernel-2\0")
    (tmp_path / "fit.itb").write_bytes(changed)

    key = signer.public_key
    assert trace(key.fingerprint(), [tmp_path], key=key).uses == ()


def test_broken_files_are_passed_over(tmp_path: Path, signer: FileSigner) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "magic").write_bytes(bytes.fromhex("d00dfeed") * 9)
    (tmp_path / "x.json").write_text("{")
    (tmp_path / "x.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "link").symlink_to("/etc/passwd")

    found = trace(signer.public_key.fingerprint(), [tmp_path])

    assert (found.files, found.uses, found.skipped) == (4, (), ())


def test_missing_tree_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file or directory"):
        trace("0" * 64, [tmp_path / "none"])


def test_uses_in_boot_loaders_say_what_a_change_takes(tmp_path: Path) -> None:
    signers = fips.signers()
    package = fips.signed()
    digests = {key: each.public_key.fingerprint() for key, each in signers.items()}
    head = bytes.fromhex("3031300d060960864801650304020105000420")
    (tmp_path / "rom.bin").write_bytes(b"BL1" + head + bytes.fromhex(digests[Key.MRK]) + b"more")
    (tmp_path / "disk.img").write_bytes(bytes(4096) + package + bytes(512))

    root = trace(digests[Key.MRK], [tmp_path])
    boot = trace(digests[Key.BOOT], [tmp_path])

    assert root.public_key == signers[Key.MRK].public_key
    assert relations(root) == {
        ("rom.bin", "trusts", "master root key of a ROM or BL2"),
        ("disk.img", "signed by", "tb-fw-cert"),
        ("disk.img", "signed by", "trusted-key-cert"),
    }
    assert {use.change.split(",")[0] for use in root.uses} == {
        "a new ROM",
        "firmware signed again",
    }
    assert relations(boot) == {
        ("disk.img", "trusts", "nt-fw-key-cert"),
        ("disk.img", "signed by", "nt-fw-cert"),
    }
    entry = next(each for each in fip.parse(package).entries if each.name == "nt-fw-cert")
    assert 4096 + entry.offset in {use.offset for use in boot.uses}
    assert {use.change.split(",")[0] for use in boot.uses} == {"firmware signed again"}


def test_a_damaged_fip_has_no_uses(tmp_path: Path) -> None:
    package = bytearray(fips.signed())
    package[0x30] ^= 1
    (tmp_path / "fip.bin").write_bytes(package)

    assert trace(fips.root_hash(), [tmp_path]).uses == ()
