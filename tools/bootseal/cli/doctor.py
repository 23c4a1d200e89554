# SPDX-License-Identifier: MIT
"""`bootseal doctor`: every external program, what needs it, and how to install it."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bootseal import proc
from bootseal.cli import console
from bootseal.cli.options import Json
from bootseal.errors import ExitCode, ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bootseal.findings.model import Finding

SCHEMA: Final = "bootseal.doctor/2"
_VERSION: Final = re.compile(r"\d+\.\d[\w.+~-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program, its Debian package, the commands that need it, and how to ask for its version."""

    name: str
    package: str
    used_by: str
    version: tuple[str, ...] = ("--version",)


TOOLS: Final = (
    Tool(name="mkimage", package="u-boot-tools", used_by="fit build", version=("-V",)),
    Tool(name="dtc", package="device-tree-compiler", used_by="fit build, reference build"),
    Tool(name="apt-get", package="apt", used_by="reference build"),
    Tool(name="dpkg-deb", package="dpkg", used_by="reference build"),
    Tool(name="patch", package="patch", used_by="reference build"),
    Tool(name="make", package="make", used_by="reference build"),
    Tool(name="gcc", package="gcc", used_by="reference build"),
    Tool(name="aarch64-linux-gnu-gcc", package="gcc-aarch64-linux-gnu", used_by="reference build"),
    Tool(name="bison", package="bison", used_by="reference build"),
    Tool(name="gawk", package="gawk", used_by="reference build"),
    Tool(name="flex", package="flex", used_by="reference build"),
    Tool(name="bc", package="bc", used_by="reference build"),
    Tool(name="depmod", package="kmod", used_by="reference build"),
    Tool(name="systemd-sysusers", package="systemd", used_by="reference build"),
    Tool(name="systemctl", package="systemd", used_by="reference build"),
    Tool(
        name="mkfs.erofs", package="erofs-utils", used_by="reference build, app build", version=()
    ),
    Tool(name="veritysetup", package="cryptsetup-bin", used_by="reference build, boot matrix"),
    Tool(
        name="fsck.erofs",
        package="erofs-utils",
        used_by="disk check, disk diff, app check",
        version=(),
    ),
    Tool(name="debugfs", package="e2fsprogs", used_by="disk check, disk diff", version=("-V",)),
    Tool(name="prlimit", package="util-linux", used_by="disk check, disk diff, app check"),
    Tool(name="sqfs2tar", package="squashfs-tools-ng", used_by="disk check, update check"),
    Tool(name="mksquashfs", package="squashfs-tools", used_by="update bundle", version=()),
    Tool(name="sfdisk", package="fdisk", used_by="reference build"),
    Tool(name="qemu-system-aarch64", package="qemu-system-arm", used_by="boot"),
    Tool(name="busybox", package="busybox-static", used_by="boot matrix", version=()),
    Tool(name="mosquitto", package="mosquitto", used_by="boot matrix", version=()),
    Tool(name="qemu-img", package="qemu-utils", used_by="boot"),
    Tool(name="qemu-io", package="qemu-utils", used_by="boot matrix"),
    Tool(name="cryptsetup", package="cryptsetup-bin", used_by="boot matrix"),
    Tool(name="openssl", package="openssl", used_by="boot matrix", version=("version",)),
    Tool(name="tpm2_unseal", package="tpm2-tools", used_by="boot matrix"),
    Tool(name="swtpm", package="swtpm", used_by="boot"),
    Tool(name="swtpm_setup", package="swtpm-tools", used_by="boot", version=()),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTool:
    """A tool that was looked for: its path, empty if missing, and the version it reports."""

    tool: Tool
    path: str
    version: str


def look(tool: Tool) -> FoundTool:
    """Find a program and ask for its version."""
    try:
        path = proc.find_tool(tool.name)
    except ToolError:
        return FoundTool(tool=tool, path="", version="")
    version = "installed"
    if tool.version:
        try:
            done = proc.run(tool.name, tool.version, timeout=30)
        except ToolError:
            return FoundTool(tool=tool, path=path, version="does not run")
        match = _VERSION.search((done.stdout + done.stderr).decode(errors="replace"))
        version = match[0] if match else version
    return FoundTool(tool=tool, path=path, version=version)


def doctor(
    *,
    u_boot: Annotated[
        list[Path] | None,
        typer.Option("--u-boot", help="A u-boot.bin or ELF file to inspect; may be repeated."),
    ] = None,
    json: Json = False,
) -> None:
    """List every external program, what needs it, and how to install it if it is missing.

    Warns about a U-Boot without the FIT gate.

    Exits with 0 if everything is installed and with 5 if something is missing.
    """
    from bootseal.cli.inputs import read
    from bootseal.files import BOOT_LOADER
    from bootseal.fit.boot_loader import check_gate
    from bootseal.formats.kinds.kind import U_BOOT

    loaders = {
        str(path): check_gate(read(path, U_BOOT, limit=BOOT_LOADER)) for path in u_boot or ()
    }
    found = [look(tool) for tool in TOOLS]
    missing = [f.tool for f in found if not f.path]
    packages = sorted({tool.package for tool in missing})
    if json:
        console.emit_json(_document(found, loaders))
    else:
        rows = [
            (f.tool.name, f.version or "MISSING", f.tool.used_by, f.path or f.tool.package)
            for f in found
        ]
        console.table(("program", "version", "needed by", "path, or Debian package"), rows)
    for path, findings in loaders.items():
        for finding in findings:
            console.status("WARNING: {}: {}", path, finding.message)
    if missing:
        console.status("MISSING: {} of {} programs. To install them:", len(missing), len(found))
        console.status("  apt-get install {}", " ".join(packages))
        raise typer.Exit(ExitCode.TOOL)
    console.status("OK: every program is installed")


def _document(
    found: Sequence[FoundTool], loaders: Mapping[str, Sequence[Finding]]
) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "ok": all(f.path for f in found),
        "tools": [
            {
                "name": f.tool.name,
                "path": f.path,
                "version": f.version,
                "used_by": f.tool.used_by,
                "package": f.tool.package,
            }
            for f in found
        ],
        "boot_loaders": [
            {"path": path, "findings": [dataclasses.asdict(f) for f in findings]}
            for path, findings in loaders.items()
        ],
    }
