# SPDX-License-Identifier: MIT
"""`bootseal keys`: make, list and show keys; what comes after is in `keys_lifecycle`."""

# Heavy modules are imported inside commands, and typer reads annotations at run time.
# ruff: noqa: TC003

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import keys_impact, keys_lifecycle, ui
from bootseal.cli.keys_options import PinFile, pairs, role, secret_source
from bootseal.events import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bootseal.events import Finding
    from bootseal.keys.directory.directory import KeyDirectory, StoredKey
    from bootseal.keys.directory.inspect import FileKey

app = typer.Typer(no_args_is_help=True, help="Make, rotate, revoke and audit keys.")

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command()
def generate(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where the keys go; created when missing.")
    ],
    *,
    profile: Annotated[
        str, typer.Option(help="Key profile: dev, production or a TOML file.")
    ] = "dev",
    only: Annotated[
        list[str] | None, typer.Option(help="Make only this role; may be repeated.")
    ] = None,
    insecure_file_keys: Annotated[
        bool,
        typer.Option(
            "--insecure-file-keys", help="Write keys that belong in a token to files all the same."
        ),
    ] = False,
    token: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE=SOURCE",
            help="The key of this role lies in a token already: pkcs11:... or awskms:///...",
        ),
    ] = None,
    pin_file: PinFile = None,
    as_json: _Json = False,
) -> None:
    """Make the keys and certificates of a profile; nothing is ever overwritten.

    Keys in tokens are made with the tools of the token; here they get their certificates.
    """
    from bootseal.keys import profile as profiles
    from bootseal.keys.directory import directory as store

    loaded = profiles.load(profiles.find(profile))
    made = store.generate(
        loaded,
        directory,
        only=[role(name) for name in only or []],
        insecure_file_keys=insecure_file_keys,
        tokens={role(name): source for name, source in pairs("--token", token, "ROLE").items()},
        secret=secret_source(pin_file),
        progress=ui.TerminalProgress(),
    )
    _print_directory(made, as_json=as_json)
    if loaded.development:
        ui.status("Development keys: a device that trusts them protects nothing.")
    elif insecure_file_keys:
        ui.status("Unencrypted file keys of a production profile: for rehearsals only.")


@app.command("list")
def list_(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A directory made by `keys generate`.")
    ],
    *,
    as_json: _Json = False,
) -> None:
    """List the keys of a directory."""
    from bootseal.keys.directory import directory as store

    _print_directory(store.list_keys(directory), as_json=as_json)


@app.command()
def show(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A private key, public key or certificate, PEM.")
    ],
    *,
    as_json: _Json = False,
) -> None:
    """Show what a key or certificate file holds, and never its secret."""
    from bootseal.keys.directory import inspect

    key = inspect.show(file)
    if as_json:
        ui.emit_json({"schema": "bootseal.key/1", "file": str(file)} | _file_document(key))
        return
    rows = [
        (label, str(value)) for label, value in _file_document(key).items() if label != "findings"
    ]
    ui.table(
        ("property", "value"),
        [(label, ui.untrusted(value)) for label, value in rows if value != "None"],
    )
    _print_findings(key.findings)


for _command in (
    keys_lifecycle.rotate,
    keys_lifecycle.revoke,
    keys_impact.impact,
    keys_lifecycle.export,
    keys_lifecycle.audit,
):
    app.command()(_command)


def _print_directory(directory: KeyDirectory, *, as_json: bool) -> None:
    if as_json:
        ui.emit_json(
            {
                "schema": "bootseal.key-list/1",
                "profile": directory.profile,
                "development": directory.development,
                "keys": [_document(key) for key in directory.keys],
            }
        )
        return
    ui.table(
        ("role", "name", "state", "algorithm", "not after", "private key"),
        [
            (
                ui.untrusted(key.role),
                ui.untrusted(key.name),
                key.state.value,
                ui.untrusted(key.algorithm.name),
                f"{key.not_after:%Y-%m-%d}",
                _place(key),
            )
            for key in directory.keys
        ],
        title=f"profile {ui.untrusted(directory.profile)}",
    )
    ui.out.print("SHA-256 of the public keys (SubjectPublicKeyInfo, DER)")
    for key in directory.keys:
        ui.out.print(f"{key.public_key.fingerprint()}  {ui.untrusted(key.name)}")
    _print_findings([finding for key in directory.keys for finding in key.findings])


def _place(key: StoredKey) -> str:
    if key.reference:
        return ui.untrusted(key.reference.partition("?")[0])
    return "not here" if key.mode is None else f"file, {key.mode:04o}"


def _print_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        colour = "red" if finding.severity is Severity.ERROR else "yellow"
        text = ui.untrusted(f"{finding.where}: {finding.message}")
        ui.status(f"[{colour}]{finding.severity}[/]: {text}")


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
        "findings": [_finding_document(finding) for finding in key.findings],
    }


def _file_document(key: FileKey) -> dict[str, object]:
    return {
        "kind": key.kind,
        "bits": key.public_key.bits,
        "fingerprint": key.public_key.fingerprint(),
        "subject": key.subject,
        "issuer": key.issuer,
        "authority": key.authority,
        "not_after": key.not_after.isoformat() if key.not_after else None,
        "mode": f"{key.mode:04o}",
        "findings": [_finding_document(finding) for finding in key.findings],
    }


def _finding_document(finding: Finding) -> dict[str, str]:
    return {
        "id": finding.id,
        "severity": finding.severity.value,
        "where": finding.where,
        "message": finding.message,
    }
