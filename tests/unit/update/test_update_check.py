# SPDX-License-Identifier: MIT
"""A good bundle is accepted; each tampered twin is refused for its reason."""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests import update_samples as samples
from tests.unit.check.conftest import Base, make_fit

from bootseal import documents, proc
from bootseal.errors import FormatError, UsageError
from bootseal.findings.catalogue import tables
from bootseal.findings.model import Severity
from bootseal.formats import boot_partition, fip
from bootseal.formats.fit import model as fit_format
from bootseal.formats.update import bundle, cms, der
from bootseal.formats.update import manifest as manifests
from bootseal.formats.update.manifest import Manifest
from bootseal.formats.verity import BLOCK
from bootseal.keys import certificate, envelope
from bootseal.keys import cms as messages
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.profile import Role
from bootseal.keys.signers.file import FileSigner
from bootseal.measure import pcr_policy
from bootseal.measure.predict import predict
from bootseal.progress import Silent
from bootseal.update import check as update_check
from bootseal.update import payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from bootseal.keys.certificate import CertifiedKey
    from bootseal.update.check import BundleVerdict, Wanted

    Check: TypeAlias = Callable[..., BundleVerdict]
    Refused: TypeAlias = Callable[..., dict[str, str]]

pytestmark = [pytest.mark.tool("mksquashfs"), pytest.mark.tool("sqfs2tar")]
KEYS = samples.keys()
READABLE = f"format=crypt\ncrypt-key={'ab' * 32}"


def test_good_bundle_is_accepted(verdict: Check, good: bytes) -> None:
    found = verdict(good)

    assert {each.severity for each in found.findings} <= {Severity.INFO}
    assert found.manifest is not None
    assert (found.manifest.version, found.rollback_index) == (samples.VERSION, 0)


def test_what_the_root_holds_is_looked_at(refused: Refused, good: bytes) -> None:
    assert refused(good, inside=True) == {"disk.root-unreadable": "root.img"}


def test_keys_on_elliptic_curves_sign_too(
    sample: samples.Bundle, verdict: Check, tmp_path: Path
) -> None:
    keys = samples.keys("ecdsa256")
    data = replace(sample, signer=keys.update).to_bytes(tmp_path / "f")

    assert not verdict(data, authority=keys.authority.certificate).errors
    assert [e.id for e in verdict(data).errors] == ["update.issuer"]


def leaf(issuer: CertifiedKey, *uses: x509.ObjectIdentifier) -> CertifiedKey:
    """Certify a key for uses of our choice."""
    made = samples.key(Role.FIT, issuer)
    if not uses:
        return made
    old = made.certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(old.public_key())
        .serial_number(old.serial_number)
        .not_valid_before(old.not_valid_before_utc)
        .not_valid_after(old.not_valid_after_utc)
        .add_extension(certificate.usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=True)
    )
    by = samples.issuing(issuer).signer
    again = certificate.sign(builder, by, Algorithm(hash_name="sha256", kind=by.public_key.kind))
    return replace(made, certificate=again)


SERVER, CODE = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CODE_SIGNING
ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE


@pytest.mark.parametrize(
    ("signer", "refusals"),
    [
        pytest.param(
            lambda: samples.key(Role.UPDATE, samples.key(Role.UPDATE_CA, KEYS.root)),
            {"update.issuer"},
            id="another authority of the same name",
        ),
        pytest.param(
            lambda: samples.key(Role.UPDATE, KEYS.device_ca), {"update.issuer"}, id="device-ca"
        ),
        pytest.param(lambda: samples.key(Role.UPDATE, KEYS.root), {"update.issuer"}, id="root"),
        pytest.param(lambda: samples.key(Role.UPDATE), {"update.issuer"}, id="by itself"),
        pytest.param(
            lambda: KEYS.authority, {"update.issuer", "update.purpose"}, id="the authority itself"
        ),
        pytest.param(
            lambda: samples.key(Role.UPDATE_CA, KEYS.authority),
            {"update.purpose"},
            id="an authority below it",
        ),
        pytest.param(lambda: leaf(KEYS.authority), {"update.purpose"}, id="no purpose"),
        pytest.param(lambda: leaf(KEYS.authority, SERVER), {"update.purpose"}, id="server"),
        pytest.param(
            lambda: leaf(KEYS.authority, CODE, SERVER), {"update.purpose"}, id="two purposes"
        ),
        pytest.param(lambda: leaf(KEYS.authority, ANY), {"update.purpose"}, id="any purpose"),
    ],
)
def test_bundle_by_another_signer_is_refused(
    refused: Refused, good: bytes, signer: Callable[[], CertifiedKey], refusals: set[str]
) -> None:
    found = refused(samples.resigned(good, signer(), KEYS.when))

    assert found.keys() == refusals


def test_leaf_for_code_signing_is_accepted_like_one_of_ours(verdict: Check, good: bytes) -> None:
    assert not verdict(samples.resigned(good, leaf(KEYS.authority, CODE), KEYS.when)).errors


@pytest.mark.parametrize("days", [-2, 40])
def test_time_outside_of_the_certificates_is_refused(
    refused: Refused, good: bytes, days: int
) -> None:
    found = refused(samples.resigned(good, KEYS.update, KEYS.when + days * 86400))

    assert found == {"update.validity": "signature"}


@pytest.mark.parametrize("place", ["content", "attributes", "signature"])
def test_changed_byte_of_the_signature_is_refused(
    refused: Refused, good: bytes, place: str
) -> None:
    body, message = samples.parts(good)
    signed = cms.parse(message)
    assert signed
    assert signed.content
    part = {
        "content": signed.content,
        "attributes": signed.message_digest,
        "signature": signed.signature,
    }[place]
    at = message.index(part) + 20
    changed = message[:at] + bytes([message[at] ^ 1]) + message[at + 1 :]

    found = refused(body + bundle.trailer(changed))

    assert found == {"update.signature": "signature"}


def test_certificate_of_a_version_that_is_not_known_is_refused(
    refused: Refused, good: bytes
) -> None:
    body, message = samples.parts(good)
    version = bytes.fromhex("a003020102")
    assert message.count(version) == 1
    changed = message.replace(version, version[:-1] + b"\3")

    assert refused(body + bundle.trailer(changed)) == {"update.signature": "signature"}


def test_certificate_of_a_negative_number_is_refused(refused: Refused, good: bytes) -> None:
    body, message = samples.parts(good)
    signed = cms.parse(message)
    assert signed
    assert message.count(signed.serial) == 2
    changed = bytes([signed.serial[0] | 0x80]) + signed.serial[1:]
    changed = message.replace(signed.serial, changed)

    assert refused(body + bundle.trailer(changed)) == {"update.signature": "signature"}


@pytest.mark.parametrize("change", ["another", "none", "one more"])
def test_message_that_names_other_hashes_is_malformed(
    verdict: Check, good: bytes, change: str
) -> None:
    body, message = samples.parts(good)
    one = bytes.fromhex("300b0609608648016503040201")
    other = one[:-1] + b"\2"
    hashes_named = certificate.der(der.SET, one)
    named = {"another": other, "none": b"", "one more": one + other}[change]
    outer = der.Values(message, "it").into(der.SEQUENCE)
    kind = outer.whole(der.OID)
    signed = outer.into(cms.EXPLICIT).take(der.SEQUENCE)
    assert signed.count(hashes_named) == 1
    signed = signed.replace(hashes_named, certificate.der(der.SET, named))
    wrapped = certificate.der(cms.EXPLICIT, certificate.der(der.SEQUENCE, signed))
    changed = certificate.der(der.SEQUENCE, kind + wrapped)

    with pytest.raises(FormatError, match=r"other hashes|expected DER of tag 0x30"):
        verdict(body + bundle.trailer(changed))


@pytest.mark.parametrize("offset", [0, 40 * BLOCK + 17, -1])
def test_changed_block_is_refused_before_anything_reads_it(
    refused: Refused, good: bytes, offset: int
) -> None:
    body, _ = samples.parts(good)
    at = offset % len(body)
    found = refused(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])

    assert found == {"update.payload": "payload"}


class Swapping(Silent):
    """Puts another bundle in the place of the one that is checked, once its blocks are good."""

    def __init__(self, place: Path, other: Path) -> None:
        self.place, self.other = place, other

    def step(self, title: str) -> AbstractContextManager[None]:
        if title == "unpack the images":
            self.other.replace(self.place)
        return super().step(title)


def test_files_are_those_of_the_bundle_whose_blocks_were_good(
    sample: samples.Bundle, wanted: Wanted, good: bytes, tmp_path: Path
) -> None:
    place, other = tmp_path / "bundle.raucb", tmp_path / "other.raucb"
    bad = replace(sample, files=sample.files | {"root.img": bytes(4 * BLOCK)})
    evil = bad.to_bytes(tmp_path / "f")
    place.write_bytes(good)
    other.write_bytes(evil)

    assert update_check.check(place, wanted, Swapping(place, other)).errors == ()
    assert place.read_bytes() == evil
    assert update_check.check(place, wanted, Silent()).errors != ()


@pytest.mark.parametrize("left", [0, 100, BLOCK, -1, -9, -BLOCK])
def test_truncated_bundle_is_malformed(verdict: Check, good: bytes, left: int) -> None:
    with pytest.raises(FormatError):
        verdict(good[:left])


def test_bundle_with_another_tree_size_is_refused(refused: Refused, good: bytes) -> None:
    manifest = cms.parse(samples.parts(good)[1])
    assert manifest
    assert manifest.content
    size = next(x for x in manifest.content.decode().split("\n") if x.startswith("verity-size"))
    for other in ("0", "8192", str(1 << 40), "17"):
        data = samples.resigned(good, KEYS.update, KEYS.when, size, f"verity-size={other}")
        assert refused(data) == {"update.payload": "payload"}


def by_library(content: bytes, *options: pkcs7.PKCS7Options) -> bytes:
    """Sign with the library's own builder."""
    builder = pkcs7.PKCS7SignatureBuilder().set_data(content)
    private = KEYS.update.private
    assert isinstance(private, rsa.RSAPrivateKey)
    builder = builder.add_signer(KEYS.update.certificate, private, hashes.SHA256())
    return builder.sign(Encoding.DER, [pkcs7.PKCS7Options.Binary, *options])


def test_plain_and_encrypted_bundles_are_refused(refused: Refused, good: bytes) -> None:
    body, message = samples.parts(good)
    content = content_of(message)
    detached = by_library(content, pkcs7.PKCS7Options.DetachedSignature)
    assert refused(body + bundle.trailer(detached)) == {"update.format": "signature"}
    sealed = envelope.seal(message, [samples.recipient().certificate])
    found = refused(body + bundle.trailer(sealed))
    assert found == {"update.encrypted": "signature"}
    data = samples.resigned(good, KEYS.update, KEYS.when, "format=verity", READABLE)
    assert refused(data) == {"update.format": "manifest"}


def content_of(message: bytes) -> bytes:
    signed = cms.parse(message)
    assert signed
    assert signed.content
    return signed.content


def test_signature_of_another_builder_is_accepted(verdict: Check, good: bytes) -> None:
    body, message = samples.parts(good)

    assert not verdict(body + bundle.trailer(by_library(content_of(message)))).errors


def test_signature_without_attributes_is_malformed(verdict: Check, good: bytes) -> None:
    body, message = samples.parts(good)
    bare = by_library(content_of(message), pkcs7.PKCS7Options.NoAttributes)
    with pytest.raises(FormatError, match="signed no attributes"):
        verdict(body + bundle.trailer(bare))


def test_signature_without_a_time_is_refused(
    refused: Refused, good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = messages._attributes

    def timeless(digest: bytes, when: int) -> bytes:
        found = whole(digest, when)
        at = found.index(cms.SIGNING_TIME) - 4
        return found[:at] + found[at + 2 + found[at + 1] :]

    monkeypatch.setattr(messages, "_attributes", timeless)

    assert refused(samples.resigned(good, KEYS.update, 0)) == {"update.validity": "signature"}


def test_manifest_for_other_devices_is_refused(refused: Refused, good: bytes) -> None:
    data = samples.resigned(good, KEYS.update, KEYS.when, "=sample", "=other-board")

    assert refused(data) == {"update.compatible": "manifest"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("[bundle]", "[hooks]\nfilename=hook\n\n[bundle]", id="hooks"),
        pytest.param("filename=boot.img", "filename=boot.img\nhooks=install", id="slot hook"),
        pytest.param("[bundle]", "[handler]\nfilename=x\n\n[bundle]", id="handler"),
        pytest.param("filename=boot.img", "filename=boot.img\ntype=raw", id="type"),
        pytest.param("filename=boot.img", "filename=../boot.img", id="path"),
        pytest.param("filename=boot.img", "filename=root.img", id="one file twice"),
        pytest.param("[image.boot]", "[image.boot.a]", id="variant"),
        pytest.param("[image.boot]", "[image.root]", id="one group twice"),
        pytest.param("version=", "version=1\nversion=", id="one key twice"),
        pytest.param("version=2.0.0", "version=", id="no version"),
        pytest.param("verity-hash=", "verity-hash=0", id="hash too long"),
        pytest.param("block-hash-index", "casync", id="adaptive by something else"),
        pytest.param("block-hash-index", "block-hash-index;;", id="adaptive by nothing as well"),
        pytest.param("adaptive=block-hash-index", "adaptive=", id="adaptive by nothing"),
        # RAUC reads 2.0 and a line feed.
        pytest.param("version=2.0.0", "version=2.0\\n", id="escape"),
        pytest.param("version=2.0.0", "description= 2\nversion=2.0.0", id="space"),
        pytest.param("[update]", "\x1b[update]", id="control character"),
        pytest.param("[update]", "# text\n[update]", id="comment"),
    ],
)
def test_signed_manifest_of_another_form_is_malformed(
    verdict: Check, good: bytes, old: str, new: str
) -> None:
    with pytest.raises(FormatError, match=r"manifest|adaptive"):
        verdict(samples.resigned(good, KEYS.update, KEYS.when, old, new))


@pytest.mark.parametrize(
    ("changes", "refusals"),
    [
        pytest.param(
            {"order": ("boot", "root", "verity")}, {"update.images": "manifest"}, id="boot first"
        ),
        pytest.param(
            {"order": ("root", "boot"), "without": ("verity.img",)},
            {"update.images": "manifest"},
            id="no tree",
        ),
        pytest.param({"without": ("verity.img",)}, {"update.image": "verity.img"}, id="no file"),
        pytest.param({"extra": {"more": b"x"}}, {"update.extra": "more"}, id="one file more"),
        pytest.param(
            {"extra": {"root.img.block-hash-index": bytes(300 * 32)}},
            {"update.index": "root.img"},
            id="index of another image",
        ),
        pytest.param(
            {"extra": {"root.img": bytes(300 * BLOCK)}},
            {
                "update.image": "root.img",
                "update.index": "root.img",
                "disk.verity-data": "root.img",
                "disk.verity-more": "root.img",
            },
            id="another root",
        ),
        pytest.param(
            {
                "rewrite": lambda text: text.replace("\nsize=", "\nsize=1", 1),
            },
            {"update.image": "root.img"},
            id="another size",
        ),
    ],
)
def test_bundle_with_other_files_is_refused(
    sample: samples.Bundle,
    refused: Refused,
    tmp_path: Path,
    changes: dict[str, object],
    refusals: dict[str, str],
) -> None:
    found = refused(replace(sample, **changes).to_bytes(tmp_path / "f"))  # type: ignore[arg-type]

    assert found == refusals


def test_damaged_file_system_is_refused(
    sample: samples.Bundle, refused: Refused, tmp_path: Path
) -> None:
    directory = tmp_path / "f"
    sample.to_bytes(directory)
    packed = directory / "payload"
    packed.write_bytes(bytes(4 * BLOCK))
    tree = payload.append_tree(packed)
    text = manifests.emit(
        Manifest(
            compatible=samples.COMPATIBLE,
            version="1",
            build="",
            form="verity",
            root_hash=tree.root_hash.hex(),
            salt=tree.salt.hex(),
            tree_size=payload.tree_size(tree),
            images=tuple(sample.image(slot) for slot in sample.order),
        )
    )
    found = refused(
        packed.read_bytes() + bundle.trailer(samples.signed(text, KEYS.update, KEYS.when))
    )

    assert found == {"update.unreadable": "payload"}


def change_packed(monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes], bytes]) -> None:
    """Have file systems made with their names and inodes in clear, and change those."""

    def pack(directory: Path, names: Iterable[str], image: Path, *, epoch: int) -> None:
        files = [directory / name for name in names]
        for file in files:
            os.utime(file, (epoch, epoch))
        options = ["-noappend", "-all-root", "-no-progress", "-quiet", "-noI"]
        proc.run("mksquashfs", [*files, image, *options], timeout=60)
        data = image.read_bytes()
        changed = change(data)
        assert (len(changed), changed == data) == (len(data), False)
        image.write_bytes(changed)

    monkeypatch.setattr(payload, "pack", pack)


def test_file_that_passes_for_another_by_its_inode_number_is_refused(
    sample: samples.Bundle, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Time and number of an inode: those of manifest.raucm, the second, and root.img, the third.
    second, third = (struct.pack("<II", samples.EPOCH, number) for number in (2, 3))
    change_packed(monkeypatch, lambda data: data.replace(third, second))
    extra = {"manifest.raucm": sample.files["root.img"], "root.img": bytes(300 * BLOCK)}

    found = refused(replace(sample, extra=extra).to_bytes(tmp_path / "f"))

    assert (found["update.image"], found["update.index"]) == ("root.img", "root.img")


def test_second_file_of_one_name_is_refused(
    sample: samples.Bundle, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_packed(monkeypatch, lambda data: data.replace(b"rooa.img", b"root.img"))
    extra = {"rooa.img": bytes(300 * BLOCK)}

    found = refused(replace(sample, extra=extra).to_bytes(tmp_path / "f"))

    assert found == {"update.unreadable": "payload"}


def test_lower_rollback_index_is_refused(verdict: Check, refused: Refused, good: bytes) -> None:
    assert verdict(good, lowest=0).rollback_index == 0
    found = refused(good, lowest=1)

    assert found == {"update.rollback": "boot.img"}


@pytest.mark.parametrize("size", [(1 << 20) - 4096, (1 << 20) + 4096])
def test_boot_image_of_another_size_is_refused(
    base: Base, sample: samples.Bundle, refused: Refused, tmp_path: Path, size: int
) -> None:
    boot = sample.files["boot.img"]
    policy = boot[-boot_partition.POLICY_SIZE :]
    other = base.fit.ljust(size - len(policy), b"\0") + policy
    files = sample.files | {"boot.img": other}

    found = refused(replace(sample, files=files).to_bytes(tmp_path / "f"))

    assert found == {"update.size": "boot.img"}


def test_image_larger_than_its_partition_is_refused(
    sample: samples.Bundle, refused: Refused, tmp_path: Path
) -> None:
    large = sample.files["root.img"].ljust(3 << 20, b"\0")
    found = refused(
        replace(sample, files=sample.files | {"root.img": large}).to_bytes(tmp_path / "f")
    )

    assert found == {"update.size": "root.img"}


def test_image_for_a_partition_that_is_not_declared_is_refused(
    base: Base, refused: Refused, good: bytes
) -> None:
    left = tuple(each for each in base.target.partitions if each.name != "boot-b")
    found = refused(good, target=replace(base.target, partitions=left))

    assert found == {"update.size": "boot.img"}


def test_device_without_slots_is_refused(base: Base) -> None:
    target = replace(base.target, slots=())
    with pytest.raises(UsageError, match="device without slots"):
        update_check.for_device(target, KEYS.authority.certificate, lowest=0)


def with_boot(sample: samples.Bundle, fit: bytes, policy: bytes) -> samples.Bundle:
    boot = boot_partition.emit(fit, policy, 1 << 20)
    return replace(sample, files=sample.files | {"boot.img": boot})


def policy_of(fit: bytes, key: FileSigner) -> bytes:
    parsed = fit_format.parse(fit)
    predictions = [predict(parsed, f"conf-{slot}") for slot in "ab"]
    return documents.dump(pcr_policy.sign(predictions, key))


def stranger() -> FileSigner:
    return FileSigner(rsa.generate_private_key(65537, 2048))


def test_foreign_policy_is_refused(
    base: Base, sample: samples.Bundle, refused: Refused, tmp_path: Path
) -> None:
    data = with_boot(sample, base.fit, policy_of(base.fit, stranger())).to_bytes(tmp_path / "f")

    assert set(refused(data).values()) == {
        f"boot.img: PCR policy, {place}" for place in ("conf-a", "entry 0")
    }
    assert all(each.startswith("policy.") for each in refused(data))


def test_fit_by_another_key_is_refused(
    base: Base, sample: samples.Bundle, refused: Refused, tmp_path: Path
) -> None:
    key = stranger()
    fit = make_fit(bytes.fromhex(base.target.slots[0].root_hash), key)
    data = with_boot(sample, fit, policy_of(fit, key)).to_bytes(tmp_path / "f")

    found = refused(data)

    assert {each.partition(".")[0] for each in found} == {"fit", "policy"}


def test_hidden_data_behind_the_fit_is_refused(
    sample: samples.Bundle, refused: Refused, tmp_path: Path
) -> None:
    boot = bytearray(sample.files["boot.img"])
    boot[-boot_partition.POLICY_SIZE - 1] = 1
    files = sample.files | {"boot.img": bytes(boot)}

    found = refused(replace(sample, files=files).to_bytes(tmp_path / "f"))

    assert found == {"disk.hidden-data": "boot.img, unused end"}


def test_boot_loaders_that_are_not_looked_at_are_said_to_be(
    base: Base,
    sample: samples.Bundle,
    verdict: Check,
    good: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boot_partition, "LOADERS_SIZE", 1 << 16)
    policy = policy_of(base.fit, base.vendor)
    boot = boot_partition.emit(base.fit, policy, 1 << 20, fip.HEADER + b"anything")
    data = replace(sample, files=sample.files | {"boot.img": boot}).to_bytes(tmp_path / "f")

    found = verdict(data)

    assert [each.where for each in found.findings if each.id == "disk.firmware-unchecked"] == [
        "boot.img, boot loaders"
    ]
    assert found.errors == ()
    assert "Not checked: the boot loaders that it brings" in found.summary(inside=True)
    assert "it brings no boot loaders" in verdict(good).summary(inside=True)


def test_every_finding_about_bundles_has_a_twin_here() -> None:
    text = "".join(each.read_text() for each in Path(__file__).parent.glob("test_*.py"))

    assert [rule.id for rule in tables()["update"] if f'"{rule.id}"' not in text] == []
