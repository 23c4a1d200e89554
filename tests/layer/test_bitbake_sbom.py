# SPDX-License-Identifier: MIT
"""bitbake makes the bill of materials of an image with the whole device in it.

OE's own functions make the documents: in a task of bitbake, and, of a device that is at hand, by
oe_documents.py in seconds (`-k "documents or alone"`). In bitbake's, compiler, kernel and root
file system are those of test_bitbake_rom.py: the kernel's recipe is a stand-in.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from spdx_python_model import v3_0_1 as spdx
from tests import evidence_samples as samples
from tests.layer.conftest import HERE, KERNEL_AT_HAND, LAYER, LAYERS

from bootseal import device as devices
from bootseal.evidence import sbom

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.layer.conftest import Build

    from bootseal.device import Device

pytestmark = [pytest.mark.bitbake, pytest.mark.timeout(7200)]

REQUEST = """\
OE_FRAGMENTS += "bootseal/bootseal/rom"
INHERIT += "create-spdx"
"""


class Made(NamedTuple):
    """A bill of materials, as scanners are given it, and the device that it is of."""

    bill: bytes
    directory: Path

    @property
    def device(self) -> Device:
        return devices.load(self.directory)


def documents(oe_sources: Path, directory: Path, scratch: Path, way: str) -> Made:
    """Return what the functions of OE and of the layer make of a device, without bitbake."""
    program = (sys.executable, "-B", HERE / "oe_documents.py")
    words = (oe_sources, LAYER, directory, scratch, way)
    done = subprocess.run(
        [*program, *words], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    bill = scratch / "bootseal-image-bill/bootseal-image.spdx.json"
    return Made(bill.read_bytes(), directory)


@pytest.fixture
def published(oe_sources: Path, debhost: Build, settings: str) -> Made:
    """What bitbake deployed for an image with a boot ROM."""
    arm = oe_sources / "meta-arm"
    if not arm.is_dir():
        pytest.skip("BOOTSEAL_OE names a directory without meta-arm")
    layers = (*LAYERS, arm / "meta-arm-toolchain", arm / "meta-arm")
    debhost.configure(settings + REQUEST + KERNEL_AT_HAND, layers=layers)
    done = debhost.bitbake("bootseal-image")
    assert done.code == 0, done.text
    assert done.complaints == []
    bill = debhost.deployed / "bootseal-image-qemuarm64.rootfs.spdx.json"
    return Made(bill.read_bytes(), debhost.deployed / "bootseal-image")


@pytest.fixture(params=["documents", "bitbake"])
def made(request: pytest.FixtureRequest, oe_sources: Path, tmp_path: Path) -> Made:
    if request.param == "documents":
        return documents(oe_sources, request.getfixturevalue("parts"), tmp_path, "with")
    found = request.getfixturevalue("published")
    assert isinstance(found, Made)
    return found


def model(data: bytes) -> spdx.SHACLObjectSet:
    found = spdx.SHACLObjectSet()
    spdx.JSONLDDeserializer().read(io.BytesIO(data), found)
    return found


def kind(relation: spdx.Relationship) -> str:
    return str(relation.relationshipType).rpartition("/")[2]


def relations(found: spdx.SHACLObjectSet) -> set[tuple[str, str, str]]:
    """Return name, kind or comment, name; of files the SHA-256 in the place of the name."""
    return {
        (label(each.from_), each.comment or kind(each), label(to))
        for each in found.foreach_type(spdx.Relationship)
        for to in each.to
    }


def label(element: object) -> str:
    if isinstance(element, spdx.software_File):
        digests = [each.hashValue for each in element.verifiedUsing if isinstance(each, spdx.Hash)]
        return str(digests[0]) if digests else str(element.name)
    return str(getattr(element, "name", element))


def recipe(found: spdx.SHACLObjectSet, name: str) -> spdx.software_Package:
    purpose = spdx.software_SoftwarePurpose.specification
    [package] = [
        each
        for each in found.foreach_type(spdx.software_Package)
        if each.name == name and each.software_primaryPurpose == purpose
    ]
    return package


def one(names: Iterable[str], start: str) -> str:
    [found] = [each for each in names if each.startswith(start)]
    return found


def test_bill_of_the_image_has_the_whole_device(made: Made) -> None:
    found = model(made.bill)
    assert found.link() == set()
    assert all(each.creationInfo for each in found.foreach_type(spdx.Element))
    named = sbom.digests(made.bill, "it")
    assert sbom.unnamed(made.device, named) == []
    assert devices.digest_file(made.directory / devices.FILE_NAME) in named


def test_bill_by_oe_alone_has_the_disk_and_the_root_alone(
    oe_sources: Path, parts: Path, tmp_path: Path
) -> None:
    made = documents(oe_sources, parts, tmp_path, "without")
    artefacts = made.device.artefacts
    missing = set(sbom.unnamed(made.device, sbom.digests(made.bill, "it")))
    assert {each.path for each in artefacts.values()} - missing == {
        artefacts["disk"].path,
        artefacts["root"].path,
    }


def test_bill_says_what_is_inside_of_what_and_whose_key_signed(made: Made) -> None:
    found = relations(model(made.bill))
    device = made.device
    digest = {role: each.sha256 for role, each in device.artefacts.items()}
    assert device.firmware is not None
    assert found >= {
        (digest["disk"], "contains", digest["fit"]),
        (digest["disk"], "contains", digest["firmware"]),
        (digest["disk"], "contains", digest["root"]),
        (digest["fit"], "contains", digest["kernel"]),
        (digest["fit"], "contains", digest["initramfs"]),
        (digest["firmware"], "contains", digest["bl31"]),
        (digest["firmware"], "contains", digest["bios"]),
        (digest["fit"], "signed by this key", device.keys["fit"]),
        (digest["firmware"], "signed by this key", device.firmware.mrk),
        (digest["rom"], "verifies with this key", device.firmware.mrk),
        ("u-boot", "generates", digest["bios"]),
        ("trusted-firmware-a", "generates", digest["rom"]),
        ("linux-reference", "generates", digest["kernel"]),
        ("bootseal-image:do_create_image_spdx:bootseal", "hasOutput", digest["fit"]),
        (
            "bootseal-image:do_create_image_spdx:bootseal",
            "dependsOn",
            "u-boot:do_create_spdx:recipe",
        ),
    }


def test_bill_has_the_names_that_databases_of_vulnerabilities_know(published: Made) -> None:
    found = model(published.bill)
    uboot, tfa = recipe(found, "u-boot"), recipe(found, "trusted-firmware-a")
    assert uboot.software_packageVersion == "2026.01"
    assert samples.cpes(uboot) == {"cpe:2.3:*:denx:u-boot:2026.01:*:*:*:*:*:*:*"}
    assert one(samples.cpes(tfa), "cpe:2.3:*:arm:trusted_firmware-a:2.14.1:")
    assert str(tfa.software_packageUrl).startswith("pkg:yocto/")
    # Of the initramfs, what was installed in it.
    assert recipe(found, "bootseal-initramfs-init").software_packageVersion == "1.0"


def test_bill_says_which_vulnerability_the_patch_of_the_layer_fixes(published: Made) -> None:
    found = model(published.bill)
    [fixed] = [
        each
        for each in found.foreach_type(spdx.security_VexFixedVulnAssessmentRelationship)
        if any(to is recipe(found, "trusted-firmware-a") for to in each.to)
    ]
    assert isinstance(fixed.from_, spdx.security_Vulnerability)
    [identifier] = fixed.from_.externalIdentifier
    assert isinstance(identifier, spdx.ExternalIdentifier)
    assert identifier.identifier == "CVE-2026-34878"
    [patched] = [
        each
        for each in found.foreach_type(spdx.Relationship)
        if kind(each) == "patchedBy" and each.from_ is fixed
    ]
    [patch] = patched.to
    assert isinstance(patch, spdx.software_File)
    assert "CVE-2026-34878" in str(patch.name)
