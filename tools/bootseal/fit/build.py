# SPDX-License-Identifier: MIT
"""Assembles an unsigned FIT with `mkimage`, which hashes the images but never sees a key."""

from __future__ import annotations

import logging
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from bootseal.device import digest_file
from bootseal.errors import FormatError, ToolError, UsageError
from bootseal.files import mapped, resolved, write_file
from bootseal.findings.model import refuse
from bootseal.fit.verify import structure
from bootseal.fit.verify.digest import digest
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.keys.algorithms import Algorithm
from bootseal.proc import run

if TYPE_CHECKING:
    from collections.abc import Mapping

_log: Final = logging.getLogger(__name__)

_TIMEOUT: Final = 600.0
_NAME: Final = re.compile(r"[A-Za-z0-9._+-]{1,64}")
_ADDRESSES: Final = 1 << 32
_MAGICS: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x5d\x00\x00", "lzma"),
    (b"BZh", "bzip2"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSpec:
    """What goes into a FIT.

    It gets the images `kernel-1`, `ramdisk-1` and, for every X in `fdts`, `fdt-X` and the
    configuration `conf-X` of kernel, that device tree and ramdisk. The first is the default.

    Attributes:
        description: One line of text.
        kernel: Kernel as stored.
        compression: How `kernel` is compressed; `none` for a bare Image.
        load: Address the kernel is decompressed to; on arm64 a multiple of 2 MiB.
        entry: Address the kernel starts at.
        fdts: Device trees by configuration name.
        ramdisk: Initial RAM file system as Linux gets it, None for none.
        hint: `key-name-hint` of the key that will sign.
        algorithm: U-Boot name of the algorithm, for example `sha256,rsa2048`; its hash protects the
            images as well.
        arch: U-Boot name of the architecture.
    """

    description: str
    kernel: Path
    compression: str
    load: int
    entry: int
    fdts: Mapping[str, Path]
    ramdisk: Path | None
    hint: str
    algorithm: str
    arch: str = "arm64"


def detect_compression(path: Path) -> str:
    """Return U-Boot's name for the compression a file starts like, `none` for any other."""
    with path.open("rb") as file:
        start = file.read(4)
    found = next((name for magic, name in _MAGICS if start.startswith(magic)), "none")
    _log.info("%s: compression %s", path, found)
    return found


def build(spec: FitSpec, output: Path, *, epoch: int) -> None:
    """Assemble a FIT whose images are hashed and whose configurations wait for their signature.

    Args:
        spec: What goes in.
        output: File to write; it appears complete or not at all.
        epoch: Timestamp of the FIT, seconds since 1970.

    Raises:
        UsageError: The specification cannot be built.
        ToolError: `mkimage` is missing, failed, or wrote something else than asked for.
        VerificationRefused: The result is nothing that may be signed.
    """
    files = _check(spec)
    with tempfile.TemporaryDirectory(prefix="bootseal-fit-") as name:
        directory = Path(name)
        for link, target in files.items():
            (directory / link).symlink_to(resolved(target))
        (directory / "fit.its").write_text(_render(spec))
        run(
            "mkimage",
            ["-f", "fit.its", "fit.itb"],
            timeout=_TIMEOUT,
            cwd=directory,
            env={"SOURCE_DATE_EPOCH": str(epoch)},
        )
        result = (directory / "fit.itb").read_bytes()
    _check_result(result, files)
    write_file(output, result)


def _render(spec: FitSpec) -> str:
    environment = Environment(
        loader=PackageLoader("bootseal.fit"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - the output is device tree source; _check vets the text
        keep_trailing_newline=True,
    )
    hash_name = Algorithm.parse(spec.algorithm).hash_name
    return environment.get_template("fit.its.j2").render(spec=spec, hash=hash_name)


def _check(spec: FitSpec) -> dict[str, Path]:
    """Check the specification and return the files by the name the template gives them."""
    _check_texts(spec)
    if not spec.fdts:
        raise UsageError(
            "no device tree given: a configuration needs one", hint="--fdt a=board.dtb"
        )
    for what, address in (("load", spec.load), ("entry", spec.entry)):
        if not 0 <= address < _ADDRESSES:
            raise UsageError(f"{what} address {address:#x} does not fit into 32 bits")
    files = {"kernel": spec.kernel, **{f"fdt-{name}": path for name, path in spec.fdts.items()}}
    if spec.ramdisk is not None:
        files["ramdisk"] = spec.ramdisk
    for role, path in files.items():
        if not path.is_file():
            raise UsageError(f"{role}: there is no file {path}")
    for path in spec.fdts.values():
        _check_tree(path)
    found = detect_compression(spec.kernel)
    if found != spec.compression:
        raise UsageError(
            f"{spec.kernel} has compression {found!r}: the specification says {spec.compression!r}"
        )
    return files


def _check_tree(path: Path) -> None:
    with mapped(path) as data:
        try:
            fdt.read(data, lenient=True)
        except FormatError as error:
            raise FormatError(f"{path}: {error.message}") from error


def _check_texts(spec: FitSpec) -> None:
    """Check all texts that end up in device tree source."""
    text = spec.description
    if not text or not text.isprintable() or set(text) & set('"\\'):
        raise UsageError(f"description {text!r}: expected a line without quotes and backslashes")
    names = [("key name hint", spec.hint), ("architecture", spec.arch)]
    names += [("configuration name", name) for name in spec.fdts]
    for what, name in names:
        if _NAME.fullmatch(name) is None:
            raise UsageError(f"{what} {name!r}: expected up to 64 letters, digits and . _ + -")
    Algorithm.parse(spec.algorithm)


def _check_result(result: bytes, files: Mapping[str, Path]) -> None:
    model = fit_format.parse(result)
    for role, path in files.items():
        image = model.image(role if role.startswith("fdt-") else f"{role}-1")
        if digest("sha256", image.payload).hex() != digest_file(path):
            raise ToolError(f"mkimage put something else than {path} into {image.path}")
    refuse(structure.check(model), "the assembled FIT is refused")
