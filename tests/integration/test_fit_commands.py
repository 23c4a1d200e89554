# SPDX-License-Identifier: MIT
"""`bootseal fit` from the parts to the verdict."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from typer.testing import CliRunner

from bootseal.cli.fit import app
from bootseal.errors import BootsealError, FormatError, UsageError, VerificationRefused
from bootseal.formats import fdt

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.tool("mkimage")


def run(*args: str | Path, stdin: bytes = b"") -> tuple[str, BaseException | None]:
    """Return stdout and the error a command ended in, None for success."""
    result = CliRunner().invoke(app, [str(arg) for arg in args], input=stdin)
    error = result.exception
    if error is not None and not isinstance(error, BootsealError | SystemExit):
        raise error
    return result.stdout, error


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a signed FIT and its control device tree, all made by the commands."""
    directory = tmp_path_factory.mktemp("made")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (directory / "fit.pem").touch(mode=0o600)
    (directory / "fit.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (directory / "Image.gz").write_bytes(gzip.compress(bytes(range(256)), mtime=0))
    (directory / "initramfs").write_bytes(b"initramfs")
    (directory / "board.dtb").write_bytes(fdt.emit(fdt.Node("", {"model": b"board\0"})))
    (directory / "u-boot.bin").write_bytes(b"code" + fdt.emit(fdt.Node()))
    _, error = run(
        *("build", "--kernel", directory / "Image.gz", "--ramdisk", directory / "initramfs"),
        *("--fdt", f"a={directory / 'board.dtb'}", "--fdt", f"b={directory / 'board.dtb'}"),
        *("--hint", "DEV-fit", "--algorithm", "sha256,rsa2048", "-o", directory / "unsigned.itb"),
    )
    assert error is None
    _, error = run(
        *("sign", directory / "unsigned.itb", "--key", directory / "fit.pem"),
        *("--hint", "DEV-fit", "-o", directory / "fit.itb"),
        *("--dtb", directory / "u-boot.bin", "--dtb-output", directory / "u-boot-key.bin"),
    )
    assert error is None
    return directory


def test_signed_fit_is_verified(made: Path) -> None:
    stdout, error = run("verify", made / "fit.itb", "--dtb", made / "u-boot-key.bin")
    assert error is None
    assert stdout.count("good") == 2


def test_verify_reads_standard_input(made: Path) -> None:
    data = (made / "fit.itb").read_bytes()
    _, error = run("verify", "-", "--dtb", made / "u-boot-key.bin", stdin=data)
    assert error is None


def test_verify_prints_one_document(made: Path) -> None:
    stdout, _ = run("verify", made / "fit.itb", "--dtb", made / "u-boot-key.bin", "--json")
    document = json.loads(stdout)
    assert (document["schema"], document["accepted"]) == ("bootseal.fit-verdict/1", True)
    assert [r["configuration"] for r in document["results"]] == ["conf-a", "conf-b"]


def test_verify_refuses_an_unsigned_fit(made: Path) -> None:
    stdout, error = run("verify", made / "unsigned.itb", "--dtb", made / "u-boot-key.bin", "--json")
    assert isinstance(error, VerificationRefused)
    assert json.loads(stdout)["accepted"] is False


def test_verify_prints_what_is_missing(made: Path) -> None:
    stdout, _ = run("verify", made / "unsigned.itb", "--dtb", made / "u-boot-key.bin")
    assert stdout.count("MISSING") == 2
    assert stdout.count("fit.no-signature") == 2


def test_verify_refuses_a_boot_loader_without_key(made: Path) -> None:
    stdout, error = run("verify", made / "fit.itb", "--dtb", made / "u-boot.bin")
    assert isinstance(error, VerificationRefused)
    assert "fit.no-required-key" in stdout


def test_verify_names_the_file_that_is_malformed(made: Path) -> None:
    _, error = run("verify", made / "Image.gz", "--dtb", made / "u-boot-key.bin")
    assert isinstance(error, FormatError)
    assert "Image.gz: device tree at offset 0" in error.message


def test_sign_names_the_fit_it_refuses(made: Path, tmp_path: Path) -> None:
    damaged = bytearray((made / "unsigned.itb").read_bytes())
    damaged[damaged.index(b"initramfs")] ^= 1
    (tmp_path / "damaged.itb").write_bytes(damaged)
    _, error = run(
        *("sign", tmp_path / "damaged.itb", "--key", made / "fit.pem", "--hint", "DEV-fit")
    )
    assert isinstance(error, VerificationRefused)
    assert "damaged.itb: the FIT is not fit to be signed: fit.image-hash" in error.message
    assert (tmp_path / "damaged.itb").read_bytes() == damaged


def test_show_says_that_nothing_was_verified(made: Path) -> None:
    stdout, error = run("show", made / "fit.itb")
    assert error is None
    assert "SIGNED, NOT CHECKED" in stdout
    assert "verified" not in stdout.lower()


def test_show_marks_the_unsigned_fit(made: Path) -> None:
    stdout, _ = run("show", made / "unsigned.itb", "--json")
    document = json.loads(stdout)
    assert document["schema"] == "bootseal.fit/1"
    assert document["configurations"][0]["signatures"][0]["state"] == "unsigned"


def test_show_makes_control_characters_harmless(made: Path, tmp_path: Path) -> None:
    def change(root: fdt.Node) -> None:
        root.properties["description"] = b"\x1b[32mVERIFIED [red]x\0"

    evil = tmp_path / "evil.itb"
    evil.write_bytes(fdt.rewrite((made / "fit.itb").read_bytes(), change))
    stdout, _ = run("show", evil)
    assert "\x1b" not in stdout
    assert "VERIFIED [red]x" in stdout


@pytest.mark.parametrize("value", ["board.dtb", "=board.dtb", "a="])
def test_build_wants_a_name_for_each_device_tree(made: Path, value: str) -> None:
    _, error = run(
        *("build", "--kernel", made / "Image.gz", "--fdt", value, "--hint", "a", "-o", made / "x")
    )
    assert isinstance(error, UsageError)
    assert "NAME=FILE" in error.message


def test_sign_with_an_unknown_hint_changes_nothing(made: Path, tmp_path: Path) -> None:
    _, error = run(
        *("sign", made / "unsigned.itb", "--key", made / "fit.pem", "--hint", "prod"),
        *("-o", tmp_path / "x.itb"),
    )
    assert isinstance(error, UsageError)
    assert "it has 'DEV-fit'" in error.message
    assert list(tmp_path.iterdir()) == []
