# SPDX-License-Identifier: MIT
"""Small releases: a device directory with a bundle, and evidence by keys of every kind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from tests import samples, update_samples

from bootseal import device as devices
from bootseal.device import Device, Input, Qemu
from bootseal.evidence import listing, make, sbom, sources

if TYPE_CHECKING:
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
STATEMENTS: Final = ("bundle", "disk", "firmware", "fit", "release", "sbom")


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
    """Write the sample disk, a bundle of it and a report as a release without evidence."""
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
    (directory / sbom.FILE_NAME).write_bytes(sbom.of_device(description))
    return directory


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
