# SPDX-License-Identifier: MIT
"""JSON documents: read strictly into frozen dataclasses, and written in one stable form.

What another reader could take differently is refused: a key given twice, NaN and infinity, NUL
and lone surrogates in text, bytes that are not UTF-8. So is what a model does not declare. A
class with a field `schema` is the model of that schema alone: its default is the only value. Of a
union of classes, the one is taken whose default for `operation` the object has.

How a field is written follows from its annotation: `bytes` in base64, an enumeration by its
value, `tuple[X, ...]` as a list, `dict[str, X]` and dataclasses as objects.

Spec: RFC 8259; RFC 7493 (I-JSON).
"""

from __future__ import annotations

import base64
import dataclasses
import difflib
import functools
import json
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias, TypeVar

from bootseal.errors import BootsealError, FormatError
from bootseal.files import read_bounded
from bootseal.text import visible
from bootseal.units import MIB

if TYPE_CHECKING:
    from pathlib import Path

MAX_SIZE: Final = 64 * MIB
"""Bytes a document may have when nothing smaller is asked for."""

Texts: TypeAlias = Mapping[object, Callable[[str], object]]
"""Types that are written as text, each with what reads it."""

_T = TypeVar("_T")
_SHOWN: Final = 60
_EXPECTED: Final[dict[object, str]] = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    bytes: "base64",
    dict: "an object",
    tuple: "a list",
}


def parse(data: bytes, what: str, *, limit: int = MAX_SIZE) -> dict[str, object]:
    """Read one JSON object.

    Args:
        data: The text.
        what: What it is, for messages, such as a path or `the PCR policy`.
        limit: Bytes it may have.

    Raises:
        FormatError: It is too long, not strict JSON, or not an object.

    >>> parse(b'{"a": 1, "a": 2}', "it")
    Traceback (most recent call last):
    bootseal.errors.FormatError: it is not JSON: 'a' is twice in one object
    """
    if len(data) > limit:
        raise FormatError(f"{what} has {len(data)} bytes: expected at most {limit}")
    try:
        text = str(data, "utf-8")
        document = json.loads(
            text, object_pairs_hook=_members, parse_constant=_number, parse_float=_number
        )
        if "\\u" in text:  # Only an escape can write what is refused here.
            for found in texts(document):
                _check_text(found)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{what} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise FormatError(f"{what} is {_shown(document)}: expected an object")
    return document


def read(
    kind: type[_T], data: bytes, what: str, *, limit: int = MAX_SIZE, texts: Texts | None = None
) -> _T:
    """Read a document into its model: `parse`, then `decode`.

    Raises:
        FormatError: As theirs.
    """
    return decode(kind, parse(data, what, limit=limit), what, texts=texts)


def load(kind: type[_T], path: Path, *, texts: Texts | None = None) -> _T:
    """Read the document in a file.

    Raises:
        FormatError: It is not strict JSON, or not what the model declares.
        OSError: The file cannot be read.
    """
    return read(kind, read_bounded(path, limit=MAX_SIZE), str(path), texts=texts)


def decode(kind: type[_T], value: object, what: str, *, texts: Texts | None = None) -> _T:
    """Turn what `parse` returned into a model.

    Args:
        kind: A frozen dataclass.
        value: The object.
        what: What it is, for messages.
        texts: Types that are written as text.

    Raises:
        FormatError: The schema is another one, a key is unknown or missing, or a value has
            another type.
    """
    found = _Decoder(what=what, texts=texts or {}).decode(kind, value, "")
    assert isinstance(found, kind)  # noqa: S101 - for the type checker
    return found


def dump(document: object) -> bytes:
    r"""Write a model, or what JSON knows, as text that ends in a newline.

    >>> dump({"found": (b"abc",)})
    b'{\n "found": [\n  "YWJj"\n ]\n}\n'
    """
    return json.dumps(document, indent=1, default=_plain).encode() + b"\n"


def texts(value: object) -> Iterator[str]:
    """Yield every text in what `json.loads` returned, keys too, in no particular order."""
    left = [value]
    while left:
        match left.pop():
            case str() as text:
                yield text
            case dict() as members:
                left += [*members.keys(), *members.values()]
            case list() as items:
                left += items
            case _:
                pass


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Decoder:
    """Decodes the values of one document; a path is a value's place in it."""

    what: str
    texts: Texts

    def decode(self, kind: object, value: object, path: str) -> object:
        origin, args = typing.get_origin(kind), typing.get_args(kind)
        found = value
        if isinstance(kind, type) and dataclasses.is_dataclass(kind) and isinstance(value, dict):
            found = kind(**self._fields(kind, value, path))
        elif origin is tuple and isinstance(value, list):
            found = tuple(self.decode(args[0], v, f"{path}[{i}]") for i, v in enumerate(value))
        elif origin is dict and isinstance(value, dict):
            found = {
                self.decode(args[0], k, path): self.decode(args[1], v, _below(path, k))
                for k, v in value.items()
            }
        elif origin is types.UnionType:
            if value is not None or types.NoneType not in args:
                found = self.decode(self._chosen(args, value, path), value, path)
        elif isinstance(value, str) and (reader := self._reader(kind)):
            try:
                found = reader(value)
            except BootsealError as error:
                self._refuse(path, f"is not usable: {error.message}")
            except ValueError:
                self._refuse(path, f"is {_shown(value)}: expected {_expected(kind)}")
        # Exactly the type: JSON's true must not pass for a number.
        elif type(value) is not kind:
            self._refuse(path, f"is {_shown(value)}: expected {_expected(origin or kind)}")
        return found

    def _chosen(self, kinds: tuple[type, ...], value: object, path: str) -> type:
        """Return which of several classes an object is of: each has its own `operation`."""
        if types.NoneType in kinds:
            return kinds[0]
        known = {
            field.default: kind
            for kind in kinds
            for field in dataclasses.fields(kind)
            if field.name == "operation"
        }
        given = value.get("operation") if isinstance(value, dict) else None
        if not isinstance(given, str) or given not in known:
            expected = ", ".join(f"{each}" for each in known)
            self._refuse(_below(path, "operation"), f"is {_shown(given)}: expected {expected}")
        return known[given]

    def _fields(self, kind: type, members: dict[str, object], path: str) -> dict[str, object]:
        """Return the arguments that make a dataclass from the members of an object."""
        hints = _hints(kind)
        fields = {field.name: field for field in dataclasses.fields(kind)}
        schema = fields.get("schema")
        if schema and (given := members.get("schema")) != schema.default:
            self._refuse(path, f"has schema {_shown(given)}: expected {schema.default!r}")
        if unknown := sorted(members.keys() - fields.keys()):
            near = difflib.get_close_matches(unknown[0], fields.keys() - members.keys(), n=1)
            hint = f": did you mean {near[0]}?" if near else ""
            listed = ", ".join(visible(name)[:_SHOWN] for name in unknown[:5])
            self._refuse(path, f"has unknown keys: {listed}{hint}")
        for name, field in fields.items():
            required = dataclasses.MISSING is field.default is field.default_factory
            if required and name not in members:
                self._refuse(path, f"lacks {name!r}")
        return {
            name: self.decode(hints[name], value, _below(path, name))
            for name, value in members.items()
        }

    def _reader(self, kind: object) -> Callable[[str], object] | None:
        if kind is bytes:
            return _from_base64
        if isinstance(kind, type) and issubclass(kind, Enum):
            return kind
        return self.texts.get(kind)

    def _refuse(self, path: str, why: str) -> NoReturn:
        raise FormatError(f"{self.what}: {path} {why}" if path else f"{self.what} {why}")


@functools.cache
def _hints(kind: type) -> dict[str, object]:
    return typing.get_type_hints(kind)


def _from_base64(text: str) -> bytes:
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("bits that mean nothing are set")
    return data


def _below(path: str, name: str) -> str:
    return f"{path}.{visible(name)[:_SHOWN]}".lstrip(".")


def _expected(kind: object) -> str:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"one of {', '.join(str(each.value) for each in kind)}"
    return "an object" if dataclasses.is_dataclass(kind) else _EXPECTED.get(kind, str(kind))


def _shown(value: object) -> str:
    return f"{value!r}"[:_SHOWN]


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"{twice[:_SHOWN]!r} is twice in one object")
    return found


def _check_text(text: str) -> None:
    text.encode()  # Fails on half a surrogate pair.
    if "\0" in text:
        raise ValueError(f"{text[:_SHOWN]!r} holds a NUL")


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:_SHOWN]} is not a number")
    return number


def _plain(value: object) -> object:
    """Return what JSON knows for what it does not."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} is not written in documents")
