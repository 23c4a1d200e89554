# SPDX-License-Identifier: MIT
"""Signing with keys in a real PKCS#11 token: SoftHSM."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import traceback
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests import app_samples
from tests.integration.keys.boot_loaders import check_chain
from tests.integration.keys.softhsm import MODULE, PIN, Token, log_out
from typer.testing import CliRunner

from bootseal.cli import measure
from bootseal.errors import BootsealError, ToolError, UsageError, VerificationRefused
from bootseal.formats.fdt import model as fdt
from bootseal.keys import profile
from bootseal.keys.algorithms import HASHES, Algorithm, Padding
from bootseal.keys.directory import audit
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.directory.rotate import rotate
from bootseal.keys.profile import Role
from bootseal.keys.public import verify_digest
from bootseal.keys.signers import base as signers
from bootseal.keys.signers.base import Access
from bootseal.keys.signers.file import FileSigner
from bootseal.keys.signers.pin import SecretSource

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.tool("softhsm2-util")

ALGORITHMS = [
    *(f"{name},rsa2048 {padding}" for name in HASHES for padding in ("pkcs-1.5", "pss")),
    *(f"{name},{kind} pkcs-1.5" for name in HASHES for kind in ("ecdsa256", "ecdsa384")),
]


@pytest.mark.parametrize("text", ALGORITHMS)
def test_signature_of_the_token_verifies_and_its_tampered_twin_is_refused(
    token: Token, text: str
) -> None:
    algorithm = Algorithm.parse(*text.split())
    signer = signers.open(token.uri(f"object={algorithm.kind}"), token.access)
    digest = algorithm.digest([b"payload"])

    signature = signer.sign_digest(digest, algorithm)

    file_signer = FileSigner.load(token.directory / f"{algorithm.kind}.key")
    deterministic = algorithm.kind.is_rsa and algorithm.padding is Padding.PKCS1
    assert signer.public_key == file_signer.public_key
    verify_digest(file_signer.public_key, digest, signature, algorithm)
    assert (signature == file_signer.sign_digest(digest, algorithm)) is deterministic
    changed = bytes([signature[0] ^ 1]) + signature[1:]
    with pytest.raises(VerificationRefused, match="is not by key"):
        verify_digest(file_signer.public_key, digest, changed, algorithm)


@pytest.mark.parametrize("kind", ["rsa2048", "ecdsa256", "ecdsa384"])
def test_boot_loaders_with_their_root_in_the_token_are_good(token: Token, kind: str) -> None:
    check_chain(signers.open(token.uri(f"object={kind}"), token.access))


def test_key_born_in_the_token_signs(token: Token) -> None:
    algorithm = Algorithm.parse("sha256,rsa2048")
    signer = signers.open(token.uri("object=born%20here;type=private"), token.access)

    digest = algorithm.digest([b"payload"])
    verify_digest(signer.public_key, digest, signer.sign_digest(digest, algorithm), algorithm)


def test_key_is_found_by_id_and_by_the_module_of_the_environment(
    token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = signers.open(token.uri("object=rsa2048"), token.access).public_key

    monkeypatch.setenv("BOOTSEAL_PKCS11_MODULE", str(MODULE))
    by_id = signers.open("pkcs11:token=release%20keys;id=%01", token.access)
    monkeypatch.delenv("BOOTSEAL_PKCS11_MODULE")
    access = dataclasses.replace(token.access, module=MODULE)
    by_option = signers.open("pkcs11:token=release%20keys;id=%01", access)

    assert by_id.public_key == by_option.public_key == expected


def test_wrong_algorithm_for_the_key_is_refused(token: Token) -> None:
    signer = signers.open(token.uri("object=rsa2048"), token.access)

    with pytest.raises(UsageError, match="the key is rsa2048 and cannot sign sha256,rsa4096"):
        signer.sign_digest(bytes(32), Algorithm.parse("sha256,rsa4096"))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("object=nothing", r"holds no private key with object='nothing'.*'born here' \(id 10\)"),
        ("object=twice", r"2 private keys .* match the URI .object='twice'"),
        ("", r"6 private keys .* match the URI .any private key"),
    ],
)
def test_key_that_is_not_the_only_one_is_refused_with_a_list(
    token: Token, path: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        signers.open(token.uri(path), token.access)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("pkcs11:token=nowhere;object=x", "no token matches .* 'other' .*'release keys'"),
        ("pkcs11:object=x", "2 tokens match"),
    ],
)
def test_token_that_is_not_the_only_one_is_refused_with_a_list(
    token: Token, uri: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        signers.open(uri, Access(secret=token.access.secret, module=MODULE))


def test_missing_module_is_refused(token: Token, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no PKCS#11 module"):
        signers.open("pkcs11:token=x", Access(module=tmp_path / "none.so"))
    with pytest.raises(UsageError, match="no PKCS#11 module is named") as refusal:
        signers.open("pkcs11:token=x", token.access)
    assert "softhsm" in refusal.value.hint


def test_module_that_is_none_is_refused(token: Token, tmp_path: Path) -> None:
    fake = tmp_path / "fake.so"
    fake.write_bytes(b"no ELF")
    with pytest.raises(ToolError, match=r"the PKCS#11 module .* cannot be used"):
        signers.open("pkcs11:token=x", Access(secret=token.access.secret, module=fake))


def test_wrong_pin_is_refused_and_shown_nowhere(
    token: Token, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = tmp_path / "pin"
    wrong.touch(mode=0o600)
    wrong.write_text("wrong-" + PIN)
    caplog.set_level("DEBUG")

    with pytest.raises(BootsealError, match="the PIN of the token 'release keys' is wrong") as no:
        signers.open(token.uri("object=rsa2048"), Access(secret=SecretSource(file=wrong)))

    told = "".join(traceback.format_exception(no.value)) + no.value.hint + caplog.text
    assert "each wrong one counts" in no.value.message
    assert PIN not in told
    signers.open(token.uri("object=rsa2048"), token.access)


def test_pin_comes_from_the_uri_the_environment_or_a_question(
    token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    signers.open(token.uri("object=rsa2048", f"&pin-source=file:{token.pin_file}"))
    log_out()
    with pytest.raises(UsageError, match="is needed, and there is no terminal") as refusal:
        signers.open(token.uri("object=rsa2048"))
    assert "BOOTSEAL_PIN" in refusal.value.hint
    asked: list[str] = []

    def ask(what: str) -> str:
        asked.append(what)
        return PIN

    signers.open(token.uri("object=rsa2048"), Access(secret=SecretSource(ask=ask)))
    signers.open(token.uri("object=ecdsa256"), Access(secret=SecretSource(ask=ask)))
    assert asked == ["the PIN of the token 'release keys'"]
    log_out()
    monkeypatch.setenv("BOOTSEAL_PIN", PIN)
    signers.open(token.uri("object=rsa2048"))


def test_mechanism_the_token_lacks_is_named(token: Token, tmp_path: Path) -> None:
    """In a process of its own, since SoftHSM reads its configuration once."""
    configuration = tmp_path / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {token.directory}/tokens\nslots.mechanisms = CKM_RSA_PKCS\n"
    )
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from bootseal.errors import ToolError\n"
        "from bootseal.keys.signers import base as signer\n"
        "from bootseal.keys.algorithms import Algorithm\n"
        "from bootseal.keys.signers.pin import SecretSource\n"
        "secret = SecretSource(file=Path(sys.argv[2]))\n"
        "opened = signer.open(sys.argv[1], signer.Access(secret=secret))\n"
        "opened.sign_digest(bytes(32), Algorithm.parse('sha256,rsa2048'))\n"
        "try:\n"
        "    opened.sign_digest(bytes(32), Algorithm.parse('sha256,rsa2048', 'pss'))\n"
        "except ToolError as error:\n"
        "    print(error.message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, token.uri("object=rsa2048"), str(token.pin_file)],
        env=os.environ | {"SOFTHSM2_CONF": str(configuration)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert "cannot sign sha256,rsa2048 with pss: its token has no RSA_PKCS_PSS" in done.stdout


def test_file_that_names_the_token_stands_for_its_key(token: Token, tmp_path: Path) -> None:
    path = tmp_path / "fit-1.key"
    path.write_bytes(signers.write_reference(token.uri("object=rsa2048")))

    signer = signers.open(str(path), token.access)

    assert signers.read_reference(path) == token.uri("object=rsa2048")
    assert signer.public_key == FileSigner.load(token.directory / "rsa2048.key").public_key


PROFILE = """\
name = "product"
development = false
[keys.root]
name = "root"
algorithm = "sha256,ROOT"
subject = "CN=Root"
authority = true
valid_days = 100
storage = "token"
[keys.fit]
name = "fit-1"
algorithm = "sha384,FIT"
subject = "CN=FIT 1,O=Example"
issuer = "root"
valid_days = 100
storage = "token"
"""


@pytest.mark.tool("openssl")
@pytest.mark.parametrize(("root", "fit"), [("rsa2048", "ecdsa384"), ("ecdsa256", "rsa2048")])
def test_whole_profile_lives_in_the_token(
    token: Token, tmp_path: Path, root: str, fit: str
) -> None:
    text = PROFILE.replace("ROOT", root).replace("FIT", fit, 1)
    (tmp_path / "p.toml").write_text(text)
    loaded = profile.load(tmp_path / "p.toml")
    keys = tmp_path / "keys"
    with pytest.raises(UsageError, match="in a token, not in files: root, fit") as refusal:
        key_directory.generate(loaded, keys)
    assert "--token root=" in refusal.value.hint

    places = {Role.ROOT: token.uri(f"object={root}"), Role.FIT: token.uri(f"object={fit}")}
    key_directory.generate(loaded, keys, tokens=places, access=token.access)

    assert all(b"PRIVATE" not in path.read_bytes() for path in keys.iterdir())
    listed = {key.role: key for key in key_directory.list_keys(keys).keys}
    assert listed[Role.FIT].reference == places[Role.FIT]
    signer = key_directory.signer(keys, Role.FIT, token.access)
    algorithm = listed[Role.FIT].algorithm
    digest = algorithm.digest([b"payload"])
    verify_digest(signer.public_key, digest, signer.sign_digest(digest, algorithm), algorithm)
    born = token.uri("object=born%20here")
    rotation = rotate(keys, algorithm="sha256,rsa2048", uri=born, access=token.access)
    assert rotation.coming is not None
    assert rotation.coming.name == "fit-2"
    for name in ("root", "fit-1", "fit-2"):
        chain = ["verify", "-x509_strict", "-CAfile", keys / "root.crt", keys / f"{name}.crt"]
        subprocess.run(["openssl", *map(str, chain)], check=True, capture_output=True)
    # The only thing to say is that RSA-2048 is short for a new key.
    found = audit.audit(keys, max_age=timedelta(days=1))
    assert {finding.id for finding in found.findings} == {"keys.algorithm"}


def test_key_of_another_kind_than_declared_is_refused_and_nothing_made(
    token: Token, tmp_path: Path
) -> None:
    text = PROFILE.replace("ROOT", "rsa4096").replace("FIT", "rsa2048", 1)
    (tmp_path / "p.toml").write_text(text)
    places = {role: token.uri("object=rsa2048") for role in (Role.ROOT, Role.FIT)}

    with pytest.raises(UsageError, match=r"root is declared as sha256,rsa4096: the key is rsa2048"):
        key_directory.generate(
            profile.load(tmp_path / "p.toml"),
            tmp_path / "keys",
            tokens=places,
            access=token.access,
        )
    assert not (tmp_path / "keys").exists()


def test_pcr_policy_signed_in_the_token_is_that_of_the_same_key_in_a_file(
    token: Token, tmp_path: Path
) -> None:
    images = [
        fdt.Node("kernel-1", {"data": b"KERNEL"}),
        fdt.Node("fdt-1", {"data": fdt.emit(fdt.Node("", {}, []))}),
    ]
    conf = fdt.Node("conf-1", {"kernel": b"kernel-1\0", "fdt": b"fdt-1\0"})
    children = [fdt.Node("images", {}, images), fdt.Node("configurations", {}, [conf])]
    (tmp_path / "fit").write_bytes(fdt.emit(fdt.Node("", {"description": b"d\0"}, children)))
    made = {}
    for name, key in (("token", token.uri("object=rsa2048")), ("file", "rsa2048.key")):
        output = tmp_path / name
        source = key if name == "token" else str(token.directory / key)
        args = ["sign", str(tmp_path / "fit"), "--key", source, "-o", str(output)]
        if name == "token":
            args += ["--pin-file", str(token.pin_file)]
        result = CliRunner().invoke(measure.app, args, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        made[name] = output.read_bytes()

    assert made["token"] == made["file"]


@pytest.mark.tool("mkfs.erofs", "fsck.erofs")
@pytest.mark.parametrize("kind", ["rsa2048", "ecdsa256"])
def test_application_signed_in_the_token_is_accepted(
    token: Token, tmp_path: Path, kind: str
) -> None:
    signer = signers.open(token.uri(f"object={kind}"), token.access)
    app_samples.check_signer(signer, tmp_path)
