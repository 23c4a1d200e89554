# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from bootseal.cli.keys import app
from bootseal.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def bootseal_keys(*args: str | Path) -> tuple[str, str]:
    """Return stdout and stderr; errors come out as they are raised."""
    result = CliRunner().invoke(app, list(map(str, args)), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout, result.stderr


def test_generate_prints_one_document_and_progress_apart(small_toml: Path, tmp_path: Path) -> None:
    stdout, stderr = bootseal_keys("generate", tmp_path / "k", "--profile", small_toml, "--json")

    document = json.loads(stdout)
    assert document["schema"] == "bootseal.key-list/1"
    assert [key["role"] for key in document["keys"]] == ["root", "policy", "fit"]
    assert "DEV-fit (sha256,rsa2048)" in stderr
    assert "protects nothing" in stderr


def test_list_prints_whole_fingerprints_in_a_narrow_pipe(
    small_toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    bootseal_keys("generate", tmp_path / "k", "--profile", small_toml, "--only", "policy")

    stdout, _ = bootseal_keys("list", tmp_path / "k")

    document = json.loads(bootseal_keys("list", tmp_path / "k", "--json")[0])
    assert f"{document['keys'][0]['fingerprint']}  DEV-policy" in stdout


def test_list_reports_open_permissions(small_toml: Path, tmp_path: Path) -> None:
    bootseal_keys("generate", tmp_path / "k", "--profile", small_toml, "--only", "policy")
    (tmp_path / "k" / "DEV-policy.key").chmod(0o644)

    stdout, stderr = bootseal_keys("list", tmp_path / "k", "--json")

    key = json.loads(stdout)["keys"][0]
    assert (key["private"], key["mode"]) == (True, "0644")
    assert key["findings"][0]["id"] == "keys.permissions"
    assert "mode 0644" in bootseal_keys("list", tmp_path / "k")[1]
    assert not stderr


def test_show_prints_no_secret(small_toml: Path, tmp_path: Path) -> None:
    bootseal_keys("generate", tmp_path / "k", "--profile", small_toml, "--only", "policy")

    stdout, _ = bootseal_keys("show", tmp_path / "k" / "DEV-policy.key")

    assert "private key" in stdout
    assert "PRIVATE KEY" not in stdout
    document = json.loads(bootseal_keys("show", tmp_path / "k" / "DEV-policy.crt", "--json")[0])
    assert document["schema"] == "bootseal.key/1"
    assert document["subject"] == "CN=DEV policy"


def test_unknown_role_is_refused(small_toml: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown role 'fitt'"):
        bootseal_keys("generate", tmp_path / "k", "--profile", small_toml, "--only", "fitt")


def test_production_profile_is_refused_without_the_insecure_option(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="in a token, not in files"):
        bootseal_keys("generate", tmp_path / "k", "--profile", "production")
    _, stderr = bootseal_keys(
        *("generate", tmp_path / "k", "--profile", "production"),
        *("--only", "root", "--only", "policy", "--insecure-file-keys"),
    )
    assert "for rehearsals only" in stderr
