# SPDX-License-Identifier: MIT
"""Data behind the tree: where it may be, and that signing leaves it alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bootseal.errors import UsageError, VerificationRefused
from bootseal.fit.sign import Request, SigningKey, sign_request
from bootseal.fit.verify.strictness import COMPAT, STRICT
from bootseal.fit.verify.verdict import inspect, verify
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.formats.fit.model import Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.fit.verify.strictness import Strictness
    from bootseal.keys.signers.file import FileSigner

OFFSET = STRICT._replace(external_data=True)
POSITION = 0x2000


def ids(fit: bytes, control: bytes, strictness: Strictness) -> set[str]:
    return {finding.id for finding in inspect(fit, control, strictness=strictness).errors}


def set_number(fit: bytes, image: str, name: str, value: int) -> bytes:
    """Set one number of an image in place, so that nothing else moves."""
    node = fdt.read(fit).find(f"/images/{image}")
    assert node is not None
    place = node.properties[name].offset
    return fit[:place] + value.to_bytes(4) + fit[place + 4 :]


def get_number(fit: bytes, image: str, name: str) -> int:
    node = fdt.read(fit).find(f"/images/{image}")
    assert node is not None
    return int.from_bytes(node.properties[name].value)


@pytest.fixture(scope="module")
def by_offset(unsigned: bytes, signer: FileSigner, external: Callable[..., bytes]) -> bytes:
    request = Request(keys=[SigningKey(signer=signer, hint="dev")], timestamp=0, strictness=OFFSET)
    return sign_request(external(unsigned), request)


@pytest.fixture(scope="module")
def by_position(unsigned: bytes, signer: FileSigner, external: Callable[..., bytes]) -> bytes:
    request = Request(keys=[SigningKey(signer=signer, hint="dev")], timestamp=0, strictness=COMPAT)
    return sign_request(external(unsigned, position=POSITION), request)


def test_signing_keeps_the_data(unsigned: bytes, by_offset: bytes, by_position: bytes) -> None:
    before = fit_format.parse(unsigned)
    for fit, place in ((by_offset, Place.OFFSET), (by_position, Place.POSITION)):
        after = fit_format.parse(fit)
        assert [bytes(i.payload) for i in after.images] == [bytes(i.payload) for i in before.images]
        assert {image.place for image in after.images} == {place}
    assert fit_format.parse(by_position).images[0].offset == POSITION


def test_signing_again_keeps_the_data(by_offset: bytes, signer: FileSigner) -> None:
    request = Request(keys=[SigningKey(signer=signer, hint="dev")], timestamp=9, strictness=OFFSET)
    again = sign_request(by_offset, request)
    size = fdt.total_size(by_offset)
    assert again[fdt.total_size(again) :] == by_offset[size:]


def test_data_by_offset_is_for_targets_that_take_it(by_offset: bytes, control: bytes) -> None:
    assert ids(by_offset, control, STRICT) == {"fit.external-data"}
    verify(by_offset, control, strictness=OFFSET)
    verify(by_offset, control, strictness=COMPAT)


def test_data_by_position_is_never_for_a_release(by_position: bytes, control: bytes) -> None:
    """D4: U-Boot may overwrite it between check and use."""
    assert "fit.external-data" in ids(by_position, control, OFFSET)
    verify(by_position, control, strictness=COMPAT)


def test_tree_that_grows_into_the_data_is_refused(
    unsigned: bytes, signer: FileSigner, external: Callable[..., bytes]
) -> None:
    tight = len(fdt.rewrite(external(unsigned), lambda _: None)) + 64
    request = Request(keys=[SigningKey(signer=signer, hint="dev")], timestamp=0, strictness=COMPAT)
    with pytest.raises(UsageError, match=f"first data is at data-position {tight}"):
        sign_request(external(unsigned, position=tight), request)


@pytest.mark.parametrize(
    ("name", "value"),
    [("data-offset", 0xFFFFFFFF), ("data-offset", 1 << 20), ("data-size", 0xFFFFFFFF)],
)
@pytest.mark.parametrize("strictness", [OFFSET, COMPAT], ids=["strict", "compat"])
def test_data_outside_the_file_is_refused(
    by_offset: bytes, control: bytes, name: str, value: int, strictness: Strictness
) -> None:
    """D3: U-Boot up to 2026.07 reads it anyway (BRLY-2026-041)."""
    evil = set_number(by_offset, "kernel-1", name, value)
    assert "fit.external-bounds" in ids(evil, control, strictness)


def test_truncated_file_is_refused(by_offset: bytes, control: bytes) -> None:
    """S18: the header's size is that of the tree; what counts is the file."""
    short = by_offset[:-200]
    assert "fit.external-bounds" in ids(short, control, COMPAT)


def test_changed_data_is_refused(by_offset: bytes, control: bytes) -> None:
    offset = fit_format.parse(by_offset).image("ramdisk-1").offset
    evil = by_offset[:offset] + b"evil" + by_offset[offset + 4 :]
    for strictness in (OFFSET, COMPAT):
        assert ids(evil, control, strictness) == {"fit.image-hash"}


def test_overlapping_data_is_refused(by_offset: bytes, control: bytes) -> None:
    """D5: two images share their bytes; the hash of one is bound to be wrong."""
    evil = set_number(by_offset, "ramdisk-1", "data-offset", 0)
    assert {"fit.external-order", "fit.image-hash"} <= ids(evil, control, OFFSET)


def test_data_out_of_order_is_refused(by_offset: bytes, control: bytes) -> None:
    """D5: the payloads are whole, but exchanged behind the tree."""
    model = fit_format.parse(by_offset)
    first, second = model.image("fdt-a"), model.image("fdt-b")
    assert len(first.payload) == len(second.payload)
    swapped = bytearray(by_offset)
    for one, other in ((first, second), (second, first)):
        swapped[one.offset : one.offset + len(one.payload)] = other.payload
    evil = bytes(swapped)
    places = [get_number(evil, name, "data-offset") for name in ("fdt-a", "fdt-b")]
    evil = set_number(evil, "fdt-a", "data-offset", places[1])
    evil = set_number(evil, "fdt-b", "data-offset", places[0])
    assert ids(evil, control, OFFSET) == {"fit.external-order", "fit.external-gap"}
    verify(evil, control, strictness=COMPAT)


def test_hidden_bytes_between_the_data_are_refused(by_offset: bytes, control: bytes) -> None:
    model = fit_format.parse(by_offset)
    last = max(model.images, key=lambda image: image.offset)
    moved = by_offset[: last.offset] + b"hide" + by_offset[last.offset :]
    place = get_number(moved, last.name, "data-offset")
    evil = set_number(moved, last.name, "data-offset", place + 4)
    assert ids(evil, control, OFFSET) == {"fit.external-gap"}
    assert ids(by_offset + b"hide", control, OFFSET) == {"fit.trailing-data"}


def test_embedded_and_external_data_together_are_refused(signed: bytes, control: bytes) -> None:
    """D2: U-Boot prefers the external place; a release has one of them only."""

    def change(root: fdt.Node) -> None:
        kernel = root.find("/images/kernel-1")
        assert kernel is not None
        kernel.properties |= {"data-offset": bytes(4), "data-size": bytes(4)}

    assert "fit.external-data" in ids(fdt.rewrite(signed, change), control, OFFSET)


def test_too_large_tree_is_refused(signed: bytes, control: bytes) -> None:
    """S18: CONFIG_FIT_SIGNATURE_MAX_SIZE counts the tree only."""
    for strictness in (STRICT, COMPAT):
        small = strictness._replace(max_size=len(signed) - 1)
        assert ids(signed, control, small) == {"fit.too-large"}
        with pytest.raises(VerificationRefused, match=r"fit\.too-large"):
            verify(signed, control, strictness=small)
