# SPDX-License-Identifier: MIT
"""The bill of materials of a device is what SPDX's own model accepts, and names every artefact."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from spdx_python_model import v3_0_1 as spdx
from tests import evidence_samples as samples

from bootseal import device as devices
from bootseal.device import Artefact, Firmware, Input
from bootseal.errors import FormatError
from bootseal.evidence import sbom, verify
from bootseal.evidence.verify import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.evidence.conftest import Releases

    from bootseal.device import Device

pytestmark = pytest.mark.tool("mksquashfs")

PURL = "pkg:deb/debian/bash@5.2.37-2%2Bb10?arch=arm64&distro=trixie"
FIX = "meta-secureboot/recipes-bsp/trusted-firmware-a/files/0001-bounds-CVE-2026-34878.patch"


def whole(device: Device) -> Device:
    """Return a device with a boot ROM and an input of each kind."""
    files = {
        role: Artefact(path=f"{role}.bin", sha256=f"{number:064x}", size=1)
        for number, role in enumerate(
            ("kernel", "initramfs", "root", "fdt-a", "rom", "firmware", "bl2", "bl31"), start=1
        )
    }
    return dataclasses.replace(
        device,
        artefacts=device.artefacts | files,
        keys={"fit": "a" * 64, "policy": "b" * 64},
        firmware=Firmware(mrk="c" * 64, counter=1, banks=()),
        inputs=(
            Input(name="bash", version="5.2.37-2+b10", sha256="d" * 64, purl=PURL),
            Input(name="recipes/a.patch", version="1", sha256="e" * 64),
            # Two paths, one content.
            Input(name="recipes/b.patch", version="1", sha256="e" * 64),
            Input(name=FIX, version="", sha256="f" * 64),
        ),
    )


def model(data: bytes) -> spdx.SHACLObjectSet:
    found = spdx.SHACLObjectSet()
    spdx.JSONLDDeserializer().read(io.BytesIO(data), found)
    return found


def names(*elements: object) -> set[object]:
    return {getattr(each, "name", None) for each in elements}


@pytest.fixture
def bill(releases: Releases) -> bytes:
    return sbom.of_device(whole(devices.load(releases.first)))


def test_model_of_spdx_accepts_the_bill(bill: bytes) -> None:
    found = model(bill)
    assert found.link() == set()
    packages = list(found.foreach_type(spdx.software_Package))
    assert [each.software_packageUrl for each in packages] == [PURL]
    assert all(each.creationInfo for each in found.foreach_type(spdx.Element))
    [document] = found.foreach_type(spdx.SpdxDocument)
    elements = set(found.foreach_type(spdx.Element))
    assert set(document.element) == elements - {document}


def test_patch_with_a_cve_in_its_name_fixes_what_is_built_with_it(bill: bytes) -> None:
    found = model(bill)
    [fixed] = found.foreach_type(spdx.security_VexFixedVulnAssessmentRelationship)
    assert fixed.relationshipType == spdx.RelationshipType.fixedIn
    assert names(fixed.from_) == {"CVE-2026-34878"}
    assert names(*fixed.to) == {"rom.bin", "bl2.bin"}
    [patched] = [
        each
        for each in found.foreach_type(spdx.Relationship)
        if each.relationshipType == spdx.RelationshipType.patchedBy
    ]
    assert patched.from_ is fixed
    assert names(*patched.to) == {FIX}


@pytest.mark.parametrize(
    "name",
    [FIX.replace(".patch", ".cfg"), FIX.replace("CVE-", ""), "elsewhere/CVE-2026-34878.patch"],
)
def test_nothing_else_is_said_to_fix_a_vulnerability(releases: Releases, name: str) -> None:
    device = whole(devices.load(releases.first))
    others = tuple(each for each in device.inputs if each.name != FIX)
    changed = (*others, Input(name=name, version="", sha256="f" * 64))
    found = model(sbom.of_device(dataclasses.replace(device, inputs=changed)))
    assert list(found.foreach_type(spdx.security_Vulnerability)) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda e: e.update(software_primaryPurpose="diskette"),
        lambda e: e.update(colour="red"),
        lambda e: e.update(type="software_Fyle"),
        lambda e: e["verifiedUsing"][0].update(algorithm="sha257"),
    ],
)
def test_model_of_spdx_refuses_another(bill: bytes, change: Callable[[Any], object]) -> None:
    found = json.loads(bill)
    [element] = [e for e in found["@graph"] if e.get("spdxId", "").endswith("#artefact-disk")]
    change(element)
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        model(json.dumps(found).encode())


def test_id_that_leads_nowhere_is_found_by_the_model(bill: bytes) -> None:
    found = json.loads(bill)
    kept = [e for e in found["@graph"] if not e.get("spdxId", "").endswith("#artefact-fit")]
    missing = model(json.dumps(found | {"@graph": kept}).encode()).link()
    assert len(missing) == 1


def relations(bill: bytes) -> set[tuple[str, str, str]]:
    found = set()
    for each in model(bill).foreach_type(spdx.Relationship):
        for to in each.to:
            assert isinstance(each.from_, spdx.Element)
            assert isinstance(to, spdx.Element)
            kind = str(each.relationshipType).rpartition("/")[2]
            found.add((each.from_.name or "", each.comment or kind, str(to.name)))
    return found


def test_bill_says_what_is_inside_and_who_signed(bill: bytes) -> None:
    found = relations(bill)
    key = "public key of the role {}, SubjectPublicKeyInfo in DER form"
    assert ("disk.img", "contains", "fit.itb") in found
    assert ("disk.img", "contains", "firmware.bin") in found
    assert ("fit.itb", "contains", "kernel.bin") in found
    assert ("firmware.bin", "contains", "u-boot.dtb") in found
    assert ("fit.itb", "signed by this key", key.format("fit")) in found
    assert ("firmware.bin", "signed by this key", key.format("mrk")) in found
    assert ("rom.bin", "verifies with this key", key.format("mrk")) in found
    assert ("", "hasInput", "bash") in found
    assert ("", "hasInput", "recipes/a.patch") in found
    assert ("", "hasOutput", "disk.img") in found


@pytest.mark.parametrize("epoch", [-1, 1 << 63, 253_402_300_800])
def test_time_of_a_build_that_is_none_is_refused(releases: Releases, epoch: int) -> None:
    device = dataclasses.replace(devices.load(releases.first), epoch=epoch)
    with pytest.raises(FormatError, match="expected seconds since 1970"):
        sbom.of_device(device)


def test_bill_of_the_same_device_is_the_same(releases: Releases) -> None:
    device = devices.load(releases.first)
    assert sbom.of_device(device) == sbom.of_device(device)
    other = dataclasses.replace(device, epoch=device.epoch + 1)
    assert sbom.of_device(other) != sbom.of_device(device)


def test_release_with_its_bill_is_accepted(
    release: Path, refused: Callable[..., dict[str, str]]
) -> None:
    found = verify.verify(release, Wanted(key=samples.signer().public_key))
    assert found.findings == []
    assert "sbom" in found.statements
    (release / sbom.FILE_NAME).unlink()
    assert refused(release) == {"evidence.missing": sbom.FILE_NAME}
    samples.sign(release)
    found = verify.verify(release, Wanted(key=samples.signer().public_key))
    assert [each.id for each in found.findings] == ["evidence.no-sbom"]


def test_bill_without_an_artefact_is_refused(
    release: Path, refused: Callable[..., dict[str, str]]
) -> None:
    found = json.loads(sbom.of_device(devices.load(release)))
    kept = [e for e in found["@graph"] if not e.get("spdxId", "").endswith("#artefact-fit")]
    (release / sbom.FILE_NAME).write_text(json.dumps(found | {"@graph": kept}))
    with pytest.raises(Exception, match=r"evidence\.sbom at fit\.itb"):
        samples.sign(release)
    assert refused(release) == {"evidence.sbom": "fit.itb"}
    # A second bill may name what the first does not.
    other = [e for e in found["@graph"] if e.get("spdxId", "").endswith("#artefact-fit")]
    (release / "more.spdx.json").write_text(json.dumps(found | {"@graph": other}))
    samples.sign(release)
    assert refused(release) == {}


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"@graph": {}}'])
def test_bill_of_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        sbom.digests(data, "it")


@pytest.mark.parametrize(
    "graph", [[1], [{}], [{"verifiedUsing": 1}], [{"verifiedUsing": [1, {"algorithm": "x"}]}]]
)
def test_elements_without_a_digest_name_nothing(graph: list[object]) -> None:
    assert sbom.digests(json.dumps({"@graph": graph}).encode(), "it") == set()
