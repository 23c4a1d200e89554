# SPDX-License-Identifier: MIT
"""`bootseal disk` on the command line: exit codes, documents, reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from tests.unit.check import conftest as made
from typer.testing import CliRunner

from bootseal.cli.app import app
from bootseal.errors import BootsealError, ExitCode
from bootseal.units import GIB, KIB, MIB

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.check.conftest import Base
    from typer.testing import Result

LINE = (
    "part --part-name {name} --part-type {type} --uuid {uuid} --align 1024 --fixed-size {size}M\n"
)


@pytest.fixture
def arguments(base: Base, tmp_path: Path) -> list[str]:
    """The good disk on its own, as arguments, and what it is checked against."""
    text = "bootloader --ptable gpt\n" + "".join(
        LINE.format(name=p.name, type=p.type, uuid=p.uuid, size=p.size // MIB)
        for p in base.target.partitions
    )
    assert base.target.policy_key is not None
    files = {
        "layout.wks": text.encode(),
        "control.dtb": base.target.control,
        "policy.pub": base.target.policy_key.pem,
        "disk.img": base.image,
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    return [
        str(tmp_path / "disk.img"),
        f"--dtb={tmp_path / 'control.dtb'}",
        f"--layout={tmp_path / 'layout.wks'}",
        f"--policy-key={tmp_path / 'policy.pub'}",
    ]


def run(verb: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["disk", verb, *arguments])


def code(result: Result) -> int:
    error = result.exception
    return int(error.exit_code) if isinstance(error, BootsealError) else result.exit_code


def test_check_accepts_a_good_disk(arguments: list[str]) -> None:
    result = run("check", *arguments, "--no-inside", "--json")

    assert result.exit_code == ExitCode.OK, result.output
    document = json.loads(result.stdout)
    assert (document["schema"], document["accepted"]) == ("bootseal.disk-verdict/2", True)
    assert sum(part["end"] - part["start"] for part in document["map"]) == 12 << 20
    assert sum(document["totals"].values()) == 12 << 20


def test_check_says_that_a_declared_boot_loader_is_not_signed(
    arguments: list[str], tmp_path: Path
) -> None:
    loader = tmp_path / "imx-boot"
    loader.write_bytes(b"boot loader")
    layout = tmp_path / "layout.wks"
    line = "part u-boot --source rawcopy --sourceparams=file=imx-boot --no-table --align 32\n"
    layout.write_text(line + layout.read_text())
    with (tmp_path / "disk.img").open("r+b") as disk:
        os.pwrite(disk.fileno(), b"boot loader", 32 * KIB)

    result = run("check", *arguments, "--no-inside", f"--boot-loader=u-boot={loader}")
    assert result.exit_code == ExitCode.OK, result.output
    assert (
        "NOT SIGNED: u-boot at 0x8000: not verified here; a boot ROM may verify it" in result.stderr
    )
    assert "disk.boot-loader-unchecked" not in result.stdout

    loader.write_bytes(b"another one")
    result = run("check", *arguments, "--no-inside", f"--boot-loader=u-boot={loader}")
    assert code(result) == ExitCode.REFUSED
    assert "disk.boot-loader at u-boot: it differs from imx-boot at 0x8000" in str(result.exception)


def test_check_of_a_huge_disk_takes_little_memory(
    base: Base, arguments: list[str], tmp_path: Path
) -> None:
    size = 64 * GIB
    with (tmp_path / "disk.img").open("wb") as disk:
        disk.truncate(size)
        os.pwrite(disk.fileno(), base.image[: 11 * MIB], 0)
        for place, content in made.tables(base.target.partitions, size).items():
            os.pwrite(disk.fileno(), content, place)
    program = (
        "import sys; from bootseal.cli.app import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "print(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, "disk", "check", *arguments, "--no-inside"],
        capture_output=True,
        text=True,
        check=True,
    )

    peak = int(done.stdout.split()[-2]) * KIB
    assert peak < 200 * MIB


def test_check_refuses_a_tampered_disk(base: Base, arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "disk.img").write_bytes(base.flipped("root-a", 9000))

    result = run("check", *arguments, "--no-inside", "--json")

    assert code(result) == ExitCode.REFUSED
    errors = [f for f in json.loads(result.stdout)["findings"] if f["severity"] == "error"]
    assert [(f["id"], f["where"]) for f in errors] == [("disk.verity-data", "root-a")]


@pytest.mark.parametrize("content", [b"", b"text", bytes(4096), b"\x1f\x8bjunk"])
def test_check_of_no_disk_is_malformed(
    arguments: list[str], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "disk.img").write_bytes(content)

    assert code(run("check", *arguments, "--no-inside")) == ExitCode.MALFORMED


@pytest.mark.parametrize("missing", ["--dtb", "--layout"])
def test_check_of_an_image_needs_what_it_is_checked_with(
    arguments: list[str], missing: str
) -> None:
    given = [each for each in arguments if not each.startswith(missing)]

    assert code(run("check", *given)) == ExitCode.USAGE


def test_check_of_a_directory_without_a_device_is_a_usage_error(tmp_path: Path) -> None:
    assert code(run("check", str(tmp_path))) == ExitCode.USAGE


def test_reports_name_the_finding(base: Base, arguments: list[str], tmp_path: Path) -> None:
    hostile = "<script>\x1b[31m"
    parts = [p if p.number > 1 else replace(p, name=hostile) for p in base.target.partitions]
    (tmp_path / "disk.img").write_bytes(base.partitioned(parts))
    files = {kind: tmp_path / f"report.{kind}" for kind in ("sarif", "junit", "html")}

    options = [f"--{kind}={path}" for kind, path in files.items()]
    result = run("check", *arguments, "--no-inside", *options)

    assert code(result) == ExitCode.REFUSED
    assert "\x1b[31m" not in result.output
    sarif = json.loads(files["sarif"].read_text())["runs"][0]
    assert "disk.unexpected" in {each["ruleId"] for each in sarif["results"]}
    assert sarif["results"][0]["locations"][0]["physicalLocation"]["region"]["byteOffset"] >= 0
    root = ET.fromstring(files["junit"].read_text())  # noqa: S314 - our own
    assert root.get("failures") == str(len(root.findall(".//failure"))) != "0"
    page = files["html"].read_text()
    assert "REFUSED" in page
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_show_prints_partitions_and_what_differs(
    base: Base, arguments: list[str], tmp_path: Path
) -> None:
    good = run("show", *arguments)
    (tmp_path / "disk.img").write_bytes(base.flipped("", 512))
    other = run("show", *arguments, "--json")

    assert good.exit_code == ExitCode.OK
    assert good.stdout.count("OK") == 7
    assert json.loads(other.stdout)["findings"][0]["id"] == "disk.gpt-primary"


def test_show_draws_the_map(arguments: list[str], tmp_path: Path) -> None:
    svg, html = tmp_path / "map.svg", tmp_path / "map.html"

    result = run("show", *arguments, "--coverage", f"--svg={svg}", f"--html={html}")

    assert result.exit_code == ExitCode.OK, result.output
    assert "verity-covered" in result.stdout
    drawing = ET.fromstring(svg.read_text())  # noqa: S314 - our own
    widths = [float(each.get("width", "0")) for each in drawing.iter() if each.get("class") == "s1"]
    assert max(widths) == pytest.approx(1000 * 300 * 4096 / (2 << 20), abs=0.01)
    assert "ACCEPTED" in html.read_text()


def test_show_without_coverage_draws_nothing(arguments: list[str], tmp_path: Path) -> None:
    assert code(run("show", *arguments, f"--svg={tmp_path / 'x.svg'}")) == ExitCode.USAGE


def test_prove_refuses_everything_covered(arguments: list[str]) -> None:
    result = run("prove", *arguments, "--tries=3", "--json")

    assert result.exit_code == ExitCode.OK, result.output
    document = json.loads(result.stdout)
    assert document["schema"] == "bootseal.disk-proof/1"
    assert all(r["refused"] == r["tries"] for r in document["regions"] if r["covered"])


def test_prove_of_a_refused_disk_proves_nothing(
    base: Base, arguments: list[str], tmp_path: Path
) -> None:
    (tmp_path / "disk.img").write_bytes(base.flipped("root-a", 9000))

    assert code(run("prove", *arguments, "--tries=1")) == ExitCode.REFUSED
