# SPDX-License-Identifier: MIT
"""`bootseal fit show`."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bootseal.cli import console
from bootseal.cli.inputs import opened
from bootseal.cli.options import FitFile, Json
from bootseal.formats.fit.model import Place
from bootseal.protection import State
from bootseal.units import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bootseal.fit.coverage import Coverage, Part
    from bootseal.formats.fit.model import Fit, Image, Signature

_COLOURS: Final = {
    State.SIGNED: "green",
    State.HASHED: "yellow",
    State.UNSIGNED: "red",
    State.UNUSED: "dim",
}


def show(
    fit: FitFile,
    *,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Show for every node what is signed and what is not.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the contents of a FIT, without verifying it.

    Hashes are compared with the data; signatures are not checked (see `bootseal fit verify`).
    Coverage is what the signatures protect if they are valid.

    Example: bootseal fit show fit.itb --coverage
    """
    from bootseal.fit.coverage import coverage as map_of
    from bootseal.fit.show import document
    from bootseal.formats.fit.model import parse
    from bootseal.formats.kinds.kind import FIT

    with opened(fit, FIT) as data:
        model = parse(data, lenient=True)
        covered = map_of(model)
    if as_json:
        shown = {"schema": "bootseal.fit/1"} | document(model)
        console.emit_json(shown | {"coverage": dataclasses.asdict(covered)})
        return
    _print_fit(model)
    if coverage:
        _print_coverage(covered)
    _print_totals(covered)


def _print_fit(fit: Fit) -> None:
    """Print images and configurations as an indented tree."""
    from bootseal.fit.show import hash_state, name_of

    bytes_ = fit.flat.header.total_size
    size = f"{format_size(bytes_)} ({bytes_} bytes)"
    console.say("FIT {!r}, {}, {}", fit.description, size, _date(fit.timestamp))
    console.say("images")
    for image in fit.images:
        console.say("  [bold]{}[/]: {}", image.name, _image_line(image))
        for found in image.hashes:
            state = hash_state(found, image)
            console.say("    {}: {} {}", name_of(found), found.algorithm, state)
            console.say("      {}", found.value.hex() or "no value")
        _print_signatures(image.signatures)
    console.say("configurations")
    for each in fit.configurations:
        default = " (default)" if each.name == fit.default else ""
        parts = "; ".join(f"{kind} {', '.join(names)}" for kind, names in each.references.items())
        console.say("  [bold]{}[/]{}: {}", each.name, default, parts)
        _print_signatures(each.signatures)


def _print_signatures(signatures: Sequence[Signature]) -> None:
    from bootseal.fit.show import name_of, signature_state

    for signature in signatures:
        text = f"{name_of(signature)}: {signature.algorithm} {signature.padding}, key "
        text += f"{signature.hint!r}, {_date(signature.timestamp)}"
        console.say("    {}: {}", text, signature_state(signature).upper())


def _print_coverage(coverage: Coverage) -> None:
    """Print for every node which of its properties are in which state."""
    console.say("coverage")
    grouped: dict[str, dict[State, list[Part]]] = {}
    for part in coverage.parts:
        grouped.setdefault(part.path, {}).setdefault(part.state, []).append(part)
    for path, states in grouped.items():
        console.say("  [bold]{}[/]", path)
        for state, parts in states.items():
            names = ", ".join(dict.fromkeys(part.name for part in parts if part.name))
            size = sum(part.size for part in parts)
            text = f": {names}" if names else ""
            console.say(f"    [{_COLOURS[state]}]{{}}[/], {{}} bytes{{}}", state, size, text)


def _print_totals(coverage: Coverage) -> None:
    """Print how many bytes are in which state."""
    total = sum(coverage.totals.values())
    parts = [
        f"[{_COLOURS[state]}]{state}[/] {size} ({100 * size / total:.1f} %)"
        for state, size in coverage.totals.items()
    ]
    console.say(f"bytes: {', '.join(parts)}")


def _image_line(image: Image) -> str:
    parts = [p for p in (image.type, image.arch, image.os, image.compression) if p]
    parts.append(f"{format_size(len(image.payload))} at {image.offset:#x}")
    parts += [f"load {image.load:#x}"] if image.load is not None else []
    parts += [f"entry {image.entry:#x}"] if image.entry is not None else []
    return ", ".join([*parts, *_data_words(image)])


def _data_words(image: Image) -> list[str]:
    """Return what is to be said about the place of an image's data."""
    if image.place is Place.NOWHERE:
        return ["NO DATA"]
    if not image.external:
        return []
    if image.place is Place.EMBEDDED:
        return ["embedded data, with a LEFTOVER SIZE OF EXTERNAL DATA"]
    return [f"EXTERNAL DATA by {image.place}"]


def _date(timestamp: int | None) -> str:
    if timestamp is None:
        return "no date"
    try:
        return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return f"timestamp {timestamp}"
