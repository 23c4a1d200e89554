# SPDX-License-Identifier: MIT
"""What was proven, issued and revoked, and the commands that say so."""

from __future__ import annotations

import dataclasses
import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests import identity_samples as samples
from tests.identity_samples import CHALLENGE, NOW, Device
from typer.testing import CliRunner

from bootseal import documents
from bootseal.attest.store import Store
from bootseal.cli.app import app
from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.identity import registry, verify
from bootseal.identity.registry import Registry
from bootseal.keys import certificate
from bootseal.keys.algorithms import Algorithm, KeyKind
from bootseal.keys.identity import check_reason
from bootseal.keys.profile import KeySpec, Role, Storage

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.identity.registry import Entry

DEVICE: Final = Device()
LISTED, _ = samples.release(b"KERNEL 1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verifier:
    """A verifier's directory with one device, and an authority next to it."""

    root: Path

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def registry(self) -> Registry:
        return Registry(self.store)

    def run(self, *args: str | Path, code: int = 0) -> str:
        result = CliRunner().invoke(app, list(map(str, args)), catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result.stdout

    def prove(self, *, code: int = 0, **changes: bytes) -> dict[str, object]:
        """Ask the device, and verify its answer, all by commands."""
        nonce = self.run("identity", "challenge", "dev-1", "--store", self.store).strip()
        answer = DEVICE.answer(
            quote=DEVICE.quote(bytes.fromhex(nonce)),
            certification=DEVICE.statement(
                samples.area(DEVICE.identity, samples.IDENTITY), nonce=bytes.fromhex(nonce)
            ),
            **changes,
        )
        (self.root / "proof").write_bytes(documents.dump(answer))
        found = json.loads(self.verify("--json", code=code))
        assert isinstance(found, dict)
        return found

    def verify(self, *options: str, code: int = 0) -> str:
        approved = self.root / "approved.json"
        args = ("identity", "verify", self.root / "proof", "--store", self.store)
        return self.run(*args, "--approved", approved, *options, code=code)

    def sign(self, verb: str, *args: str | Path, code: int = 0) -> str:
        ca = ("--ca", self.root / "ca.crt")
        return self.run("identity", verb, *args, "--store", self.store, *ca, code=code)

    @property
    def key(self) -> tuple[str, Path]:
        return ("--key", self.root / "ca.key")


def authority(directory: Path, name: str, kind: KeyKind = KeyKind.ECDSA256) -> None:
    spec = KeySpec(
        role=Role.DEVICE_CA,
        name=name,
        algorithm=Algorithm(hash_name="sha256", kind=kind),
        subject=f"CN={name}",
        authority=True,
        valid_days=7300,
        storage=Storage.FILE,
    )
    made = certificate.issue(spec, None)
    key = made.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / f"{name}.key").touch(mode=0o600)
    (directory / f"{name}.key").write_bytes(key)
    (directory / f"{name}.crt").write_bytes(made.certificate.public_bytes(Encoding.PEM))


@pytest.fixture
def verifier(tmp_path: Path) -> Verifier:
    authority(tmp_path, "ca")
    (tmp_path / "approved.json").write_bytes(documents.dump(LISTED))
    Store(tmp_path / "store").save(DEVICE.record)
    return Verifier(root=tmp_path)


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_proof_is_verified_once_and_certified(verifier: Verifier) -> None:
    accepted = verifier.prove()
    path = verifier.root / "dev-1.pem"

    verifier.sign("issue", "dev-1", *verifier.key, "-o", path)

    assert (accepted["verdict"], accepted["device"], accepted["release"]) == (
        "accepted",
        "dev-1",
        "1.0",
    )
    made = read(path)
    made.verify_directly_issued_by(read(verifier.root / "ca.crt"))
    assert f"{made.serial_number:x}" == accepted["serial"]
    assert made.public_key() == DEVICE.identity.public_key.crypto
    replay = json.loads(verifier.verify("--json", code=3))
    assert (replay["verdict"], replay["serial"]) == ("refused", "")
    assert "was answered before" in replay["findings"][0]["message"]


def test_refused_proof_leaves_nothing_to_certify(verifier: Verifier) -> None:
    refused = verifier.prove(csr=samples.request(samples.new_key()), code=3)

    assert [each["id"] for each in refused["findings"]] == ["identity.csr"]  # type: ignore[attr-defined]
    assert verifier.registry.entries() == []
    with pytest.raises(UsageError, match="dev-1 has not proven an identity key"):
        verifier.sign("issue", "dev-1", *verifier.key)


def test_certificate_says_what_the_verifier_knows(verifier: Verifier) -> None:
    verifier.prove()
    verifier.sign("issue", "dev-1", *verifier.key, "--days", "30", "-o", verifier.root / "c")
    made, (entry,) = read(verifier.root / "c"), verifier.registry.entries()
    extensions = made.extensions
    basic = extensions.get_extension_for_class(x509.BasicConstraints)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    extended = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    policies = extensions.get_extension_for_class(x509.CertificatePolicies).value
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    module, permanent = (each.value for each in names.get_values_for_type(x509.OtherName))

    # The request wanted "root of everything", and to be an authority.
    assert made.subject.rfc4514_string() == f"2.5.4.5={'e5' * 32},CN=dev-1"
    assert basic.value == x509.BasicConstraints(ca=False, path_length=None)
    assert basic.critical
    assert usage.critical
    assert (usage.value.digital_signature, usage.value.key_cert_sign) == (True, False)
    assert [each.dotted_string for each in extended] == ["1.3.6.1.5.5.7.3.2"]
    assert [each.policy_identifier.dotted_string for each in policies] == [
        "2.23.133.11.1.1",
        "2.23.133.11.1.2",
    ]
    assert module.hex().startswith("301c060567810501020413")
    assert module.endswith(b"id:00001014:aabb:1f")
    assert permanent.endswith(("e5" * 32).encode() + bytes.fromhex("060567 81050c01"))
    proven = datetime.fromtimestamp(entry.proven, UTC)
    assert made.not_valid_before_utc == proven - timedelta(hours=1)
    assert made.not_valid_after_utc == proven + timedelta(days=30)


def test_issuing_again_gives_the_same_certificate(verifier: Verifier) -> None:
    verifier.prove()
    first = verifier.sign("issue", "dev-1", *verifier.key)

    assert verifier.sign("issue", "dev-1", *verifier.key) == first
    authority(verifier.root, "ca")
    with pytest.raises(VerificationRefused, match="was issued by another CA"):
        verifier.sign("issue", "dev-1", *verifier.key)


def test_renewal_is_another_certificate_of_the_same_key(verifier: Verifier) -> None:
    for name in ("first", "second"):
        verifier.prove()
        verifier.sign("issue", "dev-1", *verifier.key, "-o", verifier.root / name)
    first, second = read(verifier.root / "first"), read(verifier.root / "second")

    assert first.serial_number != second.serial_number
    assert first.public_key() == second.public_key()


@pytest.mark.parametrize("kind", [KeyKind.ECDSA256, KeyKind.RSA2048], ids=str)
def test_certificate_is_signed_on_another_machine(verifier: Verifier, kind: KeyKind) -> None:
    authority(verifier.root, "ca", kind)
    verifier.prove()
    requests = verifier.root / "requests"
    verifier.sign("issue", "dev-1", "--export-requests", requests)
    (entry,) = verifier.registry.entries()
    assert entry.certificate == b""

    with pytest.raises(UsageError, match="no signature"):
        verifier.sign("issue", "dev-1", "--import-signatures", requests)
    verifier.run("disk", "sign-requests", requests, "--role", "device-ca", *verifier.key)
    verifier.sign("issue", "dev-1", "--import-signatures", requests, "-o", verifier.root / "c")

    read(verifier.root / "c").verify_directly_issued_by(read(verifier.root / "ca.crt"))


def test_signature_of_another_key_is_not_imported(verifier: Verifier) -> None:
    verifier.prove()
    requests = verifier.root / "requests"
    verifier.sign("issue", "dev-1", "--export-requests", requests)
    (digest,) = requests.glob("*.digest")
    algorithm = Algorithm.parse("sha256,ecdsa256")
    signature = samples.new_key().sign_digest(digest.read_bytes(), algorithm)
    digest.with_suffix(".sig").write_bytes(signature)

    with pytest.raises(VerificationRefused, match="is not by key"):
        verifier.sign("issue", "dev-1", "--import-signatures", requests)
    assert verifier.registry.entries()[0].certificate == b""


def test_key_of_another_authority_is_refused(verifier: Verifier) -> None:
    verifier.prove()
    authority(verifier.root, "other")

    with pytest.raises(UsageError, match="the authority's certificate is for"):
        verifier.sign("issue", "dev-1", "--key", verifier.root / "other.key")


def test_certificate_of_a_device_is_not_an_authority(verifier: Verifier) -> None:
    verifier.prove()
    path = verifier.root / "dev-1.pem"
    verifier.sign("issue", "dev-1", *verifier.key, "-o", path)

    with pytest.raises(UsageError, match="may not certify other keys"):
        verifier.run("identity", "crl", "--store", verifier.store, "--ca", path, *verifier.key)


def test_authority_with_an_extension_twice_is_malformed(
    verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(_: x509.Certificate) -> bool:
        raise x509.DuplicateExtension("twice", x509.ObjectIdentifier("2.5.29.19"))

    monkeypatch.setattr(certificate, "is_authority", twice)

    with pytest.raises(FormatError, match=r"ca\.crt cannot be read: twice"):
        verifier.sign("crl", *verifier.key)


def test_certificate_does_not_outlive_its_issuer(verifier: Verifier) -> None:
    verifier.prove()

    with pytest.raises(UsageError, match="its issuer only until"):
        verifier.sign("issue", "dev-1", *verifier.key, "--days", "7301")


def test_device_that_was_enrolled_again_has_to_prove_again(verifier: Verifier) -> None:
    verifier.prove()
    again = dataclasses.replace(Device(identity=DEVICE.identity).record, certified=NOW)
    Store(verifier.store).save(again)

    with pytest.raises(VerificationRefused, match="was enrolled again after"):
        verifier.sign("issue", "dev-1", *verifier.key)


def test_record_without_the_chip_is_not_certified(verifier: Verifier) -> None:
    verifier.prove()
    Store(verifier.store).save(dataclasses.replace(DEVICE.record, chip=""))

    with pytest.raises(UsageError, match="has an older version"):
        verifier.sign("issue", "dev-1", *verifier.key)


def test_device_whose_attestation_key_is_not_certified_is_not_asked(verifier: Verifier) -> None:
    Store(verifier.store).save(dataclasses.replace(DEVICE.record, certified=0))

    with pytest.raises(UsageError, match="is not certified"):
        verifier.run("identity", "challenge", "dev-1", "--store", verifier.store)


def test_revoked_certificate_is_listed_and_in_the_list_of_its_authority(verifier: Verifier) -> None:
    verifier.prove()
    verifier.sign("issue", "dev-1", *verifier.key, "-o", verifier.root / "c")
    before = x509.load_pem_x509_crl(verifier.sign("crl", *verifier.key).encode())
    store = ("--store", verifier.store)
    verifier.run("identity", "revoke", "dev-1", *store, "--reason", "keyCompromise")

    after = x509.load_pem_x509_crl(verifier.sign("crl", *verifier.key).encode())

    ca, serial = read(verifier.root / "ca.crt"), read(verifier.root / "c").serial_number
    assert [*before] == []
    assert [each.serial_number for each in after] == [serial]
    assert after.is_signature_valid(ca.public_key())  # type: ignore[arg-type]
    assert after.issuer == ca.subject
    (row,) = json.loads(verifier.run("identity", "list", *store, "--json"))["identities"]
    assert (row["state"], row["reason"]) == ("revoked", "keyCompromise")
    with pytest.raises(VerificationRefused, match="was revoked: keyCompromise"):
        verifier.sign("issue", "dev-1", *verifier.key)
    authority(verifier.root, "ca")
    other = x509.load_pem_x509_crl(verifier.sign("crl", *verifier.key).encode())
    assert [*other] == []


def test_list_of_revoked_certificates_is_signed_on_another_machine(
    verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(time.time())))
    requests = verifier.root / "requests"
    verifier.sign("crl", "--export-requests", requests)
    verifier.run("disk", "sign-requests", requests, "--role", "device-ca", *verifier.key)

    found = x509.load_pem_x509_crl(verifier.sign("crl", "--import-signatures", requests).encode())

    assert found.is_signature_valid(read(verifier.root / "ca.crt").public_key())  # type: ignore[arg-type]


@pytest.mark.parametrize("reason", ["", "because", "removeFromCRL", "certificateHold"])
def test_reason_that_does_not_end_a_certificate_is_refused(reason: str) -> None:
    with pytest.raises(UsageError, match="expected one of unspecified, keyCompromise"):
        check_reason(reason)


def test_revoking_nothing_is_an_error(verifier: Verifier) -> None:
    with pytest.raises(UsageError, match="dev-1 has no identity that is not revoked"):
        verifier.run("identity", "revoke", "dev-1", "--store", verifier.store)


def accepted(found: Registry, device: Device = DEVICE, name: str = "dev-1") -> Entry:
    record = dataclasses.replace(device.record, name=name)
    asked = dataclasses.replace(CHALLENGE, device=name)
    proof = device.proof()
    verdict = verify.Verifier(LISTED).inspect(proof, record, asked, NOW)
    return found.accept(proof, verdict, record, NOW)


def test_one_key_is_not_two_devices(tmp_path: Path) -> None:
    found = Registry(tmp_path)
    accepted(found)

    with pytest.raises(VerificationRefused, match="is already that of dev-1"):
        accepted(found, name="dev-2")


def test_refused_verdict_is_not_remembered(tmp_path: Path) -> None:
    proof = DEVICE.proof(csr=samples.request(samples.new_key()))
    verdict = verify.Verifier(LISTED).inspect(proof, DEVICE.record, CHALLENGE, NOW)

    with pytest.raises(UsageError, match="was refused: no record is changed"):
        Registry(tmp_path).accept(proof, verdict, DEVICE.record, NOW)


def test_entry_under_another_name_is_malformed(tmp_path: Path) -> None:
    found = Registry(tmp_path)
    entry = accepted(found)
    path = tmp_path / "identities" / f"{entry.serial}.json"
    path.rename(path.with_name(f"{'4' * 32}.json"))

    with pytest.raises(FormatError, match="the serial number is"):
        found.entries()


def test_registry_is_closed_to_others(tmp_path: Path) -> None:
    entry = accepted(Registry(tmp_path))

    assert (tmp_path / "identities").stat().st_mode & 0o077 == 0
    assert (tmp_path / f"identities/{entry.serial}.json").stat().st_mode & 0o077 == 0


def test_serial_numbers_are_positive_of_one_length_and_never_the_same() -> None:
    made = {registry._new_serial() for _ in range(50)}

    assert len(made) == 50
    assert {len(serial) for serial in made} == {32}
    assert all("4" <= serial[0] <= "7" for serial in made)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "proven"),
        ({"certificate": b"c", "not_after": NOW}, "issued"),
        ({"certificate": b"c", "not_after": NOW - 1}, "expired"),
        ({"certificate": b"c", "not_after": NOW, "revoked": 1}, "revoked"),
    ],
)
def test_state_of_an_identity(tmp_path: Path, changes: dict[str, object], state: str) -> None:
    entry = dataclasses.replace(accepted(Registry(tmp_path)), **changes)  # type: ignore[arg-type]

    assert entry.state(NOW) == state
