# SPDX-License-Identifier: MIT
from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from bootseal import proc
from bootseal.errors import ToolError
from bootseal.keys import certificate, profile
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role
from bootseal.keys.public import RsaPublicKey, verify_digest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.tool("openssl")

FIT_SOURCE = """\
/dts-v1/;
/ {
    description = "one image";
    images {
        kernel-1 {
            data = [01 02 03];
            type = "kernel";
            arch = "arm64";
            os = "linux";
            compression = "none";
            load = <0x40080000>;
            entry = <0x40080000>;
            hash-1 { algo = "sha256"; };
        };
    };
    configurations {
        default = "conf-1";
        conf-1 {
            kernel = "kernel-1";
            signature-1 {
                algo = "sha256,rsa4096";
                key-name-hint = "DEV-fit-1";
                sign-images = "kernel";
            };
        };
    };
};
"""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made") / "keys"
    key_directory.generate(profile.load(profile.find("dev")), directory)
    return directory


def verify_chain(root: Path, between: Path, leaf: Path) -> None:
    proc.run(
        "openssl",
        ["verify", "-x509_strict", "-CAfile", root, "-untrusted", between, leaf],
        timeout=20,
    )


def test_openssl_accepts_every_chain_of_the_dev_profile(keys: Path) -> None:
    for path in keys.glob("*.crt"):
        verify_chain(keys / "DEV-root.crt", keys / "DEV-update-ca.crt", path)


def test_openssl_refuses_a_chain_to_another_root(keys: Path) -> None:
    with pytest.raises(ToolError, match="unable to get"):
        verify_chain(
            keys / "DEV-device-ca.crt", keys / "DEV-update-ca.crt", keys / "DEV-update.crt"
        )


@pytest.mark.parametrize("role", [Role.POLICY, Role.FIT])
def test_openssl_reads_the_fingerprint_that_list_prints(keys: Path, role: Role) -> None:
    key = key_directory.find(keys, role)

    spki = proc.run(
        "openssl",
        ["pkey", "-in", keys / f"{key.name}.key", "-pubout", "-outform", "DER"],
        timeout=20,
    ).stdout

    assert hashlib.sha256(spki).hexdigest() == key.public_key.fingerprint()


@pytest.mark.parametrize("padding", ["pkcs-1.5", "pss"])
def test_openssl_accepts_our_signature_and_we_accept_its_own(
    keys: Path, tmp_path: Path, padding: str
) -> None:
    signer = key_directory.signer(keys, Role.FIT)
    algorithm = Algorithm.parse("sha256,rsa4096", padding=padding)
    digest = hashlib.sha256(b"payload").digest()
    (tmp_path / "digest").write_bytes(digest)
    (tmp_path / "signature").write_bytes(signer.sign_digest(digest, algorithm))
    mode = "pss" if padding == "pss" else "pkcs1"
    options = ["-pkeyopt", "digest:sha256", "-pkeyopt", f"rsa_padding_mode:{mode}"]

    verify: list[str | Path] = ["-verify", "-pubin", "-inkey", keys / "DEV-fit-1.pub"]
    verify += ["-in", tmp_path / "digest", "-sigfile", tmp_path / "signature", *options]
    proc.run("openssl", ["pkeyutl", *verify], timeout=20)
    sign: list[str | Path] = ["-sign", "-inkey", keys / "DEV-fit-1.key"]
    sign += ["-in", tmp_path / "digest", *options]
    theirs = proc.run("openssl", ["pkeyutl", *sign], timeout=20).stdout
    verify_digest(signer.public_key, digest, theirs, algorithm)


@pytest.mark.tool("mkimage")
def test_mkimage_signs_with_the_directory_as_it_is(keys: Path, tmp_path: Path) -> None:
    (tmp_path / "one.its").write_text(FIT_SOURCE)
    (tmp_path / "control.dts").write_text("/dts-v1/; / { };")
    fit, control = tmp_path / "one.itb", tmp_path / "control.dtb"
    proc.run("dtc", ["-o", control, tmp_path / "control.dts"], timeout=20)

    proc.run(
        "mkimage", ["-f", tmp_path / "one.its", "-k", keys, "-K", control, "-r", fit], timeout=60
    )

    # Its exit code says nothing; what counts is the key it wrote into the control DTB.
    key = key_directory.find(keys, Role.FIT).public_key
    assert isinstance(key, RsaPublicKey)
    assert key.modulus.to_bytes(512, "big") in control.read_bytes()
    assert b"key-DEV-fit-1\0" in control.read_bytes()
    assert b"hashed-nodes\0" in fit.read_bytes()


def test_openssl_opens_with_the_escrow_key_alone_what_was_encrypted_to_its_certificate(
    keys: Path, tmp_path: Path
) -> None:
    message = tmp_path / "message.der"
    how = ["cms", "-encrypt", "-binary", "-aes-256-gcm", "-outform", "DER"]
    args: list[str | Path] = [*how, "-out", message, "-recip", keys / "DEV-escrow.crt"]
    proc.run(
        "openssl", [*args, "-keyopt", "rsa_padding_mode:oaep"], stdin=b"recovery key", timeout=20
    )

    def opened(name: str) -> bytes:
        pair: list[str | Path] = ["-in", message, "-inkey", keys / f"{name}.key"]
        args = ["cms", "-decrypt", "-binary", "-inform", "DER", *pair]
        return proc.run("openssl", args, timeout=20).stdout

    assert opened("DEV-escrow") == b"recovery key"
    with pytest.raises(ToolError):
        opened("DEV-update")


def test_only_the_escrow_certificate_is_for_encryption(keys: Path) -> None:
    usages = {
        path.stem: certificate.read(path).extensions.get_extension_for_class(x509.KeyUsage).value
        for path in keys.glob("*.crt")
    }

    assert [name for name, usage in usages.items() if usage.key_encipherment] == ["DEV-escrow"]
    assert not usages["DEV-escrow"].digital_signature
