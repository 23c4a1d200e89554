# SPDX-License-Identifier: MIT
"""Make the bill of materials of an image by the functions of OE and the layer, without bitbake.

oe_documents.py OE LAYER DEVICE SCRATCH with|without: the image is that of a device directory, with
or without what the layer adds. Recipes have an element each, and nothing that they are made of.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

oe_sources, layer, device, scratch = (Path(each) for each in sys.argv[1:5])
extended = sys.argv[5] == "with"
core = oe_sources / "openembedded-core/meta"
sys.path[:0] = [str(oe_sources / "bitbake/lib"), str(core / "lib"), str(layer / "lib")]

import bb.data  # noqa: E402 - found by the path above
import oe.sbom30  # noqa: E402 - likewise
import oe.spdx30  # noqa: E402 - likewise
import oe.spdx30_tasks  # noqa: E402 - likewise
from bootseal_layer import sbom  # noqa: E402 - likewise

RECIPES = {
    "u-boot": ["u-boot", "virtual/bootloader"],
    "linux-reference": ["linux-reference", "virtual/kernel"],
    "trusted-firmware-a": ["trusted-firmware-a"],
}
MACHINE = "qemuarm64"
DEPLOYED = scratch / "spdx"


def variables(pn: str, task: str) -> Any:  # noqa: ANN401 - bitbake's data store
    """Return what the classes of OE set by default, for a task of a recipe."""
    d = bb.data.init()
    authors = "SPDX_AUTHORS"
    for name, value in {
        "PN": pn,
        "BB_UNIHASH": f"{sum(pn.encode()):064x}",
        "BB_CURRENTTASK": task,
        "DEPLOY_DIR_SPDX": str(DEPLOYED),
        "SSTATE_PKGARCH": MACHINE,
        "SPDX_MULTILIB_SSTATE_ARCHS": f"allarch {MACHINE}",
        "SPDX_NAMESPACE_PREFIX": "http://spdx.org/spdxdocs",
        "SPDX_UUID_NAMESPACE": "sbom.openembedded.org",
        "SPDX_TOOL_NAME": "oe-spdx-creator",
        "SPDX_TOOL_VERSION": "1.0",
        "SPDX_VERSION": "3.0.1",
        authors: "openembedded",
        f"{authors}_openembedded_name": "OpenEmbedded",
        f"{authors}_openembedded_type": "organization",
        "SPDX_PROFILES": "core build software simpleLicensing security",
        "SPDX_LICENSES": str(core / "files/spdx-licenses.json"),
        "SPDX_IMAGE_PURPOSE": "filesystemImage",
        "SOURCE_DATE_EPOCH": "1767225600",
        "MACHINE": MACHINE,
        "IMAGE_BASENAME": pn,
        "IMAGE_NAME": pn,
        "IMAGE_LINK_NAME": "",
        "IMGDEPLOYDIR": str(scratch / pn),
        "IMAGE_OUTPUT_MANIFEST": str(scratch / f"{pn}.json"),
        "SPDXIMAGEWORK": str(scratch / f"{pn}-work"),
        "SPDXIMAGEDEPLOYDIR": str(scratch / f"{pn}-bill"),
        "BOOTSEAL_SOURCE": str(layer.parent),
        "BOOTSEAL_INITRAMFS": "bootseal-initramfs",
        "BOOTSEAL_DEVICE": str(device),
    }.items():
        d.setVar(name, value)
    return d


def package(objset: Any, kind: str, name: str, purpose: str) -> Any:  # noqa: ANN401 - of OE
    """Return a package, new in a document."""
    return oe.spdx30.software_Package(
        _id=objset.new_spdxid(kind, name),
        creationInfo=objset.doc.creationInfo,
        name=name,
        software_primaryPurpose=getattr(oe.spdx30.software_SoftwarePurpose, purpose),
    )


def recipe(pn: str) -> None:
    """Write the two documents of a recipe."""
    d = variables(pn, "create_spdx")
    objset = oe.sbom30.ObjectSet.new_objset(d, f"static-{pn}")
    objset.add_root(package(objset, "recipe", pn, "specification"))
    oe.sbom30.write_recipe_jsonld_doc(d, objset, "static", DEPLOYED)
    objset = oe.sbom30.ObjectSet.new_objset(d, f"build-{pn}")
    objset.add_root(objset.new_task_build("recipe", "recipe"))
    oe.sbom30.write_recipe_jsonld_doc(d, objset, "builds", DEPLOYED)


def image(pn: str, files: dict[str, Path]) -> Any:  # noqa: ANN401 - bitbake's data store
    """Write the documents of an image; `files` are its images and what they are copies of."""
    d = variables(pn, "create_image_spdx")
    (scratch / pn).mkdir()
    for name, source in files.items():
        (scratch / pn / name).symlink_to(source)
    manifest = [
        {"imagetype": "image", "taskname": f"image_{number}", "images": [{"filename": name}]}
        for number, name in enumerate(files)
    ]
    (scratch / f"{pn}.json").write_text(json.dumps(manifest))
    objset = oe.sbom30.ObjectSet.new_objset(d, f"{pn}-{MACHINE}-rootfs")
    objset.add_root(package(objset, "rootfs", pn, "archive"))
    oe.sbom30.write_recipe_jsonld_doc(d, objset, "rootfs", DEPLOYED)
    oe.spdx30_tasks.create_image_spdx(d)
    if extended and pn == "bootseal-image":
        tasks = [
            bb.TaskData(name, "do_create_spdx", "", [], provides, "", "", "", [])
            for name, provides in RECIPES.items()
        ]
        d.setVar("BB_TASKDEPDATA", dict(enumerate(tasks)))
        sbom.extend(d)
    shutil.copytree(scratch / f"{pn}-work", DEPLOYED, symlinks=True, dirs_exist_ok=True)
    return d


oe.spdx30_tasks.write_bitbake_spdx(variables("bitbake", "none"))
for name in RECIPES:
    recipe(name)
image("bootseal-initramfs", {"initramfs.cpio.gz": device / "initramfs.cpio.gz"})
made = image(
    "bootseal-image", {"image.erofs": device / "root.erofs", "image.wic": device / "disk.img"}
)
(scratch / "bootseal-image-bill").mkdir()
oe.spdx30_tasks.create_image_sbom_spdx(made)
