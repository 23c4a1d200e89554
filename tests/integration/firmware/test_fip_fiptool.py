# SPDX-License-Identifier: MIT
"""FIPs against fiptool: each reads what the other wrote, and both write the same bytes."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from bootseal.cli.app import app
from bootseal.formats import fip

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.tool("fiptool")


def files(directory: Path) -> dict[str, bytes]:
    """Write a file for every image that TF-A knows, each of another size."""
    images = {name: name.encode() * number for number, name in enumerate(fip.IMAGES, 1)}
    for name, data in images.items():
        (directory / name).write_bytes(data)
    return images


def created(directory: Path, names: list[str], alignment: int) -> bytes:
    options = [word for name in names for word in (f"--{name}", name)]
    subprocess.run(
        ["fiptool", "create", "--align", str(alignment), *options, "theirs.bin"],
        cwd=directory,
        check=True,
    )
    return (directory / "theirs.bin").read_bytes()


@pytest.mark.parametrize("alignment", [1, 4, 64, 4096])
@pytest.mark.parametrize("names", [["nt-fw"], ["soc-fw", "tb-fw"], list(fip.IMAGES)], ids=len)
def test_fiptool_and_we_write_the_same_bytes(
    tmp_path: Path, names: list[str], alignment: int
) -> None:
    images = files(tmp_path)
    wanted = {name: images[name] for name in names}

    theirs = created(tmp_path, names, alignment)

    assert fip.emit(wanted, alignment=alignment) == theirs
    found = fip.parse(theirs)
    assert {entry.name: found.image(entry.name) for entry in found.entries} == wanted


def test_fiptool_unpacks_what_the_command_built(tmp_path: Path) -> None:
    images = files(tmp_path)
    names = ("tb-fw", "soc-fw", "nt-fw")
    options = [word for name in names for word in ("--image", f"{name}={tmp_path / name}")]
    built = str(tmp_path / "fip.bin")
    done = CliRunner().invoke(app, ["firmware", "build", *options, "--align", "16", "-o", built])
    assert done.exit_code == 0, done.output

    (tmp_path / "out").mkdir()
    subprocess.run(["fiptool", "unpack", "--out", tmp_path / "out", built], check=True)

    assert {path.stem: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        name: images[name] for name in names
    }
    done = CliRunner().invoke(app, ["firmware", "show", built, "--json"])
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert (shown["schema"], shown["alignment"]) == ("bootseal.firmware/1", 16)
    assert [image["name"] for image in shown["images"]] == list(names)
