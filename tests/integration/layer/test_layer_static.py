# SPDX-License-Identifier: MIT
"""The layer as kas, systemd and the reader of disk layouts see it, without bitbake."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.integration import board_layouts
from tests.integration.board_layouts import FIRMWARE

from bootseal.assembly.layer import DEVICE, IDENTITY, STATE, Layer
from bootseal.disk.layout import LABEL_ID, parse_wks

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[3]
LAYER = ROOT / "meta-secureboot"
LAYOUTS = sorted((LAYER / "files/wic").glob("*.wks"))
KAS = sorted((ROOT / "kas").rglob("*.yml"))
# kas goes to the network in these, and the tests do not.
_OFFLINE = [
    f"--skip={step}"
    for step in ("repo_setup_loop", "finish_setup_repos", "repos_checkout", "repos_apply_patches")
]


def tool(name: str) -> str:
    """Return a program that was installed next to this Python."""
    return str(Path(sys.executable).with_name(name))


def dump(tmp_path: Path, *names: str) -> dict[str, object]:
    """Return what kas makes of files of this repository, schema check included."""
    done = subprocess.run(
        [tool("kas"), "dump", *_OFFLINE, ":".join(names)],
        cwd=ROOT,
        env={**os.environ, "KAS_WORK_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr
    document = yaml.safe_load(done.stdout)
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("path", KAS, ids=lambda path: path.name)
def test_kas_file_passes_the_schema_of_kas(path: Path, tmp_path: Path) -> None:
    dump(tmp_path, str(path.relative_to(ROOT)))


@pytest.mark.parametrize(
    ("names", "layer"),
    [
        (["kas/qemuarm64.yml"], "meta-arm"),
        (["kas/qemuarm64-production.yml"], "meta-arm"),
        (["kas/base.yml", "kas/machines/raspberrypi4-64.yml"], "meta-raspberrypi"),
        (["kas/base.yml", "kas/machines/imx8mp-lpddr4-evk.yml"], "meta-freescale"),
    ],
    ids=["qemuarm64", "production", "raspberrypi4-64", "imx8mp-lpddr4-evk"],
)
def test_every_repository_of_a_build_is_pinned_to_a_commit(
    names: list[str], layer: str, tmp_path: Path
) -> None:
    optional = ("sstate-mirror", "greengrass", "updates", "example-app")
    features = [f"kas/features/{each}.yml" for each in optional]
    document = dump(tmp_path, *names, *features)
    repositories, overrides = document["repos"], document["overrides"]
    assert isinstance(repositories, dict)
    assert isinstance(overrides, dict)
    others = {name for name, repository in repositories.items() if "url" in repository}
    commits = {name: entry["commit"] for name, entry in overrides["repos"].items()}
    assert {layer, "meta-aws", "meta-rauc"} <= others
    assert commits.keys() == others
    assert all(re.fullmatch("[0-9a-f]{40}", commit) for commit in commits.values())


@pytest.mark.parametrize("machine", FIRMWARE)
def test_layout_of_a_board_has_its_firmware_and_what_every_layout_has(machine: str) -> None:
    layout = parse_wks(board_layouts.text(machine))

    shipped = parse_wks((LAYER / "files/wic/bootseal-ab.wks").read_text())
    assert [(each.name, each.file) for each in layout.unverified] == [FIRMWARE[machine]]
    names = {"firmware", *(each.name for each in layout.partitions)}
    assert names == {"firmware", *(p.name for p in shipped.partitions)} - {"fw-a", "fw-b"}
    for each in layout.partitions:
        if each.name != "firmware":
            same = shipped.partition(each.name)
            assert (each.type, each.uuid, each.size) == (same.type, same.uuid, same.size)


def test_sizes_of_a_board_s_layout_are_those_of_the_build() -> None:
    sizes = {"BOOTSEAL_ROOT_SIZE": "1G", "BOOTSEAL_VERITY_SIZE": "16M"}
    layout = parse_wks(board_layouts.text("raspberrypi4-64", **sizes))
    assert layout.partition("root-b").size == 1 << 30
    assert layout.partition("root-b-verity").size == 16 << 20


@pytest.mark.parametrize("machine", ["qemuarm64", *FIRMWARE])
def test_a_build_put_together_by_hand_is_of_the_layer_s_image(machine: str, tmp_path: Path) -> None:
    # As README.md and the files of the machines have it; kas itself would take core-image-minimal.
    files = ("base", f"machines/{machine}", "features/dev-keys")
    document = dump(tmp_path, *(f"kas/{name}.yml" for name in files))
    assert (document["machine"], document["target"]) == (machine, ["bootseal-image"])


def test_production_build_neither_names_development_keys_nor_builds_a_login(tmp_path: Path) -> None:
    document = dump(tmp_path, "kas/qemuarm64-production.yml")
    assert document["target"] == ["bootseal-image"]
    assert "dev-keys" not in str(document)


def test_menu_offers_files_that_exist() -> None:
    named = re.findall(r'"(kas/[^"]+)"', (ROOT / "kas/Kconfig").read_text())
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_every_layer_of_the_build_is_one_the_layer_depends_on(tmp_path: Path) -> None:
    # Collections as their layer.conf calls them, by the names of kas.
    collections = {
        "meta": "core",
        "meta-oe": "openembedded-layer",
        "meta-python": "meta-python",
        "meta-tpm": "tpm-layer",
    }
    repositories = dump(tmp_path, "kas/base.yml")["repos"]
    assert isinstance(repositories, dict)
    layers = {
        layer
        for repository in repositories.values()
        for layer, state in repository["layers"].items()
        if state != "disabled"
    }
    conf = (LAYER / "conf/layer.conf").read_text()
    match = re.search(r'^LAYERDEPENDS_bootseal = "(.*)"', conf, re.MULTILINE)
    assert match is not None
    assert {collections[layer] for layer in layers - {"meta-secureboot"}} == set(match[1].split())


@pytest.mark.parametrize("path", LAYOUTS, ids=lambda p: p.name)
def test_layout_says_what_wic_would_otherwise_draw_at_random(path: Path) -> None:
    text = path.read_text()
    bare = re.sub(r" --(uuid|diskid) \S+", "", text)
    assert bare != text
    assert f"--diskid {LABEL_ID}" in text
    # The identifiers written down are those that follow from the names.
    drawn = parse_wks(bare)
    assert not drawn.names_disk
    assert drawn.drawn
    assert parse_wks(text) == replace(drawn, names_disk=True, drawn=frozenset())


@pytest.mark.parametrize("path", LAYOUTS, ids=lambda p: p.name)
def test_wic_makes_no_file_system_where_nothing_is_put(path: Path) -> None:
    parts = [line for line in path.read_text().splitlines() if line.startswith("part ")]
    # Without a word about it, wic makes a FAT file system.
    assert [line for line in parts if "--source" not in line and "--fstype none" not in line] == []


@pytest.mark.tool("systemd-analyze")
def test_units_are_what_systemd_expects(tmp_path: Path) -> None:
    layer = Layer(LAYER)
    for file in layer.device_files(login=True):
        target = tmp_path / file.target
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file.source, target)
        target.chmod(file.mode)
    folders = (DEVICE, IDENTITY, STATE)
    units = sorted(path.name for each in folders for path in (LAYER / each).glob("*.service"))
    # The programs that units name by path, and what the units order themselves by.
    for name in ("bin/sh", "usr/bin/systemctl", "usr/bin/udevadm", "usr/bin/tpm2_pcrextend"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch(mode=0o755)
    for name in ("sysinit.target", "multi-user.target", "basic.target", "shutdown.target"):
        (tmp_path / "usr/lib/systemd/system" / name).write_text("[Unit]\nDescription=x\n")

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"--root={tmp_path}", *units],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# Of the package bootseal-device-data, and of bootseal-identity and bootseal-agent, which need it.
OF_DATA = {
    *("bootseal-cap.service", "bootseal-data.service", "bootseal-identity.service"),
    *("bootseal-agent.service", "bootseal-agent-restart.service", "bootseal-app-install.service"),
    *("bootseal-app@.service", "bootseal-apps.service"),
}


def ordered(root: Path, *, data: bool, change: tuple[str, str, str] | None = None) -> str:
    """Return what systemd says of the order in which a device starts the units of the layer."""
    units = root / "usr/lib/systemd/system"
    installed = Layer(LAYER).device_files(login=True)
    for file in (each for each in installed if each.target.suffix == ".service"):
        if not data and (file.source.parent.name == "data" or file.target.name in OF_DATA):
            continue
        text = re.sub("^Exec.*", "", file.source.read_text(), flags=re.MULTILINE)
        if change is not None and file.target.name == change[0]:
            assert change[1] in text
            text = text.replace(change[1], change[2])
        (root / file.target).parent.mkdir(parents=True, exist_ok=True)
        (root / file.target).write_text(f"{text}\n[Service]\nExecStart=/bin/true\n")
    (root / "bin").mkdir()
    (root / "bin/true").touch(mode=0o755)
    for target, needs in {
        "multi-user.target": "basic.target",
        "basic.target": "sysinit.target",
        "sysinit.target": "",
        "shutdown.target": "",
    }.items():
        wants = [path.name for path in units.iterdir() if f"By={target}" in path.read_text()]
        lines = ["[Unit]", "Description=x", f"Wants={' '.join(wants)}"]
        lines += [f"{word}={needs}" for word in ("Requires", "After")]
        (units / target).write_text("\n".join(lines))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"--root={root}", "multi-user.target"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr


@pytest.mark.tool("systemd-analyze")
@pytest.mark.parametrize("data", [True, False], ids=["encrypted data", "slots alone"])
def test_a_slot_is_marked_good_in_an_order_that_systemd_can_keep(
    tmp_path: Path, *, data: bool
) -> None:
    assert ordered(tmp_path, data=data) == ""


@pytest.mark.tool("systemd-analyze")
def test_what_multi_user_waits_for_cannot_wait_for_a_good_slot(tmp_path: Path) -> None:
    change = ("bootseal-status.service", "After=", "After=bootseal-good.service ")
    assert "ordering cycle" in ordered(tmp_path, data=False, change=change)


def exposure(unit: Path, lines: Iterable[str]) -> float:
    """What a unit may do by systemd's own measure, of 0 to 10."""
    unit.write_text("\n".join(lines))
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=True,
    )
    (found,) = re.findall(r"Overall exposure level for \S+: (\d+\.\d)", done.stdout)
    return float(found)


@pytest.mark.tool("systemd-analyze")
def test_unit_that_makes_the_token_can_do_little_else(tmp_path: Path) -> None:
    """The figure differs by a tenth or two between versions of systemd."""
    unit = tmp_path / "bootseal-identity.service"
    lines = (LAYER / IDENTITY / unit.name).read_text().splitlines()
    found = exposure(unit, lines)

    assert found <= 2.5
    for without in ("ProtectSystem=strict", "CapabilityBoundingSet=", "SystemCallFilter="):
        assert exposure(unit, [each for each in lines if not each.startswith(without)]) > found
