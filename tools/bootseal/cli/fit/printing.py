# SPDX-License-Identifier: MIT
"""How `bootseal fit` prints verdicts and FITs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from bootseal.cli import console
from bootseal.findings.model import Severity
from bootseal.formats.fit.model import Place
from bootseal.protection import State
from bootseal.units import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bootseal.fit.coverage import Coverage, Part
    from bootseal.fit.diff import FitChange
    from bootseal.fit.prove import FitProof
    from bootseal.fit.show import FitView, ImageView, SignatureView
    from bootseal.fit.verify.verdict import FitVerdict, KeyVerdict

_COLOURS: Final = {
    State.SIGNED: "green",
    State.HASHED: "yellow",
    State.UNSIGNED: "red",
    State.UNUSED: "dim",
}


def print_verdict(verdict: FitVerdict, accepts: dict[str, bool], *, everything: bool) -> None:
    """Print one row per configuration and required key, what is wrong, and what U-Boot accepts.

    Args:
        verdict: The verdict.
        accepts: Whether a fixed U-Boot boots each configuration; empty when that is not asked.
        everything: Whether to print warnings and notes of an accepted FIT as well.
    """
    rows = [
        (
            console.untrusted(result.configuration),
            console.untrusted(result.key),
            result.algorithm,
            str(len(result.hashed_nodes)),
            _signature_state(result),
        )
        for result in verdict.results
    ]
    if rows:
        console.table(
            ("configuration", "required key", "algorithm", "hashed nodes", "signature"), rows
        )
        console.out.print("SHA-256 of the public keys (SubjectPublicKeyInfo, DER)")
    for key, fingerprint in dict.fromkeys((r.key, r.fingerprint) for r in verdict.results):
        console.out.print(f"{fingerprint}  {console.untrusted(key)}")
    for finding in verdict.findings if everything else verdict.errors:
        colour = "red" if finding.severity is Severity.ERROR else "yellow"
        text = console.untrusted(f"{finding.where}: {finding.message}")
        console.out.print(f"[{colour}]{finding.severity}[/] {finding.id} {text}")

    if verdict.errors or everything:
        for note in verdict.notes:
            names = f" ({', '.join(note.identifiers)})" if note.identifiers else ""
            console.out.print(
                f"[cyan]note[/] U-Boot, {note.releases}: {console.untrusted(note.answer)}{names}"
            )
    for name, accepted in accepts.items():
        answer = "[yellow]boots[/]" if accepted else "refuses"
        console.out.print(
            f"[cyan]note[/] U-Boot with all published fixes {answer} {console.untrusted(name)}"
        )


def print_proof(proof: FitProof) -> None:
    """Print how many changes were refused, and each that was not."""
    refused = len(proof.mutants) - len(proof.accepted)
    console.out.print(f"{refused}/{len(proof.mutants)} changes refused (seed {proof.seed})")
    for mutant in proof.accepted:
        flips = ", ".join(f"bit {bit} of byte {offset:#x}" for offset, bit in mutant.flips)
        console.out.print(f"[red]NOT NOTICED[/] {console.untrusted(mutant.region)}: {flips}")


def _signature_state(result: KeyVerdict) -> str:
    if result.good:
        return "[green]good[/]"
    missing = any(finding.id == "fit.no-signature" for finding in result.findings)
    return "[red]MISSING[/]" if missing else "[red]BAD[/]"


def print_view(view: FitView) -> None:
    """Print images and configurations as an indented tree."""
    size = f"{format_size(view.size)} ({view.size} bytes)"
    console.out.print(
        f"FIT {console.untrusted(repr(view.description))}, {size}, {_date(view.timestamp)}"
    )
    console.out.print("images")
    for image in view.images:
        console.out.print(
            f"  [bold]{console.untrusted(image.name)}[/]: {console.untrusted(_image_line(image))}"
        )
        for found in image.hashes:
            console.out.print(
                f"    {console.untrusted(f'{found.name}: {found.algorithm}')} {found.state}"
            )
            console.out.print(f"      {found.value or 'no value'}")
        _print_signatures(image.signatures)
    console.out.print("configurations")
    for each in view.configurations:
        default = " (default)" if each.default else ""
        parts = "; ".join(f"{kind} {', '.join(names)}" for kind, names in each.images.items())
        console.out.print(
            f"  [bold]{console.untrusted(each.name)}[/]{default}: {console.untrusted(parts)}"
        )
        _print_signatures(each.signatures)


def _print_signatures(signatures: Sequence[SignatureView]) -> None:
    for signature in signatures:
        text = f"{signature.name}: {signature.algorithm} {signature.padding}, key "
        text += f"{signature.hint!r}, {_date(signature.timestamp)}"
        console.out.print(f"    {console.untrusted(text)}: {signature.state.upper()}")


def print_coverage(coverage: Coverage) -> None:
    """Print for every node which of its properties are in which state."""
    console.out.print("coverage")
    grouped: dict[str, dict[State, list[Part]]] = {}
    for part in coverage.parts:
        grouped.setdefault(part.path, {}).setdefault(part.state, []).append(part)
    for path, states in grouped.items():
        console.out.print(f"  [bold]{console.untrusted(path)}[/]")
        for state, parts in states.items():
            names = ", ".join(dict.fromkeys(part.name for part in parts if part.name))
            size = sum(part.size for part in parts)
            text = f": {console.untrusted(names)}" if names else ""
            console.out.print(f"    [{_COLOURS[state]}]{state}[/], {size} bytes{text}")


def print_totals(coverage: Coverage) -> None:
    """Print how many bytes are in which state."""
    total = sum(coverage.totals.values())
    parts = [
        f"[{_COLOURS[state]}]{state}[/] {size} ({100 * size / total:.1f} %)"
        for state, size in coverage.totals.items()
    ]
    console.out.print(f"bytes: {', '.join(parts)}")


def print_changes(changes: Sequence[FitChange]) -> None:
    """Print one line for each difference."""
    for change in changes:
        where = console.untrusted(f"{change.path} {change.name}".rstrip())
        if change.before:
            console.out.print(f"[red]-[/] {where}: {console.untrusted(change.before)}")
        if change.after:
            console.out.print(f"[green]+[/] {where}: {console.untrusted(change.after)}")
    if not changes:
        console.out.print("no differences")


def _image_line(image: ImageView) -> str:
    parts = [p for p in (image.type, image.arch, image.os, image.compression) if p]
    parts.append(f"{format_size(image.size)} at {image.offset:#x}")
    parts += [f"load {image.load:#x}"] if image.load is not None else []
    parts += [f"entry {image.entry:#x}"] if image.entry is not None else []
    return ", ".join([*parts, *_data_words(image)])


def _data_words(image: ImageView) -> list[str]:
    """Return what is to be said about the place of an image's data."""
    if image.place is Place.NOWHERE:
        return ["NO DATA"]
    if not image.external:
        return []
    if image.place is Place.EMBEDDED:
        return ["embedded data, with the SIZE OF EXTERNAL DATA left over"]
    return [f"EXTERNAL DATA by {image.place}"]


def _date(timestamp: int | None) -> str:
    if timestamp is None:
        return "no date"
    try:
        return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return f"timestamp {timestamp}"
