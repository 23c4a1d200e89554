# SPDX-License-Identifier: MIT
"""`bootseal evidence show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.options import Json

if TYPE_CHECKING:
    from bootseal.evidence.envelope import Envelope
    from bootseal.evidence.statement import ProvenanceStatement, ReleaseStatement


def show(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A release, with its evidence in DIR/evidence.")
    ],
    *,
    as_json: Json = False,
) -> None:
    """Print what the evidence of a release says. Nothing is verified: see `evidence verify`."""
    from bootseal.errors import UsageError
    from bootseal.evidence import envelope, listing, statement
    from bootseal.files import read_bounded

    found = listing.of(directory).statements
    if listing.RELEASE not in found:
        raise UsageError(
            f"{directory} holds no {listing.envelope(directory, listing.RELEASE).name}",
            hint=f"bootseal evidence make {directory}",
        )
    read = {
        name: envelope.parse(read_bounded(path, limit=envelope.MAX_SIZE), str(path))
        for name, path in found.items()
    }
    if as_json:
        _emit(read)
        return
    whole = read.pop(listing.RELEASE)
    release = statement.parse_release(whole.payload, str(found[listing.RELEASE]))
    _print_release(release, whole)
    for name, each in read.items():
        _print(name, statement.parse_provenance(each.payload, str(found[name])), each)
    console.status("Not verified: bootseal evidence verify {} --key PEM", directory)


def _emit(read: dict[str, Envelope]) -> None:
    from bootseal import documents

    statements = {
        name: {"keyid": each.keyid, "statement": documents.parse(each.payload, name)}
        for name, each in read.items()
    }
    document = {"schema": "bootseal.evidence-list/1", "verified": False, "statements": statements}
    console.emit_json(document)


def _print_release(read: ReleaseStatement, signed: Envelope) -> None:
    about = read.predicate
    console.say("release {} for {}, listed {}", about.name, about.device, about.created)
    console.say("  by key {}", signed.keyid)
    console.table(
        ("file", "bytes", "SHA-256"),
        [(name, about.sizes[name], digest) for name, digest in read.files.items()],
    )


def _print(name: str, read: ProvenanceStatement, signed: Envelope) -> None:
    built, run = read.predicate.buildDefinition, read.predicate.runDetails
    console.say("{}: {}", name, ", ".join(each.name for each in read.subject))
    console.say("  by key {}", signed.keyid)
    console.say("  builder {}, {}", run.builder.id, built.buildType)
    facts = built.internalParameters
    console.say("  rollback index {}, login {}", facts.rollbackIndex, facts.login)
    for role, fingerprint in facts.keys.items():
        console.say("  key {}: {}", role, fingerprint)
    if facts.firmware is not None:
        firmware = facts.firmware
        console.say("  firmware {} below master key {}", firmware.counter, firmware.masterRootKey)
    for slot, each in facts.slots.items():
        console.say("  slot {}: root hash {}", slot, each.rootHash)
        for pcr, value in each.pcrs.items():
            console.say("    PCR {}: {}", pcr, value)
    repositories = [each for each in built.resolvedDependencies if each.uri]
    for each_source in repositories:
        console.say("  from {}", each_source.uri)
    others = len(built.resolvedDependencies) - len(repositories)
    console.say("  and {} other inputs, by digest", others)
