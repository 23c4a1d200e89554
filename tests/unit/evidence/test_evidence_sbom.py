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
from bootseal.device import Input
from bootseal.errors import FormatError
from bootseal.evidence import parts, products, sbom, verify
from bootseal.evidence.verify import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.evidence.conftest import Releases

pytestmark = pytest.mark.tool("mksquashfs")

SCANNED = (spdx.software_SoftwarePurpose.install, spdx.software_SoftwarePurpose.specification)


def model(data: bytes) -> spdx.SHACLObjectSet:
    found = spdx.SHACLObjectSet()
    spdx.JSONLDDeserializer().read(io.BytesIO(data), found)
    return found


def names(*elements: object) -> set[object]:
    return {getattr(each, "name", None) for each in elements}


@pytest.fixture
def bill(releases: Releases) -> bytes:
    return samples.bill(samples.whole(devices.load(releases.first)))


def test_model_of_spdx_accepts_the_bill(bill: bytes) -> None:
    found = model(bill)
    assert found.link() == set()
    packages = list(found.foreach_type(spdx.software_Package))
    assert samples.PURL in {each.software_packageUrl for each in packages}
    assert all(each.creationInfo for each in found.foreach_type(spdx.Element))
    [document] = found.foreach_type(spdx.SpdxDocument)
    elements = set(found.foreach_type(spdx.Element))
    assert set(document.element) == elements - {document}


def test_patch_with_a_cve_in_its_name_fixes_what_is_built_with_it(bill: bytes) -> None:
    found = model(bill)
    [fixed] = found.foreach_type(spdx.security_VexFixedVulnAssessmentRelationship)
    assert fixed.relationshipType == spdx.RelationshipType.fixedIn
    assert names(fixed.from_) == {"CVE-2026-34878"}
    assert names(*fixed.to) == {"arm-trusted-firmware", "rom.bin", "bl2.bin"}
    [patched] = [
        each
        for each in found.foreach_type(spdx.Relationship)
        if each.relationshipType == spdx.RelationshipType.patchedBy
    ]
    assert patched.from_ is fixed
    assert names(*patched.to) == {samples.FIX}
    # Only by this do scanners find what is said of a component.
    [associated] = [
        each
        for each in found.foreach_type(spdx.Relationship)
        if each.relationshipType == spdx.RelationshipType.hasAssociatedVulnerability
    ]
    assert (names(associated.from_), set(associated.to)) == (
        {"arm-trusted-firmware"},
        {fixed.from_},
    )


def test_what_a_device_starts_from_has_the_names_that_databases_have(bill: bytes) -> None:
    found = model(bill)
    named = {
        each.name: (each.software_packageVersion, samples.cpes(each))
        for each in found.foreach_type(spdx.software_Package)
        if each.software_primaryPurpose in SCANNED
    }
    tail = "*:*:*:*:*:*:*"
    assert named == {
        "bash": ("5.2.37-2+b10", set()),
        "u-boot": ("2025.01-3+deb13u1", {f"cpe:2.3:*:denx:u-boot:2025.01:{tail}"}),
        "arm-trusted-firmware": (
            "2.12.1+dfsg-1",
            {
                f"cpe:2.3:*:arm:arm-trusted-firmware:2.12.1:{tail}",
                f"cpe:2.3:*:arm:trusted_firmware-a:2.12.1:{tail}",
                f"cpe:2.3:*:arm:arm_trusted_firmware:2.12.1:{tail}",
                f"cpe:2.3:*:arm_trusted_firmware_project:arm_trusted_firmware:2.12.1:{tail}",
            },
        ),
        "mbedtls": ("3.6.6-0.1~deb13u1", {f"cpe:2.3:*:*:mbed_tls:3.6.6:{tail}"}),
        "linux-image-6.12.118+deb13-cloud-arm64": (
            "6.12.118-1",
            {
                f"cpe:2.3:*:*:linux_kernel:6.12.118:{tail}",
                f"cpe:2.3:*:linux:linux:6.12.118:{tail}",
            },
        ),
        "busybox-static": ("1:1.37.0-6+b9", {f"cpe:2.3:*:*:busybox:1.37.0:{tail}"}),
    }


def test_bill_says_what_became_of_sources(bill: bytes) -> None:
    made = {(source, to) for source, kind, to in relations(bill) if kind == "generates"}
    linux = "linux-image-6.12.118+deb13-cloud-arm64"
    assert made == {
        ("u-boot", "u-boot.dtb"),
        ("arm-trusted-firmware", "rom.bin"),
        ("arm-trusted-firmware", "bl2.bin"),
        ("arm-trusted-firmware", "bl31.bin"),
        ("mbedtls", "rom.bin"),
        ("mbedtls", "bl2.bin"),
        (linux, "kernel.bin"),
    }


@pytest.mark.parametrize(
    ("version", "found"),
    [
        ("1:1.3.dfsg+really1.3.1-1+b1", "1.3.1"),
        ("0.18+ds-1", "0.18"),
        ("3.6.6-0.1~deb13u1", "3.6.6"),
        ("257.13", "257.13"),
        ("2025.01~rc1+dfsg-1", None),
        ("2025a-1", None),
        ("", None),
    ],
)
def test_version_is_upstream_s_or_there_is_no_name(version: str, found: str | None) -> None:
    expected = [] if found is None else [f"cpe:2.3:*:v:p:{found}:*:*:*:*:*:*:*"]
    assert products.cpes(("v:p",), version) == expected


def test_special_characters_of_a_name_are_escaped() -> None:
    [found] = products.cpes(("a+b:c/d",), "1")
    assert found == r"cpe:2.3:*:a\+b:c\/d:1:*:*:*:*:*:*:*"


def test_description_of_the_device_is_in_its_bill(releases: Releases) -> None:
    path = releases.first / devices.FILE_NAME
    bill = sbom.of_device(devices.load(releases.first), devices.digest_file(path))
    assert devices.digest_file(path) in sbom.digests(bill, "it")
    assert (devices.FILE_NAME, "describes", "disk.img") in relations(bill)


@pytest.mark.parametrize("epoch", [1 << 40, 10**30, -(10**30)])
def test_device_of_no_time_has_no_bill(releases: Releases, epoch: int) -> None:
    device = dataclasses.replace(devices.load(releases.first), epoch=epoch)
    with pytest.raises(FormatError, match="expected seconds since 1970"):
        sbom.of_device(device, "0" * 64)


def test_relations_are_of_artefacts_and_keys_that_there_are() -> None:
    assert parts.relations((), ("fit",)) == []
    assert parts.relations(("fit",), ()) == []
    assert parts.relations(("fit",), ("fit",)) == [
        parts.Relation("fit", "other", ("fit",), "signed by this key")
    ]


@pytest.mark.parametrize(
    "name",
    [
        samples.FIX.replace(".patch", ".cfg"),
        samples.FIX.replace("CVE-", ""),
        "elsewhere/CVE-2026-34878.patch",
    ],
)
def test_nothing_else_is_said_to_fix_a_vulnerability(releases: Releases, name: str) -> None:
    device = samples.whole(devices.load(releases.first))
    others = tuple(each for each in device.inputs if each.name != samples.FIX)
    changed = (*others, Input(name=name, version="", sha256="f" * 64))
    found = model(samples.bill(dataclasses.replace(device, inputs=changed)))
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
        samples.bill(device)


def test_bill_of_the_same_device_is_the_same(releases: Releases) -> None:
    device = devices.load(releases.first)
    assert samples.bill(device) == samples.bill(device)
    other = dataclasses.replace(device, epoch=device.epoch + 1)
    assert samples.bill(other) != samples.bill(device)


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
    found = json.loads(samples.bill(devices.load(release)))
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
