# SPDX-License-Identifier: MIT
"""The device in the bill of materials that OpenEmbedded makes of its image.

OE's has the root file system and the images made of it. What is only in the directory of the
device, and the recipes that it came from, is added here, by the rule of the signing tool:
tools/bootseal/evidence/parts.py.

Spec: SPDX 3.0.1.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bootseal_layer import rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType


def extend(d: Any) -> None:  # noqa: ANN401 - bitbake's data store
    """Add the device to the document that do_create_image_spdx has just written.

    Args:
        d: Variables of the image recipe, in that task.

    Raises:
        OSError: The rule of the signing tool, or a file of the device, is not there.
    """
    import oe.sbom30  # noqa: PLC0415 - there is no OE outside of bitbake
    import oe.spdx30  # noqa: PLC0415 - likewise

    rule = rules.load(d.getVar("BOOTSEAL_SOURCE"), "evidence/parts.py")
    directory = Path(d.getVar("BOOTSEAL_DEVICE"))
    device = json.loads((directory / "device.json").read_bytes())
    name = f"{d.getVar('IMAGE_BASENAME')}-{d.getVar('MACHINE')}-image"
    path = oe.sbom30.jsonld_arch_path(
        d, d.getVar("SSTATE_PKGARCH"), "image", name, deploydir=Path(d.getVar("SPDXIMAGEWORK"))
    )
    objset = oe.sbom30.load_jsonld(d, path, required=True)

    initramfs = f"{d.getVar('BOOTSEAL_INITRAMFS')}-{d.getVar('MACHINE')}-image"
    files = _files(objset, rule, directory, device["artefacts"], _made(d, initramfs))
    build = objset.add_root(objset.new_task_build("bootseal", "bootseal/device"))
    # In this order: what has no other name is compared by what it is.
    outputs = [files[role] for role in sorted(files)]
    scope = oe.spdx30.LifecycleScopeType.build
    kinds = oe.spdx30.RelationshipType
    objset.new_scoped_relationship([build], kinds.hasOutput, scope, outputs)
    _relate(objset, rule, files, _keys(objset, rule, device))
    builds = []
    for pn, roles in _recipes(d, rule).items():
        recipe, _ = oe.sbom30.find_root_obj_in_jsonld(
            d, "static", f"static-{pn}", oe.spdx30.software_Package
        )
        made, _ = oe.sbom30.find_root_obj_in_jsonld(
            d, "builds", f"build-{pn}", oe.spdx30.build_Build
        )
        builds.append(oe.sbom30.get_element_link_id(made))
        source = oe.sbom30.get_element_link_id(recipe)
        results = [files[role] for role in roles if role in files]
        objset.new_scoped_relationship([source], kinds.generates, scope, results)
    objset.new_scoped_relationship([build], kinds.dependsOn, scope, sorted(builds))
    objset.add_aliases()
    oe.sbom30.write_jsonld_doc(d, objset, path)


def _recipes(d: Any, rule: ModuleType) -> dict[str, tuple[str, ...]]:  # noqa: ANN401
    """Return the recipes that compiled parts of the device, each with the roles of these."""
    wanted = {
        "virtual/bootloader": rule.UBOOT,
        "virtual/kernel": rule.KERNEL,
        "trusted-firmware-a": rule.TRUSTED_FIRMWARE,
    }
    tasks = [
        each
        for each in d.getVar("BB_TASKDEPDATA", False).values()  # noqa: FBT003 - bitbake's
        if each.taskname == "do_create_spdx"
    ]
    return {
        each.pn: roles for name, roles in wanted.items() for each in tasks if name in each.provides
    }


def _made(d: Any, document: str) -> dict[str, str]:  # noqa: ANN401
    """Return the ids of the files that another image recipe made, by SHA-256."""
    import oe.sbom30  # noqa: PLC0415 - there is no OE outside of bitbake

    other, _ = oe.sbom30.find_jsonld(d, "image", document, required=True)
    return {
        digest: oe.sbom30.get_element_link_id(element)
        for digest, elements in other.by_sha256_hash.items()
        for element in elements
    }


def _files(
    objset: Any,  # noqa: ANN401 - oe.sbom30.ObjectSet
    rule: ModuleType,
    directory: Path,
    artefacts: Mapping[str, Mapping[str, Any]],
    made: Mapping[str, str],
) -> dict[str, Any]:
    """Add the files of the device, but for those that the initramfs has; return them by role."""
    import oe.spdx30  # noqa: PLC0415 - there is no OE outside of bitbake

    held = {
        role
        for relation in rule.relations(artefacts, ())
        if relation.kind == "contains"
        for role in relation.to
    }
    paths = {role: each["path"] for role, each in artefacts.items()}
    paths[rule.DESCRIPTION] = "device.json"
    purposes = {rule.DESCRIPTION: rule.DESCRIPTION_PURPOSE, **rule.PURPOSES}
    found = {}
    for role, path in paths.items():
        known = made.get(artefacts.get(role, {}).get("sha256", ""))
        if known:
            found[role] = known
            continue
        # The disk and the root are images of OE: these have the names that it gave them.
        purpose = getattr(oe.spdx30.software_SoftwarePurpose, purposes.get(role, "file"))
        spdxid = objset.new_spdxid("bootseal", role)
        found[role] = objset.new_file(spdxid, path, directory / path, purposes=[purpose])
        if role not in held:
            objset.add_root(found[role])
    return found


def _keys(objset: Any, rule: ModuleType, device: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """Add the public keys, each with its fingerprint as digest; return them by role."""
    import oe.spdx30  # noqa: PLC0415 - there is no OE outside of bitbake

    fingerprints = dict(device["keys"])
    if device.get("firmware"):
        fingerprints["mrk"] = device["firmware"]["mrk"]
    return {
        role: objset.add(
            oe.spdx30.software_File(
                _id=objset.new_spdxid("bootseal-key", role),
                creationInfo=objset.doc.creationInfo,
                name=rule.key_name(role),
                software_primaryPurpose=getattr(
                    oe.spdx30.software_SoftwarePurpose, rule.KEY_PURPOSE
                ),
                verifiedUsing=[
                    oe.spdx30.Hash(algorithm=oe.spdx30.HashAlgorithm.sha256, hashValue=fingerprint)
                ],
            )
        )
        for role, fingerprint in fingerprints.items()
    }


def _relate(
    objset: Any,  # noqa: ANN401 - oe.sbom30.ObjectSet
    rule: ModuleType,
    files: Mapping[str, Any],
    keys: Mapping[str, Any],
) -> None:
    """Add what the signing tool's rule says of the files."""
    import oe.spdx30  # noqa: PLC0415 - there is no OE outside of bitbake

    for source, kind, to, comment in rule.relations(files, keys):
        others: Iterable[str] = to
        ends = [(keys if comment else files)[each] for each in others]
        form = getattr(oe.spdx30.RelationshipType, kind)
        for each in objset.new_relationship([files[source]], form, ends):
            if comment:
                each.comment = comment
