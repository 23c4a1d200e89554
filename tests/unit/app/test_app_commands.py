# SPDX-License-Identifier: MIT
"""`bootseal app` on the command line: images are made, signed here or elsewhere, checked, shown."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests import app_samples as samples
from typer.testing import CliRunner

from bootseal.cli.app import app
from bootseal.errors import BootsealError, ExitCode, FormatError, UsageError, VerificationRefused
from bootseal.fit.key_usage import Relation, trace
from bootseal.keys import public
from bootseal.keys.directory import audit, rotate
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.keys.certificate import CertifiedKey

pytestmark = [pytest.mark.tool("mkfs.erofs"), pytest.mark.tool("fsck.erofs")]


class World(NamedTuple):
    """The files of an application, keys, and a place for its image."""

    source: Path
    key: Path
    certificate: Path
    image: Path


def write_key(made: CertifiedKey, directory: Path, name: str) -> tuple[Path, Path]:
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    certificate.write_bytes(made.certificate.public_bytes(Encoding.PEM))
    data = made.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
        file.write(data)
    return certificate, key


@pytest.fixture
def world(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(samples.EPOCH))
    certificate, key = write_key(samples.key(), tmp_path, "app")
    return World(source, key, certificate, tmp_path / "hello_1.0_arm64.raw")


def run(*arguments: str | Path, noun: str = "app") -> tuple[int, str]:
    result = CliRunner().invoke(app, [noun, *map(str, arguments)])
    if isinstance(result.exception, BootsealError):
        raise result.exception
    return result.exit_code, result.stdout


def build(world: World, *more: str | Path) -> tuple[int, str]:
    said = ["--name=hello", "--version=1.0", "--entry=/usr/bin/hello", f"--output={world.image}"]
    return run("build", world.source, *said, f"--certificate={world.certificate}", *more)


def check(world: World, *more: str | Path) -> tuple[int, str]:
    return run("check", world.image, f"--certificate={world.certificate}", *more)


def test_image_is_made_signed_checked_and_shown(world: World, good: bytes) -> None:
    code, said = build(world, f"--key={world.key}", "--json")
    assert code == ExitCode.OK
    made = json.loads(said)
    assert world.image.read_bytes() == good
    assert made["schema"] == "bootseal.app/1"
    assert made["root_hash"] == samples.signed(good).root_hash

    assert json.loads(run("show", world.image, "--json")[1]) == made
    shown = run("show", world.image)[1]
    assert samples.signed(good).root_hash in shown
    assert samples.signed(good).certificate in shown

    verdict = json.loads(check(world, "--json", "--name=hello")[1])
    assert (
        verdict.items()
        >= {
            "schema": "bootseal.app-verdict/1",
            "accepted": True,
            "name": "hello",
            "version": "1.0",
            "entry": "/usr/bin/hello",
            "root_hash": made["root_hash"],
        }.items()
    )
    assert json.loads(check(world, "--json", "--no-inside")[1])["name"] is None


def test_refusal_is_one_line_and_a_document(world: World, good: bytes, tmp_path: Path) -> None:
    world.image.write_bytes(samples.changed(good, samples.entries(good)[0].offset))

    with pytest.raises(VerificationRefused, match=r"raw is refused: app\.block at root-arm64"):
        check(world)
    result = CliRunner().invoke(
        app, ["app", "check", str(world.image), f"--certificate={world.certificate}", "--json"]
    )
    verdict = json.loads(result.stdout)
    assert not verdict["accepted"]
    assert [each["id"] for each in verdict["findings"]] == ["app.block"]
    other, _ = write_key(samples.key(2), tmp_path, "other")
    world.image.write_bytes(good)
    with pytest.raises(VerificationRefused, match=r"app\.certificate"):
        run("check", world.image, f"--certificate={other}")


def test_signing_elsewhere_makes_the_same_image(world: World, good: bytes, tmp_path: Path) -> None:
    requests = tmp_path / "requests"

    build(world, f"--export-requests={requests}")
    with pytest.raises(VerificationRefused, match=r"app\.signature"):
        check(world)
    assert "the root hash of an application" in (requests / "SUMMARY.txt").read_text()
    with pytest.raises(UsageError, match="no signature"):
        finish(world, requests)
    run("sign-requests", requests, "--role=app", f"--key={world.key}", noun="disk")
    finish(world, requests)

    assert world.image.read_bytes() == good
    # And of an image that is there.
    again = tmp_path / "again"
    run("sign", world.image, f"--certificate={world.certificate}", f"--export-requests={again}")
    assert {path.name for path in again.glob("*.digest")} == {
        path.name for path in requests.glob("*.digest")
    }


def finish(world: World, requests: Path) -> None:
    options = [f"--certificate={world.certificate}", f"--import-signatures={requests}"]
    run("sign", world.image, *options)


def test_signature_by_another_key_is_not_taken_from_elsewhere(world: World, tmp_path: Path) -> None:
    requests = tmp_path / "requests"
    build(world, f"--export-requests={requests}")
    _, other = write_key(samples.key(2), tmp_path, "other")
    run("sign-requests", requests, "--role=app", f"--key={other}", noun="disk")

    with pytest.raises(VerificationRefused, match="signature is not by key"):
        finish(world, requests)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ([], "--key is missing, and so is --keys"),
        (["--import-signatures=x"], "finishes an existing image"),
        (["--key=x", "--export-requests=y"], "one step at a time"),
    ],
)
def test_wrong_requests_say_what_is_missing(world: World, more: list[str], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        build(world, *more)
    assert not world.image.exists()


def test_check_needs_a_certificate(world: World, good: bytes) -> None:
    world.image.write_bytes(good)
    with pytest.raises(UsageError, match="--certificate is missing, and so is --keys"):
        run("check", world.image)


def test_what_is_no_application_is_named(world: World, good: bytes) -> None:
    for verb in ("show", "check"):
        options = [] if verb == "show" else [f"--certificate={world.certificate}"]
        world.image.write_bytes(good[:-512])
        with pytest.raises(FormatError, match="it was cut off"):
            run(verb, world.image, *options)
        with pytest.raises(FormatError, match=r"is a private key in PEM form: expected an app"):
            run(verb, world.key, *options)
    root, tree, sig = samples.entries(good)
    world.image.write_bytes(samples.retabled(good, [root, tree]))
    with pytest.raises(VerificationRefused, match=r"app\.layout"):
        run("show", world.image)
    del sig


@pytest.mark.slow
def test_keys_of_the_role_sign_are_audited_found_and_replaced(world: World, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    options = ["--profile=dev", "--only=root", "--only=app"]
    run("generate", keys, *options, noun="keys")

    said = ["--name=hello", "--version=1.0", "--entry=/usr/bin/hello", f"--output={world.image}"]
    run("build", world.source, *said, f"--keys={keys}")
    run("check", world.image, f"--keys={keys}")

    entry = key_directory.find(keys, Role.APP)
    found = trace(entry.public_key.fingerprint(), [world.image])
    assert [(use.relation, "of an application" in use.what) for use in found.uses] == [
        (Relation.SIGNED, True)
    ]
    other = public.from_crypto(samples.key().certificate.public_key()).fingerprint()
    assert not trace(other, [world.image]).uses
    wanted = {"keys.usage"}
    assert not wanted & {each.id for each in audit.audit(keys, max_age=timedelta(days=9)).findings}

    rotation = rotate.rotate(keys, Role.APP)
    assert (rotation.current.name, rotation.coming) == ("DEV-app-2", None)
    assert rotation.retired
    with pytest.raises(VerificationRefused, match=r"app\.certificate"):
        run("check", world.image, f"--keys={keys}")
    run("sign", world.image, f"--keys={keys}")
    run("check", world.image, f"--keys={keys}")
