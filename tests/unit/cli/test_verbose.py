# SPDX-License-Identifier: MIT
"""`-v` says what was chosen, `-vv` also what is run; neither shows anything else."""

from __future__ import annotations

import gzip
import logging
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.samples import sample, write_key
from typer.testing import CliRunner

from bootseal import proc
from bootseal.cli.app import app, log_to_stderr
from bootseal.disk import image
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def quiet_afterwards() -> Iterator[None]:
    yield
    ours = logging.getLogger("bootseal")
    ours.handlers.clear()
    ours.setLevel(logging.NOTSET)


def said(*arguments: object) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stderr


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed FIT, the device tree that trusts it, and a key."""
    directory = tmp_path_factory.mktemp("work")
    made = sample("sha256,rsa2048")
    (directory / "fit").write_bytes(made.fit)
    (directory / "dtb").write_bytes(made.control)
    write_key(directory, "own", rsa.generate_private_key(65537, 2048))
    return directory


def test_strictness_and_keys_and_kind_of_the_boot_loader_are_said(work: Path) -> None:
    verify = ("fit", "verify", work / "fit", "--dtb", work / "dtb", "--compat")

    lines = said("-v", *verify).splitlines()

    assert (
        "bootseal.cli.options: strictness: compat, external data accepted, up to 268435456 bytes"
        in lines
    )
    assert "bootseal.fit.boot_loader: control device tree: the file itself" in lines
    assert f"bootseal.cli.fit.verify: {work / 'dtb'}: keys key-1 (conf)" in lines
    assert "strictness:" not in said(*verify)


def test_signer_and_signature_node_are_said(work: Path, tmp_path: Path) -> None:
    key = work / "own.key"
    sign = ("fit", "sign", work / "fit", "--key", key, "--hint", "key-1", "-o", tmp_path / "fit")

    text = said("-v", *sign, "--compat")

    assert f"key {key}: FileSigner, rsa2048, fingerprint " in text
    assert "/configurations/conf-1/signature-1: sha256,rsa2048 pkcs-1.5 by key-1" in text


def test_kind_of_what_is_measured_and_its_slot_are_said(work: Path) -> None:
    text = said("-v", "measure", "predict", work / "fit")

    assert f"{work / 'fit'}: a FIT" in text
    assert "configuration conf-1: slot not known" in text


@pytest.mark.parametrize(
    ("kind", "described"),
    [("raw", "a file of unknown content"), ("gzip", "a file compressed with gzip")],
)
def test_kind_of_a_disk_image_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, described: str
) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(4096) if kind == "raw" else gzip.compress(bytes(4096)))

    with caplog.at_level(logging.INFO, "bootseal"), image.opened(path):
        assert caplog.messages == [f"{path}: {described}"]


def test_profile_and_key_of_a_role_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = said("-v", "keys", "generate", tmp_path / "keys", "--only", "policy", "--only", "root")
    with caplog.at_level(logging.INFO, "bootseal"):
        found = key_directory.find(tmp_path / "keys", Role.POLICY)

    assert "key profile dev: the shipped " in text
    assert f"policy key of {tmp_path / 'keys'}: {found.name} (active)" in caplog.messages


def test_programs_are_said_when_asked_twice(capfd: pytest.CaptureFixture[str]) -> None:
    for level in (logging.WARNING, logging.INFO, logging.DEBUG):
        log_to_stderr(level)
        proc.run("true", ["--once"], timeout=10)
        assert ("/true --once" in capfd.readouterr().err) is (level == logging.DEBUG)


@pytest.mark.parametrize(
    ("options", "level"),
    [([], logging.WARNING), (["-v"], logging.INFO), (["-vv"], logging.DEBUG)],
)
def test_option_given_twice_says_more(work: Path, options: list[str], level: int) -> None:
    said(*options, "fit", "show", work / "fit")

    assert logging.getLogger("bootseal").getEffectiveLevel() == level
    # It logs requests with the credentials in them.
    assert not logging.getLogger("botocore").isEnabledFor(logging.INFO)


def test_control_characters_of_a_name_are_escaped(work: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "\x1b[2J\u202ename"
    hostile.write_bytes((work / "fit").read_bytes())

    text = said("-v", "measure", "predict", hostile)

    assert "\\x1b[2J\\u202ename: a FIT" in text
    assert "\x1b" not in text
