# SPDX-License-Identifier: MIT
"""Makes the evidence of a release: a statement for each kind of artefact, and the list of all."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import bootseal
from bootseal import device as devices
from bootseal.errors import UsageError, VerificationRefused
from bootseal.evidence import bundles, envelope, facts, listing, sources, statement, verify
from bootseal.evidence.statement import (
    SHA256,
    BuildDefinition,
    Builder,
    Metadata,
    Parameters,
    Provenance,
    ProvenanceStatement,
    Release,
    ReleaseStatement,
    Resource,
    RunDetails,
)
from bootseal.files import write_file
from bootseal.findings.model import refuse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bootseal.device import Device
    from bootseal.evidence.sources import Sources
    from bootseal.keys.signers.base import Signer

_LONGEST: Final = 1024
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
"""RFC 3986: a scheme, and characters that a URI may have, others than these being escaped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What evidence is asked for.

    Attributes:
        directory: The built device, and what else goes with the release.
        release: Its name.
        builder: SLSA's builder.id, a URI: the platform that built it, and its boundary of trust.
        invocation: What that platform calls the run; empty when it says nothing.
        sources: Where the build came from.
        created: When the list is made, seconds since 1970.
    """

    directory: Path
    release: str
    builder: str
    invocation: str
    sources: Sources
    created: int


def payloads(request: Request) -> dict[str, bytes]:
    """Return the statements of a release by name, the list last; nothing is signed or written.

    Raises:
        UsageError: The directory holds no built device, or something that is not a file, or a name
            is not one.
        FormatError: `device.json` or an artefact is malformed.
        VerificationRefused: A file is not the one that `device.json` names, or a bundle brings
            another release.
    """
    _check(request)
    device = devices.load(request.directory)
    found = listing.of(request.directory)
    if found.others:
        path, kind = next(iter(found.others.items()))
        raise UsageError(
            f"{request.directory / path} is {kind}: a release has files alone",
            hint=f"remove it, or copy the release to a directory of its own without {path}",
        )
    digests = {name: devices.digest_file(request.directory / name) for name in found.files}
    _compare(device, request.directory, digests)
    made = {
        name: statement.emit(_provenance(device, request, {path: digests[path] for path in paths}))
        for name, paths in verify.subjects(device, digests).items()
    }
    for path in verify.bundle_files(digests):
        bundles.refuse_other(request.directory, request.directory / path)
    return made | {listing.RELEASE: _release(device, request, digests, found.files, made)}


def request_all(made: Mapping[str, bytes], signer: Signer) -> None:
    """Show a signer every digest that `write` would have signed.

    Raises:
        UsageError: The key is not one for envelopes.
    """
    for payload in made.values():
        envelope.request(payload, signer)


def write(request: Request, made: Mapping[str, bytes], signer: Signer) -> None:
    """Sign the statements and write them, replacing existing ones.

    The whole evidence is verified afterwards, as anyone else would do it.

    Args:
        request: What was asked for.
        made: What `payloads` returned.
        signer: The key with the role `attestation`.

    Raises:
        UsageError: The key is not one for envelopes, or there is something else in the place.
        ToolError: A token or service failed.
        VerificationRefused: What was written does not verify.
    """
    signed = {name: envelope.sign(payload, signer) for name, payload in made.items()}
    directory = request.directory
    (directory / listing.FOLDER).mkdir(exist_ok=True)
    # Without its list nothing of an older release is taken for evidence.
    listing.envelope(directory, listing.RELEASE).unlink(missing_ok=True)
    for name, path in listing.of(directory).statements.items():
        if name not in signed:
            path.unlink()
    for name, data in signed.items():
        write_file(listing.envelope(directory, name), data)
    wanted = verify.Wanted(key=signer.public_key, release=request.release)
    refuse(verify.verify(directory, wanted).findings, f"the evidence of {directory}")


def _check(request: Request) -> None:
    if not statement.NAME.fullmatch(request.release):
        raise UsageError(
            f"the release is called {request.release[:80]!r}: expected 1 to 64 letters, digits, "
            "dots, underscores, plus signs and hyphens"
        )
    for option, text in (("--builder", request.builder), ("--invocation", request.invocation)):
        if len(text) > _LONGEST or not text.isprintable():
            raise UsageError(f"{option} is not a text of at most {_LONGEST} characters")
    if not _URI.fullmatch(request.builder):
        raise UsageError(
            f"--builder is {request.builder!r}: expected a URI of the platform that built it, such "
            "as https://ci.example.com/release"
        )


def _compare(device: Device, directory: Path, digests: Mapping[str, str]) -> None:
    for role, artefact in device.artefacts.items():
        path = directory / artefact.path
        if artefact.path not in digests:
            raise UsageError(f"{path} is missing, which {devices.FILE_NAME} lists as {role}")
        if digests[artefact.path] != artefact.sha256:
            raise VerificationRefused(
                f"{path} is not the {role} that {devices.FILE_NAME} lists: it has SHA-256 "
                f"{digests[artefact.path]}, expected {artefact.sha256}",
                hint="build the device again",
            )


def _provenance(device: Device, request: Request, files: Mapping[str, str]) -> ProvenanceStatement:
    known = request.sources
    return ProvenanceStatement(
        subject=_resources(files),
        predicate=Provenance(
            buildDefinition=BuildDefinition(
                buildType=known.build_type,
                externalParameters=Parameters(
                    device=device.name,
                    profile=device.profile,
                    release=request.release,
                    configuration=known.configuration,
                    targets=known.targets,
                ),
                internalParameters=facts.of_device(device, request.directory),
                resolvedDependencies=(*known.repositories, *sources.of_inputs(device)),
            ),
            runDetails=RunDetails(
                builder=Builder(id=request.builder, version=_tool()),
                metadata=Metadata(invocationId=request.invocation) if request.invocation else None,
            ),
        ),
    )


def _release(
    device: Device,
    request: Request,
    digests: Mapping[str, str],
    sizes: Mapping[str, int],
    made: Mapping[str, bytes],
) -> bytes:
    created = datetime.fromtimestamp(request.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return statement.emit(
        ReleaseStatement(
            subject=_resources(digests),
            predicate=Release(
                created=created,
                device=device.name,
                name=request.release,
                sizes=dict(sizes),
                statements={n: hashlib.sha256(each).hexdigest() for n, each in made.items()},
                tool=_tool(),
            ),
        )
    )


def _resources(digests: Mapping[str, str]) -> tuple[Resource, ...]:
    return tuple(Resource(name=name, digest={SHA256: digests[name]}) for name in sorted(digests))


def _tool() -> dict[str, str]:
    return {"bootseal": bootseal.__version__}
