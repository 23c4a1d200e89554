# SPDX-License-Identifier: MIT
"""The scripts of ci/release before a device is there: kas in its container, packages by digest."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
SCRIPTS: Final = ROOT / "ci/release"
IMAGE: Final = f"registry.example.com/kas:5.5@sha256:{'0' * 64}"
# No container runs here: this stands in for docker. What kas-container asks of it is noted, `dump`
# is done by kas itself, and `build` leaves what a build would.
DOCKER: Final = """\
#!/bin/sh
case $1 in
-v) echo "Docker version 27" ;;
run)
	echo "$*" >>"$NOTED"
	while [ "$1" != "$IMAGE" ]; do shift; done
	shift
	case $1 in
	dump) exec kas $(echo "$*" | sed "s,/repo/,$PWD/,") ;;
	build)
		mkdir -p build/tmp/deploy/images/qemuarm64/product/keys
		echo device >build/tmp/deploy/images/qemuarm64/product/device.json
		;;
	esac
	;;
esac
"""
PRODUCT: Final = """\
header:
  version: 14
machine: qemuarm64
target: product
"""


def run(
    script: str, *arguments: str, directory: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a script in a directory."""
    return subprocess.run(
        [SCRIPTS / script, *arguments],
        cwd=directory,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """A product's checkout."""
    directory = tmp_path / "product"
    directory.mkdir()
    (directory / "product.yml").write_text(PRODUCT)
    (directory / ".gitignore").write_text("/build\n")
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    for command in (("init", "-q"), ("add", "."), (*identity, "commit", "-q", "-m", "one")):
        subprocess.run(["git", "-C", directory, *command], check=True)
    return directory


def build(product: Path, image: str = IMAGE) -> subprocess.CompletedProcess[str]:
    """Build the product, with the stand-in for docker."""
    tools = product.parent / "bin"
    tools.mkdir()
    (tools / "docker").write_text(DOCKER)
    (tools / "docker").chmod(0o755)
    return run(
        *("build", "product.yml", "qemuarm64/product", "device"),
        directory=product,
        PATH=f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        KAS_CONTAINER_IMAGE=image,
        KAS_ALLOW_ROOT="yes",
        IMAGE=image,
        NOTED=str(product.parent / "noted"),
    )


@pytest.mark.tool("git")
def test_build_is_kas_in_the_named_image_and_leaves_no_key(product: Path) -> None:
    done = build(product)
    assert done.returncode == 0, done.stderr
    dumped, built = (product.parent / "noted").read_text().splitlines()
    assert re.search(rf" {IMAGE} dump .* /repo/product\.yml$", dumped)
    assert built.endswith(f" {IMAGE} build /repo/product.yml")
    assert [path.name for path in (product / "device").iterdir()] == ["device.json"]
    assert json.loads((product / "device.kas.json").read_text())["machine"] == "qemuarm64"


@pytest.mark.tool("git")
@pytest.mark.parametrize("image", ["", "registry.example.com/kas:5.5"])
def test_image_without_a_digest_is_refused(product: Path, image: str) -> None:
    done = build(product, image)
    assert done.returncode == 2
    assert "expected an image with its digest" in done.stderr
    assert not (product.parent / "noted").exists()


@pytest.mark.tool("git")
def test_checkout_with_changes_is_not_built(product: Path) -> None:
    (product / "more.yml").touch()
    done = build(product)
    assert done.returncode == 3
    assert "?? more.yml" in done.stderr
    assert not (product.parent / "noted").exists()


@pytest.mark.parametrize("changed", [False, True])
def test_packages_are_installed_by_digest(tmp_path: Path, *, changed: bool) -> None:
    every = (ROOT / "ci/requirements.txt").read_text()
    [one] = re.findall(r"^typing-extensions==.*(?:\n +--hash=.*)+", every, re.MULTILINE)
    if changed:
        one = re.sub(r"sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", one)
    (tmp_path / "requirements.txt").write_text(f"{one}\n")
    done = run("install", directory=tmp_path, BOOTSEAL_REQUIREMENTS="requirements.txt")
    assert (done.returncode == 0) is not changed, done.stderr
    assert ("DO NOT MATCH THE HASHES" in done.stderr) is changed
    found = [*tmp_path.glob(".release-venv/lib/python3*/site-packages/typing_extensions.py")]
    assert bool(found) is not changed


def test_identity_token_is_a_file_of_its_owner(tmp_path: Path) -> None:
    issued = "a.b.c"
    done = run("token", "aws/token", directory=tmp_path, AWS_ID_TOKEN=issued)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "aws/token").read_text() == issued
    assert (tmp_path / "aws/token").stat().st_mode & 0o777 == 0o600
