# SPDX-License-Identifier: MIT
"""The one reader of JSON: strict, bounded, and the same for every kind of document."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseal import device, documents
from bootseal.assembly import verity
from bootseal.attest import messages
from bootseal.attest.store import Challenge, Record
from bootseal.boot.machine import escrow
from bootseal.boot.scenario import device_status
from bootseal.errors import FormatError, UsageError
from bootseal.keys.manifest import read_manifest
from bootseal.keys.signers import offline
from bootseal.measure import approved, pcr_policy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    name: str
    colour: Colour = Colour.RED


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    schema: str = "test.whole/1"
    number: int
    flag: bool
    data: bytes = b""
    remark: str | None = None
    parts: tuple[Part, ...] = ()
    by_colour: dict[Colour, Part] = field(default_factory=dict)


GOOD: dict[str, object] = {"schema": "test.whole/1", "number": 1, "flag": True}


def read(changes: dict[str, object]) -> Whole:
    return documents.read(Whole, json.dumps(GOOD | changes).encode(), "it")


parts = st.builds(Part, name=st.text(st.characters(exclude_categories=["Cs"], min_codepoint=1)))
wholes = st.builds(
    Whole,
    schema=st.just("test.whole/1"),
    parts=st.lists(parts, max_size=3).map(tuple),
    remark=st.none() | st.just("remark"),
    by_colour=st.dictionaries(st.sampled_from(Colour), parts),
)


@given(wholes)
def test_document_is_read_as_it_was_written(whole: Whole) -> None:
    assert documents.read(Whole, documents.dump(whole), "it") == whole


def test_what_has_a_default_may_be_missing() -> None:
    assert read({}) == Whole(number=1, flag=True)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema": "test.whole/2"}, "it has schema 'test.whole/2': expected 'test.whole/1'"),
        ({"schema": None}, "it has schema None: expected 'test.whole/1'"),
        ({"numbr": 1}, "it has unknown keys: numbr"),
        ({"part": []}, r"it has unknown keys: part: did you mean parts\?"),
        ({"\x1b[2J": 1}, r"it has unknown keys: \\x1b\[2J"),
        ({"number": True}, "it: number is True: expected a whole number"),
        ({"number": 1.0}, "it: number is 1.0: expected a whole number"),
        ({"number": "1"}, "it: number is '1': expected a whole number"),
        ({"flag": 1}, "it: flag is 1: expected true or false"),
        ({"flag": None}, "it: flag is None: expected true or false"),
        ({"data": "%"}, "it: data is '%': expected base64"),
        ({"data": "YQ"}, "it: data is 'YQ': expected base64"),
        ({"data": "YQ==\n"}, "expected base64"),
        ({"data": "YR=="}, "it: data is 'YR==': expected base64"),
        ({"remark": 1}, "it: remark is 1: expected text"),
        ({"parts": {}}, r"it: parts is \{\}: expected a list"),
        ({"parts": [{"name": "a"}, []]}, r"it: parts\[1\] is \[\]: expected an object"),
        ({"parts": [{}]}, r"it: parts\[0\] lacks 'name'"),
        ({"parts": [{"name": "a", "nane": 1}]}, r"it: parts\[0\] has unknown keys: nane"),
        ({"by_colour": []}, r"it: by_colour is \[\]: expected an object"),
        ({"by_colour": {"re": {}}}, "it: by_colour is 're': expected one of red, blue"),
        ({"by_colour": {"red": {"name": 1}}}, "it: by_colour.red.name is 1: expected text"),
    ],
)
def test_what_the_model_does_not_declare_is_refused(
    changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(FormatError, match=reason):
        read(changes)


def test_missing_key_is_named() -> None:
    with pytest.raises(FormatError, match="it lacks 'flag'"):
        documents.read(Whole, b'{"schema": "test.whole/1", "number": 1}', "it")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        ('{"a": 1}'.encode("utf-16"), "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a":' * 100_000, "not JSON"),
        (b"9" * 5000, "not JSON"),
        (b"{} {}", "not JSON"),
        (b'{"a": 1, "b": {"c": 1, "c": 1}}', "'c' is twice in one object"),
        (b'{"a": 1, "\\u0061": 2}', "'a' is twice in one object"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b'{"a": -Infinity}', "-Infinity is not a number"),
        (b'{"a": 1e999}', "1e999 is not a number"),
        (b'{"a": "\\u0000"}', "holds a NUL"),
        (b'{"\\u0000": 1}', "holds a NUL"),
        (b'{"a": "\0"}', "not JSON"),
        (b'{"a": ["\\ud800"]}', "surrogates not allowed"),
        (b"[]", r"it is \[\]: expected an object"),
        (b"null", "it is None: expected an object"),
        (b"{}" + b" " * 99, "it has 101 bytes: expected at most 100"),
    ],
)
def test_what_readers_could_take_differently_is_refused(text: bytes, reason: str) -> None:
    limit = 100 if len(text) == 101 else documents.MAX_SIZE
    with pytest.raises(FormatError, match=reason):
        documents.parse(text, "it", limit=limit)


def test_whole_character_of_two_escapes_is_read() -> None:
    assert documents.parse(b'{"a": "\\ud83d\\ude00"}', "it") == {"a": "\U0001f600"}


@given(st.binary(max_size=100))
def test_any_bytes_are_an_object_or_refused(data: bytes) -> None:
    try:
        assert isinstance(documents.parse(data, "it"), dict)
    except FormatError:
        return


def test_text_that_its_reader_refuses_is_named() -> None:
    def refuse(_: str) -> object:
        raise UsageError("no such colour")

    with pytest.raises(FormatError, match=r"it: parts\[0\] is not usable: no such colour"):
        documents.decode(Whole, GOOD | {"parts": ["x"]}, "it", texts={Part: refuse})


def from_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    def write_and_read(data: bytes, directory: Path) -> object:
        (directory / name).write_bytes(data)
        return read(directory)

    return write_and_read


READERS: dict[str, Callable[[bytes, Path], object]] = {
    "device.json": from_file("device.json", device.load),
    "keys.json": from_file("keys.json", read_manifest),
    "signing requests": from_file("requests.json", offline.load),
    "verity": from_file("verity", lambda d: verity.load(d / "verity")),
    "device record": from_file("x", lambda d: documents.load(Record, d / "x")),
    "challenge": from_file("x", lambda d: documents.load(Challenge, d / "x")),
    "approved list": lambda data, _: approved.parse(data),
    "PCR policy": lambda data, _: pcr_policy.parse(data),
    "identity": lambda data, _: messages.parse_identity(data),
    "activation": lambda data, _: messages.parse_activation(data),
    "evidence": lambda data, _: messages.parse_evidence(data),
    "status": lambda data, _: device_status.parse(data),
    "escrow": lambda data, _: escrow.parse(data),
}


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    "text",
    [b'{"schema": "x", "sha256": [], "sha256": []}', b'{"a": {"b": 1, "b": 1}}'],
    ids=["outer", "inner"],
)
def test_document_with_a_key_twice_is_refused(kind: str, text: bytes, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="is twice in one object"):
        READERS[kind](text, tmp_path)


def test_pcr_policy_with_its_bank_twice_is_refused() -> None:
    assert pcr_policy.parse(b'{"sha256":[]}').sha256 == ()
    # Readers differ in which of the two they take.
    with pytest.raises(FormatError, match="'sha256' is twice in one object"):
        pcr_policy.parse(b'{"sha256":[],"sha256":[]}')
