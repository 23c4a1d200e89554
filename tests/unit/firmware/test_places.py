# SPDX-License-Identifier: MIT
"""Each key signs at its own place of the chain: what a key directory has for another is refused."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from tests.unit.firmware import fips
from typer.testing import CliRunner

from bootseal.cli.app import app
from bootseal.errors import BootsealError, UsageError
from bootseal.firmware import places
from bootseal.firmware.chain import Counter, Key
from bootseal.firmware.sign import sign
from bootseal.formats import fip
from bootseal.keys import profile
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.directory.rotate import rotate
from bootseal.keys.profile import Role

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = """\
[keys.{role}]
name = "DEV-{role}"
algorithm = "sha256,ecdsa256"
subject = "CN=DEV {role}"
authority = true
valid_days = 100
storage = "file"
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key directory with keys for all places, and a FIP to sign."""
    directory = tmp_path_factory.mktemp("made")
    toml = directory / "ec.toml"
    roles = [Role.FIT, *map(Role, Key)]
    entries = "".join(ENTRY.format(role=role) for role in roles)
    toml.write_text(f'name = "ec"\ndevelopment = true\n{entries}')
    key_directory.generate(profile.load(toml), directory / "keys")
    (directory / "fip.bin").write_bytes(fip.emit(fips.IMAGES))
    return directory


def bootseal(*arguments: object) -> str:
    """Return what a command prints; raises the error it ends in."""
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    if isinstance(result.exception, BootsealError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stderr


def test_the_keys_of_a_directory_sign_each_at_its_place(made: Path, tmp_path: Path) -> None:
    output = tmp_path / "signed.bin"

    bootseal("firmware", "sign", made / "fip.bin", "--keys", made / "keys", "-o", output)

    root = key_directory.find(made / "keys", Role.MRK).public_key.fingerprint()
    verdict = fips.verdict(output.read_bytes(), root)
    assert verdict.findings == ()
    assert verdict.keys == {
        key: key_directory.find(made / "keys", Role(key)).public_key.fingerprint() for key in Key
    }


@pytest.mark.parametrize("place", Key)
@pytest.mark.parametrize("other", [*Key, "fit"])
def test_a_key_for_another_place_is_refused_by_name(made: Path, place: Key, other: str) -> None:
    if place == other:
        return
    named = ["--key", f"{place}={made / 'keys' / f'DEV-{other}.key'}"]
    expected = f"the key for {place} is DEV-{other}, the {other} key of|one key for two places"

    with pytest.raises(UsageError, match=expected):
        bootseal("firmware", "sign", made / "fip.bin", "--keys", made / "keys", *named)


def test_a_copy_of_a_key_is_known_by_the_directory_of_the_others(
    made: Path, tmp_path: Path
) -> None:
    keys = {key: made / "keys" / f"DEV-{key}.key" for key in Key}
    keys[Key.SOC] = tmp_path / "innocent.key"
    for name, reason in (("fw-soc", ""), ("fit", "is DEV-fit, the fit key")):
        shutil.copy(made / "keys" / f"DEV-{name}.key", keys[Key.SOC])
        options = [word for key, file in keys.items() for word in ("--key", f"{key}={file}")]
        command = ["firmware", "sign", made / "fip.bin", *options, "-o", tmp_path / "fip.bin"]
        if reason:
            with pytest.raises(UsageError, match=reason):
                bootseal(*command)
        else:
            bootseal(*command)


def test_a_public_half_for_another_place_is_refused(made: Path, tmp_path: Path) -> None:
    command = ["firmware", "sign", made / "fip.bin", "--keys", made / "keys"]
    command += ["--export-requests", tmp_path / "requests", "--public-key"]
    with pytest.raises(UsageError, match="the key for mrk is DEV-fit, the fit key of"):
        bootseal(*command, f"mrk={made / 'keys' / 'DEV-fit.pub'}")

    bootseal(*command, f"mrk={made / 'keys' / 'DEV-mrk.pub'}")

    assert len([*(tmp_path / "requests").glob("mrk-*.digest")]) == 2


def test_one_key_for_two_places_is_refused() -> None:
    signers = fips.signers()
    counters = {Counter.TRUSTED: 1, Counter.NONTRUSTED: 1}
    sign(fip.parse(fip.emit(fips.IMAGES)), signers, counters)

    with pytest.raises(UsageError, match="mrk and fw-boot are the same key"):
        sign(fip.parse(fip.emit(fips.IMAGES)), signers | {Key.BOOT: signers[Key.MRK]}, counters)


def test_a_retired_key_is_still_one_of_its_place(made: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    shutil.copytree(made / "keys", keys)
    old = places.signers(keys)
    rotate(keys, Role.FW_BOOT)

    places.refuse_others(old, [keys / "keys.json"])

    assert places.signers(keys)[Key.BOOT].public_key != old[Key.BOOT].public_key


def test_a_directory_without_the_roles_says_what_to_type(small_keys: Path, made: Path) -> None:
    with pytest.raises(UsageError, match="no key with the role mrk, fw-trusted") as refusal:
        places.signers(small_keys)
    assert f"keys generate {small_keys} --profile small --only mrk" in refusal.value.hint

    assert [*places.signers(made / "keys", wanted=[Key.SOC])] == [Key.SOC]


@pytest.fixture
def small_keys(tmp_path: Path) -> Path:
    """A key directory of before there were keys for boot loaders."""
    toml = tmp_path / "small.toml"
    toml.write_text(f'name = "small"\ndevelopment = true\n{ENTRY.format(role="fit")}')
    key_directory.generate(profile.load(toml), tmp_path / "keys")
    return tmp_path / "keys"
