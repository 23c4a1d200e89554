# SPDX-License-Identifier: MIT
from __future__ import annotations

import dataclasses
import shutil
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from bootseal.errors import UsageError
from bootseal.keys import certificate
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.directory import audit, export
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.directory.create import write_all
from bootseal.keys.directory.rotate import revoke, rotate
from bootseal.keys.manifest import KeyState, read_manifest
from bootseal.keys.profile import Role
from bootseal.keys.signers import base as signers

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.keys.profile import Profile

LONG = timedelta(days=1000)
EC = Algorithm.parse("sha256,ecdsa256")


@pytest.fixture
def keys(small: Profile, tmp_path: Path) -> Path:
    """A directory with root, fit, fit-next and policy."""
    fit = next(spec for spec in small.keys if spec.role is Role.FIT)
    coming = dataclasses.replace(
        fit, role=Role.FIT_NEXT, name="DEV-fit-2", subject="CN=DEV fit 2,O=Example"
    )
    key_directory.generate(
        dataclasses.replace(small, keys=(*small.keys, coming)), tmp_path / "keys"
    )
    return tmp_path / "keys"


def ids(directory: Path, max_age: timedelta = LONG) -> set[str]:
    return {finding.id for finding in audit.audit(directory, max_age=max_age).findings}


def test_rotation_moves_the_successor_up_and_makes_the_next(keys: Path) -> None:
    before = read_manifest(keys)

    rotation = rotate(keys)

    after = read_manifest(keys)
    assert after.keys[Role.FIT] == before.keys[Role.FIT_NEXT] == rotation.current
    assert after.keys[Role.FIT_NEXT] == rotation.coming
    assert rotation.coming is not None
    assert rotation.coming.name == "DEV-fit-3"
    ((role, retired),) = after.former
    assert (role, retired.name, retired.state) == (Role.FIT, "DEV-fit", KeyState.RETIRED)
    cert = certificate.read(keys / "DEV-fit-3.crt")
    assert cert.subject.rfc4514_string() == "CN=DEV fit 3,O=Example"
    cert.verify_directly_issued_by(certificate.read(keys / "DEV-root.crt"))
    assert (
        key_directory.signer(keys, Role.FIT).public_key
        == key_directory.find(keys, Role.FIT).public_key
    )
    # The retired key still signs, for devices that do not know its successor.
    signers.open(str(keys / "DEV-fit.key"))
    assert (rotate(keys).coming or rotation.coming).name == "DEV-fit-4"
    assert [entry.name for _, entry in read_manifest(keys).former] == ["DEV-fit", "DEV-fit-2"]


def test_rotation_without_a_successor_makes_one_and_retires_nothing(
    small: Profile, tmp_path: Path
) -> None:
    key_directory.generate(small, tmp_path / "keys")

    rotation = rotate(tmp_path / "keys", algorithm="sha384,ecdsa384")

    assert rotation.retired is None
    assert rotation.coming is not None
    assert (rotation.current.name, rotation.coming.name) == ("DEV-fit", "DEV-fit-2")
    assert key_directory.find(tmp_path / "keys", Role.FIT_NEXT).public_key.kind == "ecdsa384"


@pytest.fixture
def firmware_keys(small: Profile, tmp_path: Path) -> Path:
    """A directory with root, and the keys of boot loaders."""
    fit = next(spec for spec in small.keys if spec.role is Role.FIT)
    more = tuple(
        dataclasses.replace(
            fit, role=role, name=f"DEV-{role}", subject=f"CN=DEV {role} 1", algorithm=EC
        )
        for role in (Role.MRK, Role.FW_TRUSTED, Role.FW_BOOT)
    )
    root = tuple(spec for spec in small.keys if spec.role is Role.ROOT)
    key_directory.generate(dataclasses.replace(small, keys=(*root, *more)), tmp_path / "keys")
    return tmp_path / "keys"


@pytest.mark.parametrize("role", [Role.FW_TRUSTED, Role.FW_BOOT])
def test_key_of_a_boot_loader_is_replaced_at_once(firmware_keys: Path, role: Role) -> None:
    before = read_manifest(firmware_keys)

    rotation = rotate(firmware_keys, role)

    after = read_manifest(firmware_keys)
    assert rotation.coming is None
    assert rotation.current == after.keys[role] != before.keys[role]
    assert (rotation.current.name, rotation.current.algorithm) == (f"DEV-{role}-2", EC)
    ((former, retired),) = after.former
    assert (former, retired.name, retired.state) == (role, f"DEV-{role}", KeyState.RETIRED)
    assert {name: key for name, key in after.keys.items() if name is not role} == {
        name: key for name, key in before.keys.items() if name is not role
    }
    cert = certificate.read(firmware_keys / f"DEV-{role}-2.crt")
    cert.verify_directly_issued_by(certificate.read(firmware_keys / "DEV-root.crt"))
    assert rotate(firmware_keys, role).current.name == f"DEV-{role}-3"


def test_key_of_modules_is_for_code_signing_and_replaced_at_once(
    small: Profile, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    policy = next(spec for spec in small.keys if spec.role is Role.POLICY)
    modules = dataclasses.replace(
        policy, role=Role.MODULES, name="DEV-modules-1", subject="CN=DEV modules 1"
    )
    key_directory.generate(dataclasses.replace(small, keys=(*small.keys, modules)), keys)
    assert "keys.usage" not in ids(keys)

    rotation = rotate(keys, Role.MODULES)

    assert rotation.retired
    assert (rotation.retired.name, rotation.current.name) == ("DEV-modules-1", "DEV-modules-2")
    assert rotation.coming is None
    assert "keys.usage" not in ids(keys)
    shutil.copy(keys / "DEV-policy.crt", keys / "DEV-modules-2.crt")
    assert "keys.usage" in ids(keys)


@pytest.mark.parametrize(
    ("role", "reason"),
    [
        (Role.MRK, "its hash is in the ROM"),
        (Role.ROOT, "the role 'root' cannot be rotated: expected fit, fw-trusted"),
        (Role.FW_SOC, "has no key with the role 'fw-soc' to rotate"),
    ],
)
def test_key_that_cannot_be_rotated_stays(firmware_keys: Path, role: Role, reason: str) -> None:
    before = {path.name: path.read_bytes() for path in firmware_keys.iterdir()}

    with pytest.raises(UsageError, match=reason):
        rotate(firmware_keys, role)
    assert {path.name: path.read_bytes() for path in firmware_keys.iterdir()} == before


def test_rotation_without_the_issuers_key_leaves_everything_as_it_was(keys: Path) -> None:
    (keys / "DEV-root.key").unlink()
    before = {path.name: path.read_bytes() for path in keys.iterdir()}

    with pytest.raises(UsageError, match="private key of the issuer 'root' is not in"):
        rotate(keys)
    assert {path.name: path.read_bytes() for path in keys.iterdir()} == before


def test_rotation_to_a_revoked_successor_is_refused(keys: Path) -> None:
    revoke(keys, "DEV-fit-2", reason="")
    with pytest.raises(UsageError, match="DEV-fit-2, the successor, was revoked"):
        rotate(keys)


def test_rotation_of_a_directory_without_fit_key_is_refused(small: Profile, tmp_path: Path) -> None:
    key_directory.generate(small, tmp_path / "keys", only=[Role.ROOT])
    with pytest.raises(UsageError, match="has no key with the role 'fit'"):
        rotate(tmp_path / "keys")


@pytest.mark.parametrize("by_fingerprint", [False, True])
def test_revoked_key_signs_nothing_under_any_name(keys: Path, *, by_fingerprint: bool) -> None:
    key = key_directory.find(keys, Role.FIT)
    signers.open(str(keys / "DEV-fit.key"))

    revoke(keys, key.public_key.fingerprint() if by_fingerprint else key.name, reason="leaked")

    assert key_directory.find(keys, Role.FIT).state is KeyState.REVOKED
    with pytest.raises(UsageError, match=r"was revoked on 20\d\d-\d\d-\d\d \(leaked\)"):
        key_directory.signer(keys, Role.FIT)
    (keys / "DEV-fit.key").rename(keys / "innocent.key")
    with pytest.raises(UsageError, match="was revoked"):
        signers.open(str(keys / "innocent.key"))
    with pytest.raises(UsageError, match=r"was revoked on .* already"):
        revoke(keys, key.name, reason="again")
    signers.open(str(keys / "DEV-fit-2.key"))


def test_revocation_of_an_unknown_key_lists_the_known(keys: Path) -> None:
    with pytest.raises(UsageError, match="has no key 'x': it has DEV-root, "):
        revoke(keys, "x", reason="")


def test_export_has_the_signing_keys_that_are_not_revoked(keys: Path, tmp_path: Path) -> None:
    rotate(keys)
    revoke(keys, "DEV-fit", reason="")

    names = export.for_mkimage(keys, tmp_path / "out", signers={})

    assert names == ("DEV-fit-2", "DEV-fit-3")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"{name}{suffix}" for name in names for suffix in (".key", ".crt")
    }
    assert (tmp_path / "out/DEV-fit-2.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match="never adds to a directory"):
        export.for_mkimage(keys, tmp_path / "out", signers={})


def test_export_points_to_tokens(keys: Path, tmp_path: Path) -> None:
    source = "pkcs11:token=x;object=fit"
    (keys / "DEV-fit.key").unlink()
    with pytest.raises(UsageError, match="the private key of DEV-fit is not in"):
        export.for_mkimage(keys, tmp_path / "out", signers={})
    with pytest.raises(UsageError, match="no FIT key 'DEV-root' to export"):
        export.for_mkimage(keys, tmp_path / "out", signers={"DEV-root": source})

    export.for_mkimage(keys, tmp_path / "out", signers={"DEV-fit": source})

    assert signers.read_reference(tmp_path / "out/DEV-fit.key") == source


def test_audit_of_fresh_keys_finds_only_their_size(keys: Path) -> None:
    assert ids(keys) == {"keys.algorithm"}


def test_audit_finds_each_fault(keys: Path) -> None:
    (keys / "DEV-fit.key").chmod(0o644)
    keys.chmod(0o755)
    (keys / "DEV-policy.pub").write_bytes((keys / "DEV-root.pub").read_bytes())
    (keys / "stray.crt").write_bytes((keys / "DEV-fit.crt").read_bytes())
    (keys / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (keys / "DEV-fit-2.crt").unlink()
    (keys / "link.pub").symlink_to(keys / "DEV-fit.pub")

    assert ids(keys) == {
        "keys.algorithm",
        "keys.permissions",
        "keys.mismatch",
        "keys.duplicate",
        "keys.stray",
        "keys.unreadable",
        "keys.missing",
        "keys.symlink",
    }


@pytest.mark.parametrize("name", ["DEV-fit", "DEV-policy"], ids=["one file", "two files"])
def test_audit_finds_one_key_for_two_roles_once(keys: Path, name: str) -> None:
    manifest = read_manifest(keys)
    fit = manifest.keys[Role.FIT]
    for suffix in ("key", "crt", "pub"):
        (keys / f"DEV-policy.{suffix}").unlink()
        if name != fit.name:
            (keys / f"{name}.{suffix}").write_bytes((keys / f"{fit.name}.{suffix}").read_bytes())
    for path in keys.glob("*.key"):
        path.chmod(0o600)
    policy = dataclasses.replace(fit, name=name)
    write_all(keys, {}, dataclasses.replace(manifest, keys={**manifest.keys, Role.POLICY: policy}))

    (found,) = [f for f in audit.audit(keys, max_age=LONG).findings if f.id == "keys.duplicate"]

    shared = "two roles: policy and fit" if name == fit.name else "DEV-fit.key under another name"
    assert found.message.startswith("is the same key ")
    assert shared in found.message


def test_audit_finds_old_and_revoked_keys(keys: Path) -> None:
    assert "keys.age" in ids(keys, timedelta(seconds=-1))
    revoke(keys, "DEV-fit", reason="")
    revoked = [f for f in audit.audit(keys, max_age=LONG).findings if f.id == "keys.revoked"]
    assert [f.severity for f in revoked] == ["error"]
    rotate(keys)
    revoked = [f for f in audit.audit(keys, max_age=LONG).findings if f.id == "keys.revoked"]
    assert ["destroy its private key" in f.message for f in revoked] == [True]


def test_audit_of_a_production_directory_finds_plain_keys(keys: Path) -> None:
    production = dataclasses.replace(read_manifest(keys), development=False)
    write_all(keys, {}, production)
    assert "keys.plain" in ids(keys)


def test_audit_of_any_directory_needs_no_manifest(keys: Path) -> None:
    (keys / "keys.json").unlink()
    assert ids(keys) == set()
