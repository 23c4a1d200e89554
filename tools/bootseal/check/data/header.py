# SPDX-License-Identifier: MIT
"""The one LUKS2 header that the device makes, and what another one does differently.

`header.txt` says which fields there are and what each may hold; here is how key slots and tokens
belong together at each stage of a volume's life.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from bootseal.formats.luks2 import Header, Token

TPM2: Final = "systemd-tpm2"
RECOVERY: Final = "systemd-recovery"
ESCROWED: Final = "bootseal-escrowed"
ROTATE: Final = "bootseal-rotate"

_LINE: Final = re.compile(r"([=?]) ([a-z]+(?:\.[0-9N]|\.[a-z]+-[a-z0-9]+)?)\.(\S+) +(\S+)")
_NUMBERED: Final = ("segments", "digests")


class Stage(StrEnum):
    """How far a volume has come; the value completes "LUKS2 data, "."""

    MADE = "opened only by the TPM"
    RECOVERABLE = "with a recovery key that was not handed out"
    ESCROWED = "with a recovery key that was handed out"
    ERASED = "without a key slot, as after an interrupted wipe"


class Difference(NamedTuple):
    """What a header does differently.

    Attributes:
        place: A field, for example `keyslots.0.area.encryption`, or a whole object.
        expected: What the device writes there: a regular expression or some words.
        observed: What is there.
    """

    place: str
    expected: str
    observed: str


@dataclass(frozen=True, slots=True)
class _Field:
    required: bool
    value: re.Pattern[str]


def _read(text: str) -> dict[str, dict[str, _Field]]:
    """Read the table: fields by the kind of their object."""
    table: dict[str, dict[str, _Field]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            match = _LINE.fullmatch(line)
            if match is None:
                raise AssertionError(line)
            mark, kind, name, value = match.groups()
            table.setdefault(kind, {})[name] = _Field(mark == "=", re.compile(value))
    return table


FIELDS: Final = _read(Path(__file__).with_suffix(".txt").read_text())
"""The fields that each kind of object in a header has."""


def differences(header: Header) -> Iterator[Difference]:
    """Yield every field of a header that the device would not write."""
    for place, kind, fields in _objects(header):
        allowed = FIELDS.get(kind)
        if allowed is None:
            known = [name for name in FIELDS if name.partition(".")[0] == kind.partition(".")[0]]
            yield Difference(place, f"only {', '.join(known)}", kind)
            continue
        found = dict(_leaves("", fields))
        for name, text in found.items():
            field = allowed.get(name)
            if field is None:
                yield Difference(f"{place}.{name}", "no such field", text)
            elif field.value.fullmatch(text) is None:
                yield Difference(f"{place}.{name}", field.value.pattern, text)
        for name, field in allowed.items():
            if field.required and name not in found:
                yield Difference(f"{place}.{name}", field.value.pattern, "nothing")


def _objects(header: Header) -> Iterator[tuple[str, str, object]]:
    """Yield place, kind and content of every object."""
    yield (
        "header",
        "header",
        {
            "size": header.size,
            "checksum": header.checksum,
            "label": header.label,
            "subsystem": header.subsystem,
            "uuid": header.uuid,
        },
    )
    for section, content in header.metadata.items():
        if section == "config" or not isinstance(content, dict):
            yield section, section, content
            continue
        if section in _NUMBERED and not content:
            yield section, f"{section} (none)", content
        for number, fields in content.items():
            place = f"{section}.{number}"
            kind = place if section in _NUMBERED else f"{section}.N"
            if section == "tokens":
                kind = f"tokens.{_type(fields)}"
            yield place, kind, fields


def _type(token: object) -> str:
    return str(token.get("type")) if isinstance(token, dict) else ""


def _leaves(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield the fields below an object, each with its value as compact JSON."""
    if isinstance(value, dict) and (value or not name):
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}" if name else str(key), inner)
    else:
        yield name, json.dumps(value, separators=(",", ":"))


def stage(header: Header) -> Stage:
    """Return how far a volume has come."""
    if not header.keyslots:
        return Stage.ERASED
    kinds = {token.type for token in header.tokens}
    if ESCROWED in kinds:
        return Stage.ESCROWED
    return Stage.RECOVERABLE if RECOVERY in kinds else Stage.MADE


def openers(header: Header) -> dict[int, tuple[Token, ...]]:
    """Return, for each key slot, the tokens that say what opens it."""
    return {
        slot.number: tuple(
            token
            for token in header.tokens
            if token.type in {TPM2, RECOVERY} and slot.number in token.keyslots
        )
        for slot in header.keyslots
    }


def escrowed(header: Header) -> frozenset[int]:
    """Return the key slots whose recovery key was handed out."""
    marks = (token.keyslots for token in header.tokens if token.type == ESCROWED)
    return frozenset(number for slots in marks for number in slots)


def contradictions(header: Header) -> Iterator[Difference]:
    """Yield what in a header does not belong together, slots without an opener left out."""
    slots = [slot.number for slot in header.keyslots]
    if sorted(header.bound) != sorted(slots):
        yield Difference("digests.0.keyslots", _list(slots), _list(header.bound))
    owners = openers(header)
    for number, tokens in owners.items():
        if len(tokens) > 1:
            named = _list(token.number for token in tokens)
            yield Difference(f"keyslots.{number}", "one token that opens it", f"tokens {named}")
    rotating = any(token.type == ROTATE for token in header.tokens)
    counts = {
        kind: len({n for n, tokens in owners.items() if any(t.type == kind for t in tokens)})
        for kind in (TPM2, RECOVERY)
    }
    if counts[TPM2] > (2 if rotating else 1):
        yield Difference(f"tokens of type {TPM2}", "one key slot", f"{counts[TPM2]}")
    for token in header.tokens:
        if token.fields.get("tpm2-pcrs") and not rotating:
            yield Difference(f"tokens.{token.number}.tpm2-pcrs", "[]", "[12], and no rotation")
    yield from _escrow(header, counts[RECOVERY])


def _escrow(header: Header, recovery: int) -> Iterator[Difference]:
    """Yield what is wrong with the mark that the recovery key was handed out."""
    marks = [token for token in header.tokens if token.type == ESCROWED]
    # A start that is cut off between two recovery keys leaves both.
    if recovery > (1 if marks else 2):
        yield Difference(f"tokens of type {RECOVERY}", "one key slot", f"{recovery}")
    if len(marks) > 1:
        yield Difference(f"tokens of type {ESCROWED}", "one", f"{len(marks)}")
    owned = {n for t in header.tokens if t.type == RECOVERY for n in t.keyslots}
    for mark in marks:
        if header.keyslots and (not mark.keyslots or not owned.issuperset(mark.keyslots)):
            yield Difference(
                f"tokens.{mark.number}.keyslots",
                f"the key slot of {RECOVERY}, {_list(owned)}",
                _list(mark.keyslots),
            )


def _list(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers))) or "none"
