# SPDX-License-Identifier: MIT
"""Our signer and verifier against U-Boot's mkimage."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests import samples

from bootseal.errors import UsageError, VerificationRefused
from bootseal.fit import build as fit_build
from bootseal.fit import control_dtb
from bootseal.fit.sign import sign
from bootseal.fit.verify.verdict import inspect, verify
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.keys.signers.file import FileSigner

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.tool("mkimage")

EPOCH = 1_700_000_000
# From v2025.10 on mkimage leaves other amounts of free space in the file.
OTHER_GROWTH = "2025.10"


def make_key(directory: Path, name: str, bits: int) -> FileSigner:
    """Make NAME.key and the NAME.crt from which mkimage reads the public key."""
    samples.write_key(directory, name, rsa.generate_private_key(65537, bits))
    return FileSigner.load(directory / f"{name}.key")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys")
    for bits in (2048, 3072, 4096):
        make_key(directory, f"dev{bits}", bits)
    return directory


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("parts")
    content = random.Random(1)  # noqa: S311 - repeatable
    (directory / "Image.gz").write_bytes(gzip.compress(content.randbytes(50_001), mtime=0))
    (directory / "initramfs").write_bytes(content.randbytes(4_003))
    for slot in "ab":
        tree = fdt.Node("", {"slot": slot.encode() + b"\0"}, [fdt.Node("chosen")])
        (directory / f"{slot}.dtb").write_bytes(fdt.emit(tree))
    return directory


def spec(parts: Path, algorithm: str, slots: str = "ab") -> fit_build.FitSpec:
    return fit_build.FitSpec(
        description="Differential test",
        kernel=parts / "Image.gz",
        compression="gzip",
        load=0x40400000,
        entry=0x40400000,
        fdts={slot: parts / f"{slot}.dtb" for slot in slots},
        ramdisk=parts / "initramfs",
        hint=f"dev{algorithm[-4:]}",
        algorithm=algorithm,
        arch="arm64",
    )


def mkimage(directory: Path, *args: str | Path) -> None:
    subprocess.run(
        ["mkimage", *map(str, args)],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "SOURCE_DATE_EPOCH": str(EPOCH), "TZ": "UTC"},
        check=True,
        capture_output=True,
    )


def sign_like_mkimage(data: bytes, keys: Path, hint: str) -> bytes:
    said = subprocess.run(["mkimage", "-V"], check=True, capture_output=True, text=True).stdout
    version = said.split()[-1]
    if version >= OTHER_GROWTH:
        pytest.skip(f"mkimage {version} grows files in another way")
    signer = FileSigner.load(keys / f"{hint}.key")
    return sign(data, signer, hint, timestamp=EPOCH, name="mkimage", version=version)


@pytest.mark.parametrize("slots", ["a", "ab"])
@pytest.mark.parametrize(
    "algorithm", ["sha256,rsa2048", "sha384,rsa3072", "sha512,rsa4096", "sha256,rsa4096"]
)
def test_signed_fit_is_the_one_mkimage_makes(
    parts: Path, keys: Path, tmp_path: Path, algorithm: str, slots: str
) -> None:
    unsigned, theirs = tmp_path / "unsigned.itb", tmp_path / "theirs.itb"
    wanted = spec(parts, algorithm, slots)
    fit_build.build(wanted, unsigned, epoch=EPOCH)
    shutil.copy(unsigned, theirs)
    mkimage(tmp_path, "-F", "-k", keys, "-r", theirs)
    assert sign_like_mkimage(unsigned.read_bytes(), keys, wanted.hint) == theirs.read_bytes()


def test_signing_again_is_what_mkimage_does(parts: Path, keys: Path, tmp_path: Path) -> None:
    unsigned, theirs = tmp_path / "unsigned.itb", tmp_path / "theirs.itb"
    fit_build.build(spec(parts, "sha256,rsa2048"), unsigned, epoch=EPOCH)
    shutil.copy(unsigned, theirs)
    mkimage(tmp_path, "-F", "-k", keys, "-r", theirs)
    mkimage(tmp_path, "-F", "-k", keys, "-r", theirs)
    once = sign_like_mkimage(unsigned.read_bytes(), keys, "dev2048")
    assert sign_like_mkimage(once, keys, "dev2048") == theirs.read_bytes()


def test_pss_signature_of_mkimage_is_accepted(parts: Path, keys: Path, tmp_path: Path) -> None:
    """mkimage 2023.01 salts as much as fits; only the salt length differs from ours."""

    def use_pss(root: fdt.Node) -> None:
        configurations = root.find("/configurations")
        assert configurations is not None
        for configuration in configurations.children:
            configuration.children[0].properties["padding"] = b"pss\0"

    unsigned, theirs = tmp_path / "unsigned.itb", tmp_path / "theirs.itb"
    fit_build.build(spec(parts, "sha256,rsa2048"), unsigned, epoch=EPOCH)
    theirs.write_bytes(fdt.rewrite(unsigned.read_bytes(), use_pss))
    control = tmp_path / "control.dtb"
    control.write_bytes(fdt.emit(fdt.Node()))
    mkimage(tmp_path, "-F", "-k", keys, "-K", control, "-r", theirs)
    verify(theirs.read_bytes(), control.read_bytes())


def test_fit_and_key_of_mkimage_are_accepted_and_tampering_is_not(
    parts: Path, keys: Path, tmp_path: Path
) -> None:
    fit, control = tmp_path / "fit.itb", tmp_path / "control.dtb"
    fit_build.build(spec(parts, "sha256,rsa2048"), fit, epoch=EPOCH)
    control.write_bytes(fdt.emit(fdt.Node("", {"model": b"board\0"})))
    mkimage(tmp_path, "-F", "-k", keys, "-K", control, "-r", fit)
    data = bytearray(fit.read_bytes())
    verify(bytes(data), control.read_bytes())
    data[fit_format.parse(bytes(data)).image("kernel-1").offset] ^= 1
    with pytest.raises(VerificationRefused, match=r"fit\.image-hash"):
        verify(bytes(data), control.read_bytes())


def test_added_key_is_the_one_mkimage_adds(parts: Path, keys: Path, tmp_path: Path) -> None:
    fit, control = tmp_path / "fit.itb", tmp_path / "control.dtb"
    empty = fdt.emit(fdt.Node("", {"model": b"board\0"}, [fdt.Node("chosen")]))
    fit_build.build(spec(parts, "sha256,rsa4096"), fit, epoch=EPOCH)
    control.write_bytes(empty)
    mkimage(tmp_path, "-F", "-k", keys, "-K", control, "-r", fit)
    signer = FileSigner.load(keys / "dev4096.key")
    ours = control_dtb.add_key(empty, signer.public_key, hint="dev4096", algorithm="sha256,rsa4096")
    assert fdt.parse(ours) == fdt.parse(control.read_bytes())
    assert fdt.read(ours).strings == fdt.read(control.read_bytes()).strings


def test_fit_that_mkimage_left_unsigned_is_refused(parts: Path, keys: Path, tmp_path: Path) -> None:
    """Without the private key mkimage warns, writes the FIT and ends with 0."""
    fit, nothing = tmp_path / "fit.itb", tmp_path / "nothing"
    nothing.mkdir()
    fit_build.build(spec(parts, "sha256,rsa2048"), fit, epoch=EPOCH)
    mkimage(tmp_path, "-F", "-k", nothing, "-r", fit)
    signer = FileSigner.load(keys / "dev2048.key")
    control = control_dtb.add_key(
        fdt.emit(fdt.Node()), signer.public_key, hint="dev2048", algorithm="sha256,rsa2048"
    )
    found = {finding.id for finding in inspect(fit.read_bytes(), control).errors}
    assert found == {"fit.no-signature"}


def test_external_data_of_mkimage_is_refused(parts: Path, keys: Path, tmp_path: Path) -> None:
    fit, control = tmp_path / "fit.itb", tmp_path / "control.dtb"
    fit_build.build(spec(parts, "sha256,rsa2048"), fit, epoch=EPOCH)
    control.write_bytes(fdt.emit(fdt.Node()))
    mkimage(tmp_path, "-F", "-E", "-k", keys, "-K", control, "-r", fit)
    found = {f.id for f in inspect(fit.read_bytes(), control.read_bytes()).errors}
    assert "fit.external-data" in found


def test_built_fit_is_reproducible(parts: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        fit_build.build(spec(parts, "sha256,rsa2048"), tmp_path / name / "x.itb", epoch=EPOCH)
    assert (tmp_path / "one/x.itb").read_bytes() == (tmp_path / "two/x.itb").read_bytes()


def test_failed_build_leaves_no_file(parts: Path, tmp_path: Path) -> None:
    empty = parts / "empty"
    empty.touch()
    wanted = spec(parts, "sha256,rsa2048")
    broken = fit_build.FitSpec(
        description=wanted.description,
        kernel=wanted.kernel,
        compression="gzip",
        load=0,
        entry=0,
        fdts=wanted.fdts,
        ramdisk=empty,
        hint="a",
        algorithm="sha256,rsa2048",
        arch="arm64",
    )
    with pytest.raises(VerificationRefused, match=r"fit\.no-data"):
        fit_build.build(broken, tmp_path / "x.itb", epoch=EPOCH)
    assert list(tmp_path.iterdir()) == []


def test_four_thousand_bit_key_for_two_thousand_bit_algorithm_is_refused(
    parts: Path, keys: Path, tmp_path: Path
) -> None:
    """mkimage signs that and ends with 0, and no U-Boot ever verifies it."""
    fit = tmp_path / "fit.itb"
    fit_build.build(spec(parts, "sha256,rsa2048"), fit, epoch=EPOCH)
    with pytest.raises(UsageError, match="4096 bits does not fit"):
        sign(fit.read_bytes(), FileSigner.load(keys / "dev4096.key"), "dev2048", timestamp=0)
