# SPDX-License-Identifier: MIT
"""Genuine FITs pass; every known attack is refused for its own reason."""

from __future__ import annotations

import copy
import hashlib
import tracemalloc
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tree_edits import drop, node, put

from bootseal.errors import FormatError, VerificationRefused
from bootseal.fit import control_dtb
from bootseal.fit.sign import sign
from bootseal.fit.verify.verdict import inspect, verify
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format

if TYPE_CHECKING:
    from bootseal.keys.signers.file import FileSigner

SIGNATURE = "/configurations/conf-a/signature-1"


def replace_data(target: fdt.Node, data: bytes) -> None:
    target.properties["data"] = data
    hashed = target.child("hash-1")
    assert hashed is not None
    hashed.properties["value"] = hashlib.sha256(data).digest()


def ids(fit: bytes, control: bytes) -> set[str]:
    return {finding.id for finding in inspect(fit, control).errors}


def test_genuine_fit_is_accepted(signed: bytes, control: bytes) -> None:
    verdict = verify(signed, control)
    assert [finding.id for finding in verdict.findings] == ["fit.default-unsigned"]
    assert [(r.configuration, r.key, r.good) for r in verdict.results] == [
        ("conf-a", "dev", True),
        ("conf-b", "dev", True),
    ]


def test_unsigned_fit_is_refused(unsigned: bytes, control: bytes) -> None:
    assert ids(unsigned, control) == {"fit.no-signature"}


def test_stranger_signature_is_refused(
    unsigned: bytes, stranger: FileSigner, control: bytes
) -> None:
    fit = sign(unsigned, stranger, "dev", timestamp=0)
    assert ids(fit, control) == {"fit.bad-signature"}


def test_control_tree_without_key_is_refused(signed: bytes) -> None:
    """S24: U-Boot without a required key accepts anything."""
    assert ids(signed, fdt.emit(fdt.Node())) == {"fit.no-required-key"}


def test_control_tree_without_required_key_is_refused(signed: bytes, control: bytes) -> None:
    lax = fdt.rewrite(control, drop("/signature/key-dev", "required"))
    assert ids(signed, lax) == {"fit.no-required-key"}


def test_image_key_is_refused(signed: bytes, control: bytes) -> None:
    lax = fdt.rewrite(control, put("/signature/key-dev", "required", b"image\0"))
    assert ids(signed, lax) == {"fit.kernel-by-image-key", "fit.no-signature"}


@pytest.fixture
def two_keys(control: bytes, stranger: FileSigner) -> bytes:
    return control_dtb.add_key(
        control, stranger.public_key, hint="next", algorithm="sha256,rsa2048"
    )


def test_two_required_keys_both_must_sign(signed: bytes, two_keys: bytes) -> None:
    """S23: the default mode is `all`."""
    assert ids(signed, two_keys) == {"fit.no-signature"}


def test_two_required_keys_any_suffices_when_the_tree_says_so(
    signed: bytes, two_keys: bytes
) -> None:
    anyone = fdt.rewrite(two_keys, put("/signature", "required-mode", b"any\0"))
    verdict = verify(signed, anyone)
    assert [result.good for result in verdict.results].count(True) == 2


def test_two_signatures_satisfy_two_required_keys(
    unsigned: bytes, signer: FileSigner, stranger: FileSigner, two_keys: bytes
) -> None:
    def second(root: fdt.Node) -> None:
        for conf in node(root, "/configurations").children:
            extra = copy.deepcopy(conf.children[0])
            extra.name = "signature-2"
            extra.properties["key-name-hint"] = b"next\0"
            conf.children.append(extra)

    fit = sign(fdt.rewrite(unsigned, second), signer, "dev", timestamp=1)
    fit = sign(fit, stranger, "next", timestamp=2)
    assert verify(fit, two_keys).errors == ()


def test_one_configuration_can_be_judged_alone(signed: bytes, control: bytes) -> None:
    evil = fdt.rewrite(signed, put("/configurations/conf-b", "kernel", b"fdt-b\0"))
    assert "fit.bad-signature" not in {f.id for f in inspect(evil, control, "conf-a").errors}
    assert "fit.bad-signature" in {f.id for f in inspect(evil, control, "conf-b").errors}


def test_unknown_configuration_is_refused(signed: bytes, control: bytes) -> None:
    with pytest.raises(VerificationRefused, match=r"fit\.no-configuration"):
        verify(signed, control, "conf-c")


def test_refusal_names_the_first_finding_and_how_many(signed: bytes, control: bytes) -> None:
    evil = fdt.rewrite(signed, put("/images/kernel-1", "data", b"evil"))
    with pytest.raises(VerificationRefused, match=r"^the FIT is refused: fit\.image-hash at /im"):
        verify(evil, control)
    worse = fdt.rewrite(evil, put("/", "description", b"\0"))
    with pytest.raises(VerificationRefused, match=r"\(and 3 more\)$"):
        verify(worse, control)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_flipped_bit_in_what_is_protected_is_refused(
    signed: bytes, control: bytes, data: st.DataObject
) -> None:
    model = fit_format.parse(signed)
    conf = model.configuration(data.draw(st.sampled_from(["conf-a", "conf-b"])))
    nodes = fit_format.hashed_nodes(model, conf)
    protected = [tuple(region) for region in model.regions.of(nodes)]
    strings = model.flat.header.off_strings
    size = int.from_bytes(conf.signatures[0].hashed_strings[4:])
    protected += [(strings, strings + size)]
    protected += [(i.offset, i.offset + len(i.payload)) for i in model.images]
    start, end = data.draw(st.sampled_from(protected))
    evil = bytearray(signed)
    evil[data.draw(st.integers(start, end - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises((FormatError, VerificationRefused)):
        verify(bytes(evil), control)


@pytest.mark.slow
def test_every_byte_that_may_change_is_known(signed: bytes, control: bytes) -> None:
    """Only notes in a signature node and padding nobody reads are free."""
    model = fit_format.parse(signed)
    configurations = model.flat.find("/configurations")
    assert configurations is not None
    unsigned = [image.node.properties["data"] for image in model.images]
    unsigned.append(configurations.properties["default"])
    free: set[int] = set()
    for found in unsigned:
        end = found.offset + len(found.value)
        free.update(range(end, end + -end % 4))
    for conf in model.configurations:
        free.update(range(conf.node.children[0].start, conf.node.children[0].end))
    for offset in range(len(signed)):
        evil = bytearray(signed)
        evil[offset] ^= 1 << offset % 8
        with suppress(FormatError, VerificationRefused):
            verify(bytes(evil), control)
            assert offset in free


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_fit_gives_a_verdict_or_a_format_error(
    signed: bytes, control: bytes, data: st.DataObject
) -> None:
    evil = bytearray(signed)
    for _ in range(data.draw(st.integers(1, 4))):
        evil[data.draw(st.integers(0, len(evil) - 1))] = data.draw(st.integers(0, 255))
    try:
        inspect(bytes(evil), control)
    except FormatError:
        return


def test_verification_does_not_copy_payloads(
    unsigned: bytes, signer: FileSigner, control: bytes
) -> None:
    def grow(root: fdt.Node) -> None:
        replace_data(node(root, "/images/ramdisk-1"), bytes(8 << 20))

    fit = sign(fdt.rewrite(unsigned, grow), signer, "dev", timestamp=0)
    tracemalloc.start()
    try:
        verify(fit, control)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
