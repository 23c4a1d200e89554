# SPDX-License-Identifier: MIT
"""Small releases: a device directory with a bundle, and evidence by keys of every kind."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from spdx_python_model import v3_0_1 as spdx
from tests import samples, update_samples

from bootseal import device as devices
from bootseal import documents
from bootseal.boot.catalogue.scenarios import SCENARIOS
from bootseal.boot.scenario import runner
from bootseal.boot.scenario.model import MatrixResult, Outcome, ScenarioResult
from bootseal.device import Artefact, Device, Firmware, Input, Qemu
from bootseal.evidence import companions, listing, make, sbom, sources
from bootseal.formats.fit import model as fit_format
from bootseal.measure import approved
from bootseal.measure.predict import predict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.unit.check.conftest import Base

    from bootseal.keys.signers.base import Signer

COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"
BUILDER: Final = "https://ci.example.com/release"
CREATED: Final = 1_800_000_000
ARTEFACTS: Final = {
    "disk": "disk.img",
    "bios": "u-boot.dtb",
    "fit": "fit.itb",
    "policy": "tpm2-pcr-signature.json",
}
BUNDLE: Final = "release.raucb"
REPORT: Final = "reports/matrix.html"
STARTED: Final = "2026-11-22T07:20:00Z"
VERSION: Final = b"U-Boot 2026.01 (Jan 01 2026 - 00:00:00 +0000)"
STATEMENTS: Final = ("bundle", "disk", "firmware", "fit", "release", "sbom")

PURL: Final = "pkg:deb/debian/bash@5.2.37-2%2Bb10?arch=arm64&distro=trixie"
FIX: Final = "meta-secureboot/recipes-bsp/trusted-firmware-a/files/0001-bounds-CVE-2026-34878.patch"
# As in the device.json of a reference build: name, versions, package URL.
_SOURCES: Final = (
    ("u-boot", "u-boot@2025.01-3%2Bdeb13u1"),
    ("arm-trusted-firmware", "arm-trusted-firmware@2.12.1%2Bdfsg-1"),
    ("mbedtls", "mbedtls@3.6.6-0.1~deb13u1"),
)
_PACKAGES: Final = (
    ("linux-image-6.12.118+deb13-cloud-arm64", "6.12.118-1"),
    ("busybox-static", "1:1.37.0-6+b9"),
)


def kas(**changes: object) -> bytes:
    """Return what kas prints of a build from two repositories, with other members or values."""
    document = {
        "header": {"version": 14},
        "machine": "qemuarm64",
        "distro": "nodistro",
        "target": ["bootseal-image"],
        "repos": {
            "main": {"path": ".", "url": "https://example.com/main.git", "commit": COMMIT},
            "core": {
                "url": "https://example.com/core",
                "branch": "wrynose",
                "commit": COMMIT[::-1],
            },
        },
    }
    return json.dumps(document | changes).encode()


def signer(kind: str = "rsa2048", number: int = 1) -> Signer:
    """Return an attestation key; the same one for the same arguments."""
    return samples.signer(kind, 1000 + number)


def device(base: Base, directory: Path, note: str) -> Path:
    """Write the sample disk and all that goes with a release, but the evidence."""
    directory.mkdir()
    contents = {
        "disk": base.image,
        "bios": base.target.control,
        "fit": base.fit,
        "policy": json.dumps({"note": note}).encode(),
    }
    for role, data in contents.items():
        (directory / ARTEFACTS[role]).write_bytes(data)
    keys = update_samples.keys()
    made = update_samples.Bundle(
        files=update_samples.images(base), signer=keys.update, when=keys.when
    )
    scratch = directory.with_name(f"{directory.name}-bundle")
    (directory / BUNDLE).write_bytes(made.to_bytes(scratch))
    (directory / REPORT).parent.mkdir()
    (directory / REPORT).write_text(f"<p>matrix of {note}</p>")
    description = Device(
        name="sample",
        profile="dev",
        login=False,
        epoch=update_samples.EPOCH,
        qemu=Qemu(system="qemu-system-aarch64", machine="virt", cpu="max", cpus=1, memory=64),
        artefacts={
            role: devices.describe(directory, directory / name) for role, name in ARTEFACTS.items()
        },
        partitions=base.target.partitions,
        slots=base.target.slots,
        keys={"fit": base.target.fit_key},
        inputs=(
            Input(name="u-boot", version=note, sha256="1" * 64),
            Input(name="recipes/a.cfg", version="", sha256="2" * 64),
        ),
    )
    devices.save(description, directory)
    digest = devices.digest_file(directory / devices.FILE_NAME)
    (directory / sbom.FILE_NAME).write_bytes(sbom.of_device(description, digest))
    put_matrix(directory, replace(result(description), versions={"release": note}))
    put_approved(directory, note)
    return directory


def result(
    device: Device, verdicts: Mapping[str, str] | None = None, *, left_out: tuple[str, ...] = ()
) -> MatrixResult:
    """Return a run of every scenario for a device; each passed, but those that are named."""
    assert {*(verdicts or {}), *left_out} <= {each.id for each in SCENARIOS}
    chosen = [s for s in runner.fitting(SCENARIOS, device, []) if s.id not in left_out]
    results = tuple(
        ScenarioResult(
            id=each.id,
            title=each.title,
            group=each.group,
            about=each.about,
            verdict=Outcome((verdicts or {}).get(each.id, "passed")),
            expected="as the catalogue says",
            observed="that",
            reason="",
            duration=12.5,
            steps=(),
        )
        for each in chosen
    )
    return MatrixResult(
        device=device.name,
        profile=device.profile,
        roots={slot.name: slot.root_hash for slot in device.slots},
        started=STARTED,
        duration=900.0,
        versions={"bootseal": "0"},
        results=results,
    )


def put_matrix(directory: Path, found: MatrixResult) -> None:
    (directory / companions.MATRIX).parent.mkdir(exist_ok=True)
    (directory / companions.MATRIX).write_text(json.dumps(found.document()))


def put_approved(directory: Path, name: str) -> None:
    """Write the list that `measure approve` would, with a boot loader of this name."""
    device = devices.load(directory)
    fit = device.artefact(directory, "fit").read_bytes()
    read = fit_format.parse(fit)
    found = [
        (slot.name, predict(read, slot.configuration, version=VERSION)) for slot in device.slots
    ]
    listed = approved.Approved(releases=(approved.release(name, found, fit, VERSION),))
    (directory / companions.APPROVED).write_bytes(documents.dump(listed))


def request(directory: Path, release: str = "1.0", **changes: object) -> make.Request:
    values: dict[str, object] = {
        "directory": directory,
        "release": release,
        "builder": BUILDER,
        "invocation": "https://ci.example.com/runs/7",
        "sources": sources.of_kas(kas(), "kas.json"),
        "created": CREATED,
    }
    return make.Request(**(values | changes))  # type: ignore[arg-type]


def sign(directory: Path, release: str = "1.0", key: Signer | None = None) -> Path:
    """Make the evidence of a release."""
    asked = request(directory, release)
    make.write(asked, make.payloads(asked), key or signer())
    return directory


def envelope(directory: Path, name: str) -> Path:
    return listing.envelope(directory, name)


def whole(device: Device) -> Device:
    """Return a device with a boot ROM and an input of each kind."""
    files = {
        role: Artefact(path=f"{role}.bin", sha256=f"{number:064x}", size=1)
        for number, role in enumerate(
            ("kernel", "initramfs", "root", "fdt-a", "rom", "firmware", "bl2", "bl31"), start=1
        )
    }
    return replace(
        device,
        artefacts=device.artefacts | files,
        keys={"fit": "a" * 64, "policy": "b" * 64},
        firmware=Firmware(mrk="c" * 64, counter=1, banks=()),
        inputs=(
            Input(name="bash", version="5.2.37-2+b10", sha256="d" * 64, purl=PURL),
            *_started_from(),
            Input(name="recipes/a.patch", version="1", sha256="e" * 64),
            # Two paths, one content.
            Input(name="recipes/b.patch", version="1", sha256="e" * 64),
            Input(name=FIX, version="", sha256="f" * 64),
        ),
    )


def _started_from() -> list[Input]:
    # A source package has two files.
    head, tail = "pkg:deb/debian/", "&distro=trixie"
    sources = [
        (name, ending, f"{head}{package}?arch=source{tail}")
        for name, package in _SOURCES
        for ending in ("orig.tar.xz", "debian.tar.xz")
    ]
    packages = [
        (name, version, f"{head}{name}@{version}?arch=arm64{tail}") for name, version in _PACKAGES
    ]
    return [
        Input(name=name, version=version, sha256=_digest(name, version), purl=purl)
        for name, version, purl in (*sources, *packages)
    ]


def _digest(*words: str) -> str:
    return hashlib.sha256(" ".join(words).encode()).hexdigest()


def bill(description: Device) -> bytes:
    """Return the bill of materials of a device that `device.json` would describe so."""
    digest = hashlib.sha256(documents.dump(description)).hexdigest()
    return sbom.of_device(description, digest)


def cpes(package: spdx.software_Package) -> set[str]:
    """Return the CPEs of a package in a bill of materials."""
    return {
        str(each.identifier)
        for each in package.externalIdentifier
        if isinstance(each, spdx.ExternalIdentifier)
        and each.externalIdentifierType == spdx.ExternalIdentifierType.cpe23
    }
