# SPDX-License-Identifier: MIT
"""From a built device to a published release by the scripts that the CI templates run.

The FIT key is in SoftHSM, the attestation key in moto's KMS. What the templates run before, kas in
its container, is not run: the reference device takes its place.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import boto3
import pytest
from tests import samples
from tests.integration import cloud
from tests.integration.keys import softhsm

from bootseal import device as devices
from bootseal.firmware.chain import Key
from bootseal.keys import public
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.device,
    pytest.mark.tool("softhsm2-util"),
    pytest.mark.tool("git"),
    pytest.mark.timeout(900),
]

ROOT: Final = Path(__file__).parents[2]
SCRIPTS: Final = ROOT / "ci/release"
JOB: Final = {
    "JOB_URL": "https://updates.example.com/2.1.0.raucb",
    "JOB_TARGET": "group/gateways",
    "JOB_ACCOUNT": "123456789012",
    "JOB_REGION": "eu-central-1",
}


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """Where the jobs run, and their variables."""

    work: Path
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, script: str, *arguments: str, code: int = 0, **more: str) -> str:
        """Run a script; return its messages."""
        done = subprocess.run(
            [SCRIPTS / script, *arguments],
            cwd=self.work,
            env=os.environ | self.variables | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert softhsm.PIN not in done.stdout + done.stderr
        assert done.returncode == code, done.stderr
        return done.stderr


def sparse(source: str, target: str) -> None:
    """Copy a file whose holes stay holes."""
    subprocess.run(["cp", "-p", "--sparse=always", source, target], check=True)


def git(directory: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", "-C", directory, *identity, *arguments], check=True, capture_output=True)


def checkout(directory: Path) -> None:
    """Commit the layer that the device was built from."""
    shutil.copytree(ROOT / "meta-secureboot", directory / "meta-secureboot")
    git(directory, "init", "-q")
    git(directory, "add", ".")
    git(directory, "commit", "-q", "-m", "one")
    git(directory, "remote", "add", "origin", "https://example.com/product.git")


def bundle(jobs: Pipeline, device: Path, keys: Path) -> None:
    """Make the update bundle that goes with the release; no script does."""
    options = ("--version", "2.1.0", "--keys", keys, "-o", device / "release.raucb")
    subprocess.run(
        ["bootseal", "update", "bundle", device, *options],
        env=os.environ | jobs.variables,
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def pipeline(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """The pipeline up to the evidence, in `signed`."""
    built, work = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("sign")
    left_out = shutil.ignore_patterns(
        "matrix", "state", "logs", "tpm", "keys", "evidence", "*.html"
    )
    shutil.copytree(directory, built / "device", ignore=left_out, copy_function=sparse)
    keys = directory / "keys"
    named = {role: keys / key_directory.find(keys, role).name for role in map(Role, Key)}
    policy = keys / key_directory.find(keys, Role.POLICY).name
    checkout(work / "source")
    fit = samples.signer("rsa3072", 77)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (
        softhsm.made(tmp_path_factory.mktemp("token"), {"fit": fit._private}) as token,
        cloud.credentials() as patch,
        cloud.keys(patch, {"attestation": "RSA_3072"}) as arns,
    ):
        arn = arns["attestation"]
        half = boto3.client("kms").get_public_key(KeyId=arn)["PublicKey"]
        (work / "attestation.pub").write_bytes(public.from_der(half).pem)
        jobs = Pipeline(
            work=work,
            variables={
                "PATH": path,
                "FIT_KEY": token.uri("object=fit", f"&pin-source=file:{token.pin_file}"),
                "FIT_HINT": "vault-1",
                "POLICY_KEY": f"{policy}.key",
                "POLICY_PUBLIC_KEY": f"{policy}.pub",
                "FIRMWARE_KEYS": "\n".join(f"{r}={name}.key" for r, name in named.items()),
                "ATTESTATION_KEY": arn,
                "ATTESTATION_PUBLIC_KEY": "attestation.pub",
                "BUILDER": "https://ci.example.com/release",
                "INVOCATION": "https://ci.example.com/runs/7",
                "SOURCE": "source",
                "BOOTSEAL_MATRIX": "none",
            },
        )
        said = Pipeline(work=built, variables=jobs.variables).run("gate", "device", "reports")
        assert "not run: the boot matrix" in said
        Pipeline(work=built).run("pack", str(work / "unsigned.tar"), "device", "reports")
        jobs.run("unpack", "unsigned.tar")
        jobs.run("sign", "device", "signed", "dev")
        bundle(jobs, work / "signed", keys)
        jobs.run("evidence", "signed", "2.1.0", "reports")
        yield jobs


@pytest.mark.tool("bmaptool")
@pytest.mark.tool("zstd")
def test_release_is_published_with_its_evidence(pipeline: Pipeline) -> None:
    drafting = Pipeline(work=pipeline.work, variables=pipeline.variables | JOB)
    said = drafting.run("publish", "signed", "2.1.0", "release")
    plan = json.loads((pipeline.work / "release.job.json").read_text())
    assert plan["job"] == "release-2-1-0"
    assert plan["document"]["version"] == "2.1.0"
    assert plan["document"]["size"] == (pipeline.work / "release/release.raucb").stat().st_size
    release = pipeline.work / "release"
    page = (pipeline.work / "release.html").read_text()
    # No matrix was run, and the page says so.
    assert "<title>INCOMPLETE" in page
    assert "nothing here says that it was booted or attacked" in page
    for part in ("Disk", "Evidence", "Approved list", "Bill of materials"):
        assert f"{part}: verified: " in said
    assert "Boot matrix: absent: " in said
    written = pipeline.work / "written"
    packed = release / "disk.img.zst"
    subprocess.run(["bmaptool", "--quiet", "copy", packed, written], check=True)
    subprocess.run(["cmp", written, release / "disk.img"], check=True)
    written.unlink()
    assert (release / "reports/disk.sarif").exists()
    assert (release / "sbom.spdx.json").exists()
    assert {path.name for path in (release / "evidence").iterdir()} == {
        f"{name}.intoto.json" for name in ("bundle", "disk", "fit", "firmware", "sbom", "release")
    }
    assert devices.load(release).keys["fit"] != devices.load(pipeline.work / "device").keys["fit"]


def test_job_without_a_bundle_is_not_drafted(tmp_path: Path) -> None:
    """The last part of the script alone: the release has a bundle."""
    script = (SCRIPTS / "publish").read_text()
    start = script.index('set -- "$output"/*.raucb')
    part = f"set -eu\noutput=$1\n{script[start:]}"
    done = subprocess.run(["sh", "-c", part, "sh", tmp_path], capture_output=True, check=False)
    assert done.returncode == 2
    assert b"does not hold one bundle" in done.stderr


def test_wrong_key_or_release_is_not_published(pipeline: Pipeline) -> None:
    other = pipeline.work / "other.pub"
    other.write_bytes(samples.signer("rsa3072", 78).public_key.pem)
    said = pipeline.run(
        *("publish", "signed", "2.1.0", "no"), code=3, ATTESTATION_PUBLIC_KEY="other.pub"
    )
    assert "evidence.key" in said
    assert "evidence.release" in pipeline.run("publish", "signed", "2.0.0", "no", code=3)
    assert not (pipeline.work / "no").exists()


@pytest.mark.parametrize("name", ["disk.img", "evidence/disk.intoto.json"])
def test_tampered_release_is_not_published(pipeline: Pipeline, name: str) -> None:
    path = pipeline.work / "signed" / name
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        [before] = file.read(1)
        file.seek(size // 2)
        # In base64, another letter.
        after = before ^ 1 if name == "disk.img" else ord("A" if before != ord("A") else "B")
        file.write(bytes([after]))
    said = pipeline.run("publish", "signed", "2.1.0", "no", code=3)
    assert ("evidence.changed" if name == "disk.img" else "evidence.") in said
    assert name in said
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(bytes([before]))


def test_release_with_a_hole_in_its_bill_is_not_published(pipeline: Pipeline) -> None:
    path = pipeline.work / "signed/sbom.spdx.json"
    before = path.read_bytes()
    found = json.loads(before)
    kept = [e for e in found["@graph"] if not e.get("spdxId", "").endswith("#artefact-fit")]
    path.write_text(json.dumps(found | {"@graph": kept}))
    assert "evidence.changed" in pipeline.run("publish", "signed", "2.1.0", "no", code=3)
    path.write_bytes(before)


def test_build_from_other_sources_gets_no_evidence(pipeline: Pipeline) -> None:
    (pipeline.work / "source/more").touch()
    said = pipeline.run("evidence", "signed", "2.1.1", "none", code=3)
    assert "is not what was committed" in said
    (pipeline.work / "source/more").unlink()
    kas = pipeline.work / "kas.json"
    repository = {"url": "https://example.com/core", "branch": "main"}
    kas.write_text(json.dumps({"repos": {"core": repository}}))
    said = pipeline.run("evidence", "signed", "2.1.1", "none", code=3, KAS_JSON="kas.json")
    assert "expected the id of a commit" in said


def test_changed_device_is_not_let_through_to_be_signed(pipeline: Pipeline, tmp_path: Path) -> None:
    shutil.copytree(pipeline.work / "device", tmp_path / "device", copy_function=sparse)
    with (tmp_path / "device/disk.img").open("r+b") as file:
        file.seek(devices.load(tmp_path / "device").partition("root-a").offset + 8192)
        file.write(b"changed")
    jobs = Pipeline(work=tmp_path, variables=pipeline.variables)
    assert "disk.verity-data" in jobs.run("gate", "device", "reports", code=3)


def test_device_with_development_keys_in_its_root_gets_no_release(pipeline: Pipeline) -> None:
    pipeline.run("sign", "device", "no", "production", code=3)
    found = subprocess.run(
        ["bootseal", "disk", "check", pipeline.work / "no", "--json"],
        env=os.environ | pipeline.variables,
        capture_output=True,
        check=False,
    )
    shutil.rmtree(pipeline.work / "no")
    assert {
        each["where"]
        for each in json.loads(found.stdout)["findings"]
        if each["id"] == "disk.root-development-certificate"
    } >= {"root-a:/usr/lib/bootseal/update-ca.crt", "root-a:/etc/verity.d/bootseal-app.crt"}
