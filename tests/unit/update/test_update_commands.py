# SPDX-License-Identifier: MIT
"""`bootseal update` on the command line: bundles are made, signed here or elsewhere, checked."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests import update_samples as samples
from typer.testing import CliRunner

from bootseal.cli.app import app
from bootseal.errors import (
    BootsealError,
    ExitCode,
    FormatError,
    UsageError,
    VerificationRefused,
)
from bootseal.update import payload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.check.conftest import Base

pytestmark = [pytest.mark.tool("mksquashfs"), pytest.mark.tool("sqfs2tar")]


class World(NamedTuple):
    """A device directory, keys, and a place for bundles."""

    device: Path
    keys: Path
    policy: Path
    bundle: Path


@pytest.fixture
def world(base: Base, tmp_path: Path) -> World:
    samples.write_keys(samples.keys(), tmp_path / "keys")
    assert base.target.policy_key is not None
    policy = tmp_path / "policy.pub"
    policy.write_bytes(base.target.policy_key.pem)
    device = samples.device(base, tmp_path / "device")
    return World(device, tmp_path / "keys", policy, tmp_path / "release.raucb")


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(samples.keys().when))


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["update", *map(str, arguments)])
    if isinstance(result.exception, BootsealError):
        raise result.exception
    return result.exit_code, result.stdout


def signing(world: World) -> list[str]:
    return [
        f"--certificate={world.keys / 'update.crt'}",
        f"--authority={world.keys / 'ca.crt'}",
    ]


def make(world: World, *more: str | Path) -> tuple[int, str]:
    options = ["--version=2.0.0", "-o", world.bundle, *signing(world), *more]
    return run("bundle", world.device, *options)


def here(world: World) -> str:
    return f"--key={world.keys / 'update.key'}"


def check(world: World, *more: str) -> tuple[int, str]:
    authority = f"--authority={world.keys / 'ca.crt'}"
    keys = [authority, f"--policy-key={world.policy}", "--no-inside"]
    return run("check", world.bundle, world.device, *keys, *more)


def test_bundle_is_made_and_accepted(world: World) -> None:
    code, printed = make(world, here(world), "--json")
    document = json.loads(printed)
    assert code == ExitCode.OK
    assert (document["schema"], document["compatible"]) == ("bootseal.bundle/1", "sample")
    assert document["build"] == "20231114221320"

    code, printed = check(world, "--json")

    verdict = json.loads(printed)
    assert code == ExitCode.OK
    assert verdict["accepted"] is True
    assert verdict["manifest_sha256"] == document["manifest_sha256"]
    assert verdict["rollback_index"] == 0


def test_same_release_makes_the_same_bytes(world: World) -> None:
    make(world, here(world))
    first = world.bundle.read_bytes()
    make(world, here(world))

    assert world.bundle.read_bytes() == first


def test_two_steps_make_the_same_bundle_as_one(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(world, here(world))
    whole = world.bundle.read_bytes()
    requests = tmp_path / "requests"
    make(world, f"--export-requests={requests}")
    with pytest.raises(VerificationRefused, match=r"update\.signature"):
        check(world)
    answered = CliRunner().invoke(
        app, ["disk", "sign-requests", str(requests), here(world), "--role=update"]
    )
    assert answered.exit_code == ExitCode.OK
    # The time is that of the first step.
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(samples.keys().when + 60))

    run("sign", world.bundle, *signing(world), f"--import-signatures={requests}")

    assert world.bundle.read_bytes() == whole
    assert check(world)[0] == ExitCode.OK


def test_signatures_for_another_bundle_are_refused(world: World, tmp_path: Path) -> None:
    requests = tmp_path / "requests"
    make(world, f"--export-requests={requests}")
    CliRunner().invoke(app, ["disk", "sign-requests", str(requests), here(world), "--role=update"])
    make(world, here(world), "--compatible=other")
    before = world.bundle.read_bytes()

    with pytest.raises(UsageError, match="requests are for something else"):
        run("sign", world.bundle, *signing(world), f"--import-signatures={requests}")

    assert world.bundle.read_bytes() == before


def test_changed_payload_is_not_signed_again(world: World) -> None:
    make(world, here(world))
    data = bytearray(world.bundle.read_bytes())
    data[5000] ^= 1
    world.bundle.write_bytes(data)

    with pytest.raises(
        VerificationRefused, match=r"it does not match its manifest: update\.payload"
    ):
        run("sign", world.bundle, *signing(world), here(world))

    assert world.bundle.read_bytes() == data


def test_bundle_of_another_format_is_not_signed_again(world: World) -> None:
    make(world, here(world))
    keys = samples.keys()
    whole = world.bundle.read_bytes()
    crypt = f"format=crypt\ncrypt-key={'ab' * 32}"
    data = samples.resigned(whole, keys.update, keys.when, "format=verity", crypt)
    world.bundle.write_bytes(data)

    with pytest.raises(VerificationRefused, match=r"release\.raucb: it is of format 'crypt'"):
        run("sign", world.bundle, *signing(world), here(world))

    assert world.bundle.read_bytes() == data


def test_malformed_bundle_is_named(world: World) -> None:
    world.bundle.write_bytes(bytes(8192))

    with pytest.raises(FormatError, match=r"release\.raucb: its last 8 bytes"):
        check(world)
    with pytest.raises(FormatError, match=r"release\.raucb: its last 8 bytes"):
        run("sign", world.bundle, *signing(world), here(world))


@pytest.mark.parametrize("version", ["", "ü", " 2", "2\n[hooks]", "2\\n", "2" * 129])
def test_version_that_a_manifest_cannot_have_is_refused_at_once(
    world: World, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload, "pack", pytest.fail)

    with pytest.raises(UsageError, match="--version is "):
        make(world, here(world), f"--version={version}")


def test_time_that_no_file_can_have_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "9" * 12)
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH is '9"):
        make(world, here(world))

    monkeypatch.undo()
    described = world.device / "device.json"
    text = described.read_text()
    described.write_text(text.replace(str(samples.EPOCH), str(1 << 80)))
    with pytest.raises(FormatError, match="built at 1208925819614629174706176"):
        make(world, here(world))


def test_key_that_the_authority_did_not_certify_writes_nothing(
    world: World,
) -> None:
    stranger = samples.Keys(
        root=samples.keys().root,
        authority=samples.keys().device_ca,
        update=samples.keys().update,
        device_ca=samples.keys().device_ca,
    )
    shutil.rmtree(world.keys)
    samples.write_keys(stranger, world.keys)

    with pytest.raises(VerificationRefused, match=r"update\.issuer"):
        make(world, here(world))
    requests = world.bundle.with_name("requests")
    with pytest.raises(
        VerificationRefused, match=r"update\.crt is not for updates: update\.issuer"
    ):
        make(world, f"--export-requests={requests}")

    assert not world.bundle.exists()
    assert not requests.exists()


def test_bundle_for_other_devices_is_refused_with_its_reason(world: World) -> None:
    make(world, here(world), "--compatible=other")

    with pytest.raises(VerificationRefused, match=r"update\.compatible at manifest: .*'other'"):
        check(world)
    assert check(world, "--compatible=other")[0] == ExitCode.OK


def test_lowest_rollback_index_is_that_of_the_device_or_the_one_given(world: World) -> None:
    make(world, here(world))

    assert check(world)[0] == ExitCode.OK
    with pytest.raises(VerificationRefused, match=r"update\.rollback .* index 0: expected 1"):
        check(world, "--lowest=1")


def test_key_and_a_step_exclude_each_other(world: World) -> None:
    with pytest.raises(UsageError, match="one step at a time"):
        make(world, here(world), "--export-requests=x")
    with pytest.raises(UsageError, match="finishes an existing bundle"):
        make(world, "--import-signatures=x")


def test_requests_of_something_else_lack_the_time(world: World, tmp_path: Path) -> None:
    make(world, here(world))
    with pytest.raises(UsageError, match=r"signing-time\.txt"):
        run("sign", world.bundle, *signing(world), f"--import-signatures={tmp_path}")
