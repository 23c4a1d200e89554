# SPDX-License-Identifier: MIT
"""`bootseal fit` from the parts to the verdict."""

from __future__ import annotations

import gzip
import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from typer.testing import CliRunner

from bootseal.cli.fit import app
from bootseal.errors import BootsealError, FormatError, UsageError, VerificationRefused
from bootseal.formats.fdt import model as fdt

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
    (directory / "Image.gz").write_bytes(
        gzip.compress(bytes(range(256))[:0x38] + b"ARM\x64" + bytes(range(256)), mtime=0)
    )
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
    assert (document["schema"], document["accepted"]) == ("bootseal.fit-verdict/2", True)
    assert [r["configuration"] for r in document["results"]] == ["conf-a", "conf-b"]
    assert "fit.no-gate" in {finding["id"] for finding in document["findings"]}


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
    assert "Image.gz is a file compressed with gzip: expected a FIT" in error.message


def test_sign_names_the_fit_it_refuses(made: Path, tmp_path: Path) -> None:
    damaged = bytearray((made / "unsigned.itb").read_bytes())
    damaged[damaged.index(b"initramfs")] ^= 1
    (tmp_path / "damaged.itb").write_bytes(damaged)
    _, error = run(
        *("sign", tmp_path / "damaged.itb", "--key", made / "fit.pem", "--hint", "DEV-fit")
    )
    assert isinstance(error, VerificationRefused)
    assert "damaged.itb: the FIT cannot be signed as it is: fit.image-hash" in error.message
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


def damaged(made: Path, directory: Path) -> Path:
    """Return a FIT with another initramfs."""
    data = bytearray((made / "fit.itb").read_bytes())
    data[data.index(b"initramfs")] ^= 1
    (directory / "damaged.itb").write_bytes(data)
    return directory / "damaged.itb"


def test_verify_proves_itself(made: Path) -> None:
    stdout, error = run(
        "verify", made / "fit.itb", "--dtb", made / "u-boot-key.bin", "--prove", "--json"
    )
    assert error is None
    proof = json.loads(stdout)["proof"]
    assert proof["refused"] == len(proof["mutants"]) > 50


def test_verify_prints_how_many_changes_were_refused(made: Path) -> None:
    stdout, error = run("verify", made / "fit.itb", "--dtb", made / "u-boot-key.bin", "--prove")
    assert error is None
    line = next(line for line in stdout.splitlines() if "changes refused" in line)
    refused, _, tried = line.split()[0].partition("/")
    assert refused == tried


def test_prove_of_a_refused_fit_ends_in_the_refusal(made: Path, tmp_path: Path) -> None:
    evil = damaged(made, tmp_path)
    stdout, error = run("verify", evil, "--dtb", made / "u-boot-key.bin", "--prove")
    assert isinstance(error, VerificationRefused)
    assert "fit.image-hash" in stdout
    assert "changes refused" not in stdout


def test_verify_prints_notes_on_demand(made: Path) -> None:
    arguments = ("verify", made / "fit.itb", "--dtb", made / "u-boot-key.bin")
    quiet, _ = run(*arguments)
    loud, _ = run(*arguments, "--all")
    assert "fit.default-unsigned" not in quiet
    assert "fit.default-unsigned" in loud
    assert "every release" in loud


def test_verify_says_what_uboot_would_do(made: Path, tmp_path: Path) -> None:
    def change(root: fdt.Node) -> None:
        images = root.find("/images")
        assert images is not None
        images.properties["note"] = b""

    odd = tmp_path / "odd.itb"
    odd.write_bytes(fdt.rewrite((made / "fit.itb").read_bytes(), change))
    arguments = ("verify", odd, "--dtb", made / "u-boot-key.bin")
    stdout, error = run(*arguments)
    assert isinstance(error, VerificationRefused)
    assert "U-Boot with all published fixes boots conf-a" in stdout
    stdout, error = run(*arguments, "--compat", "--json")
    assert error is None
    assert json.loads(stdout)["policy"] == "compat"
    stdout, _ = run("verify", damaged(made, tmp_path), *arguments[2:])
    assert "U-Boot with all published fixes refuses conf-a" in stdout


def test_verify_of_a_malformed_fit_says_that_uboot_would_boot_it(
    made: Path, tmp_path: Path
) -> None:
    data = bytearray((made / "fit.itb").read_bytes())
    data[23] = 18
    (tmp_path / "odd.itb").write_bytes(data)
    _, error = run("verify", tmp_path / "odd.itb", "--dtb", made / "u-boot-key.bin")
    assert isinstance(error, FormatError)
    assert "U-Boot would still boot conf-a, conf-b" in error.hint


def test_size_limit_of_the_target_is_an_option(made: Path) -> None:
    arguments = ("verify", made / "fit.itb", "--dtb", made / "u-boot-key.bin")
    stdout, error = run(*arguments, "--max-size", "1K")
    assert isinstance(error, VerificationRefused)
    assert "fit.too-large" in stdout


def test_external_data_is_an_option(made: Path, tmp_path: Path) -> None:
    fit = tmp_path / "external.itb"
    fit.write_bytes((made / "unsigned.itb").read_bytes())
    subprocess.run(["mkimage", "-F", "-E", fit], check=True, capture_output=True)
    signing = ("sign", fit, "--key", made / "fit.pem", "--hint", "DEV-fit")
    _, error = run(*signing)
    assert isinstance(error, VerificationRefused)
    _, error = run(*signing, "--external-data")
    assert error is None
    arguments = ("verify", fit, "--dtb", made / "u-boot-key.bin")
    assert isinstance(run(*arguments)[1], VerificationRefused)
    assert run(*arguments, "--external-data")[1] is None


@pytest.fixture(scope="module")
def next_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("next") / "next.pem"
    path.touch(mode=0o600)
    path.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def test_next_key_is_added_beside_the_old_one(made: Path, next_key: Path, tmp_path: Path) -> None:
    fit, loader = tmp_path / "fit.itb", tmp_path / "u-boot.bin"
    fit.write_bytes((made / "fit.itb").read_bytes())
    old = ("--key", made / "fit.pem", "--hint", "DEV-fit")
    new = ("--key", next_key, "--hint", "DEV-next")
    adding = ("--add-signature", "DEV-next=sha256,ecdsa256", "--comment", "rotated")
    trusting = ("--dtb", made / "u-boot-key.bin", "--dtb-output", loader)
    _, error = run("sign", fit, *new, *adding)
    assert isinstance(error, UsageError)
    assert "invalidates the signature by 'DEV-fit'" in error.message
    _, error = run("sign", fit, *old, *new, *adding, *trusting)
    assert error is None
    for control in (made / "u-boot-key.bin", loader):
        assert run("verify", fit, "--dtb", control)[1] is None
    assert isinstance(run("verify", made / "fit.itb", "--dtb", loader)[1], VerificationRefused)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--hint", "a", "--hint", "b"), "1 --key and 2 --hint"),
        (("--hint", "a", "--add-signature", "b"), "expected HINT=ALGORITHM"),
        (("--hint", "a", "--add-signature", "a=sha1,rsa2048"), "sha1,rsa2048"),
        (("--hint", "a", "--dtb-output", "x"), "--dtb-output without --dtb"),
    ],
)
def test_sign_refuses_options_that_do_not_fit(
    made: Path, arguments: tuple[str, ...], reason: str
) -> None:
    _, error = run("sign", made / "unsigned.itb", "--key", made / "fit.pem", *arguments)
    assert isinstance(error, UsageError)
    assert reason in error.message


def test_show_prints_the_coverage_map(made: Path) -> None:
    stdout, error = run("show", made / "fit.itb", "--coverage")
    assert error is None
    assert "consumed but unsigned, 19 bytes: default" in stdout
    assert "bytes: signed" in stdout
    document = json.loads(run("show", made / "fit.itb", "--json")[0])
    size = (made / "fit.itb").stat().st_size
    assert sum(document["coverage"]["totals"].values()) == size
    assert document["images"][0]["place"] == "embedded"


def test_diff_names_what_changed(made: Path, tmp_path: Path) -> None:
    assert run("diff", made / "fit.itb", made / "fit.itb")[0] == "no differences\n"
    stdout, error = run("diff", made / "fit.itb", damaged(made, tmp_path))
    assert error is None
    assert stdout.count("/images/ramdisk-1 data: 9 bytes, sha256") == 2
    document = json.loads(run("diff", made / "fit.itb", made / "unsigned.itb", "--json")[0])
    assert document["schema"] == "bootseal.fit-diff/1"
    assert {change["name"] for change in document["changes"]} >= {"value", "hashed-nodes"}


def test_diff_names_the_file_that_is_malformed(made: Path) -> None:
    good, bad = made / "fit.itb", made / "initramfs"
    for pair in ((good, bad), (bad, good)):
        _, error = run("diff", *pair)
        assert isinstance(error, FormatError)
        assert error.message.startswith(f"{bad}: device tree")


def test_extract_writes_a_new_file_only(made: Path, tmp_path: Path) -> None:
    output = tmp_path / "kernel"
    arguments = ("extract", made / "fit.itb", "kernel-1", "-o", output)
    assert run(*arguments)[1] is None
    assert output.read_bytes() == (made / "Image.gz").read_bytes()
    _, error = run(*arguments)
    assert isinstance(error, UsageError)
    assert "is not overwritten" in error.message
    evil = damaged(made, tmp_path)
    _, error = run("extract", evil, "ramdisk-1", "-o", tmp_path / "ramdisk")
    assert isinstance(error, VerificationRefused)
    assert not (tmp_path / "ramdisk").exists()


def test_text_of_a_fit_never_reaches_the_terminal_raw(made: Path, tmp_path: Path) -> None:
    def change(root: fdt.Node) -> None:
        root.children[0].children[0].name = "kernel\x1b[2J"
        root.children[1].children[0].properties["kernel"] = b"kernel\x1b[2J\0"
        root.properties["\x9b31m"] = "\u202e".encode()

    evil = tmp_path / "evil.itb"
    evil.write_bytes(fdt.rewrite((made / "fit.itb").read_bytes(), change))
    for arguments in (
        ("show", evil, "--coverage"),
        ("show", evil, "--json"),
        ("diff", made / "fit.itb", evil),
        ("diff", made / "fit.itb", evil, "--json"),
        ("verify", evil, "--dtb", made / "u-boot-key.bin", "--compat", "--all"),
        ("verify", evil, "--dtb", made / "u-boot-key.bin", "--compat", "--json"),
    ):
        stdout, _ = run(*arguments)
        assert stdout
        assert not {"\x1b", "\x9b", "\u202e"} & set(stdout)


@pytest.mark.parametrize("content", [b"", b"\xd0\x0d\xfe\xed", bytes(100), b"MZ" * 50])
@pytest.mark.parametrize("verb", ["verify", "show", "diff", "extract", "sign"])
def test_broken_input_is_an_error_and_stays(
    made: Path, tmp_path: Path, verb: str, content: bytes
) -> None:
    broken = tmp_path / "broken.itb"
    broken.write_bytes(content)
    more: dict[str, tuple[str | Path, ...]] = {
        "verify": ("--dtb", made / "u-boot-key.bin"),
        "show": (),
        "diff": (made / "fit.itb",),
        "extract": ("kernel-1", "-o", tmp_path / "out"),
        "sign": ("--key", made / "fit.pem", "--hint", "DEV-fit"),
    }
    _, error = run(verb, broken, *more[verb])
    assert isinstance(error, FormatError)
    assert "broken.itb" in error.message
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [
        ("broken.itb", content)
    ]
