# SPDX-License-Identifier: MIT
"""Every scheme of mkimage: byte for byte the same FIT, or, where chance plays a part, a good one.

mkimage 2023.01 aligns the end of a tree with external data and does not clear what it aligns with;
those few bytes, which nothing covers and nobody reads, are left out of the comparison.
mkimage 2024.01 and later write `data-offset` and `data-size` anew when they sign, in the other
order; no signature covers either, and ours stay where they were.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import struct
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests import samples

from bootseal.fit import control_dtb
from bootseal.fit.sign import Request, SigningKey, sign_request
from bootseal.fit.verify.strictness import COMPAT, STRICT
from bootseal.fit.verify.verdict import inspect, verify
from bootseal.formats.fdt import model as fdt
from bootseal.keys.signers.file import FileSigner

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.tool("mkimage")

EPOCH = 1_700_000_000
OTHER_ORDER = "2024.01"
KEY_IS_REQUIRED = "2025.01"
OTHER_GROWTH = "2025.10"
IMAGE = """
  {name} {{ description = "{name}"; data = /incbin/("{file}"); type = "{type}"; arch = "arm64";
    os = "linux"; compression = "none"; {more}
    hash-1 {{ algo = "sha256"; }}; hash-2 {{ algo = "sha512"; }}; {signature} }};
"""
SIGNATURE = """
    {name} {{ algo = "{algorithm}"; key-name-hint = "{hint}"; {padding} {signed} }};
"""
SIGNED = 'sign-images = "kernel", "fdt", "ramdisk";'


class Case(NamedTuple):
    """Algorithm and hint of each signature node, and of those of the images."""

    configuration: Sequence[tuple[str, str]]
    images: tuple[str, str] | None = None
    padding: str = ""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with keys, as mkimage wants them, and parts."""
    directory = tmp_path_factory.mktemp("work")
    for bits in (2048, 3072, 4096):
        samples.write_key(directory, f"r{bits}", rsa.generate_private_key(65537, bits))
    samples.write_key(directory, "e256", ec.generate_private_key(ec.SECP256R1()))
    content = random.Random(2)  # noqa: S311 - repeatable
    (directory / "kernel").write_bytes(content.randbytes(20_001))
    (directory / "ramdisk").write_bytes(content.randbytes(3_003))
    (directory / "board.dtb").write_bytes(fdt.emit(fdt.Node("", {"model": b"board\0"})))
    return directory


def source(case: Case) -> str:
    signature = ""
    if case.images:
        algorithm, hint = case.images
        signature = SIGNATURE.format(
            name="signature-1", algorithm=algorithm, hint=hint, padding="", signed=""
        )
    parts = (
        ("kernel-1", "kernel", "kernel", "load = <0x40400000>; entry = <0x40400000>;"),
        ("fdt-1", "board.dtb", "flat_dt", ""),
        ("ramdisk-1", "ramdisk", "ramdisk", ""),
    )
    images = "".join(
        IMAGE.format(name=name, file=file, type=kind, more=more, signature=signature)
        for name, file, kind, more in parts
    )
    padding = f'padding = "{case.padding}";' if case.padding else ""
    nodes = "".join(
        SIGNATURE.format(
            name=f"signature-{n}", algorithm=algorithm, hint=hint, padding=padding, signed=SIGNED
        )
        for n, (algorithm, hint) in enumerate(case.configuration, 1)
    )
    return (
        f'/dts-v1/; / {{ description = "matrix"; #address-cells = <1>; images {{ {images} }};\n'
        'configurations { default = "conf-1"; conf-1 { kernel = "kernel-1"; fdt = "fdt-1";\n'
        f'ramdisk = "ramdisk-1"; {nodes} }}; }}; }};'
    )


def mkimage(work: Path, *args: str | Path) -> None:
    subprocess.run(
        ["mkimage", *map(str, args)],
        cwd=work,
        env={"PATH": os.environ["PATH"], "SOURCE_DATE_EPOCH": str(EPOCH), "TZ": "UTC"},
        check=True,
        capture_output=True,
    )


def mkimage_version() -> str:
    said = subprocess.run(["mkimage", "-V"], check=True, capture_output=True, text=True).stdout
    return said.split()[-1]


def request_for(work: Path, case: Case, options: Sequence[str], comment: str | None) -> Request:
    version = mkimage_version()
    if version >= OTHER_GROWTH:
        pytest.skip(f"mkimage {version} grows files in another way")
    hints = [hint for _, hint in case.configuration]
    hints += [case.images[1]] if case.images and case.images[1] not in hints else []
    return Request(
        keys=[
            SigningKey(signer=FileSigner.load(work / f"{hint}.key"), hint=hint) for hint in hints
        ],
        timestamp=EPOCH,
        name="mkimage",
        version=version,
        comment=comment,
        strictness=STRICT._replace(external_data=bool(options)),
    )


def without_alignment(fit: bytes) -> bytes:
    """Return a FIT without what aligns the end of its tree, when less than a word does."""
    header = fdt.read(fit).header
    end = header.off_strings + header.size_strings
    slack = header.total_size - end
    return fit if slack > 3 else fit[:end] + bytes(slack) + fit[header.total_size :]


def offset_first(fit: bytes) -> bytes:
    """Return a FIT with each `data-offset` in front of the `data-size` that it followed."""
    strings = fdt.read(fit).strings
    size, offset = (
        re.escape(struct.pack(">3I", 3, 4, strings.index(name))) + b".{4}"
        for name in (b"data-size\0", b"data-offset\0")
    )
    return re.sub(b"(" + size + b")(" + offset + b")", rb"\2\1", fit, flags=re.DOTALL)


CASES = {
    **{
        f"{hash_name},rsa{bits}": Case([(f"{hash_name},rsa{bits}", f"r{bits}")])
        for hash_name in ("sha256", "sha384", "sha512")
        for bits in (2048, 3072, 4096)
    },
    "two keys": Case([("sha256,rsa2048", "r2048"), ("sha512,rsa4096", "r4096")]),
    "images too": Case([("sha256,rsa2048", "r2048")], ("sha256,rsa2048", "r2048")),
    "images by another": Case([("sha384,rsa4096", "r4096")], ("sha256,rsa2048", "r2048")),
}


@pytest.mark.parametrize("options", [(), ("-E",)], ids=["embedded", "external"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_signed_twice_is_what_mkimage_makes(
    work: Path, tmp_path: Path, case: Case, options: Sequence[str]
) -> None:
    comment = "a comment" if case.images else None
    request = request_for(work, case, options, comment)
    fit = tmp_path / "fit.itb"
    (work / "fit.its").write_text(source(case))
    mkimage(work, "-f", "fit.its", *options, fit)
    ours = fit.read_bytes()
    extra = ["-c", comment] if comment else []
    for _ in range(2):
        mkimage(work, "-F", *options, "-k", work, *extra, "-r", fit)
        ours = sign_request(ours, request)
        expected = ours
        if options and request.version >= OTHER_ORDER:
            expected = offset_first(ours)
            assert expected != ours
        assert without_alignment(expected) == without_alignment(fit.read_bytes())


RANDOM = {
    **{f"pss {n}": Case(c.configuration, padding="pss") for n, c in list(CASES.items())[:9]},
    "sha256,ecdsa256": Case([("sha256,ecdsa256", "e256")]),
}


@pytest.mark.parametrize("case", RANDOM.values(), ids=RANDOM.keys())
def test_random_signature_differs_in_its_value_only(work: Path, tmp_path: Path, case: Case) -> None:
    request = request_for(work, case, (), None)
    fit, control = tmp_path / "fit.itb", tmp_path / "control.dtb"
    (work / "fit.its").write_text(source(case))
    mkimage(work, "-f", "fit.its", fit)
    unsigned = fit.read_bytes()
    # mkimage 2023.01 adds ECDSA keys only where there is a node for keys already.
    control.write_bytes(fdt.emit(fdt.Node("", {}, [fdt.Node("signature")])))
    # It gives the FIT as much more room as the keys need there, so another one gets the keys.
    shutil.copy(fit, tmp_path / "other.itb")
    mkimage(work, "-F", "-k", work, "-K", control, "-r", tmp_path / "other.itb")
    mkimage(work, "-F", "-k", work, "-r", fit)
    ours, theirs = sign_request(unsigned, request), fit.read_bytes()
    (algorithm, hint), key = case.configuration[0], request.keys[0].signer.public_key
    trust = control_dtb.add_key(fdt.emit(fdt.Node()), key, hint=hint, algorithm=algorithm)
    for signed in (ours, theirs):
        verify(signed, trust)
    assert without_value(ours) == without_value(theirs)
    assert len(ours) == len(theirs)
    if algorithm.endswith("ecdsa256") and mkimage_version() < KEY_IS_REQUIRED:
        # Such a key node names neither algorithm nor requirement, so U-Boot accepts anything.
        found = {f.id for f in inspect(theirs, control.read_bytes()).errors}
        assert found == {"fit.no-required-key"}
    else:
        verify(ours, control.read_bytes())


def without_value(fit: bytes) -> tuple[fdt.Node, bytes]:
    """Return tree and strings without the signature, parts of which end up in padding as well."""
    root = fdt.parse(fit)
    node = root.find("/configurations/conf-1/signature-1")
    assert node is not None
    node.properties["value"] = bytes(len(node.properties["value"]))
    return root, fdt.read(fit).strings


def test_key_nodes_of_mkimage_are_ours(work: Path, tmp_path: Path) -> None:
    case = CASES["two keys"]
    request = request_for(work, case, (), None)
    fit, control = tmp_path / "fit.itb", tmp_path / "control.dtb"
    (work / "fit.its").write_text(source(case))
    mkimage(work, "-f", "fit.its", fit)
    empty = fdt.emit(fdt.Node("", {"model": b"board\0"}))
    control.write_bytes(empty)
    mkimage(work, "-F", "-k", work, "-K", control, "-r", fit)
    ours = empty
    for (algorithm, hint), key in zip(case.configuration, request.keys, strict=True):
        ours = control_dtb.add_key(ours, key.signer.public_key, hint=hint, algorithm=algorithm)
    assert fdt.parse(ours) == fdt.parse(control.read_bytes())


def test_data_position_of_mkimage_is_read(work: Path, tmp_path: Path) -> None:
    fit = tmp_path / "fit.itb"
    case = CASES["sha256,rsa2048"]
    (work / "fit.its").write_text(source(case))
    control = tmp_path / "control.dtb"
    control.write_bytes(fdt.emit(fdt.Node()))
    mkimage(work, "-f", "fit.its", "-E", "-p", "0x4000", "-k", work, "-K", control, "-r", fit)
    found = {f.id for f in inspect(fit.read_bytes(), control.read_bytes()).errors}
    assert found == {"fit.external-data", "fit.external-gap"}
    verify(fit.read_bytes(), control.read_bytes(), strictness=COMPAT)
    request = replace(request_for(work, case, (), None), strictness=COMPAT)
    again = sign_request(fit.read_bytes(), request)
    verify(again, control.read_bytes(), strictness=COMPAT)
    assert again[0x4000:] == fit.read_bytes()[0x4000:]


def test_copied_fit_is_left_alone(work: Path, tmp_path: Path) -> None:
    """The comparison above would be empty if mkimage wrote nothing."""
    fit, copy = tmp_path / "fit.itb", tmp_path / "copy.itb"
    (work / "fit.its").write_text(source(CASES["sha256,rsa2048"]))
    mkimage(work, "-f", "fit.its", fit)
    shutil.copy(fit, copy)
    mkimage(work, "-F", "-k", work, "-r", fit)
    assert fit.read_bytes() != copy.read_bytes()
