# SPDX-License-Identifier: MIT
from __future__ import annotations

import dataclasses
import json
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.keys import profile
from bootseal.keys.algorithms import Algorithm, KeyKind
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.directory import inspect
from bootseal.keys.profile import Profile, Role, Storage
from bootseal.keys.public import verify_digest
from bootseal.keys.signers.file import FileSigner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def as_tokens(original: Profile) -> Profile:
    keys = [dataclasses.replace(spec, storage=Storage.TOKEN) for spec in original.keys]
    return dataclasses.replace(original, keys=tuple(keys))


class Unplugged:
    """Progress that fails at the n-th key, as a full disk or an interrupt would."""

    def __init__(self, after: int) -> None:
        self.left = after

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        del title
        yield
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt

    def note(self, text: str) -> None:
        del text


def test_generate_writes_private_files_and_the_layout_mkimage_wants(
    small: Profile, tmp_path: Path
) -> None:
    directory = tmp_path / "keys"

    made = key_directory.generate(small, directory)

    names = {"DEV-root", "DEV-fit", "DEV-policy"}
    expected = {f"{n}{s}" for n in names for s in (".key", ".crt", ".pub")} | {"keys.json"}
    assert {path.name for path in directory.iterdir()} == expected
    assert mode_of(directory) == 0o700
    assert {mode_of(path) for path in directory.glob("*.key")} == {0o600}
    assert key_directory.list_keys(directory) == made
    assert [key.role for key in made.keys] == [Role.ROOT, Role.POLICY, Role.FIT]
    assert not any(key.findings for key in made.keys)
    for key in made.keys:
        assert key.mode == 0o600
        assert FileSigner.load(directory / f"{key.name}.key").public_key == key.public_key
        assert (directory / f"{key.name}.pub").read_bytes() == key.public_key.pem


def test_certificates_chain_as_declared(small: Profile, tmp_path: Path) -> None:
    key_directory.generate(small, tmp_path / "keys")

    root, fit, policy = (
        x509.load_pem_x509_certificate((tmp_path / "keys" / f"DEV-{name}.crt").read_bytes())
        for name in ("root", "fit", "policy")
    )
    fit.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    policy.verify_directly_issued_by(policy)
    with pytest.raises(ValueError, match="does not match certificate issuer"):
        fit.verify_directly_issued_by(policy)
    authority = [
        c.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        for c in (root, fit, policy)
    ]
    assert authority == [True, False, False]


def test_generate_never_overwrites_and_names_what_is_in_the_way(
    small: Profile, tmp_path: Path
) -> None:
    directory = tmp_path / "keys"
    directory.mkdir(mode=0o700)
    (directory / "DEV-fit.pub").write_text("precious")

    with pytest.raises(UsageError, match=r"DEV-fit\.pub exists"):
        key_directory.generate(small, directory)

    assert [path.name for path in directory.iterdir()] == ["DEV-fit.pub"]
    assert (directory / "DEV-fit.pub").read_text() == "precious"


def test_generate_refuses_to_write_through_a_dangling_link(small: Profile, tmp_path: Path) -> None:
    directory = tmp_path / "keys"
    directory.mkdir(mode=0o700)
    (directory / "DEV-fit.key").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(UsageError, match=r"DEV-fit\.key exists"):
        key_directory.generate(small, directory)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("after", [1, 3])
def test_interrupted_generate_leaves_nothing(small: Profile, tmp_path: Path, after: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        key_directory.generate(small, tmp_path / "keys", progress=Unplugged(after))

    assert not (tmp_path / "keys").exists()


def test_file_that_appears_while_writing_is_kept_and_the_rest_removed(
    small: Profile, tmp_path: Path
) -> None:
    directory = tmp_path / "keys"
    directory.mkdir(mode=0o700)

    class Rival(Unplugged):
        @contextmanager
        def step(self, title: str) -> Iterator[None]:
            yield
            (directory / "DEV-policy.crt").write_text(title)

    with pytest.raises(UsageError, match=r"DEV-policy\.crt exists"):
        key_directory.generate(small, directory, progress=Rival(0))
    assert [path.name for path in directory.iterdir()] == ["DEV-policy.crt"]


def test_generate_refuses_a_directory_open_to_others(small: Profile, tmp_path: Path) -> None:
    directory = tmp_path / "keys"
    directory.mkdir()
    directory.chmod(0o750)

    with pytest.raises(UsageError, match="mode 0750") as refusal:
        key_directory.generate(small, directory)
    assert refusal.value.hint == f"chmod 700 {directory}"
    assert not list(directory.iterdir())


def test_generate_refuses_a_file_as_directory(small: Profile, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("")

    with pytest.raises(UsageError, match="exists and is not a directory"):
        key_directory.generate(small, tmp_path / "keys")


def test_token_keys_are_made_as_files_only_on_explicit_request(
    small: Profile, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="in a token, not in files: root, policy, fit") as refusal:
        key_directory.generate(as_tokens(small), tmp_path / "keys")
    assert "--insecure-file-keys" in refusal.value.hint
    assert not (tmp_path / "keys").exists()

    made = key_directory.generate(as_tokens(small), tmp_path / "keys", insecure_file_keys=True)
    assert len(made.keys) == 3


def test_only_makes_the_named_roles_and_later_ones_join_them(
    small: Profile, tmp_path: Path
) -> None:
    directory = tmp_path / "keys"
    key_directory.generate(small, directory, only=[Role.ROOT])
    before = (directory / "DEV-root.key").read_bytes()

    made = key_directory.generate(small, directory, only=[Role.FIT])

    assert [key.role for key in made.keys] == [Role.ROOT, Role.FIT]
    assert (directory / "DEV-root.key").read_bytes() == before
    root = x509.load_pem_x509_certificate((directory / "DEV-root.crt").read_bytes())
    fit = x509.load_pem_x509_certificate((directory / "DEV-fit.crt").read_bytes())
    fit.verify_directly_issued_by(root)


def test_only_without_the_issuer_is_refused(small: Profile, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="private key of the issuer 'root' is not in"):
        key_directory.generate(small, tmp_path / "keys", only=[Role.FIT])
    with pytest.raises(UsageError, match="declares no key 'device-ca'"):
        key_directory.generate(small, tmp_path / "keys", only=[Role.DEVICE_CA])
    assert not (tmp_path / "keys").exists()


def test_keys_of_two_profiles_do_not_mix(small: Profile, tmp_path: Path) -> None:
    key_directory.generate(small, tmp_path / "keys", only=[Role.POLICY])
    other = dataclasses.replace(small, name="other")

    with pytest.raises(UsageError, match="holds keys of the profile 'small'"):
        key_directory.generate(other, tmp_path / "keys", only=[Role.ROOT])


def test_certificate_that_outlives_its_issuer_is_refused(small: Profile, tmp_path: Path) -> None:
    short = [
        dataclasses.replace(spec, valid_days=50) if spec.role is Role.ROOT else spec
        for spec in small.keys
    ]
    key_directory.generate(
        dataclasses.replace(small, keys=tuple(short)), tmp_path / "keys", only=[Role.ROOT]
    )

    with pytest.raises(UsageError, match="its issuer only until"):
        key_directory.generate(small, tmp_path / "keys", only=[Role.FIT])


def test_list_finds_open_permissions_and_a_private_key_that_is_elsewhere(
    small: Profile, tmp_path: Path
) -> None:
    directory = tmp_path / "keys"
    key_directory.generate(small, directory)
    (directory / "DEV-fit.key").chmod(0o644)
    (directory / "DEV-root.key").unlink()

    listed = {key.role: key for key in key_directory.list_keys(directory).keys}

    assert [finding.id for finding in listed[Role.FIT].findings] == ["keys.permissions"]
    assert listed[Role.FIT].mode == 0o644
    assert listed[Role.ROOT].mode is None
    assert not listed[Role.ROOT].findings


def test_list_finds_a_certificate_put_in_place_of_another(small: Profile, tmp_path: Path) -> None:
    directory = tmp_path / "keys"
    key_directory.generate(small, directory)
    (directory / "DEV-fit.crt").write_bytes((directory / "DEV-policy.crt").read_bytes())

    fit = key_directory.find(directory, Role.FIT)

    assert [finding.id for finding in fit.findings] == ["keys.fingerprint"]
    with pytest.raises(FormatError, match="its certificate"):
        key_directory.signer(directory, Role.FIT)


def test_signer_is_found_by_role(small: Profile, tmp_path: Path) -> None:
    made = key_directory.generate(small, tmp_path / "keys", only=[Role.POLICY])

    signer = key_directory.signer(tmp_path / "keys", Role.POLICY)

    assert signer.public_key == made.keys[0].public_key
    with pytest.raises(UsageError, match="no key with the role 'fit'"):
        key_directory.signer(tmp_path / "keys", Role.FIT)


ENTRY = {"name": "x", "algorithm": "sha256,rsa2048", "fingerprint": ""}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": "bootseal.keys/2"}, "has schema 'bootseal.keys/2'"),
        ({"keys": {"fitt": {}}}, "keys is 'fitt': expected one of root"),
        ({"keys": []}, r"keys is \[\]: expected an object"),
        ({"keys": {"fit": ENTRY | {"name": "../x"}}}, "not the name"),
        ({"keys": {"fit": ENTRY | {"algorithm": "md5"}}}, "'md5' is refused"),
    ],
    ids=["schema", "role", "kind", "name", "algorithm"],
)
def test_manifest_that_is_wrong_is_refused(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    document = {"schema": "bootseal.keys/1", "profile": "p", "development": True, "keys": {}}
    (tmp_path / "keys.json").write_text(json.dumps(document | change))

    with pytest.raises(FormatError, match=reason):
        key_directory.list_keys(tmp_path)


def test_directory_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no keys\.json"):
        key_directory.list_keys(tmp_path)


def test_show_describes_each_kind_of_file(small: Profile, tmp_path: Path) -> None:
    directory = tmp_path / "keys"
    key = next(k for k in key_directory.generate(small, directory).keys if k.role is Role.ROOT)

    shown = {s: inspect.show(directory / f"DEV-root{s}") for s in (".key", ".crt", ".pub")}

    assert [shown[s].kind for s in shown] == ["private key", "certificate", "public key"]
    assert {shown[s].public_key for s in shown} == {key.public_key}
    assert shown[".crt"].subject == "CN=DEV root"
    assert shown[".crt"].authority is True
    assert shown[".crt"].not_after == key.not_after
    (directory / "DEV-root.key").chmod(0o640)
    assert inspect.show(directory / "DEV-root.key").findings[0].id == "keys.permissions"


def test_show_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello")
    (tmp_path / "y").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")

    with pytest.raises(FormatError, match="no public key"):
        inspect.show(tmp_path / "x")
    with pytest.raises(FormatError, match="not a certificate"):
        inspect.show(tmp_path / "y")
    with pytest.raises(UsageError, match="there is no file"):
        inspect.show(tmp_path / "z")


def test_dev_keys_say_dev_in_file_and_subject(tmp_path: Path) -> None:
    dev = profile.load(profile.find("dev"))
    key_directory.generate(dev, tmp_path / "keys", only=[Role.ROOT, Role.POLICY])

    for path in (tmp_path / "keys").glob("*.crt"):
        assert path.name.startswith("DEV-")
        assert "CN=DEV " in (inspect.show(path).subject or "")


@pytest.mark.parametrize("kind", [KeyKind.ECDSA256, KeyKind.ECDSA384])
def test_generate_makes_curve_keys_under_an_rsa_root(
    small: Profile, tmp_path: Path, kind: KeyKind
) -> None:
    algorithm = Algorithm.parse(f"sha256,{kind}")
    keys = [
        dataclasses.replace(spec, algorithm=algorithm) if spec.role is Role.FIT else spec
        for spec in small.keys
    ]
    key_directory.generate(dataclasses.replace(small, keys=tuple(keys)), tmp_path / "keys")

    fit = key_directory.find(tmp_path / "keys", Role.FIT)
    assert (fit.algorithm, fit.public_key.kind, fit.findings) == (algorithm, kind, ())
    digest = algorithm.digest([b"payload"])
    signature = key_directory.signer(tmp_path / "keys", Role.FIT).sign_digest(digest, algorithm)
    verify_digest(fit.public_key, digest, signature, algorithm)
    with pytest.raises(VerificationRefused, match="is not by key"):
        verify_digest(fit.public_key, algorithm.digest([b"other"]), signature, algorithm)
