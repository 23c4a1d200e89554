# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootseal.errors import FormatError
from bootseal.formats import luks2

HASH_AT = slice(448, 512)


def metadata() -> dict[str, Any]:
    area = {"type": "raw", "offset": "32768", "size": "258048"}
    return {
        "keyslots": {"0": {"type": "luks2", "key_size": 64, "area": area, "kdf": {"type": "x"}}},
        "tokens": {"0": {"type": "systemd-tpm2", "keyslots": ["0"]}},
        "segments": {
            "0": {
                "type": "crypt",
                "offset": "16777216",
                "size": "dynamic",
                "encryption": "aes-xts-plain64",
                "sector_size": 512,
            }
        },
        "digests": {"0": {"keyslots": ["0"], "segments": ["0"]}},
        "config": {"json_size": "12288", "keyslots_size": "16744448"},
    }


def copy(text: bytes, *, offset: int, magic: bytes, sequence: int = 3) -> bytes:
    import hashlib  # noqa: PLC0415

    head = struct.pack(
        ">6sHQQ48s32s64s40s48sQ184s64s3584s",
        *(magic, 2, 0x4000, sequence, b"", b"sha256", b"salt", b"uuid", b"", offset, b"", b"", b""),
    )
    raw = bytearray((head + text).ljust(0x4000, b"\0"))
    raw[448:480] = hashlib.sha256(raw).digest()
    return bytes(raw)


def header(document: object = None, *, second: int = 3) -> bytes:
    text = json.dumps(metadata() if document is None else document).encode()
    first = copy(text, offset=0, magic=luks2.MAGIC)
    return first + copy(text, offset=0x4000, magic=luks2.SECOND_MAGIC, sequence=second)


def test_header_is_read() -> None:
    found = luks2.parse(header())

    assert (found.size, found.sequence, found.uuid) == (0x4000, 3, "uuid")
    assert found.keyslots[0].area == range(32768, 32768 + 258048)
    assert found.segments[0].encryption == "aes-xts-plain64"
    assert (found.tokens[0].type, found.tokens[0].keyslots) == ("systemd-tpm2", (0,))
    assert found.bound == (0,)


@pytest.mark.parametrize("place", [0, 7, 100, 5000, 0x4000, 0x4000 + 300, 0x4000 + 5000])
def test_any_changed_byte_of_either_copy_is_refused(place: int) -> None:
    raw = bytearray(header())
    raw[place] ^= 1

    with pytest.raises(FormatError):
        luks2.parse(raw)


def test_copies_of_two_times_are_refused() -> None:
    with pytest.raises(FormatError, match="sequence numbers 3 and 4"):
        luks2.parse(header(second=4))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("keyslots", "0", "area", "offset"), "4096", "keyslot 0 is at 4096"),
        (("keyslots", "0", "area", "size"), "99999999999", "keyslot 0 is at"),
        (("keyslots", "0", "key_size"), 0, "has key size 0"),
        (("keyslots", "99"), {}, "expected less than 32"),
        (("keyslots", "00"), {}, "expected a number"),
        (("tokens", "0", "keyslots"), ["1"], "not all there"),
        (("digests", "0", "segments"), ["7"], "not all there"),
        (("segments", "0", "sector_size"), 3, "has sector size 3"),
        (("segments", "0", "offset"), 5, "expected digits"),
        (("config", "json_size"), "4096", "another json_size"),
        (("more",), {}, "have the parts"),
    ],
)
def test_contradictions_are_refused(path: tuple[str, ...], value: object, message: str) -> None:
    document = metadata()
    part = document
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value

    with pytest.raises(FormatError, match=message):
        luks2.parse(header(document))


def test_two_values_of_one_name_are_refused() -> None:
    text = json.dumps(metadata()).replace('"tokens"', '"config": {}, "tokens"').encode()
    raw = copy(text, offset=0, magic=luks2.MAGIC)
    raw += copy(text, offset=0x4000, magic=luks2.SECOND_MAGIC)

    with pytest.raises(FormatError, match="'config' is twice in one object"):
        luks2.parse(raw)


def test_text_behind_the_metadata_is_refused() -> None:
    text = json.dumps(metadata()).encode() + b"\0hidden"
    raw = copy(text, offset=0, magic=luks2.MAGIC)

    with pytest.raises(FormatError, match="behind its metadata"):
        luks2.parse(raw + copy(text, offset=0x4000, magic=luks2.SECOND_MAGIC))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(section=st.sampled_from(sorted(metadata())), value=JSON)
def test_any_metadata_end_in_a_header_or_a_format_error(section: str, value: object) -> None:
    try:
        found = luks2.parse(header(metadata() | {section: value}))
    except FormatError:
        return
    assert found.metadata[section] == value
