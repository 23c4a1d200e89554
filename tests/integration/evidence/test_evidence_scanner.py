# SPDX-License-Identifier: MIT
"""sbom-cve-check finds what a device starts from in its bill of materials, and what was fixed.

Its databases are large repositories: here it gets one of a few invented vulnerabilities, in the
form of the CVE list. That real ones are listed under the same names is not shown by it.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests import evidence_samples as samples
from tests.unit.check.conftest import make_base

from bootseal import device as devices

if TYPE_CHECKING:
    from bootseal.device import Device

pytestmark = [pytest.mark.tool("mksquashfs"), pytest.mark.tool("git")]

KNOWN = "CVE-2026-34878"


class Vulnerability(NamedTuple):
    """A row of the database: versions below the last word are affected."""

    name: str
    vendor: str
    product: str
    below: str


ROWS = (
    Vulnerability("CVE-2099-10001", "denx", "u-boot", "2025.04"),
    Vulnerability("CVE-2099-10002", "denx", "u-boot", "2025.01"),
    Vulnerability("CVE-2099-10003", "arm", "trusted_firmware-a", "2.13.0"),
    Vulnerability("CVE-2099-10004", "arm", "mbed_tls", "3.6.7"),
    Vulnerability("CVE-2099-10005", "linux", "linux_kernel", "6.12.119"),
    Vulnerability("CVE-2099-10006", "busybox", "busybox", "1.38.0"),
    Vulnerability("CVE-2099-10007", "gnu", "bash", "6.0"),
    Vulnerability(KNOWN, "arm", "trusted_firmware-a", "2.14.3"),
)


def record(row: Vulnerability) -> dict[str, object]:
    """Return one in the form of CVE JSON 5.1."""
    author = "00000000-0000-4000-8000-000000000000"
    affected = {
        "vendor": row.vendor,
        "product": row.product,
        "cpes": [f"cpe:2.3:a:{row.vendor}:{row.product}:*:*:*:*:*:*:*:*"],
        "versions": [
            {"version": "0", "lessThan": row.below, "status": "affected", "versionType": "semver"}
        ],
        "defaultStatus": "unaffected",
    }
    about = {
        "providerMetadata": {"orgId": author},
        "descriptions": [{"lang": "en", "value": "invented"}],
        "affected": [affected],
        "references": [],
    }
    state = {"cveId": row.name, "assignerOrgId": author, "state": "PUBLISHED"}
    return {
        "dataType": "CVE_RECORD",
        "dataVersion": "5.1",
        "cveMetadata": state,
        "containers": {"cna": about},
    }


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("cvelist")
    for row in ROWS:
        _, year, number = row.name.split("-")
        path = top / "cves" / year / f"{number[:-3]}xxx" / f"{row.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record(row)))
    who = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", "-C", top, *words], check=True)
    return top


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Device:
    base = make_base(tmp_path_factory.mktemp("disk"))
    directory = samples.device(base, tmp_path_factory.mktemp("release") / "1.0", "1.0")
    return samples.whole(devices.load(directory))


def scan(bill: bytes, database: Path, scratch: Path) -> dict[tuple[str, str], str]:
    """Return the status of each vulnerability that was found, by package and name of it."""
    (scratch / "sbom.spdx.json").write_bytes(bill)
    program = Path(sys.executable).with_name("sbom-cve-check")
    subprocess.run(
        [
            program,
            "--ignore-default-config",
            "--offline-mode",
            "--disable-auto-updates",
            *("--add-db", "cve-db-cvelist", database),
            *("--sbom-path", scratch / "sbom.spdx.json"),
            *("--export-type", "csv", "--export-path", scratch / "found.csv"),
        ],
        check=True,
        timeout=120,
    )
    with (scratch / "found.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {(row["package names"], row["vuln-id"]): row["status"] for row in rows}


def test_what_a_device_starts_from_is_scanned(
    device: Device, database: Path, tmp_path: Path
) -> None:
    found = scan(samples.bill(device), database, tmp_path)
    assert found == {
        ("u-boot", "CVE-2099-10001"): "affected",
        ("u-boot", "CVE-2099-10002"): "fixed",
        ("arm-trusted-firmware", "CVE-2099-10003"): "affected",
        ("mbedtls", "CVE-2099-10004"): "affected",
        ("linux-image-6.12.118+deb13-cloud-arm64", "CVE-2099-10005"): "affected",
        ("busybox-static", "CVE-2099-10006"): "affected",
        # By the statement of the bill: the version is one of those that have it.
        ("arm-trusted-firmware", KNOWN): "fixed",
    }


def test_without_the_patch_the_same_vulnerability_is_found(
    device: Device, database: Path, tmp_path: Path
) -> None:
    inputs = tuple(each for each in device.inputs if each.name != samples.FIX)
    found = scan(samples.bill(replace(device, inputs=inputs)), database, tmp_path)
    assert found["arm-trusted-firmware", KNOWN] == "affected"


def test_bill_without_the_names_is_not_scanned(
    device: Device, database: Path, tmp_path: Path
) -> None:
    """The twin: package URLs alone, as in bills before there were the names, lead to nothing."""
    document = json.loads(samples.bill(device))
    for element in document["@graph"]:
        if element["type"] == "software_Package":
            element.pop("externalIdentifier", None)
    assert scan(json.dumps(document).encode(), database, tmp_path) == {}
