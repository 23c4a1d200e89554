# SPDX-License-Identifier: MIT
"""The bill of materials of a built device, and whether bills name every artefact.

It says what `device.json` says: inputs, artefacts, what is inside of what, whose key signed, and
which vulnerabilities a patch among the inputs fixes. What the device starts from has the names
that databases of vulnerabilities have it under. Licences are left open.

Spec: SPDX 3.0.1, JSON-LD serialisation; package-url, type deb.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import bootseal
from bootseal import device as devices
from bootseal import documents
from bootseal.errors import FormatError
from bootseal.evidence import parts, products

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bootseal.device import Artefact, Device, Input

FILE_NAME: Final = "sbom.spdx.json"
SUFFIX: Final = ".spdx.json"
"""Of every bill of materials, those of OE too."""

MAX_SIZE: Final = documents.MAX_SIZE
"""Bytes that one may have."""

CONTEXT: Final = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
_VERSION: Final = "3.0.1"
_CREATION: Final = "_:creation"
_LATEST: Final = 253_402_300_800
"""Seconds from 1970 to the year 10000, which no date is written with."""
_BUILD_TYPE: Final = "urn:bootseal:device:1"

_CVE: Final = re.compile(r"CVE-[0-9]{4}-[0-9]{4,19}")
_PATCHED: Final = {"trusted-firmware-a": ("rom", "bl2"), "u-boot": ("bios",)}
"""Roles of what is compiled with the patches of a recipe, by its directory."""


def of_device(device: Device, digest: str) -> bytes:
    """Return the bill of materials of a device; the same device gives the same bytes.

    Args:
        device: Its description.
        digest: SHA-256 of the file that it was read from, lower-case hex.

    Raises:
        FormatError: The time of its build is not one.
    """
    if not 0 <= device.epoch < _LATEST:
        raise FormatError(
            f"{devices.FILE_NAME} gives epoch {device.epoch}: expected seconds since 1970"
        )
    graph = _Graph(f"urn:bootseal:device:{digest}")
    agent = graph.agent(device.epoch)
    inputs = [graph.input(each) for each in device.inputs]
    artefacts = {role: graph.artefact(role, each) for role, each in device.artefacts.items()}
    keys = {role: graph.key(role, each) for role, each in _keys(device).items()}
    described = graph.description(digest)
    graph.build(inputs, artefacts.values())
    for source, kind, to, comment in parts.relations(artefacts, keys):
        ids = [(keys if comment else artefacts)[each] for each in to]
        graph.relation(artefacts.get(source, described), kind, ids, comment)
    components = _components(graph, device, inputs, artefacts)
    _fixed(graph, device, inputs, artefacts, components)
    graph.document(device.name, [artefacts["disk"]] if "disk" in artefacts else [agent])
    return documents.dump({"@context": CONTEXT, "@graph": graph.elements})


def fixes(name: str) -> list[str]:
    """Return the vulnerabilities that an input fixes: a patch with their CVE ids in its name.

    >>> fixes("tf-a/0001-check-bounds-CVE-2026-34878.patch")
    ['CVE-2026-34878']
    """
    return _CVE.findall(name) if name.endswith(".patch") else []


def digests(data: bytes, what: str) -> set[str]:
    """Return the SHA-256 of every file and package that a bill of materials names.

    Args:
        data: A document of SPDX 3 in JSON-LD form.
        what: What it is, for messages.

    Raises:
        FormatError: It is not JSON, or not such a document.
    """
    graph = documents.parse(data, what).get("@graph")
    if not isinstance(graph, list):
        raise FormatError(f"{what} has no '@graph': expected SPDX 3 in JSON-LD form")
    found: set[str] = set()
    for element in graph:
        hashes = element.get("verifiedUsing") if isinstance(element, dict) else None
        for each in hashes if isinstance(hashes, list) else []:
            if isinstance(each, dict) and each.get("algorithm") == "sha256":
                found.add(str(each.get("hashValue")))
    return found


def unnamed(device: Device, named: set[str]) -> list[str]:
    """Return the paths of artefacts that bills of materials do not name.

    Args:
        device: The device.
        named: What `digests` returned of them all.
    """
    return sorted(each.path for each in device.artefacts.values() if each.sha256 not in named)


def _components(
    graph: _Graph, device: Device, inputs: Iterable[str], artefacts: Mapping[str, str]
) -> dict[str, str]:
    """Add what was compiled from source packages, and what became of it and of the kernel's.

    Returns:
        Ids, by the directory of the recipe whose patches it is compiled with.
    """
    # A source package has several files, and becomes one component.
    sources = {each.name: each for each in device.inputs if each.purl}
    found: dict[str, str] = {}
    for name, component in products.COMPONENTS.items():
        if name in sources:
            version = products.source_version(sources[name])
            names = products.cpes(component.products, version)
            made = graph.component(sources[name], version, names)
            graph.generated(made, [artefacts[r] for r in component.roles if r in artefacts])
            found[component.recipe] = made
    for each, package in zip(device.inputs, inputs, strict=True):
        if products.is_kernel(each):
            graph.generated(package, [artefacts[r] for r in parts.KERNEL if r in artefacts])
    return found


def _fixed(
    graph: _Graph,
    device: Device,
    inputs: Iterable[str],
    artefacts: Mapping[str, str],
    components: Mapping[str, str],
) -> None:
    """Add what the patches among the inputs fix."""
    for each, patch in zip(device.inputs, inputs, strict=True):
        for name in fixes(each.name):
            recipe = next((part for part in each.name.split("/") if part in _PATCHED), "")
            built = [artefacts[role] for role in _PATCHED.get(recipe, ()) if role in artefacts]
            if built:
                graph.fix(name, patch, built, components.get(recipe, ""))


def _keys(device: Device) -> dict[str, str]:
    if device.firmware is None:
        return device.keys
    return device.keys | {"mrk": device.firmware.mrk}


class _Graph:
    """The elements of a document.

    Args:
        base: What the ids of elements begin with.
    """

    def __init__(self, base: str) -> None:
        self._base = base
        self._relations = 0
        self._known: set[str] = set()
        self.elements: list[dict[str, object]] = []

    def agent(self, epoch: int) -> str:
        """Add who made the document, and when: the time of the build."""
        name = f"{self._base}#agent"
        try:
            created = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        except (ValueError, OverflowError, OSError) as error:
            raise FormatError(
                f"{devices.FILE_NAME} has epoch {epoch}: expected seconds since 1970"
            ) from error
        self.elements.append(
            {
                "type": "CreationInfo",
                "@id": _CREATION,
                "specVersion": _VERSION,
                "created": created,
                "createdBy": [name],
            }
        )
        return self._add("agent", "SoftwareAgent", name=f"bootseal {bootseal.__version__}")

    def input(self, each: Input) -> str:
        """Add something that a device was built from: a package, an archive or a file."""
        if not each.purl:
            purpose = "patch" if each.name.endswith(".patch") else "source"
            return self._file(f"input-{each.sha256}", each.name, each.sha256, purpose)
        return self._add(
            f"package-{each.sha256}",
            "software_Package",
            name=each.name,
            software_packageVersion=each.version,
            software_packageUrl=each.purl,
            software_primaryPurpose="source" if "arch=source" in each.purl else "install",
            verifiedUsing=_hashes(each.sha256),
            **_cpes(products.identifiers(each)),
        )

    def component(self, source: Input, version: str, cpes: list[str]) -> str:
        """Add how a source package is compiled, as OE has a recipe; scanners look at no source."""
        return self._add(
            f"component-{source.name}",
            "software_Package",
            name=source.name,
            software_packageVersion=version,
            software_packageUrl=source.purl,
            software_primaryPurpose="specification",
            **_cpes(cpes),
        )

    def generated(self, source: str, artefacts: list[str]) -> None:
        """Add which files a package became."""
        if artefacts:
            form = "LifecycleScopedRelationship"
            self._relation(form, source, "generates", artefacts, scope="build")

    def artefact(self, role: str, each: Artefact) -> str:
        """Add a file of the device."""
        return self._file(
            f"artefact-{role}", each.path, each.sha256, parts.PURPOSES.get(role, "file")
        )

    def key(self, role: str, fingerprint: str) -> str:
        """Add a public key; its fingerprint is the digest of its DER form."""
        return self._file(f"key-{role}", parts.key_name(role), fingerprint, parts.KEY_PURPOSE)

    def description(self, sha256: str) -> str:
        """Add the description of the device."""
        purpose = parts.DESCRIPTION_PURPOSE
        return self._file(parts.DESCRIPTION, devices.FILE_NAME, sha256, purpose)

    def build(self, inputs: Iterable[str], outputs: Iterable[str]) -> None:
        """Add the build, what went into it and what came out."""
        name = self._add("build", "build_Build", build_buildType=_BUILD_TYPE)
        for kind, others in (("hasInput", inputs), ("hasOutput", outputs)):
            if found := list(dict.fromkeys(others)):
                self._relation("LifecycleScopedRelationship", name, kind, found, scope="build")

    def relation(self, source: str, kind: str, to: list[str], comment: str = "") -> None:
        """Add a relationship."""
        more = {"comment": comment} if comment else {}
        self._relation("Relationship", source, kind, to, **more)

    def fix(self, name: str, patch: str, built: list[str], component: str) -> None:
        """Add that what was built with a patch is without a vulnerability (VEX, `fixed`).

        Args:
            name: Of the vulnerability.
            patch: Id of the patch.
            built: Ids of the files.
            component: Id of what they are made from; "" if unknown.
        """
        vulnerability = self._add(
            f"vulnerability-{name}",
            "security_Vulnerability",
            name=name,
            externalIdentifier=[_identifier("cve", name)],
        )
        form = "security_VexFixedVulnAssessmentRelationship"
        if component:
            self.relation(component, "hasAssociatedVulnerability", [vulnerability])
            built = [component, *built]
        fixed = self._relation(form, vulnerability, "fixedIn", built)
        self._relation("Relationship", fixed, "patchedBy", [patch])

    def document(self, name: str, roots: list[str]) -> None:
        """Add the bill itself, and the document that holds all elements."""
        members = [str(each["spdxId"]) for each in self.elements if "spdxId" in each]
        bill = self._add(
            "sbom",
            "software_Sbom",
            name=name,
            rootElement=roots,
            element=members,
            software_sbomType=["build"],
        )
        self._add(
            "document",
            "SpdxDocument",
            name=name,
            rootElement=[bill],
            element=[*members, bill],
            profileConformance=["core", "software", "build", "security"],
        )

    def _relation(self, form: str, source: str, kind: str, to: list[str], /, **more: object) -> str:
        self._relations += 1
        values = {"from": source, "relationshipType": kind, "to": to, **more}
        return self._add(f"relationship-{self._relations}", form, **values)

    def _file(self, name: str, label: str, sha256: str, purpose: str) -> str:
        return self._add(
            name,
            "software_File",
            name=label,
            software_primaryPurpose=purpose,
            verifiedUsing=_hashes(sha256),
        )

    def _add(self, fragment: str, form: str, /, **members: object) -> str:
        identifier = f"{self._base}#{fragment}"
        if identifier not in self._known:
            self._known.add(identifier)
            head = {"type": form, "spdxId": identifier, "creationInfo": _CREATION}
            self.elements.append(head | members)
        return identifier


def _hashes(sha256: str) -> list[Mapping[str, str]]:
    return [{"type": "Hash", "algorithm": "sha256", "hashValue": sha256}]


def _cpes(names: list[str]) -> dict[str, object]:
    # The schema has no empty lists.
    return {"externalIdentifier": [_identifier("cpe23", each) for each in names]} if names else {}


def _identifier(kind: str, value: str) -> Mapping[str, str]:
    return {
        "type": "ExternalIdentifier",
        "externalIdentifierType": kind,
        "identifier": value,
    }
