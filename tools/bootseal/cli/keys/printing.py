# SPDX-License-Identifier: MIT
"""How key directories and what was found about keys look on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bootseal.cli import console
from bootseal.findings.model import Finding, Severity

if TYPE_CHECKING:
    from bootseal.keys.directory.directory import KeyDirectory, StoredKey


def print_directory(directory: KeyDirectory, *, as_json: bool) -> None:
    """Print the keys of a directory, as a table or as one document."""
    if as_json:
        console.emit_json(
            {
                "schema": "bootseal.key-list/1",
                "profile": directory.profile,
                "development": directory.development,
                "keys": [_document(key) for key in directory.keys],
            }
        )
        return
    console.table(
        ("role", "name", "state", "algorithm", "not after", "private key"),
        [
            (k.role, k.name, k.state, k.algorithm.name, f"{k.not_after:%Y-%m-%d}", _place(k))
            for k in directory.keys
        ],
        title=f"profile {directory.profile}",
    )
    console.say("SHA-256 of the public keys (SubjectPublicKeyInfo, DER)")
    for key in directory.keys:
        console.say("{}  {}", key.public_key.fingerprint(), key.name)
    print_findings([finding for key in directory.keys for finding in key.findings])


def _place(key: StoredKey) -> str:
    if key.reference:
        return key.reference.partition("?")[0]
    return "not here" if key.mode is None else f"file, {key.mode:04o}"


def print_findings(findings: Sequence[Finding]) -> None:
    """Print findings, one a line."""
    for finding in findings:
        colour = "red" if finding.severity is Severity.ERROR else "yellow"
        words = finding.severity, finding.where, finding.message
        console.status(f"[{colour}]{{}}[/]: {{}}: {{}}", *words)


def _document(key: StoredKey) -> dict[str, object]:
    return {
        "role": key.role.value,
        "name": key.name,
        "algorithm": key.algorithm.name,
        "fingerprint": key.public_key.fingerprint(),
        "not_after": key.not_after.isoformat(),
        "state": key.state.value,
        "since": key.since,
        "private": key.mode is not None,
        "reference": key.reference,
        "mode": None if key.mode is None else f"{key.mode:04o}",
        "findings": [finding_document(finding) for finding in key.findings],
    }


def finding_document(finding: Finding) -> dict[str, str]:
    """Return what a document says of a finding."""
    return {
        "id": finding.id,
        "severity": finding.severity.value,
        "where": finding.where,
        "message": finding.message,
    }
