# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from bootseal.cli import console
from bootseal.cli.keys import app
from bootseal.errors import ExitCode, UsageError
from bootseal.fit import control_dtb
from bootseal.formats.fdt import model as fdt
from bootseal.keys.directory import inspect

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
    # What draws keeps the width that it finds first: the other tests have their own.
    monkeypatch.setitem(vars(console.out), "rich", console._Stream("stdout").rich)
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


def invoke(*args: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(map(str, args)), catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def keys(small_toml: Path, tmp_path: Path) -> Path:
    bootseal_keys("generate", tmp_path / "k", "--profile", small_toml)
    return tmp_path / "k"


def test_rotate_says_what_comes_next(keys: Path) -> None:
    stdout, stderr = bootseal_keys("rotate", keys, "--json")
    assert json.loads(stdout) == {
        "schema": "bootseal.key-rotation/1",
        "retired": None,
        "current": "DEV-fit",
        "coming": "DEV-fit-2",
    }
    assert "DEV-fit remains the signing key; DEV-fit-2 is its successor" in stderr

    _, stderr = bootseal_keys("rotate", keys)

    assert "DEV-fit-2 signs from now on; DEV-fit is retired; DEV-fit-3 is the next." in stderr
    assert f"keys revoke {keys} DEV-fit" in stderr.replace("\n", " ")
    states = {
        k["name"]: k["state"] for k in json.loads(bootseal_keys("list", keys, "--json")[0])["keys"]
    }
    assert (states["DEV-fit"], states["DEV-fit-2"]) == ("retired", "active")


def test_rotate_of_a_firmware_key_says_that_the_old_one_is_still_started(
    small_toml: Path, tmp_path: Path
) -> None:
    text = small_toml.read_text()
    entry = text[text.index("[keys.fit]") : text.index("[keys.policy]")]
    small_toml.write_text(text + entry.replace("fit", "fw-boot"))
    bootseal_keys("generate", tmp_path / "k", "--profile", small_toml)

    stdout, stderr = bootseal_keys("rotate", tmp_path / "k", "--role", "fw-boot", "--json")

    assert json.loads(stdout) == {
        "schema": "bootseal.key-rotation/1",
        "retired": "DEV-fw-boot",
        "current": "DEV-fw-boot-2",
        "coming": None,
    }
    assert "DEV-fw-boot-2 signs from now on; DEV-fw-boot is retired" in stderr
    assert "with a higher counter" in stderr
    with pytest.raises(UsageError, match="unknown role 'fw-boots'"):
        invoke("rotate", tmp_path / "k", "--role", "fw-boots")


def test_revoke_ends_with_three_when_something_still_trusts_the_key(
    keys: Path, tmp_path: Path
) -> None:
    device = tmp_path / "device"
    device.mkdir()
    public_key = inspect.show(keys / "DEV-fit.pub").public_key
    tree = fdt.emit(fdt.Node())
    (device / "u-boot.dtb").write_bytes(
        control_dtb.add_key(tree, public_key, hint="DEV-fit", algorithm="sha256,rsa2048")
    )

    code, stdout, stderr = invoke("revoke", keys, "DEV-fit", device, "--reason", "leaked", "--json")

    assert code == ExitCode.REFUSED
    assert [use["path"].rpartition("/")[2] for use in json.loads(stdout)["uses"]] == ["u-boot.dtb"]
    assert "REVOKED, but still trusted" in stderr
    code, _, stderr = invoke("revoke", keys, "DEV-policy")
    assert code == 0
    assert "bootseal keys impact" in stderr


def test_impact_takes_a_fingerprint_or_a_file(keys: Path) -> None:
    listed = json.loads(bootseal_keys("list", keys, "--json")[0])["keys"]
    fingerprint = next(key["fingerprint"] for key in listed if key["name"] == "DEV-fit")

    by_number = json.loads(bootseal_keys("impact", fingerprint, keys, "--json")[0])
    by_file = json.loads(bootseal_keys("impact", keys / "DEV-fit.crt", keys, "--json")[0])

    assert by_number == by_file
    assert {use["path"].rpartition("/")[2] for use in by_file["uses"]} == {
        "DEV-fit.key",
        "DEV-fit.crt",
        "DEV-fit.pub",
        "keys.json",
    }


def test_export_and_audit_have_their_exit_codes(keys: Path, tmp_path: Path) -> None:
    _, stderr = bootseal_keys("export", keys, tmp_path / "out")
    assert "holds DEV-fit" in stderr
    with pytest.raises(UsageError, match="expected mkimage"):
        invoke("export", keys, tmp_path / "other", "--for", "grub")
    with pytest.raises(UsageError, match="expected NAME=URI"):
        invoke("export", keys, tmp_path / "other", "--signer", "DEV-fit")

    code, stdout, _ = invoke("audit", tmp_path / "out", "--json")
    assert (code, json.loads(stdout)["findings"]) == (0, [])
    (tmp_path / "out" / "DEV-fit.key").chmod(0o644)
    code, stdout, stderr = invoke("audit", tmp_path / "out")
    assert code == ExitCode.REFUSED
    assert "keys.permissions" in stdout
    assert "REFUSED: 1 errors, 0 warnings" in stderr


def test_token_option_names_a_role_that_is_made(small_toml: Path, tmp_path: Path) -> None:
    args = ("generate", tmp_path / "k", "--profile", small_toml, "--only", "policy", "--token")
    with pytest.raises(UsageError, match="unknown role 'x'"):
        invoke(*args, "x=pkcs11:token=y")
    with pytest.raises(UsageError, match="a token was named for fit, which is not being made"):
        invoke(*args, "fit=pkcs11:token=y")
    assert not (tmp_path / "k").exists()
