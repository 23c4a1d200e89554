# SPDX-License-Identifier: MIT
"""How `bootseal fit` prints verdicts and FITs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bootseal.cli import ui
from bootseal.events import Severity
from bootseal.units import format_size

if TYPE_CHECKING:
    from bootseal.fit.show import FitView, ImageView
    from bootseal.fit.verify import KeyVerdict, Verdict


def print_verdict(verdict: Verdict) -> None:
    """Print one row per configuration and required key, and all findings."""
    rows = [
        (
            ui.untrusted(result.configuration),
            ui.untrusted(result.key),
            result.algorithm,
            str(len(result.hashed_nodes)),
            _signature_state(result),
        )
        for result in verdict.results
    ]
    if rows:
        ui.table(("configuration", "required key", "algorithm", "hashed nodes", "signature"), rows)
        ui.out.print("SHA-256 of the public keys (SubjectPublicKeyInfo, DER)")
    for key, fingerprint in dict.fromkeys((r.key, r.fingerprint) for r in verdict.results):
        ui.out.print(f"{fingerprint}  {ui.untrusted(key)}")
    for finding in verdict.findings:
        colour = "red" if finding.severity is Severity.ERROR else "yellow"
        text = ui.untrusted(f"{finding.where}: {finding.message}")
        ui.out.print(f"[{colour}]{finding.severity}[/] {finding.id} {text}")


def _signature_state(result: KeyVerdict) -> str:
    if result.good:
        return "[green]good[/]"
    missing = any(finding.id == "fit.no-signature" for finding in result.findings)
    return "[red]MISSING[/]" if missing else "[red]BAD[/]"


def print_view(view: FitView) -> None:
    """Print images and configurations as an indented tree."""
    size = f"{format_size(view.size)} ({view.size} bytes)"
    ui.out.print(f"FIT {ui.untrusted(repr(view.description))}, {size}, {_date(view.timestamp)}")
    ui.out.print("images")
    for image in view.images:
        ui.out.print(f"  [bold]{ui.untrusted(image.name)}[/]: {ui.untrusted(_image_line(image))}")
        for found in image.hashes:
            ui.out.print(f"    {ui.untrusted(f'{found.name}: {found.algorithm}')} {found.state}")
            ui.out.print(f"      {found.value or 'no value'}")
    ui.out.print("configurations")
    for each in view.configurations:
        default = " (default)" if each.default else ""
        parts = "; ".join(f"{kind} {', '.join(names)}" for kind, names in each.images.items())
        ui.out.print(f"  [bold]{ui.untrusted(each.name)}[/]{default}: {ui.untrusted(parts)}")
        for signature in each.signatures:
            text = f"{signature.name}: {signature.algorithm} {signature.padding}, key "
            text += f"{signature.hint!r}, {_date(signature.timestamp)}"
            ui.out.print(f"    {ui.untrusted(text)}: {signature.state.upper()}")


def _image_line(image: ImageView) -> str:
    parts = [p for p in (image.type, image.arch, image.os, image.compression) if p]
    parts.append(f"{format_size(image.size)} at {image.offset:#x}")
    parts += [f"load {image.load:#x}"] if image.load is not None else []
    parts += [f"entry {image.entry:#x}"] if image.entry is not None else []
    parts += ["EXTERNAL DATA"] if image.external else []
    return ", ".join(parts)


def _date(timestamp: int | None) -> str:
    if timestamp is None:
        return "no date"
    try:
        return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return f"timestamp {timestamp}"
