# SPDX-License-Identifier: MIT
"""`bootseal evidence` on the command line: made here or elsewhere, verified, shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests import evidence_samples as samples
from typer.testing import CliRunner

from bootseal.cli.app import app
from bootseal.errors import BootsealError, FormatError, UsageError, VerificationRefused
from bootseal.keys import profile
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role
from bootseal.keys.signers import offline
from bootseal.keys.signers.base import open as open_key

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.tool("mksquashfs"), pytest.mark.slow]


class World(NamedTuple):
    """A release, a key directory, the public key, and the options that `make` needs."""

    release: Path
    keys: Path
    public: Path
    options: tuple[str, ...]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys") / "keys"
    dev = profile.load(profile.find("dev"))
    key_directory.generate(dev, directory, only=[Role.ROOT, Role.ATTESTATION])
    return directory


@pytest.fixture
def world(release: Path, keys: Path, tmp_path: Path) -> World:
    kas = tmp_path / "kas.json"
    kas.write_bytes(samples.kas())
    options = ("--release", "3.0", "--builder", samples.BUILDER, "--kas", str(kas))
    return World(release, keys, keys / "DEV-attestation-1.pub", options)


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, ["evidence", *map(str, arguments)])
    if isinstance(result.exception, BootsealError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_evidence_is_made_verified_and_shown(world: World) -> None:
    made = json.loads(run("make", world.release, "--keys", world.keys, "--json", *world.options))
    verdict = json.loads(run("verify", world.release, "--key", world.public, "--json"))
    assert verdict["accepted"]
    assert (verdict["release"], verdict["device"]) == ("3.0", "sample")
    assert verdict["statements"] == ["bundle", "disk", "firmware", "fit", "sbom"]
    shown = json.loads(run("show", world.release, "--json"))
    assert not shown["verified"]
    assert shown["statements"].keys() == made["statements"].keys()
    assert {each["keyid"] for each in shown["statements"].values()} == {made["key"]}
    text = run("show", world.release)
    assert "release 3.0 for sample" in text
    assert f"git+https://example.com/main.git@{samples.COMMIT}" in text


def test_success_says_that_an_older_release_is_as_genuine(world: World) -> None:
    run("make", world.release, "--keys", world.keys, *world.options)
    for options, named in ((), False), (("--release", "3.0"), True):
        verify = ["evidence", "verify", str(world.release), "--key", str(world.public), *options]
        said = " ".join(CliRunner().invoke(app, verify).stderr.split())
        assert "is release 3.0 for sample" in said
        assert ("whether it is an older release than you mean" not in said) is named


def test_refused_release_is_a_document_too(world: World) -> None:
    run("make", world.release, "--keys", world.keys, *world.options)
    (world.release / "fit.itb").unlink()
    result = CliRunner().invoke(
        app, ["evidence", "verify", str(world.release), "--key", str(world.public), "--json"]
    )
    assert isinstance(result.exception, VerificationRefused)
    verdict = json.loads(result.stdout)
    assert not verdict["accepted"]
    assert [each["id"] for each in verdict["findings"]] == ["evidence.missing"]


def test_evidence_of_another_key_is_refused(world: World) -> None:
    # The evidence of the sample is by another key.
    with pytest.raises(VerificationRefused, match=r"evidence\.key"):
        run("verify", world.release, "--key", world.public)


def test_evidence_is_signed_elsewhere(world: World, tmp_path: Path) -> None:
    requests = tmp_path / "requests"
    remote = ("--public-key", str(world.public), *world.options)
    run("make", world.release, *remote, "--export-requests", requests)
    wanted = offline.load(requests)
    assert {each.role for each in wanted} == {"attestation"}
    assert len(wanted) == len(samples.STATEMENTS)
    with pytest.raises(UsageError, match="no signature"):
        run("make", world.release, *remote, "--import-signatures", requests)
    offline.answer(requests, wanted, open_key(str(world.keys / "DEV-attestation-1.key")))
    run("make", world.release, *remote, "--import-signatures", requests)
    run("verify", world.release, "--key", world.public, "--release", "3.0")


def test_release_that_changed_between_the_steps_has_no_signatures(
    world: World, tmp_path: Path
) -> None:
    requests = tmp_path / "requests"
    remote = ("--public-key", str(world.public), *world.options)
    run("make", world.release, *remote, "--export-requests", requests)
    wanted = offline.load(requests)
    offline.answer(requests, wanted, open_key(str(world.keys / "DEV-attestation-1.key")))
    (world.release / samples.REPORT).write_text("another")
    with pytest.raises(UsageError, match="the requests are for something else"):
        run("make", world.release, *remote, "--import-signatures", requests)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "expected --keys, --key, or --public-key"),
        (("--keys", "KEYS", "--key", "x"), "expected --keys, --key, or --public-key"),
        (("--public-key", "PUBLIC"), "expected --keys, --key, or --public-key"),
        (("--keys", "KEYS", "--export-requests", "x"), "expected --keys, --key, or --public-key"),
        (("--keys", "KEYS", "--source", "x"), "expected --kas or --source"),
        (("--public-key", "PUBLIC", "--import-signatures", "KEYS"), r"signing-time\.txt"),
    ],
)
def test_options_that_exclude_each_other_are_refused(
    world: World, options: tuple[str, ...], message: str
) -> None:
    names = {"KEYS": str(world.keys), "PUBLIC": str(world.public)}
    with pytest.raises(UsageError, match=message):
        run("make", world.release, *world.options, *(names.get(each, each) for each in options))


def test_sources_have_to_be_named(world: World) -> None:
    with pytest.raises(UsageError, match="nothing says which repositories"):
        run("make", world.release, "--keys", world.keys, *world.options[:4])


def test_key_directory_of_before_says_how_to_add_the_key(world: World, tmp_path: Path) -> None:
    older = tmp_path / "older"
    dev = profile.load(profile.find("dev"))
    key_directory.generate(dev, older, only=[Role.ROOT])
    with pytest.raises(UsageError, match="no key with the role 'attestation'") as caught:
        run("make", world.release, "--keys", older, *world.options)
    assert caught.value.hint == f"bootseal keys generate {older} --profile dev --only attestation"


def test_what_is_shown_is_in_its_form_too(world: World) -> None:
    samples.envelope(world.release, "disk").write_bytes(b'{"a": 1}')
    with pytest.raises(FormatError, match=r"disk\.intoto\.json"):
        run("show", world.release)
    samples.envelope(world.release, "release").unlink()
    with pytest.raises(UsageError, match="holds no"):
        run("show", world.release)


def test_bill_of_materials_is_written(world: World, tmp_path: Path) -> None:
    before = (world.release / "sbom.spdx.json").read_bytes()
    run("sbom", world.release, "-o", tmp_path / "bill")
    assert (tmp_path / "bill").read_bytes() == before
    (world.release / "sbom.spdx.json").unlink()
    run("sbom", world.release)
    assert (world.release / "sbom.spdx.json").read_bytes() == before


def test_directory_that_is_none_is_refused(world: World) -> None:
    with pytest.raises(UsageError, match="is not a directory"):
        run("verify", world.public, "--key", world.public)
