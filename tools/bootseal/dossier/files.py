# SPDX-License-Identifier: MIT
"""The files of a release that say something of it, and whether verified evidence names them."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootseal import documents
from bootseal.boot.scenario import saved
from bootseal.dossier import history
from bootseal.dossier.model import ApprovedList, Bill, Matrix, Package, Source
from bootseal.errors import FormatError
from bootseal.evidence import companions, listing, sbom
from bootseal.files import read_bounded
from bootseal.findings.catalogue import finding
from bootseal.measure import approved as lists

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bootseal.device import Device
    from bootseal.evidence.verify import Verdict
    from bootseal.findings.model import Finding

_TYPES = {"software_Package", "software_File"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A directory, and what was found about its evidence.

    Attributes:
        directory: The release.
        device: Its device.
        evidence: What was found; None where nothing was verified.
    """

    directory: Path
    device: Device
    evidence: Verdict | None

    def read(self, path: str) -> tuple[bytes, Source] | None:
        """Return what a file holds; None where it is not there.

        Raises:
            UsageError: It is of another kind than a file.
            FormatError: It is a link, or has too many bytes.
        """
        place = self.directory / path
        if place.is_symlink():
            raise FormatError(f"{place} is a link: expected a file")
        if not place.exists():
            return None
        data = read_bounded(place, limit=documents.MAX_SIZE)
        digest = hashlib.sha256(data).hexdigest()
        listed = self.evidence.release if self.evidence else None
        named = {} if listed is None else listed.files
        return data, Source(path=path, sha256=digest, listed=named.get(path) == digest)


def approved_list(release: Release, findings: list[Finding]) -> ApprovedList | None:
    """Return the approved list of a release, and say what is wrong with it."""
    try:
        found = release.read(companions.APPROVED)
        if found is None:
            return None
        read = lists.parse(found[0])
    except FormatError as error:
        findings.append(finding("evidence.approved", companions.APPROVED, error.message))
        return None
    findings += companions.of_list(read, release.device)
    fit = release.device.artefacts.get("fit")
    current = tuple(each.name for each in read.releases if fit and each.fit == fit.sha256)
    return ApprovedList(source=found[1], releases=read.releases, current=current)


def matrix(release: Release, before: Release | None, findings: list[Finding]) -> Matrix | None:
    """Return the boot matrix of a release, and say what is wrong with it.

    Args:
        release: The release.
        before: The release before; None without one.
        findings: Where that is noted.

    Raises:
        FormatError: The matrix of the release before is malformed.
    """
    try:
        found = release.read(companions.MATRIX)
        if found is None:
            return None
        result = saved.parse(found[0], companions.MATRIX)
    except FormatError as error:
        findings.append(finding("evidence.matrix", companions.MATRIX, error.message))
        return None
    findings += companions.of_matrix(result, release.device)
    old = None if before is None else before.read(companions.MATRIX)
    return Matrix(
        source=found[1],
        result=result,
        left_out=companions.left_out(result, release.device),
        history=old and history.compare(saved.parse(old[0], "the release before"), result),
        before=old and old[1],
    )


def bills(release: Release, findings: list[Finding]) -> tuple[tuple[Bill, ...], tuple[str, ...]]:
    """Return the bills of materials, and the artefacts that none of them names."""
    read: list[Bill] = []
    named: set[str] = set()
    there = listing.of(release.directory).files
    for path in sorted(each for each in there if each.endswith(sbom.SUFFIX)):
        try:
            found = release.read(path)
            if found is None:
                continue
            data, source = found
            named |= sbom.digests(data, path)
            elements = list(_elements(documents.parse(data, path)))
        except FormatError as error:
            findings.append(finding("evidence.sbom", path, error.message))
            continue
        kinds = Counter(str(each.get("type")) for each in elements)
        packages = tuple(_package(each) for each in elements if each.get("type") in _TYPES)
        read.append(Bill(source=source, kinds=dict(kinds.most_common()), packages=packages))
    unnamed = tuple(sbom.unnamed(release.device, named))
    if read:
        message = "no bill of materials has a file with its SHA-256"
        findings += [finding("evidence.sbom", path, message) for path in unnamed]
    return tuple(read), unnamed


def _elements(document: dict[str, object]) -> Iterator[dict[str, object]]:
    graph = document.get("@graph")
    yield from (
        each for each in (graph if isinstance(graph, list) else []) if isinstance(each, dict)
    )


def _package(element: dict[str, object]) -> Package:
    hashes = element.get("verifiedUsing")
    digests = [
        str(each.get("hashValue"))
        for each in (hashes if isinstance(hashes, list) else [])
        if isinstance(each, dict) and each.get("algorithm") == "sha256"
    ]
    return Package(
        name=str(element.get("name", "")),
        version=str(element.get("software_packageVersion", "")),
        sha256=digests[0] if digests else "",
    )
