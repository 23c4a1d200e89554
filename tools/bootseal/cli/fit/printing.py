# SPDX-License-Identifier: MIT
"""How `bootseal fit` prints verdicts and FITs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from bootseal.cli import console
from bootseal.cli.console import Styled
from bootseal.findings.model import Severity
from bootseal.formats.fit.model import Place
from bootseal.protection import State
from bootseal.units import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bootseal.fit.coverage import Coverage, Part
    from bootseal.fit.diff import FitChange
    from bootseal.fit.prove import FitProof
    from bootseal.fit.verify.verdict import FitVerdict, KeyVerdict
    from bootseal.formats.fit.model import Fit, Image, Signature

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
    for each in verdict.results:
        by = f"by {each.key} ({each.algorithm}) over {len(each.hashed_nodes)} nodes"
        console.say("{}: {} signature {}", each.configuration, _signature_state(each), by)
    if verdict.results:
        console.say("SHA-256 of the public keys (SubjectPublicKeyInfo, DER)")
    for key, fingerprint in dict.fromkeys((r.key, r.fingerprint) for r in verdict.results):
        console.say("{}  {}", fingerprint, key)
    for finding in verdict.findings if everything else verdict.errors:
        colour = "red" if finding.severity is Severity.ERROR else "yellow"
        words = finding.severity, finding.id, finding.where, finding.message
        console.say(f"[{colour}]{{}}[/] {{}} {{}}: {{}}", *words)
    if verdict.errors or everything:
        for note in verdict.notes:
            names = f" ({', '.join(note.identifiers)})" if note.identifiers else ""
            console.say("[cyan]note[/] U-Boot, {}: {}{}", note.releases, note.answer, names)
    for name, accepted in accepts.items():
        answer = Styled("[yellow]boots[/]") if accepted else "refuses"
        console.say("[cyan]note[/] U-Boot with all published fixes {} {}", answer, name)


def print_proof(proof: FitProof) -> None:
    """Print how many changes were refused, and each that was not."""
    refused = len(proof.mutants) - len(proof.accepted)
    console.say("{}/{} changes refused (seed {})", refused, len(proof.mutants), proof.seed)
    for mutant in proof.accepted:
        flips = ", ".join(f"bit {bit} of byte {offset:#x}" for offset, bit in mutant.flips)
        console.say("[red]NOT NOTICED[/] {}: {}", mutant.region, flips)


def _signature_state(result: KeyVerdict) -> Styled:
    if result.good:
        return Styled("[green]good[/]")
    missing = any(finding.id == "fit.no-signature" for finding in result.findings)
    return Styled("[red]MISSING[/]" if missing else "[red]BAD[/]")


def print_fit(fit: Fit) -> None:
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


def print_coverage(coverage: Coverage) -> None:
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


def print_totals(coverage: Coverage) -> None:
    """Print how many bytes are in which state."""
    total = sum(coverage.totals.values())
    parts = [
        f"[{_COLOURS[state]}]{state}[/] {size} ({100 * size / total:.1f} %)"
        for state, size in coverage.totals.items()
    ]
    console.say(f"bytes: {', '.join(parts)}")


def print_changes(changes: Sequence[FitChange]) -> None:
    """Print one line for each difference."""
    for change in changes:
        where = f"{change.path} {change.name}".rstrip()
        if change.before:
            console.say("[red]-[/] {}: {}", where, change.before)
        if change.after:
            console.say("[green]+[/] {}: {}", where, change.after)
    if not changes:
        console.say("no differences")


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
        return ["embedded data, with the SIZE OF EXTERNAL DATA left over"]
    return [f"EXTERNAL DATA by {image.place}"]


def _date(timestamp: int | None) -> str:
    if timestamp is None:
        return "no date"
    try:
        return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return f"timestamp {timestamp}"
