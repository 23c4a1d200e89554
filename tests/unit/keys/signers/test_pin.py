# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from bootseal.errors import UsageError
from bootseal.keys.signers.pin import SecretSource

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "BOOTSEAL_TEST_SECRET"


def private_file(path: Path, content: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("content", [b"s3cret", b"s3cret\n", b"s3cret\r\n"])
def test_file_comes_first_and_loses_its_line_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setenv(VARIABLE, "other")
    path = private_file(tmp_path / "pin", content)

    assert SecretSource(file=path).get("the PIN", VARIABLE) == b"s3cret"
    assert SecretSource().get("the PIN", VARIABLE, file=path) == b"s3cret"


def test_environment_comes_before_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    source = SecretSource(ask=lambda what: f"asked for {what}")

    assert source.get("the PIN", VARIABLE) == b"asked for the PIN"
    monkeypatch.setenv(VARIABLE, "s3cret")
    assert source.get("the PIN", VARIABLE) == b"s3cret"


def test_secret_in_the_environment_may_have_any_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, os.fsdecode(b"s\xff"))
    assert SecretSource().get("the PIN", VARIABLE) == b"s\xff"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = private_file(tmp_path / "pin", b"s3cret")
    path.chmod(mode)

    with pytest.raises(UsageError, match=f"mode {mode:04o}") as refusal:
        SecretSource(file=path).get("the PIN", VARIABLE)
    assert "s3cret" not in str(refusal.value)


def test_missing_or_unusable_secrets_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="the PIN is needed, and there is no terminal") as refusal:
        SecretSource().get("the PIN", VARIABLE)
    assert VARIABLE in refusal.value.hint
    for path, message in (
        (tmp_path / "none", "there is no file"),
        (tmp_path, "is a directory"),
        (private_file(tmp_path / "empty", b"\n"), "is empty"),
        (private_file(tmp_path / "long", b"x" * 5000), "is not text of a few characters"),
        (private_file(tmp_path / "zero", b"a\0b"), "is not text of a few characters"),
    ):
        with pytest.raises(UsageError, match=message):
            SecretSource(file=path).get("the PIN", VARIABLE)
    monkeypatch.setenv(VARIABLE, "")
    with pytest.raises(UsageError, match=f"{VARIABLE} is empty"):
        SecretSource().get("the PIN", VARIABLE)
