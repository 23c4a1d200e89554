# SPDX-License-Identifier: MIT
"""A good application is accepted; each tampered twin is refused for its reason."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests import app_samples as samples
from tests import update_samples

from bootseal.app import sign as signing
from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.findings.catalogue import tables
from bootseal.findings.model import Severity
from bootseal.formats import gpt, verity
from bootseal.formats.app import layout, signature
from bootseal.formats.app.layout import ROOT, SIGNATURE, VERITY
from bootseal.formats.update import cms
from bootseal.formats.update.der import OCTETS, OID, SEQUENCE, Values
from bootseal.formats.verity import BLOCK
from bootseal.keys import cms as messages
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.certificate import der
from bootseal.keys.profile import Role
from bootseal.keys.signers.file import FileSigner
from bootseal.units import SECTOR

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Refused: TypeAlias = Callable[..., dict[str, str]]

ROOT_X86_64 = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"
pytestmark = [pytest.mark.tool("mkfs.erofs"), pytest.mark.tool("fsck.erofs")]


def test_good_application_is_accepted(good: bytes, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(good)

    verdict = samples.check(path, name=samples.NAME)

    assert {each.severity for each in verdict.findings} <= {Severity.INFO}
    assert verdict.declared
    assert verdict.declared.release.name == samples.NAME
    assert verdict.declared.release.version == samples.VERSION
    assert verdict.declared.entry == samples.ENTRY[1:]
    assert verdict.image
    assert verdict.image.superblock.blocks > 128


def test_keys_on_elliptic_curves_sign_too(source: Path, tmp_path: Path) -> None:
    by = samples.key(1, "ecdsa256")
    image = samples.build(source, tmp_path / "image", by)

    assert not samples.check(image, by).errors
    assert {each.id for each in samples.check(image).errors} == {"app.certificate"}


def test_every_finding_of_the_catalogue_can_be_had() -> None:
    # Each of them is an expected refusal below, or in test_app_build.py.
    assert {row.id for row in tables()["app"]} == {
        "app.unsigned", "app.signature", "app.certificate", "app.purpose", "app.layout",
        "app.root-hash", "app.superblock", "app.hidden-data", "app.block", "app.device-node",
        "app.mount-point", "app.os-release", "app.entry", "app.name",
    }  # fmt: skip


# Who signed it.


def test_another_key_is_refused(refused: Refused, good: bytes) -> None:
    other = samples.signing(samples.key(2))
    data = samples.resigned(good, other.partition(bytes.fromhex(samples.signed(good).root_hash)))

    assert refused(data) == {"app.certificate": "signature"}


def test_another_key_with_the_name_of_the_certificate_is_refused(
    refused: Refused, good: bytes
) -> None:
    """Issuer and serial number are those of the right certificate, the signature is not."""
    old = samples.signed(good)
    certificate, other = samples.key().certificate, samples.key(2)
    text = old.root_hash.encode()
    made = messages.sign_detached(text, other.certificate, FileSigner(other.private))
    theirs = cms.parse(made, attributes=False)
    ours = cms.parse(old.message, attributes=False)
    assert theirs
    assert ours
    message = old.message.replace(ours.signature, theirs.signature)
    assert message != old.message
    forged = signature.emit(replace(old, message=message))

    assert refused(samples.resigned(good, forged)) == {"app.signature": "signature"}
    assert certificate != other.certificate


def test_unsigned_image_is_refused(refused: Refused, good: bytes) -> None:
    assert refused(samples.resigned(good, b"")) == {"app.unsigned": SIGNATURE}


def test_image_whose_signature_was_only_asked_for_is_refused(refused: Refused, good: bytes) -> None:
    old = samples.signed(good)
    parsed = cms.parse(old.message, attributes=False)
    assert parsed
    zeros = old.message.replace(parsed.signature, bytes(len(parsed.signature)))

    data = samples.resigned(good, signature.emit(replace(old, message=zeros)))

    assert refused(data) == {"app.signature": "signature"}


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return an image of another application, by the same key."""
    directory = tmp_path_factory.mktemp("another")
    source = samples.tree(directory / "root")
    (source / "usr/share/hello/more").write_bytes(b"more")
    return samples.build(source, directory / "image").read_bytes()


def test_signature_of_another_image_is_refused(
    refused: Refused, good: bytes, another: bytes
) -> None:
    theirs = samples.signed(another)
    data = samples.resigned(good, signature.emit(theirs))
    assert refused(data) == {"app.root-hash": ROOT}

    # With the GUIDs to match, its own blocks give it away.
    found = refused(samples.with_guids(data, bytes.fromhex(theirs.root_hash)))
    assert found.keys() == {"app.block"}

    # And with its own root hash next to it, the signature does.
    mixed = replace(theirs, root_hash=samples.signed(good).root_hash)
    found = refused(samples.resigned(good, signature.emit(mixed)))
    assert found == {"app.signature": "signature"}


@pytest.mark.parametrize("role", [Role.FIT, Role.UPDATE_CA])
def test_certificate_for_something_else_is_refused(good: bytes, tmp_path: Path, role: Role) -> None:
    by = update_samples.key(role)
    path = tmp_path / "image"
    root_hash = bytes.fromhex(samples.signed(good).root_hash)
    message = messages.sign_detached(
        root_hash.hex().encode(), by.certificate, FileSigner(by.private)
    )
    made = signature.Signature(
        root_hash=root_hash.hex(), certificate=messages.digest(by.certificate), message=message
    )
    path.write_bytes(samples.resigned(good, signature.emit(made)))

    assert {each.id for each in samples.check(path, by).errors} == {"app.purpose"}
    with pytest.raises(VerificationRefused, match=r"app\.purpose"):
        samples.signing(by).partition(root_hash)


def test_other_fingerprint_next_to_the_signature_is_refused(refused: Refused, good: bytes) -> None:
    old = samples.signed(good)
    data = samples.resigned(good, signature.emit(replace(old, certificate="0" * 64)))

    assert refused(data) == {"app.certificate": SIGNATURE}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: text + b"\0hidden", id="behind its end"),
        pytest.param(lambda text: text.replace(b":", b": ", 1), id="a space"),
        pytest.param(lambda text: text + b"\n", id="a line end"),
        pytest.param(lambda text: text.replace(b"rootHash", b"root\\u0048ash"), id="an escape"),
        pytest.param(lambda text: text[:-1] + b',"more":1}', id="one more key"),
        pytest.param(lambda text: text[:-1] + b',"rootHash":"0"}', id="one key twice"),
        pytest.param(lambda text: json.dumps(json.loads(text), sort_keys=True,
                                             separators=(",", ":")).encode(), id="another order"),
        pytest.param(lambda text: b"[" + text + b"]", id="a list"),
        pytest.param(lambda text: text[:200], id="cut off"),
        pytest.param(lambda text: text.replace(b"=", b"", 1)[:-3] + b'*"}', id="no base64"),
        pytest.param(lambda _: b'{"rootHash":"A","certificateFingerprint":"","signature":""}',
                     id="no digests"),
        pytest.param(lambda _: b"{" * 9000, id="deep"),
    ],
)  # fmt: skip
def test_malformed_signature_partition_is_refused(
    refused: Refused, good: bytes, change: Callable[[bytes], bytes]
) -> None:
    place = samples.entries(good)[2]
    text = good[place.offset : place.end].rstrip(b"\0")

    found = refused(samples.resigned(good, change(text)))

    assert found.keys() <= {"app.signature", "app.unsigned"}
    assert "app.signature" in found


@pytest.mark.parametrize("kind", ["attributes", "attached", "no certificate", "two", "noise"])
def test_signature_of_another_form_is_refused(refused: Refused, good: bytes, kind: str) -> None:
    by, old = samples.key(), samples.signed(good)
    signer = FileSigner(by.private)
    text = old.root_hash.encode()
    certificate = der(cms.EXPLICIT, by.certificate.public_bytes(Encoding.DER))
    assert old.message.count(certificate) == 1
    message = {
        "attributes": messages.sign(text, by.certificate, signer, 1_700_000_000),
        "attached": messages._message(
            by.certificate,
            der(cms.EXPLICIT, der(OCTETS, text)),
            b"",
            signer.sign_digest(hashlib.sha256(text).digest(), _algorithm()),
        ),
        "no certificate": _rewrapped(old.message, certificate, b""),
        "two": _rewrapped(
            old.message,
            certificate,
            der(
                cms.EXPLICIT,
                by.certificate.public_bytes(Encoding.DER)
                + samples.key(2).certificate.public_bytes(Encoding.DER),
            ),
        ),
        "noise": os.urandom(900),
    }[kind]

    data = samples.resigned(good, signature.emit(replace(old, message=message)))

    assert refused(data) == {"app.signature": "signature"}


def _algorithm() -> Algorithm:
    return Algorithm.parse("sha256,rsa2048")


def _rewrapped(message: bytes, old: bytes, new: bytes) -> bytes:
    """Return a message with one of its parts replaced, and lengths that fit."""
    outer = Values(message, "it").into(SEQUENCE)
    kind = outer.whole(OID)
    signed = outer.into(cms.EXPLICIT).take(SEQUENCE).replace(old, new)
    wrapped = der(cms.EXPLICIT, der(SEQUENCE, signed))
    return der(SEQUENCE, kind + wrapped)


# Every byte of it.


@pytest.mark.parametrize("place", ["first", "middle", "last", "tree", "top of the tree"])
def test_changed_block_is_refused(refused: Refused, good: bytes, place: str) -> None:
    root, tree, _ = samples.entries(good)
    at = {
        "first": root.offset,
        "middle": root.offset + root.size // 2 // BLOCK * BLOCK + 77,
        "last": root.end - 1,
        "tree": tree.end - BLOCK,
        "top of the tree": tree.offset + BLOCK,
    }[place]

    found = refused(samples.changed(good, at))

    assert found == {"app.block": VERITY if "tree" in place else ROOT} or (
        place == "tree" and found.keys() == {"app.block"}
    )


def test_every_sector_in_front_of_the_root_and_behind_the_tree_counts(
    refused: Refused, good: bytes
) -> None:
    root, _, sig = samples.entries(good)
    places = [*range(0, root.offset, SECTOR // 4), *range(sig.offset, len(good), SECTOR // 4)]
    accepted = [at for at in places if not _refused(refused, samples.changed(good, at, 0x10))]

    assert not accepted


def _refused(refused: Refused, data: bytes) -> bool:
    try:
        return bool(refused(data))
    except FormatError:
        return True


def test_something_in_a_gap_is_refused(refused: Refused, good: bytes) -> None:
    root, _, sig = samples.entries(good)
    found = refused(samples.changed(good, root.offset - 1))
    assert found == {"app.hidden-data": f"in front of {ROOT}"}
    found = refused(samples.changed(good, sig.end))
    assert found == {"app.hidden-data": "in front of the backup table"}


def test_unused_end_of_a_partition_is_refused_unless_it_is_empty(
    refused: Refused, good: bytes
) -> None:
    """systemd-repart leaves such ends; only zeros are taken there."""
    data = bytearray(good)
    root, tree, sig = samples.entries(good)
    room = bytes(2 * BLOCK)
    data[tree.offset : tree.offset] = room
    data[tree.end + len(room) : tree.end + len(room)] = room
    moved = [
        replace(root, size=root.size + len(room)),
        replace(tree, offset=tree.offset + len(room), size=tree.size + len(room)),
        replace(sig, offset=sig.offset + 2 * len(room)),
    ]
    wide = samples.retabled(bytes(data), moved)

    assert refused(wide) == {}
    assert refused(samples.changed(wide, moved[0].end - 1)) == {
        "app.hidden-data": f"in front of {VERITY}"
    }
    assert refused(samples.changed(wide, moved[1].end - 1)) == {
        "app.hidden-data": f"in front of {SIGNATURE}"
    }


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda r, t, s: [replace(r, type=t.type), replace(t, type=r.type), s],
                     id="types swapped"),
        pytest.param(lambda r, t, s: [r, t, replace(s, type=r.type)], id="two roots"),
        pytest.param(lambda r, t, s: [replace(r, name=t.name), replace(t, name=r.name), s],
                     id="names swapped"),
        pytest.param(lambda r, t, _: [r, t], id="no signature partition"),
        pytest.param(lambda r, t, s: [r, t, s, replace(s, number=4)], id="one more"),
        pytest.param(lambda r, t, s: [replace(r, attributes=0), t, s], id="writable"),
        pytest.param(lambda r, t, s: [replace(r, attributes=r.attributes | 1 << 63), t, s],
                     id="not for automatic use"),
        pytest.param(lambda r, t, s: [replace(r, attributes=r.attributes | 1 << 59), t, s],
                     id="to be grown"),
        pytest.param(lambda r, t, s: [replace(r, size=r.size + BLOCK), t, s], id="overlapping"),
        pytest.param(lambda r, t, s: [r, t, replace(s, size=s.size - BLOCK)],
                     id="signature too small"),
        pytest.param(lambda r, t, s: [r, t, replace(s, size=s.size + BLOCK)],
                     id="signature over the table"),
        pytest.param(lambda r, t, s: [replace(r, number=2), replace(t, number=1), s],
                     id="other numbers"),
        pytest.param(lambda r, t, s: [replace(r, type=ROOT_X86_64), t, s],
                     id="root of another machine"),
    ],
)  # fmt: skip
def test_other_partitions_are_refused(
    refused: Refused, good: bytes, change: Callable[..., list[gpt.GptEntry]]
) -> None:
    found = refused(samples.retabled(good, change(*samples.entries(good))))

    assert found.keys() == {"app.layout"}


def test_root_that_is_cut_off_in_the_table_is_refused(refused: Refused, good: bytes) -> None:
    root, tree, sig = samples.entries(good)
    data = samples.retabled(good, [replace(root, size=root.size - BLOCK), tree, sig])

    assert refused(data) == {"app.superblock": ROOT}


def test_superblock_that_describes_another_tree_is_refused(refused: Refused, good: bytes) -> None:
    tree = samples.entries(good)[1]
    block = good[tree.offset : tree.offset + BLOCK]
    old = verity.parse_superblock(block)

    def with_block(new: bytes) -> bytes:
        return good[: tree.offset] + new + good[tree.offset + BLOCK :]

    fewer = verity.emit_superblock(replace(old, blocks=old.blocks - 1))
    assert refused(with_block(fewer)).keys() == {"app.hidden-data"}
    more = verity.emit_superblock(replace(old, blocks=old.blocks + 1))
    assert refused(with_block(more)).keys() == {"app.superblock"}
    salted = verity.emit_superblock(replace(old, salt=bytes(32)))
    assert refused(with_block(salted)).keys() == {"app.block"}
    assert refused(with_block(bytes(BLOCK))) == {"app.superblock": VERITY}
    sha1 = block.replace(b"sha256", b"sha1\0\0")
    assert refused(with_block(sha1)) == {"app.superblock": VERITY}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param(lambda data: data[:-BLOCK], "it was cut off", id="cut"),
        pytest.param(lambda data: data[:0x9000], "it was cut off", id="cut in the root"),
        pytest.param(lambda data: data + bytes(BLOCK), "bytes follow its end", id="longer"),
        pytest.param(lambda data: data + b"x", "bytes follow its end", id="a byte longer"),
    ],
)
def test_file_of_another_length_is_malformed(
    refused: Refused, good: bytes, change: Callable[[bytes], bytes], why: str
) -> None:
    with pytest.raises(FormatError, match=why):
        refused(change(good))


def test_backup_table_that_says_something_else_is_refused(refused: Refused, good: bytes) -> None:
    root, tree, sig = samples.entries(good)
    other = samples.retabled(good, [replace(root, attributes=0), tree, sig])

    found = refused(good[: sig.end] + other[sig.end :])

    assert found == {"disk.gpt-agreement": "backup GPT"}


def test_what_is_no_image_is_malformed(refused: Refused) -> None:
    for data in (b"", bytes(100), bytes(1 << 20), b"hsqs" + bytes(4096)):
        with pytest.raises(FormatError):
            refused(data)


def test_too_large_file_is_refused_unread(tmp_path: Path, good: bytes) -> None:
    path = tmp_path / "large"
    path.write_bytes(good)
    os.truncate(path, layout.MAX_SIZE + BLOCK)

    with pytest.raises(FormatError, match="expected at most"):
        samples.check(path)


def test_link_in_the_place_of_the_image_is_refused(tmp_path: Path, good: bytes) -> None:
    (tmp_path / "image").write_bytes(good)
    link = tmp_path / "link"
    link.symlink_to("image")

    with pytest.raises(VerificationRefused, match="is a link"):
        samples.check(link)
    with pytest.raises(VerificationRefused, match="is a link"):
        signing.whole(link)


def test_pipe_in_the_place_of_the_image_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(UsageError, match="is a FIFO"):
        samples.check(tmp_path / "pipe")


def test_another_application_than_asked_for_is_refused(refused: Refused, good: bytes) -> None:
    assert refused(good, name="world") == {"app.name": ROOT}


# Signing again.


def test_another_signature_takes_the_place_of_the_old(good: bytes, tmp_path: Path) -> None:
    path, output = tmp_path / "image", tmp_path / "other"
    path.write_bytes(samples.resigned(good, b"{ no document"))

    signing.sign(path, signing.whole(path), samples.signing(samples.key(2)), output)

    assert not samples.check(output, samples.key(2)).errors
    assert {each.id for each in samples.check(output).errors} == {"app.certificate"}
    signing.sign(path, signing.whole(path), samples.signing(samples.key()), path)
    assert path.read_bytes() == good


@pytest.mark.parametrize("place", ["root", "tree", "gap"])
def test_what_is_not_whole_is_not_signed(good: bytes, tmp_path: Path, place: str) -> None:
    root, tree, _ = samples.entries(good)
    at = {"root": root.offset + 9, "tree": tree.end - BLOCK, "gap": root.offset - 1}[place]
    path = tmp_path / "image"
    path.write_bytes(samples.changed(good, at))

    with pytest.raises(VerificationRefused, match=r"app\.(block|hidden-data)"):
        signing.whole(path)


def test_certificate_of_another_key_does_not_sign(good: bytes) -> None:
    mixed = signing.Signing(
        signer=FileSigner(samples.key(2).private), certificate=samples.key().certificate
    )
    with pytest.raises(UsageError, match="the certificate is for key"):
        mixed.partition(bytes.fromhex(samples.signed(good).root_hash))


def test_signature_partition_is_what_systemd_writes(good: bytes) -> None:
    place = samples.entries(good)[2]
    text = good[place.offset : place.end].rstrip(b"\0")

    assert list(json.loads(text)) == ["rootHash", "certificateFingerprint", "signature"]
    assert place.size == 16384
