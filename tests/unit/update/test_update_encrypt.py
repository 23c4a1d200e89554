# SPDX-License-Identifier: MIT
"""An encrypted bundle: what its recipient finds inside, and what nobody else can tell or change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from tests import update_samples as samples
from typer.testing import CliRunner

from bootseal.cli.app import app
from bootseal.errors import BootsealError, FormatError, UsageError, VerificationRefused
from bootseal.formats.update import bundle, cms, enveloped
from bootseal.formats.update import manifest as manifests
from bootseal.keys import envelope
from bootseal.keys.profile import Role
from bootseal.keys.signers.file import FileSigner
from bootseal.progress import Silent
from bootseal.update import check as update_check
from bootseal.update import crypt
from bootseal.update.sign import Signing, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.check.conftest import Base

    from bootseal.keys.envelope import Opener
    from bootseal.update.check import BundleVerdict, Wanted

pytestmark = [pytest.mark.tool("mksquashfs"), pytest.mark.tool("sqfs2tar")]
KEYS = samples.keys()
ONE, TWO, OTHER = (samples.recipient(name) for name in ("dev-1", "dev-2", "dev-3"))
UPDATE = Signing(
    signer=FileSigner(KEYS.update.private),
    certificate=KEYS.update.certificate,
    authority=KEYS.authority.certificate,
    when=KEYS.when,
)


def encrypted(good: bytes, place: Path, *recipients: Opener) -> bytes:
    path, output = place / "good.raucb", place / "crypt.raucb"
    path.write_bytes(good)
    certificates = [each.certificate for each in recipients]
    crypt.encrypt(path, whole(path), UPDATE, certificates, output, Silent())
    return output.read_bytes()


@pytest.fixture(scope="session")
def secret(good: bytes, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return encrypted(good, tmp_path_factory.mktemp("secret"), ONE, TWO)


@pytest.fixture
def opened(wanted: Wanted, tmp_path: Path) -> Callable[..., BundleVerdict]:
    def run(data: bytes, by: Opener | None) -> BundleVerdict:
        path = tmp_path / "bundle.raucb"
        path.write_bytes(data)
        return update_check.check(path, wanted, Silent(), by)

    return run


def inner(data: bytes) -> bytes:
    """Return the signed message inside."""
    return envelope.unseal(samples.parts(data)[1], ONE)


def sealed(data: bytes, message: bytes) -> bytes:
    """Return a bundle with another message inside, for the same recipients."""
    recipients = [ONE.certificate, TWO.certificate]
    return samples.parts(data)[0] + bundle.trailer(envelope.seal(message, recipients))


def test_every_recipient_finds_the_bundle_as_it_was(
    opened: Callable[..., BundleVerdict], secret: bytes
) -> None:
    for by in (ONE, TWO):
        found = opened(secret, by)
        assert not found.errors
        assert found.manifest is not None
        assert (found.manifest.version, found.rollback_index) == (samples.VERSION, 0)


def test_nothing_but_recipients_and_cipher_can_be_told_without_a_key(
    opened: Callable[..., BundleVerdict], secret: bytes, good: bytes
) -> None:
    found = opened(secret, None)
    assert [each.id for each in found.errors] == ["update.encrypted"]
    told = enveloped.parse(samples.parts(secret)[1])
    assert (len(told.recipients), told.others, told.cipher) == (2, 0, enveloped.AES_256_CBC)
    assert f"{TWO.certificate.serial_number:x}" in found.recipients
    for known in (b"crypt-key", b"compatible", b"root.img", b"hsqs"):
        assert known not in secret
    assert b"hsqs" in good


def test_each_encryption_has_a_key_of_its_own(good: bytes, secret: bytes, tmp_path: Path) -> None:
    again = encrypted(good, tmp_path, ONE, TWO)
    keys = {manifest(each).crypt_key for each in (secret, again)}
    assert len(keys) == 2
    assert samples.parts(again)[0][:4096] != samples.parts(secret)[0][:4096]
    assert not any(key in repr(manifest(secret)) for key in keys)


def manifest(data: bytes) -> manifests.Manifest:
    signed = cms.parse(inner(data))
    assert signed
    assert signed.content
    return manifests.parse(signed.content)


@pytest.mark.parametrize(
    ("change", "by", "refused"),
    [
        pytest.param(lambda data: data, OTHER, "update.recipient", id="another device's key"),
        pytest.param(
            lambda data: data[:-5000] + bytes([data[-5000] ^ 1]) + data[-4999:],
            ONE,
            "update.payload",
            id="a changed block of the tree",
        ),
        pytest.param(
            lambda data: bytes([data[0] ^ 1]) + data[1:],
            ONE,
            "update.payload",
            id="a changed block",
        ),
        pytest.param(
            lambda data: sealed(
                data, samples.signed(content(data), samples.key(Role.UPDATE), KEYS.when)
            ),
            ONE,
            "update.issuer",
            id="signed by a key of its own",
        ),
        pytest.param(
            lambda data: sealed(data, envelope.seal(inner(data), [ONE.certificate])),
            ONE,
            "update.encrypted",
            id="encrypted twice",
        ),
        pytest.param(
            lambda data: samples.parts(data)[0] + bundle.trailer(inner(data)),
            None,
            "update.format",
            id="manifest and key readable",
        ),
        pytest.param(
            lambda data: changed_key(data),  # noqa: PLW0108 - it is defined below
            ONE,
            "update.unreadable",
            id="another key of the payload",
        ),
    ],
)
def test_twin_is_refused(
    opened: Callable[..., BundleVerdict],
    secret: bytes,
    change: Callable[[bytes], bytes],
    by: Opener | None,
    refused: str,
) -> None:
    assert {each.id for each in opened(change(secret), by).errors} == {refused}


def content(data: bytes) -> bytes:
    return manifests.emit(manifest(data))


def changed_key(data: bytes) -> bytes:
    key = manifest(data).crypt_key
    text = content(data).replace(key.encode(), key[::-1].encode())
    return sealed(data, samples.signed(text, KEYS.update, KEYS.when))


def test_bundle_that_is_not_encrypted_is_refused_where_a_key_was_given(
    opened: Callable[..., BundleVerdict], good: bytes
) -> None:
    assert [each.id for each in opened(good, ONE).errors] == ["update.format"]


def test_readable_bundle_inside_an_encrypted_signature_is_refused(
    opened: Callable[..., BundleVerdict], good: bytes
) -> None:
    """Its sender takes the payload for encrypted."""
    body, message = samples.parts(good)
    data = body + bundle.trailer(envelope.seal(message, [ONE.certificate]))
    assert [each.id for each in opened(data, ONE).errors] == ["update.format"]


@pytest.mark.parametrize(
    ("recipients", "said"),
    [
        ([samples.recipient(kind="ecdsa256")], "expected one for an RSA key"),
        ([samples.recipient(use="digital_signature")], "is not for key encipherment"),
        ([ONE, TWO, ONE], "comes twice"),
    ],
    ids=["elliptic curve", "other use", "twice"],
)
def test_certificate_that_is_none_of_a_recipient_is_refused(
    good: bytes, tmp_path: Path, recipients: list[Opener], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        encrypted(good, tmp_path, *recipients)
    with pytest.raises(UsageError, match="that of a CA"):
        envelope.demand_recipient(KEYS.authority.certificate, "it")
    envelope.demand_recipient(samples.recipient(use="key_encipherment").certificate, "it")


def test_more_recipients_than_devices_read_are_refused(good: bytes, tmp_path: Path) -> None:
    """Each takes the name and the key of its certificate: about 310 bytes."""
    many = [samples.again(ONE) for _ in range(220)]
    with pytest.raises(
        UsageError, match=r"220 recipients make a signature of .*devices read 65536"
    ):
        encrypted(good, tmp_path, *many)


def test_every_cut_of_the_message_is_malformed(secret: bytes) -> None:
    message = samples.parts(secret)[1]
    for end in range(0, len(message), 97):
        with pytest.raises(FormatError):
            enveloped.parse(message[:end])


def test_message_with_a_changed_byte_opens_to_nothing_or_to_something_else(secret: bytes) -> None:
    """CMS does not authenticate what it encrypts: the signature inside does."""
    message = samples.parts(secret)[1]
    genuine, refused = inner(secret), 0
    for place in range(0, len(message), 7):
        data = message[:place] + bytes([message[place] ^ 0x41]) + message[place + 1 :]
        try:
            # What is of the other recipient, or says which version it is, may be anything.
            other = envelope.unseal(data, ONE) != genuine
        except (FormatError, VerificationRefused):
            refused += 1
        else:
            assert other or place < len(message) - len(genuine)
    assert refused > 10


class World(NamedTuple):
    """A device directory, keys, a bundle, and where it is encrypted to."""

    device: Path
    keys: Path
    policy: Path
    bundle: Path
    out: Path


@pytest.fixture
def world(base: Base, good: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(KEYS.when))
    samples.write_keys(KEYS, tmp_path / "keys")
    assert base.target.policy_key is not None
    (tmp_path / "policy.pub").write_bytes(base.target.policy_key.pem)
    (tmp_path / "good.raucb").write_bytes(good)
    for name, each in (("one", ONE), ("other", OTHER)):
        pem = each.certificate.public_bytes(Encoding.PEM)
        (tmp_path / "keys" / f"{name}.crt").write_bytes(pem)
        key = tmp_path / "keys" / f"{name}.key"
        form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        key.write_bytes(each.private.private_bytes(*form))
        key.chmod(0o600)
    return World(
        samples.device(base, tmp_path / "device"),
        tmp_path / "keys",
        tmp_path / "policy.pub",
        tmp_path / "good.raucb",
        tmp_path / "crypt.raucb",
    )


def run(*arguments: str | Path) -> tuple[str, str]:
    """Run a command; return what it printed, and what it said about it."""
    result = CliRunner().invoke(app, ["update", *map(str, arguments)])
    if isinstance(result.exception, BootsealError):
        raise result.exception
    assert result.exit_code == 0
    return result.stdout, result.stderr


def encrypt(world: World, *more: str) -> tuple[str, str]:
    signing = [f"--{name}={world.keys / file}" for name, file in SIGNING.items()]
    return run("encrypt", world.bundle, "-o", world.out, *signing, *more)


def check(world: World, *names: str) -> tuple[str, str]:
    who = (("--decrypt-key", "key"), ("--decrypt-certificate", "crt"))
    by = [
        f"{option}={world.keys / name}.{suffix}"
        for (option, suffix), name in zip(who, names, strict=False)
    ]
    against = [f"--authority={world.keys / 'ca.crt'}", f"--policy-key={world.policy}"]
    return run("check", world.out, world.device, *against, "--no-inside", "--json", *by)


SIGNING = {"key": "update.key", "certificate": "update.crt", "authority": "ca.crt"}


def test_bundle_is_encrypted_and_checked_on_the_command_line(world: World) -> None:
    _, said = encrypt(world, f"--recipient={world.keys / 'one.crt'}")
    assert "encrypted for 1 recipient" in said
    assert "the reference device has none" in said

    found = json.loads(check(world, "one", "one")[0])
    assert (found["accepted"], found["version"]) == (True, samples.VERSION)
    assert found["encrypted_for"] == f"{ONE.certificate.serial_number:x}"

    with pytest.raises(VerificationRefused, match=r"update\.encrypted"):
        check(world)
    with pytest.raises(VerificationRefused, match=r"update\.recipient"):
        check(world, "other", "other")
    with pytest.raises(UsageError, match="is for another key"):
        check(world, "one", "other")
    with pytest.raises(UsageError, match="expected both"):
        check(world, "one")
    for verb in ("sign", "encrypt"):
        more = [f"--{name}={world.keys / file}" for name, file in SIGNING.items()]
        also = [f"--recipient={world.keys / 'one.crt'}", f"--output={world.out}"]
        with pytest.raises(VerificationRefused, match=r"crypt\.raucb: it is encrypted"):
            run(verb, world.out, *more, *(also if verb == "encrypt" else []))


def test_recipient_that_is_given_twice_is_one(world: World) -> None:
    (world.keys / "copy.crt").write_bytes((world.keys / "one.crt").read_bytes())
    twice = [f"--recipient={world.keys / name}.crt" for name in ("one", "copy", "other")]
    assert "encrypted for 2 recipients" in encrypt(world, *twice)[1]


def test_key_of_a_recipient_may_have_a_passphrase(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypt(world, f"--recipient={world.keys / 'one.crt'}")
    form = (Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (world.keys / "one.key").write_bytes(ONE.private.private_bytes(*form))
    with pytest.raises(UsageError, match=r"passphrase of .*one\.key is needed"):
        check(world, "one", "one")
    monkeypatch.setenv("BOOTSEAL_PASSPHRASE", "wrong")
    with pytest.raises(UsageError, match="passphrase is wrong"):
        check(world, "one", "one")
    monkeypatch.setenv("BOOTSEAL_PASSPHRASE", "secret")
    assert json.loads(check(world, "one", "one")[0])["accepted"] is True


def test_certificate_of_the_wrong_kind_is_named(world: World) -> None:
    with pytest.raises(UsageError, match=r"ca\.crt is that of a CA"):
        encrypt(world, f"--recipient={world.keys / 'ca.crt'}")
    assert not world.out.exists()
