# SPDX-License-Identifier: MIT
"""The verdict on a disk (schema `bootseal.disk-verdict/2`) as the reports read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bootseal.errors import FormatError
from bootseal.report.document import JsonObject

SCHEMA: Final = "bootseal.disk-verdict/2"
SEVERITIES: Final = ("error", "warning", "info")
STATES: Final = ("signed", "verity-covered", "hashed only", "consumed but unsigned", "unused")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A finding; `offset` is -1 when the place has none."""

    id: str
    severity: str
    where: str
    message: str
    offset: int
    expected: str
    observed: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some bytes of the disk and what protects them."""

    name: str
    partition: str
    start: int
    end: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskVerdict:
    """What was found about a disk."""

    accepted: bool
    device: str
    name: str
    size: int
    findings: tuple[Found, ...]
    parts: tuple[Part, ...]

    def total(self, state: str) -> int:
        """Return how many bytes of the disk are protected in some way."""
        return sum(part.end - part.start for part in self.parts if part.state == state)


def parse(document: object) -> DiskVerdict:
    """Check a document.

    Raises:
        FormatError: It is not a valid `bootseal.disk-verdict/2`.
    """
    top = JsonObject(document, "disk verdict")
    if (schema := top.text("schema")) != SCHEMA:
        raise FormatError(f"disk verdict has schema {schema!r}: expected {SCHEMA!r}")
    disk = JsonObject(top.get("disk"), "disk")
    return DiskVerdict(
        accepted=top.get("accepted") is True,
        device=top.text("device"),
        name=disk.text("name"),
        size=_size(disk, "size"),
        findings=tuple(_found(each) for each in top.objects("findings")),
        parts=tuple(_part(each) for each in top.objects("map")),
    )


def _found(item: JsonObject) -> Found:
    return Found(
        id=item.text("id"),
        severity=_one_of(item.text("severity"), SEVERITIES),
        where=item.text("where"),
        message=item.text("message"),
        offset=-1 if item.get("offset") is None else _size(item, "offset"),
        expected=item.text("expected"),
        observed=item.text("observed"),
        remedy=item.text("remedy"),
    )


def _part(item: JsonObject) -> Part:
    return Part(
        name=item.text("name"),
        partition=item.text("partition"),
        start=_size(item, "start"),
        end=_size(item, "end"),
        state=_one_of(item.text("state"), STATES),
    )


def _one_of(text: str, known: tuple[str, ...]) -> str:
    if text not in known:
        raise FormatError(f"disk verdict says {text!r}: expected one of {', '.join(known)}")
    return text


def _size(item: JsonObject, name: str) -> int:
    value = item.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise FormatError(f"disk verdict: {name} is {value!r:.60}: expected a number of bytes")
    return value
