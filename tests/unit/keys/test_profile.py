# SPDX-License-Identifier: MIT
from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bootseal.errors import UsageError
from bootseal.keys import profile
from bootseal.keys.profile import Role, Storage

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["dev", "production"])
def test_shipped_profile_declares_every_role(name: str) -> None:
    loaded = profile.load(profile.find(name))

    assert loaded.name == name
    assert {spec.role for spec in loaded.keys} == set(Role)


def test_dev_profile_says_dev_everywhere_and_keeps_files() -> None:
    loaded = profile.load(profile.find("dev"))

    assert loaded.development
    assert all(spec.name.startswith("DEV-") for spec in loaded.keys)
    assert all("CN=DEV " in spec.subject for spec in loaded.keys)
    assert {spec.storage for spec in loaded.keys} == {Storage.FILE}


def test_production_profile_keeps_every_private_key_in_a_token() -> None:
    loaded = profile.load(profile.find("production"))

    assert not loaded.development
    assert {spec.storage for spec in loaded.keys} == {Storage.TOKEN}


def test_keys_come_after_their_issuers(small_toml: Path) -> None:
    # The role order of the source is root, fit, ..., so a fit key that certifies root turns it.
    text = small_toml.read_text().replace('issuer = "root"', "authority = true")
    small_toml.write_text(text.replace("[keys.root]", '[keys.root]\nissuer = "fit"'))

    roles = [spec.role for spec in profile.load(small_toml).keys]

    assert roles == [Role.FIT, Role.POLICY, Role.ROOT]


@pytest.mark.parametrize(
    ("old", "new", "reason", "hint"),
    [
        (
            "valid_days = 10\n",
            "valid_day = 10\n",
            "unknown keys: valid_day: did you mean valid_days",
            "",
        ),
        ("development", "develop", "unknown keys: develop: did you mean development", ""),
        ("[keys.fit]", "[keys.fitt]", "keys is 'fitt': expected one of root, fit", ""),
        (
            'storage = "file"',
            'storage = "files"',
            "storage is 'files': expected one of file, token",
            "",
        ),
        ('issuer = "root"', 'issuer = "rot"', "issuer is 'rot': expected one of root", ""),
        ("sha256,rsa2048", "sha1,rsa2048", "'sha1,rsa2048' is refused", ""),
        ("valid_days = 10\n", "", "lacks 'valid_days'", ""),
        ("valid_days = 10\n", "valid_days = 0\n", "expected at least 1", ""),
        ("valid_days = 10\n", "valid_days = true\n", "expected a whole number", ""),
        ("valid_days = 10\n", 'valid_days = "9"\n', "expected a whole number", ""),
        ("authority = true", "authority = 1", "expected true or false", ""),
        ("authority = true\n", "", "is not an authority", "set authority = true"),
        ('issuer = "root"', 'issuer = "update-ca"', "is not declared", ""),
        ('"DEV-fit"', '"DEV-root"', "used by more than one key", ""),
        ('"DEV-fit"', '"DEV-ROOT"', "used by more than one key", ""),
        ('"DEV-fit"', '"DEV-../fit"', "not a file stem", ""),
        ('"DEV-fit"', '"DEV-a-very-very-long-name-xx"', "not a file stem", ""),
        ('"DEV-fit"', '"fit"', "starts with DEV-", ""),
        ("CN=DEV fit", "CN=FIT signing", "its CN contains DEV", ""),
        ("CN=DEV fit", "O=DEV fit", "has 0 CN", ""),
        ("CN=DEV fit", "DEV fit", "is not RFC 4514", ""),
        ("development = true", "development = false", "only a development profile", ""),
        ("valid_days = 100\nstorage", "valid_days = 50\nstorage", "exceeds the 50", ""),
    ],
)
def test_profile_that_is_wrong_is_refused(
    small_toml: Path, old: str, new: str, reason: str, hint: str
) -> None:
    text = small_toml.read_text()
    assert old in text
    small_toml.write_text(text.replace(old, new, 1))

    with pytest.raises(UsageError, match=reason) as refusal:
        profile.load(small_toml)
    assert str(small_toml) in refusal.value.message
    assert hint in refusal.value.hint


def test_policy_key_of_another_size_is_refused(small_toml: Path) -> None:
    head, policy, rest = small_toml.read_text().partition("[keys.policy]")
    small_toml.write_text(head + policy + rest.replace("rsa2048", "rsa4096"))

    with pytest.raises(UsageError, match="systemd and TPMs need sha256,rsa2048"):
        profile.load(small_toml)


def test_keys_that_certify_each_other_are_refused(small_toml: Path) -> None:
    text = small_toml.read_text().replace("[keys.root]", '[keys.root]\nissuer = "fit"')
    small_toml.write_text(text.replace('issuer = "root"', 'issuer = "root"\nauthority = true'))

    with pytest.raises(UsageError, match="in a circle: root, fit"):
        profile.load(small_toml)


def test_production_profile_with_a_dev_name_is_refused(tmp_path: Path) -> None:
    text = profile.find("production").read_text()
    path = tmp_path / "production.toml"
    path.write_text(text.replace('name = "fit-1"', 'name = "DEV-fit-1"'))

    with pytest.raises(UsageError, match="only a development profile's keys say DEV"):
        profile.load(path)


def test_file_that_is_no_profile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    for data in (b"\xff = 1", b"x = " + b"[" * 3000):
        path.write_bytes(data)
        with pytest.raises(UsageError, match="cannot be read"):
            profile.load(path)
    with pytest.raises(UsageError, match="there is no key profile 'devel'"):
        profile.find("devel")


def test_escrow_key_that_cannot_decrypt_is_refused(tmp_path: Path) -> None:
    text = profile.find("dev").read_text()
    path = tmp_path / "dev.toml"
    path.write_text(text.replace("sha256,rsa3072", "sha256,ecdsa256"))

    profile.load(profile.find("dev"))
    with pytest.raises(UsageError, match=r"\[keys.escrow\].*encrypted to an RSA key"):
        profile.load(path)


@pytest.mark.parametrize("other", ["sha384,rsa4096", "sha256,ecdsa256"])
def test_key_of_modules_that_kernels_cannot_use_is_refused(tmp_path: Path, other: str) -> None:
    head, modules, rest = profile.find("dev").read_text().partition("[keys.modules]")
    path = tmp_path / "dev.toml"
    path.write_text(head + modules + rest.replace("sha256,rsa4096", other, 1))

    with pytest.raises(UsageError, match=r"\[keys.modules\].*SHA-256 and RSA alone"):
        profile.load(path)
