# SPDX-License-Identifier: MIT
"""`bootseal fit verify`."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bootseal.cli import console
from bootseal.cli.console import Styled
from bootseal.cli.inputs import opened
from bootseal.cli.options import FitFile, Json, StrictnessOptions
from bootseal.errors import FormatError, VerificationRefused
from bootseal.findings.model import Severity, refuse

if TYPE_CHECKING:
    from bootseal.fit.control_dtb import Trust
    from bootseal.fit.prove import FitProof
    from bootseal.fit.verify.digest import PayloadCache
    from bootseal.fit.verify.strictness import Strictness
    from bootseal.fit.verify.verdict import FitVerdict, KeyVerdict
_log: Final = logging.getLogger(__name__)


def verify(
    fit: FitFile,
    *,
    dtb: Annotated[
        Path, typer.Option(help="U-Boot's control device tree, u-boot.bin, or U-Boot's ELF file.")
    ],
    configuration: Annotated[
        str | None, typer.Option(help="Check the signatures of this configuration only.")
    ] = None,
    strictness: StrictnessOptions,
    everything: Annotated[
        bool, typer.Option("--all", help="Print every finding and note, not only errors.")
    ] = False,
    prove: Annotated[
        bool,
        typer.Option(
            "--prove", help="Change every signed region and check that each change is refused."
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed for the bytes that --prove changes.")] = 0,
    as_json: Json = False,
) -> None:
    """Check a FIT against the keys U-Boot requires, more strictly than U-Boot does.

    Exits with 0 if every configuration is signed by every required key, every image matches its
    hashes and nothing unsigned is left; with 3 if the FIT must not boot, or a change was not
    refused.

    Example: bootseal fit verify fit.itb --dtb u-boot.bin
    """
    from bootseal.fit.boot_loader import check_gate
    from bootseal.fit.control_dtb import read_trust
    from bootseal.fit.verify.digest import PayloadCache
    from bootseal.fit.verify.verdict import check_fit
    from bootseal.formats.kinds.kind import FIT, U_BOOT

    chosen = strictness.chosen()
    with opened(dtb, U_BOOT) as control:
        trust = read_trust(control)
        names = ", ".join(f"{key.hint} ({key.required})" for key in trust.keys)
        _log.info("%s: keys %s", dtb, names or "none")
        warnings = check_gate(control)
    with opened(fit, FIT, writable=prove) as data:
        cache = PayloadCache()
        try:
            model = chosen.parse(data)
        except FormatError as error:
            raise FormatError(error.message, hint=_uboot_hint(error, data, trust)) from error
        verdict = check_fit(model, trust, configuration, strictness=chosen, cache=cache)
        verdict = dataclasses.replace(verdict, findings=verdict.findings + warnings)
        accepts = _uboot(data, trust, chosen, cache) if chosen.strict and verdict.errors else {}
        proof = _prove(data, trust, configuration, chosen, seed) if prove else None
    for finding in warnings:
        console.status("WARNING: {}: {}", dtb, finding.message)
    for finding in verdict.findings:
        if finding.severity is Severity.WARNING and finding not in warnings:
            text = f"WARNING: {fit}: {finding.where}: {finding.message}"
            console.status("{}", text)
    if as_json:
        console.emit_json(_document(verdict, accepts, proof))
    else:
        _print_verdict(verdict, accepts, everything=everything)
        if proof is not None:
            _print_proof(proof)
    refuse(verdict.errors, f"{fit} is refused")
    _refuse_unnoticed(fit, proof)
    console.status("OK: {} is verified ({} policy)", fit, chosen.name)


def _refuse_unnoticed(fit: Path, proof: FitProof | None) -> None:
    if proof is not None and proof.accepted:
        first = proof.accepted[0]
        raise VerificationRefused(
            f"{fit}: {len(proof.accepted)} of {len(proof.mutants)} changes were not refused: "
            f"first {first.region} at {first.flips}"
        )


def _document(
    verdict: FitVerdict, accepts: dict[str, bool], proof: FitProof | None
) -> dict[str, object]:
    document: dict[str, object] = {
        "schema": "bootseal.fit-verdict/2",
        "accepted": not verdict.errors and not (proof and proof.accepted),
    }
    document |= dataclasses.asdict(verdict)
    if verdict.errors:
        document["fixed_uboot_accepts"] = accepts
    if proof is not None:
        refused = len(proof.mutants) - len(proof.accepted)
        document["proof"] = dataclasses.asdict(proof) | {"refused": refused}
    return document


def _prove(
    data: memoryview, trust: Trust, configuration: str | None, strictness: Strictness, seed: int
) -> FitProof | None:
    from bootseal.fit.prove import prove

    try:
        with console.TerminalProgress().step("Change every signed region"):
            return prove(data, trust, configuration, strictness=strictness, seed=seed)
    except VerificationRefused:
        return None


def _uboot(
    data: memoryview, trust: Trust, strictness: Strictness, cache: PayloadCache
) -> dict[str, bool]:
    """Say which configurations that are refused a U-Boot with all published fixes boots."""
    from bootseal.fit.verify.strictness import COMPAT
    from bootseal.fit.verify.verdict import uboot_accepts

    lax = COMPAT._replace(max_size=strictness.max_size)
    return uboot_accepts(data, trust, strictness=lax, cache=cache)


def _uboot_hint(error: FormatError, data: memoryview, trust: Trust) -> str:
    """Return the hint for a malformed FIT, which a U-Boot may boot all the same."""
    from bootseal.fit.verify.verdict import uboot_accepts

    try:
        accepts = uboot_accepts(data, trust)
    except FormatError:
        return error.hint
    names = ", ".join(name for name, accepted in accepts.items() if accepted)
    return f"U-Boot would still boot {names}: see --compat" if names else error.hint


def _print_verdict(verdict: FitVerdict, accepts: dict[str, bool], *, everything: bool) -> None:
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


def _print_proof(proof: FitProof) -> None:
    """Print how many changes were refused, and each that was not."""
    refused = len(proof.mutants) - len(proof.accepted)
    console.say("{}/{} changes refused (seed {})", refused, len(proof.mutants), proof.seed)
    for mutant in proof.accepted:
        flips = ", ".join(f"bit {bit} of byte {offset:#x}" for offset, bit in mutant.flips)
        console.say("[red]NOT REFUSED[/] {}: {}", mutant.region, flips)


def _signature_state(result: KeyVerdict) -> Styled:
    if result.good:
        return Styled("[green]good[/]")
    missing = any(finding.id == "fit.no-signature" for finding in result.findings)
    return Styled("[red]MISSING[/]" if missing else "[red]BAD[/]")
