# SPDX-License-Identifier: MIT
"""`bootseal-mkimage` against the mkimage whose place it takes."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from tests.integration.mkimage.oe_build import Build, mkimage, trusting

from bootseal.cli.mkimage import run
from bootseal.errors import BootsealError, ToolError, UsageError, VerificationRefused
from bootseal.fit.verify.strictness import COMPAT
from bootseal.fit.verify.verdict import inspect, verify
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.tool("mkimage")


def clear_gap(path: Path) -> None:
    """Clear what mkimage before 2025 leaves uninitialised between tree and external data."""
    data = bytearray(path.read_bytes())
    header = fdt.read(bytes(data)).header
    end = header.off_strings + header.size_strings
    if header.total_size < len(data):
        data[end : header.total_size] = bytes(header.total_size - end)
    path.write_bytes(data)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-E",),
        ("-E", "-p", "0x20000"),
        ("-E", "-B", "0x1000"),
        ("-c", "a comment"),
        ("-t",),
        ("-D", "-I dts -O dtb -p 2000"),
        ("-o", "sha512,rsa2048"),
    ],
    ids=" ".join,
)
def test_files_are_those_of_mkimage_with_the_private_key(
    build: Build, options: tuple[str, ...]
) -> None:
    theirs = build.copy("theirs")
    mkimage(*theirs.arguments(*options))

    run(build.arguments(*options))

    clear_gap(theirs.fit)
    assert build.content() == theirs.content()
    verify(build.fit.read_bytes(), build.control.read_bytes(), strictness=COMPAT)


def test_image_signatures_are_made_as_well(build: Build) -> None:
    build.assemble(
        image_signature='signature-1 { algo = "sha256,rsa2048"; key-name-hint = "DEV-fit-1"; };'
    )
    theirs = build.copy("theirs")
    mkimage(*theirs.arguments())

    run(build.arguments())

    assert build.content() == theirs.content()


def test_source_is_assembled_and_signed_in_one_go(build: Build) -> None:
    theirs = build.copy("theirs")
    for each, call in ((theirs, mkimage), (build, lambda *arguments: run(list(arguments)))):
        keys = ("-k", str(each.keys), "-K", str(each.control))
        call("-f", str(each.directory / "fit-image.its"), *keys, "-r", str(each.fit))

    assert build.content() == theirs.content()


def test_tampered_result_is_refused(build: Build) -> None:
    run(build.arguments())
    data = bytearray(build.fit.read_bytes())
    data[fit_format.parse(bytes(data)).image("kernel-1").offset] ^= 1

    found = {f.id for f in inspect(data, build.control.read_bytes(), strictness=COMPAT).errors}

    assert found == {"fit.image-hash"}


def test_pss_signature_verifies(build: Build) -> None:
    build.assemble(padding="pss")

    run(build.arguments())

    verify(build.fit.read_bytes(), build.control.read_bytes(), strictness=COMPAT)


def test_ecdsa_signature_verifies(build: Build) -> None:
    build.assemble(algorithm="sha256,ecdsa256", hint="DEV-fit-2")

    run(["-F", "-k", str(build.keys), "-r", str(build.fit)])

    verify(build.fit.read_bytes(), trusting(build), strictness=COMPAT)
    build.assemble(algorithm="sha256,ecdsa256", hint="DEV-fit-2")
    with pytest.raises(VerificationRefused, match="it is not signed at all"):
        verify(build.fit.read_bytes(), trusting(build), strictness=COMPAT)


def test_ecdsa_key_is_put_into_the_control_device_tree_or_refused(build: Build) -> None:
    """mkimage before 2025.01 writes it without `required`, so that U-Boot would ignore it."""
    build.assemble(algorithm="sha256,ecdsa256", hint="DEV-fit-2")
    before = build.content()
    said = subprocess.run(["mkimage", "-V"], check=True, capture_output=True, text=True).stdout
    if said.split()[-1] < "2025.01":
        with pytest.raises(ToolError, match="in a form that U-Boot does not enforce"):
            run(build.arguments())
        assert build.content() == before
        return
    run(build.arguments())
    verify(build.fit.read_bytes(), build.control.read_bytes(), strictness=COMPAT)


def test_encrypted_key_needs_its_passphrase(
    build: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    theirs = build.copy("theirs")
    mkimage(*theirs.arguments())
    path = build.keys / "DEV-fit-1.key"
    private = load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"words"))
    )
    before = build.content()
    with pytest.raises(UsageError, match=r"passphrase of .* is needed"):
        run(build.arguments())
    assert build.content() == before

    words = tmp_path / "words"
    words.touch(mode=0o600)
    words.write_text("words\n")
    monkeypatch.setenv("BOOTSEAL_PIN_FILE", str(words))
    run(build.arguments())

    assert build.content() == theirs.content()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"hint": "nobody"}, UsageError, "there is no private key at .*nobody.key"),
        ({"algorithm": "sha256,rsa4096"}, UsageError, "the key is rsa2048"),
        ({"algorithm": "sha1,rsa2048"}, UsageError, "'sha1,rsa2048' is refused"),
        ({"sign_images": '"kernel", "fdt"'}, VerificationRefused, "'sign-images' leaves out"),
    ],
)
def test_what_mkimage_lets_through_is_refused_and_nothing_is_written(
    build: Build, changes: dict[str, str], error: type[BootsealError], message: str
) -> None:
    build.assemble(**changes)
    before = build.content()

    with pytest.raises(error, match=message):
        run(build.arguments())
    assert build.content() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-F", "-r", "x.itb"], "none of -k, -G and BOOTSEAL_SIGNER names a key"),
        (["-F", "-K", "x.dtb", "x.itb"], "none of -k, -G and BOOTSEAL_SIGNER names a key"),
        (["-F", "-k", "keys", "-N", "pkcs11", "x.itb"], "this program replaces the engine"),
        (["-F", "-k", "keys", "-Z", "x.itb"], "option -Z not recognized"),
        (["-F", "-k", "keys", "--new-option", "x.itb"], "option --new-option not recognized"),
        (["-T", "script", "-k", "keys", "x.itb"], "only FITs are signed"),
        (["-F", "-k", "keys"], "0 file names given"),
        (["-F", "-k", "keys", "a", "b"], "2 file names given"),
    ],
)
def test_call_that_is_not_understood_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(arguments)


def test_fit_without_signature_node_is_refused(build: Build) -> None:
    source = build.directory / "fit-image.its"
    text = source.read_text()
    start = text.index("            signature-1")
    source.write_text(text[:start] + text[text.index("};", start) + 2 :])
    mkimage("-f", source, build.fit)

    with pytest.raises(UsageError, match="has no signature node, so there is nothing to sign"):
        run(build.arguments())


def test_call_that_signs_nothing_is_mkimages_own(build: Build, tmp_path: Path) -> None:
    """Among them one with an option that only mkimage knows."""
    ours = tmp_path / "ours.itb"
    with pytest.raises(SystemExit) as end:
        run(["-f", str(build.directory / "fit-image.its"), str(ours)])
    assert end.value.code == 0
    assert ours.read_bytes() == build.fit.read_bytes()
    with pytest.raises(SystemExit) as end:
        run(["-V"])
    assert end.value.code == 0


def test_missing_mkimage_is_named(monkeypatch: pytest.MonkeyPatch, build: Build) -> None:
    monkeypatch.setenv("BOOTSEAL_MKIMAGE", "mkimage-that-is-not-there")
    before = build.content()
    with pytest.raises(ToolError, match="is not installed"):
        run(build.arguments())
    assert build.content() == before


CIPHER = 'cipher { algo = "aes256"; key-name-hint = "aes"; iv-name-hint = "iv"; };'


def encrypted(build: Build, *, key: bool = True, iv: bool = True) -> list[str]:
    """Ask for an encrypted kernel, and return what signs it."""
    build.assemble(image_signature=CIPHER)
    for name, size, wanted in (("aes.bin", 32, key), ("iv.bin", 16, iv)):
        if wanted:
            (build.keys / name).write_bytes(bytes(range(size)))
    source = str(build.directory / "fit-image.its")
    return ["-f", source, "-k", str(build.keys), "-K", str(build.control), "-r", str(build.fit)]


def test_encrypted_image_is_that_of_mkimage_with_the_private_key(build: Build) -> None:
    arguments = encrypted(build)
    theirs = build.copy("theirs")
    mkimage(*(each.replace(str(build.directory), str(theirs.directory)) for each in arguments))

    run(arguments)

    assert build.content() == theirs.content()
    image = fit_format.parse(build.fit.read_bytes(), lenient=True).image("kernel-1")
    assert bytes(image.payload[:16]) != bytes(range(16))


@pytest.mark.parametrize("missing", ["key", "iv"])
def test_encryption_without_its_key_or_vector_is_refused(build: Build, missing: str) -> None:
    arguments = encrypted(build, key=missing != "key", iv=missing != "iv")
    before = build.content()

    with pytest.raises(UsageError, match=r"needs the file (aes|iv)\.bin: mkimage encrypts with"):
        run(arguments)
    assert build.content() == before


def test_certificate_of_another_key_is_named(
    build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    run(build.arguments())
    assert "WARNING" not in capsys.readouterr().err

    build.assemble()
    shutil.copy(build.keys / "DEV-fit-2.crt", build.keys / "DEV-fit-1.crt")
    run(build.arguments())
    assert "DEV-fit-1.crt is the certificate of another key" in capsys.readouterr().err


def test_first_words_of_mkimage_are_shown_when_it_fails(build: Build) -> None:
    source = build.directory / "fit-image.its"
    source.write_text(source.read_text().replace("linux.bin", "missing.bin"))

    with pytest.raises(ToolError, match=r'Couldn.t open "missing\.bin"'):
        run(["-f", str(source), "-k", str(build.keys), "-r", str(build.fit)])


def test_default_that_does_not_exist_is_refused(build: Build) -> None:
    tree = fdt.rewrite(build.fit.read_bytes(), unknown_default)
    build.fit.write_bytes(tree)

    with pytest.raises(VerificationRefused, match=r"fit\.default at /configurations"):
        run(build.arguments())
    assert build.fit.read_bytes() == tree


def unknown_default(root: fdt.Node) -> None:
    configurations = root.find("/configurations")
    assert configurations is not None
    configurations.properties["default"] = b"conf-9\0"
