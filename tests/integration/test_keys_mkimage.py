# SPDX-License-Identifier: MIT
"""`bootseal-mkimage` against the mkimage it stands before."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from bootseal.cli.mkimage import run
from bootseal.errors import BootsealError, ToolError, UsageError, VerificationRefused
from bootseal.fit import control_dtb
from bootseal.fit.policy import COMPAT
from bootseal.fit.verify import inspect, verify
from bootseal.formats import fdt
from bootseal.formats import fit as fit_format
from bootseal.keys import export, profile, store
from bootseal.keys import signer as signers

pytestmark = pytest.mark.tool("mkimage")

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "PIN-that-nobody-may-see-4711"
PROFILE = """\
name = "small"
development = true
[keys.fit]
name = "DEV-fit-1"
algorithm = "sha256,rsa2048"
subject = "CN=DEV fit"
valid_days = 100
storage = "file"
[keys.fit-next]
name = "DEV-fit-2"
algorithm = "sha256,ecdsa256"
subject = "CN=DEV fit 2"
valid_days = 100
storage = "file"
"""
# What OE's kernel-fit-image writes: addresses, a hash node in the configuration, a padding.
SOURCE = """\
/dts-v1/;
/ {
    description = "Kernel fitImage for a test";
    #address-cells = <1>;
    images {
        kernel-1 {
            description = "Linux kernel";
            data = /incbin/("linux.bin");
            type = "kernel";
            arch = "arm64";
            os = "linux";
            compression = "none";
            load = <0x40080000>;
            entry = <0x40080000>;
            hash-1 { algo = "sha256"; };
            IMAGE_SIGNATURE
        };
        fdt-board.dtb {
            description = "Flattened Device Tree blob";
            data = /incbin/("board.dtb");
            type = "flat_dt";
            arch = "arm64";
            compression = "none";
            hash-1 { algo = "sha256"; };
        };
        ramdisk-1 {
            description = "initramfs";
            data = /incbin/("initramfs");
            type = "ramdisk";
            arch = "arm64";
            os = "linux";
            compression = "none";
            hash-1 { algo = "sha256"; };
        };
    };
    configurations {
        default = "conf-board.dtb";
        conf-board.dtb {
            description = "1 Linux kernel, FDT blob, ramdisk";
            kernel = "kernel-1";
            fdt = "fdt-board.dtb";
            ramdisk = "ramdisk-1";
            hash-1 { algo = "sha256"; };
            signature-1 {
                algo = "ALGORITHM";
                key-name-hint = "HINT";
                padding = "PADDING";
                sign-images = SIGN_IMAGES;
            };
        };
    };
};
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A build directory with a FIT that waits for its signature, and OE's kind of key directory."""

    directory: Path
    keys: Path

    @property
    def fit(self) -> Path:
        return self.directory / "fitImage"

    @property
    def control(self) -> Path:
        return self.directory / "u-boot.dtb"

    def assemble(
        self,
        *,
        algorithm: str = "sha256,rsa2048",
        hint: str = "DEV-fit-1",
        padding: str = "pkcs-1.5",
        sign_images: str = '"kernel", "fdt", "ramdisk"',
        image_signature: str = "",
    ) -> None:
        text = SOURCE.replace("ALGORITHM", algorithm).replace("HINT", hint)
        text = text.replace("PADDING", padding).replace("SIGN_IMAGES", sign_images)
        source = self.directory / "fit-image.its"
        source.write_text(text.replace("IMAGE_SIGNATURE", image_signature))
        mkimage("-f", source, self.fit)
        # mkimage 2023.01 adds ECDSA keys only where there is a /signature node.
        tree = fdt.Node("", {"model": b"board\0"}, [fdt.Node("signature")])
        self.control.write_bytes(fdt.emit(tree))

    def copy(self, name: str) -> Build:
        directory = self.directory.with_name(name)
        shutil.copytree(self.directory, directory)
        return Build(directory=directory, keys=self.keys)

    def content(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.directory.iterdir()}

    def arguments(self, *options: str, keys: str | Path | None = None) -> list[str]:
        """Return OE's arguments: run_mkimage_sign of oe/fitimage.py, and uboot-sign.bbclass."""
        where = ["-F", "-k", str(keys or self.keys), "-K", str(self.control)]
        return [*where, "-r", str(self.fit), *options]


def clear_gap(path: Path) -> None:
    """Clear what mkimage before 2025 leaves uninitialised between tree and external data."""
    data = bytearray(path.read_bytes())
    header = fdt.read(bytes(data)).header
    end = header.off_strings + header.size_strings
    if header.total_size < len(data):
        data[end : header.total_size] = bytes(header.total_size - end)
    path.write_bytes(data)


def mkimage(*arguments: str | Path) -> None:
    subprocess.run(["mkimage", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def own_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys")
    (directory / "profile.toml").write_text(PROFILE)
    store.generate(profile.load(directory / "profile.toml"), directory / "own")
    return directory / "own"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for name in ("BOOTSEAL_SIGNER", "BOOTSEAL_MKIMAGE", "BOOTSEAL_PIN_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def build(own_keys: Path, tmp_path: Path) -> Build:
    directory = tmp_path / "build"
    directory.mkdir()
    (directory / "linux.bin").write_bytes(bytes(range(256)) * 20)
    (directory / "initramfs").write_bytes(b"initramfs " * 50)
    (directory / "board.dtb").write_bytes(fdt.emit(fdt.Node()))
    export.for_mkimage(own_keys, tmp_path / "keydir", signers={})
    made = Build(directory=directory, keys=tmp_path / "keydir")
    made.assemble()
    return made


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
    verify(build.fit.read_bytes(), build.control.read_bytes(), policy=COMPAT)


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

    found = {f.id for f in inspect(data, build.control.read_bytes(), policy=COMPAT).errors}

    assert found == {"fit.image-hash"}


def test_pss_signature_verifies(build: Build) -> None:
    build.assemble(padding="pss")

    run(build.arguments())

    verify(build.fit.read_bytes(), build.control.read_bytes(), policy=COMPAT)


def test_ecdsa_signature_verifies(build: Build) -> None:
    build.assemble(algorithm="sha256,ecdsa256", hint="DEV-fit-2")

    run(["-F", "-k", str(build.keys), "-r", str(build.fit)])

    verify(build.fit.read_bytes(), trusting(build), policy=COMPAT)
    build.assemble(algorithm="sha256,ecdsa256", hint="DEV-fit-2")
    with pytest.raises(VerificationRefused, match="it is not signed at all"):
        verify(build.fit.read_bytes(), trusting(build), policy=COMPAT)


def test_ecdsa_key_is_put_into_the_control_device_tree_or_refused(build: Build) -> None:
    """mkimage before 2025.01 writes it without `required`, so that U-Boot would ignore it."""
    build.assemble(algorithm="sha256,ecdsa256", hint="DEV-fit-2")
    before = build.content()
    said = subprocess.run(["mkimage", "-V"], check=True, capture_output=True, text=True).stdout
    if said.split()[-1] < "2025.01":
        with pytest.raises(ToolError, match="in a form that U-Boot does not insist on"):
            run(build.arguments())
        assert build.content() == before
        return
    run(build.arguments())
    verify(build.fit.read_bytes(), build.control.read_bytes(), policy=COMPAT)


def trusting(build: Build) -> bytes:
    """Return a control device tree with the ECDSA key, made by ourselves."""
    key = signers.open(str(build.keys / "DEV-fit-2.pem")).public_key
    return control_dtb.add_key(
        fdt.emit(fdt.Node()), key, hint="DEV-fit-2", algorithm="sha256,ecdsa256"
    )


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


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory, own_keys: Path) -> dict[str, str]:
    """Put both keys into a token; return the environment that reaches it."""
    directory = tmp_path_factory.mktemp("hsm")
    (directory / "tokens").mkdir()
    configuration = directory / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {directory}/tokens\nlog.level = ERROR\n")
    pin_file = directory / "pin"
    pin_file.touch(mode=0o600)
    pin_file.write_text(PIN)
    env = os.environ | {"SOFTHSM2_CONF": str(configuration)}
    pins = ["--pin", PIN, "--so-pin", PIN]
    init = ["--init-token", "--free", "--label", "build", *pins]
    subprocess.run(["softhsm2-util", *init], check=True, capture_output=True, env=env)
    for number, name in enumerate(("DEV-fit-1", "DEV-fit-2")):
        key = ["--import", str(own_keys / f"{name}.key"), "--label", name, "--id", f"0{number}"]
        subprocess.run(
            ["softhsm2-util", *key, "--token", "build", "--pin", PIN],
            check=True,
            capture_output=True,
            env=env,
        )
    return {
        "SOFTHSM2_CONF": str(configuration),
        "URI": f"pkcs11:token=build?module-path={MODULE}&pin-source=file:{pin_file}",
    }


def bootseal_mkimage(env: dict[str, str], arguments: list[str]) -> str:
    """Run in a process of its own: SoftHSM reads its configuration once."""
    done = subprocess.run(
        [sys.executable, "-c", "from bootseal.cli.mkimage import main; main()", *arguments],
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert PIN not in done.stdout + done.stderr
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.tool("softhsm2-util")
@pytest.mark.parametrize("way", ["variable", "keydir", "reference"])
def test_token_signs_and_no_private_key_is_in_any_file(
    build: Build, own_keys: Path, hsm: dict[str, str], way: str
) -> None:
    theirs = build.copy("theirs")
    mkimage(*theirs.arguments())
    shutil.rmtree(build.keys)
    env = {"SOFTHSM2_CONF": hsm["SOFTHSM2_CONF"]}
    arguments = build.arguments(keys=hsm["URI"] if way == "keydir" else None)
    if way == "variable":
        env["BOOTSEAL_SIGNER"] = hsm["URI"]
    if way == "reference":
        # As OE demands: NAME.key and NAME.crt exist.
        uri = hsm["URI"].replace("?", ";object=DEV-fit-1?")
        export.for_mkimage(own_keys, build.keys, signers={"DEV-fit-1": uri})
        assert b"PRIVATE" not in (build.keys / "DEV-fit-1.key").read_bytes()

    said = bootseal_mkimage(env, arguments)

    assert build.content() == theirs.content()
    assert "is signed by" in said


@pytest.mark.tool("softhsm2-util")
def test_token_signs_with_ecdsa(build: Build, hsm: dict[str, str]) -> None:
    build.assemble(algorithm="sha256,ecdsa256", hint="DEV-fit-2")
    trust = trusting(build)
    shutil.rmtree(build.keys)
    env = {"SOFTHSM2_CONF": hsm["SOFTHSM2_CONF"], "BOOTSEAL_SIGNER": hsm["URI"]}

    bootseal_mkimage(env, ["-F", "-k", str(build.keys), str(build.fit)])

    verify(build.fit.read_bytes(), trust, policy=COMPAT)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"hint": "nobody"}, UsageError, "there is no private key at .*nobody.key"),
        ({"algorithm": "sha256,rsa4096"}, UsageError, "the key is rsa2048"),
        ({"algorithm": "sha1,rsa2048"}, UsageError, "'sha1,rsa2048' is not supported"),
        ({"sign_images": '"kernel", "fdt"'}, VerificationRefused, "signed FIT is refused"),
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
        (["-F", "-r", "x.itb"], "keys are asked for"),
        (["-F", "-K", "x.dtb", "x.itb"], "keys are asked for"),
        (["-F", "-k", "keys", "-N", "pkcs11", "x.itb"], "the engine is what this program replaces"),
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


@pytest.mark.tool("softhsm2-util")
def test_pin_shows_nowhere_when_bootseal_signs_or_fails(build: Build, hsm: dict[str, str]) -> None:
    uri = hsm["URI"].partition("&")[0].replace("?", ";object=DEV-fit-1?")
    sign = ["fit", "sign", str(build.fit), "--compat", "--key", uri, "--hint", "DEV-fit-1"]
    program = "from bootseal.cli.app import main; main()"
    env = os.environ | {"SOFTHSM2_CONF": hsm["SOFTHSM2_CONF"]}

    def bootseal(**variables: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", program, "-v", *sign],
            env=env | variables,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return done.returncode, done.stdout + done.stderr

    code, said = bootseal(BOOTSEAL_PIN="wrong-" + PIN)
    assert (code, PIN in said, "Traceback" in said) == (2, False, False)
    assert "the PIN of the token 'build' is wrong" in said
    code, said = bootseal()
    assert code == 2
    assert "nobody can be asked" in said
    code, said = bootseal(BOOTSEAL_PIN=PIN)
    assert (code, PIN in said) == (0, False), said
