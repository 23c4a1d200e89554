# SPDX-License-Identifier: MIT
"""Manifests survive writing and reading; the trailer and DER are read within bounds."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseal.errors import FormatError
from bootseal.formats.update import bundle, cms, der, enveloped
from bootseal.formats.update import manifest as manifests
from bootseal.formats.update.manifest import Image, Manifest

HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=20)
IMAGES = st.builds(
    Image,
    slot=WORD.map(lambda text: f"a{text}"),
    filename=WORD,
    size=st.integers(0, 1 << 40),
    sha256=HEX,
    adaptive=st.booleans(),
)
MANIFESTS = st.builds(
    Manifest,
    compatible=WORD,
    version=WORD,
    build=WORD,
    form=WORD,
    root_hash=HEX,
    salt=HEX,
    tree_size=st.integers(0, 1 << 40),
    images=st.lists(
        IMAGES, min_size=1, max_size=4, unique_by=(lambda i: i.slot, lambda i: i.filename)
    ).map(tuple),
)


@given(MANIFESTS)
def test_manifest_survives(manifest: Manifest) -> None:
    assert manifests.parse(manifests.emit(manifest)) == manifest


@given(st.binary(max_size=400))
def test_any_bytes_are_a_model_or_a_format_error(data: bytes) -> None:
    for read in (manifests.parse, bundle.parse, cms.parse, enveloped.parse):
        with suppress(FormatError):
            read(data)


def test_trailer_is_found_again_and_bounded() -> None:
    data = bytes(8192) + bundle.trailer(b"message")

    assert bundle.parse(data) == bundle.Bundle(payload=8192, message=b"message")
    for size in (0, bundle.MAX_SIGNATURE + 1):
        with pytest.raises(FormatError):
            bundle.trailer(bytes(size))
    with pytest.raises(FormatError, match="expected 1 to 65536"):
        bundle.parse(bytes(8192) + (1 << 63).to_bytes(8))
    with pytest.raises(FormatError, match="multiple of 4096"):
        bundle.parse(bytes(8191) + bundle.trailer(b"message"))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("0480", id="indefinite length"),
        pytest.param("048101ff", id="length longer than needed"),
        pytest.param("04820001ff", id="zeros in front of the length"),
        pytest.param("0485" + "01" * 5, id="length of five bytes"),
        pytest.param("0402ff", id="cut"),
        pytest.param("0502", id="another tag"),
        pytest.param("", id="nothing"),
    ],
)
def test_value_that_is_not_der_is_refused(data: str) -> None:
    with pytest.raises(FormatError):
        der.Values(bytes.fromhex(data), "it").take(der.OCTETS)
