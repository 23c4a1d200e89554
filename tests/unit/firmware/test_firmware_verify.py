# SPDX-License-Identifier: MIT
"""FIPs that are signed are good, and each change is refused for its own reason."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from tests.unit.firmware import fips
from tests.unit.firmware.fips import IMAGES, ROWS, refused, signed, verdict, with_images

from bootseal.errors import FormatError, UsageError
from bootseal.firmware.chain import CHAIN, Counter, Key
from bootseal.firmware.sign import sign
from bootseal.formats import fip
from bootseal.keys import tbbr
from bootseal.protection import State

if TYPE_CHECKING:
    from bootseal.firmware.chain import Certificate
    from bootseal.keys.algorithms import Algorithm
    from bootseal.keys.public import PublicKey
    from bootseal.keys.signers.base import Signer

GOOD = signed()


@pytest.mark.parametrize(
    ("kind", "root"),
    [
        ("ecdsa256", ""),
        ("ecdsa384", ""),
        ("rsa2048", ""),
        pytest.param("rsa2048", "rsa3072", marks=pytest.mark.slow),
        pytest.param("rsa2048", "rsa4096", marks=pytest.mark.slow),
        ("ecdsa256", "rsa2048"),
    ],
)
def test_what_is_signed_is_good(kind: str, root: str) -> None:
    data = signed(kind, root=root)
    found = verdict(data, fips.root_hash(kind, root=root))

    assert found.findings == ()
    assert found.counters == {Counter.TRUSTED: 1, Counter.NONTRUSTED: 2}
    keys = {key: each.public_key.fingerprint() for key, each in fips.signers(kind, 0, root).items()}
    assert found.keys == keys
    assert {name: fips.images(data)[name] for name in IMAGES} == IMAGES


def test_signing_again_signs_the_same_bytes() -> None:
    again = sign(fip.parse(GOOD), fips.signers(), {Counter.TRUSTED: 1, Counter.NONTRUSTED: 2})
    assert again == GOOD


@pytest.mark.parametrize("name", IMAGES)
def test_a_changed_image_does_not_have_its_digest(name: str) -> None:
    entry = next(each for each in fip.parse(GOOD).entries if each.name == name)
    for offset in (entry.offset, entry.end - 1):
        assert refused(flipped(GOOD, offset)) == [("firmware.hash", name)]


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("kind", ["ecdsa256", "rsa2048"])
def test_a_changed_certificate_is_refused(name: str, kind: str) -> None:
    data, root = signed(kind), fips.root_hash(kind)
    entry = next(each for each in fip.parse(data).entries if each.name == name)
    certificate = data[entry.offset : entry.end]
    body = tbbr.read(certificate)
    value = certificate.index(b"\x04\x03" + body.extensions[ROWS[name].counter]) + 4

    assert refused(flipped(data, entry.offset), root)[0] == ("firmware.certificate", name)
    assert refused(flipped(data, entry.offset + value), root)[0] == ("firmware.signature", name)
    assert refused(flipped(data, entry.end - 1), root)[0] == ("firmware.signature", name)


def test_no_flipped_bit_is_accepted() -> None:
    source = random.Random(13)  # noqa: S311 - the same in each run
    for _ in range(400):
        data = flipped(GOOD, source.randrange(len(GOOD)), source.randrange(8))
        try:
            assert refused(data)
        except FormatError:
            continue


def test_another_master_root_key_is_refused_by_name() -> None:
    assert refused(GOOD, fips.root_hash(first=10))[:2] == [
        ("firmware.root-key", "tb-fw-cert"),
        ("firmware.root-key", "trusted-key-cert"),
    ]


@pytest.mark.parametrize("name", ROWS)
def test_a_certificate_of_other_keys_is_refused(name: str) -> None:
    other = fips.images(signed(first=10))[name]
    expected = "firmware.root-key" if ROWS[name].signer is Key.MRK else "firmware.signature"
    assert refused(with_images(GOOD, **{name: other}))[0] == (expected, name)


@pytest.mark.parametrize("name", [*IMAGES, *ROWS])
def test_what_is_missing_is_named(name: str) -> None:
    assert refused(with_images(GOOD, **{name: b""}))[0] == ("firmware.missing", name)


def test_an_image_that_no_certificate_covers_is_refused() -> None:
    assert refused(with_images(GOOD, tos_fw=b"OS")) == [("firmware.unexpected", "tos-fw")]


def test_an_optional_image_is_covered_and_cannot_be_added_later() -> None:
    unsigned = fip.parse(fip.emit(IMAGES | {"tb-fw-config": b"tree"}, alignment=16))
    data = sign(unsigned, fips.signers(), {Counter.TRUSTED: 1, Counter.NONTRUSTED: 2})

    assert verdict(data).findings == ()
    assert refused(with_images(data, tb_fw_config=b"")) == [("firmware.hash", "tb-fw-config")]
    assert refused(with_images(GOOD, tb_fw_config=b"tree")) == [("firmware.hash", "tb-fw-config")]


def test_certificates_of_two_releases_do_not_agree() -> None:
    newer = fips.images(signed(nontrusted=3))["nt-fw-cert"]
    assert refused(with_images(GOOD, nt_fw_cert=newer)) == [
        ("firmware.counters-differ", "the nontrusted counter")
    ]


def test_an_older_counter_is_refused() -> None:
    assert verdict(GOOD, least={Counter.TRUSTED: 1, Counter.NONTRUSTED: 2}).findings == ()
    older = verdict(GOOD, least={Counter.NONTRUSTED: 3}).findings
    assert {(each.id, each.where) for each in older} == {
        ("firmware.rollback", "nt-fw-key-cert"),
        ("firmware.rollback", "nt-fw-cert"),
    }


@dataclass(frozen=True)
class Disguised:
    """A signer that puts another key into its certificates."""

    signer: Signer
    public_key: PublicKey

    def sign_digest(self, digest: bytes, algorithm: Algorithm) -> bytes:
        return self.signer.sign_digest(digest, algorithm)


def test_the_subject_key_is_the_one_that_signs() -> None:
    """TF-A takes the key from the certificate above, and does not look at this one."""
    row, keys = ROWS["soc-fw-cert"], fips.signers()
    values = tbbr.read(fips.images(GOOD)[row.image]).extensions
    other = Disguised(keys[row.signer], keys[Key.BOOT].public_key)
    changed = tbbr.issue(row.common_name, other, values)

    assert refused(with_images(GOOD, soc_fw_cert=changed)) == [
        ("firmware.subject-key", "soc-fw-cert")
    ]


def flipped(data: bytes, offset: int, bit: int = 0) -> bytes:
    return data[:offset] + bytes([data[offset] ^ 1 << bit]) + data[offset + 1 :]


@pytest.mark.parametrize("image", CHAIN, ids=lambda row: row.image)
def test_extensions_of_another_place_in_the_chain_are_refused(image: Certificate) -> None:
    values = dict(tbbr.read(fips.images(GOOD)[image.image]).extensions)
    last = [*values][-1]
    signer = fips.signers()[image.signer]
    for wrong in (
        {number: value for number, value in values.items() if number != last},
        values | {9999: b"\5\0"},
        dict(reversed(values.items())),
    ):
        changed = tbbr.issue(image.common_name, signer, wrong)
        first = verdict(with_images(GOOD, **{image.image: changed})).findings[0]
        assert (first.id, first.where) == ("firmware.certificate", image.image)
        assert "the extensions are" in first.message


def test_every_byte_is_in_the_coverage_map_once() -> None:
    regions = verdict(GOOD).regions

    assert regions[0].start == 0
    assert regions[-1].end == len(GOOD)
    assert all(one.end == two.start for one, two in pairwise(regions))
    unsigned = {region.name for region in regions if region.state is not State.SIGNED}
    assert unsigned == {"header", "ToC", "padding"}


def test_nothing_is_signed_by_a_chain_that_leads_nowhere() -> None:
    regions = verdict(GOOD, fips.root_hash(first=10)).regions
    assert not [region for region in regions if region.state is State.SIGNED]


@pytest.mark.parametrize(
    ("images", "counter", "said"),
    [
        ({"nt-fw": b"U"}, 0, "the FIP has no tb-fw"),
        (IMAGES | {"tos-fw": b"OS"}, 0, "the FIP has tos-fw, which no certificate"),
        (IMAGES, 1 << 31, "the trusted counter is 2147483648: expected 0 to 2147483647"),
    ],
)
def test_what_cannot_be_signed_is_refused(
    images: dict[str, bytes], counter: int, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        sign(
            fip.parse(fip.emit(images)),
            fips.signers(),
            {Counter.TRUSTED: counter, Counter.NONTRUSTED: 0},
        )
    assert said in caught.value.message
