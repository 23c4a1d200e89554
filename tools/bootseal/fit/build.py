# SPDX-License-Identifier: MIT
"""Assembles an unsigned FIT with `mkimage`, which hashes the images but never sees a key."""

from __future__ import annotations

import bz2
import logging
import lzma
import re
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from bootseal.device import digest_file
from bootseal.errors import FormatError, ToolError, UsageError
from bootseal.files import mapped, opened, resolved, write_file
from bootseal.findings.model import refuse
from bootseal.fit.verify import structure
from bootseal.fit.verify.digest import digest
from bootseal.fit.verify.strictness import STRICT
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.formats.kinds import recognise as kinds
from bootseal.formats.kinds.kind import BOARD_TREE, COMPRESSED, KERNEL, RAMDISK, Kind, advice
from bootseal.keys.algorithms import Algorithm
from bootseal.proc import run
from bootseal.target import ARCHITECTURES, LOAD_ADDRESSES, UNKNOWN_TARGET, Target
from bootseal.units import MIB, format_size

if TYPE_CHECKING:
    from collections.abc import Mapping

_log: Final = logging.getLogger(__name__)

_TIMEOUT: Final = 600.0
_LARGEST: Final = 512 * MIB
_NAME: Final = re.compile(r"[A-Za-z0-9._+-]{1,64}")
_ADDRESSES: Final = 1 << 32
# More than a block of bzip2.
_BLOCK: Final = MIB
_MAGICS: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x5d\x00\x00", "lzma"),
    (b"BZh", "bzip2"),
    (b"\x89LZO", "lzo"),
)
_ARCHITECTURES: Final = {
    Kind.KERNEL_ARM64: "arm64",
    Kind.KERNEL_RISCV: "riscv",
    Kind.KERNEL_ZIMAGE: "arm",
}
# Linux Documentation/arch/x86/boot.rst: xloadflags, XLF_KERNEL_64.
_LOAD_FLAGS: Final = 0x236
_KERNEL_64: Final = 1


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
        target: The memory of the device.
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
    arch: str
    target: Target = UNKNOWN_TARGET


def detect_compression(path: Path) -> str:
    """Return U-Boot's name for the compression a file starts like, `none` for any other."""
    with opened(path) as file:
        start = file.read(4)
    found = next((name for magic, name in _MAGICS if start.startswith(magic)), "none")
    _log.info("%s: compression %s", path, found)
    return found


def architecture(kernel: Path, named: str | None = None) -> str:
    """Return U-Boot's name for a kernel's architecture.

    Args:
        kernel: Kernel as stored; gzip, bzip2 and lzma are looked into.
        named: The architecture it is said to be for.

    Raises:
        UsageError: There is no such file, it is for another architecture than named, or nothing
            tells which.
        FormatError: U-Boot cannot start it as the kernel of a FIT.
    """
    if not kernel.is_file():
        raise UsageError(f"kernel: there is no file {kernel}")
    if named not in {None, *ARCHITECTURES}:
        raise UsageError(f"architecture {named!r}: U-Boot knows {', '.join(ARCHITECTURES)}")
    found = _architecture_of(kernel)
    if named is not None and found not in {"", named}:
        raise UsageError(f"{kernel} is a kernel for {found}: expected one for {named}")
    if not (named or found):
        raise UsageError(
            f"{kernel}: its architecture cannot be detected",
            hint="give U-Boot's name for it, for example --arch arm64",
        )
    _log.info("%s: architecture %s", kernel, named or found)
    return named or found


def _architecture_of(kernel: Path) -> str:
    """Return the architecture that the header of a kernel tells, "" if none does."""
    with opened(kernel) as file:
        stored = file.read(_BLOCK)
    kind = kinds.check(stored, KERNEL, str(kernel))
    compression = detect_compression(kernel)
    if kind in COMPRESSED and compression == "none":
        raise FormatError(
            f"{kernel} is {kind} in a form that U-Boot cannot unpack",
            hint=advice(kind, KERNEL, str(kernel)),
        )
    start = _unpacked_start(stored, compression, kernel)
    kind = kinds.check(start, KERNEL, f"the contents of {kernel}" if kind in COMPRESSED else "")
    if kind is Kind.KERNEL_BZIMAGE:
        flags = start[_LOAD_FLAGS : _LOAD_FLAGS + 1]
        return "x86_64" if flags and flags[0] & _KERNEL_64 else "x86"
    return _ARCHITECTURES.get(kind, "")


def load_address(arch: str) -> int:
    """Return the kernel load address for this architecture on QEMU's virt machine.

    Raises:
        UsageError: There is no such machine.
    """
    if (found := LOAD_ADDRESSES.get(arch)) is None:
        raise UsageError(
            f"no load address is known for {arch}",
            hint="give the address where the device's kernel runs: --load ADDRESS",
        )
    return found


def _unpacked_start(stored: bytes, compression: str, name: Path) -> bytes:
    """Return the first bytes of a kernel, unpacked if Python can."""
    try:
        match compression:
            case "gzip":
                return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(stored, kinds.HEAD)
            case "bzip2":
                return bz2.BZ2Decompressor().decompress(stored, kinds.HEAD)
            case "lzma":
                return lzma.LZMADecompressor().decompress(stored, kinds.HEAD)
            case _:
                return stored
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise FormatError(f"{name} cannot be unpacked: {error}") from error


def build(spec: FitSpec, output: Path, *, epoch: int) -> None:
    """Assemble a FIT with hashed images and configurations ready to be signed.

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
    _check_result(result, files, spec.target)
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
        _check_size(role, path)
    for path in spec.fdts.values():
        _check_tree(path)
    if spec.ramdisk is not None:
        with mapped(spec.ramdisk) as data:
            kinds.check(data, RAMDISK, str(spec.ramdisk))
    found = detect_compression(spec.kernel)
    if found != spec.compression:
        raise UsageError(
            f"{spec.kernel} has compression {found!r}: the specification says {spec.compression!r}"
        )
    return files


def _check_size(role: str, path: Path) -> None:
    if not path.is_file():
        raise UsageError(f"{role}: there is no file {path}")
    if (size := path.stat().st_size) > _LARGEST:
        raise UsageError(
            f"{role}: {path} has {size} bytes: expected at most {format_size(_LARGEST)}"
        )


def _check_tree(path: Path) -> None:
    with mapped(path) as data:
        kinds.check(data, BOARD_TREE, str(path))
        try:
            root = fdt.read(data, lenient=True).root
        except FormatError as error:
            raise FormatError(f"{path}: {error.message}") from error
    if any(child.name == "__overlay__" for node in root.children for child in node.children):
        raise UsageError(
            f"{path} is an overlay: a configuration boots with the device tree of a whole board",
            hint=f"fdtoverlay -i BOARD.dtb -o MERGED.dtb {path}, and use MERGED.dtb",
        )


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


def _check_result(result: bytes, files: Mapping[str, Path], target: Target) -> None:
    model = fit_format.parse(result)
    for role, path in files.items():
        image = model.image(role if role.startswith("fdt-") else f"{role}-1")
        if digest("sha256", image.payload).hex() != digest_file(path):
            raise ToolError(f"mkimage put something other than {path} into {image.path}")
    strictness = STRICT._replace(target=target)
    refuse(structure.check(model, strictness), "the assembled FIT is refused")
