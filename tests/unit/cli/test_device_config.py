# SPDX-License-Identifier: MIT
"""`bootseal device config`, which the layer's task calls: exit codes, messages, the document."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bootseal.cli.app import app
from bootseal.errors import BootsealError, ExitCode

COMMAND = ("device", "config", "--required", "verify.cfg", "--board", "board.cfg", ".config")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("verify.cfg").write_text("CONFIG_FIT_SIGNATURE=y\n# CONFIG_CMD_GO is not set\n")
    Path("board.cfg").write_text("CONFIG_MMC=y\n")
    Path(".config").write_text("CONFIG_FIT_SIGNATURE=y\nCONFIG_MMC=y\n")


def run(*options: str) -> tuple[int, str, str]:
    """Return exit code, standard output, and what went to standard error."""
    result = CliRunner().invoke(app, [*COMMAND, *options])
    if isinstance(result.exception, BootsealError):
        return result.exception.exit_code, result.stdout, result.exception.message
    return result.exit_code, result.stdout, result.stderr


def test_configuration_that_holds_its_fragments_is_accepted() -> None:
    assert run() == (ExitCode.OK, "", "OK: .config has every setting of its fragments (3)\n")


def test_document_of_an_accepted_configuration() -> None:
    code, out, _ = run("--json")

    assert code == ExitCode.OK
    assert json.loads(out) == {
        "schema": "bootseal.config-verdict/1",
        "accepted": True,
        "config": ".config",
        "fragments": [
            {"file": "verify.cfg", "role": "required", "settings": 2},
            {"file": "board.cfg", "role": "board", "settings": 1},
        ],
        "problems": [],
    }


@pytest.mark.parametrize(
    ("board", "reason"),
    [
        (
            "CONFIG_CMD_GO=y\n",
            "board.cfg:1: CONFIG_CMD_GO should be n, as verify.cfg:2 requires, found y",
        ),
        (
            "CONFIG_MMC=m\n",
            "board.cfg:1: CONFIG_MMC should be m, found y in .config:2",
        ),
    ],
    ids=["contradiction", "lost"],
)
def test_problem_is_refused_with_its_reason(board: str, reason: str) -> None:
    Path("board.cfg").write_text(board)

    assert run() == (
        ExitCode.REFUSED,
        "",
        f".config differs from what its fragments require:\n  {reason}",
    )


def test_document_says_file_line_symbol_values_and_remedy() -> None:
    Path("board.cfg").write_text("\nCONFIG_CMD_GO=y\n")

    code, out, _ = run("--json")

    document = json.loads(out)
    assert (code, document["accepted"]) == (ExitCode.REFUSED, False)
    (problem,) = document["problems"]
    assert problem.pop("message").startswith("board.cfg:2: CONFIG_CMD_GO should be n")
    assert problem.pop("remedy").startswith("take the line out of board.cfg")
    assert problem == {
        "kind": "contradiction",
        "file": "board.cfg",
        "line": 2,
        "symbol": "CONFIG_CMD_GO",
        "expected": "n",
        "observed": "y",
    }


@pytest.mark.parametrize("name", ["verify.cfg", "board.cfg", ".config"])
def test_line_that_does_not_parse_is_malformed(name: str) -> None:
    Path(name).write_text("CONFIG_CMD_GO y\n")

    code, out, said = run()

    assert (code, out) == (ExitCode.MALFORMED, "")
    assert said.startswith(f"{name}:1: 'CONFIG_CMD_GO y' is not a setting")


def test_without_a_required_fragment_nothing_is_checked() -> None:
    result = CliRunner().invoke(app, ["device", "config", "--board", "board.cfg", ".config"])

    assert result.exit_code == ExitCode.USAGE
    assert "Missing option '--required'" in result.stderr


def test_family_of_uboot_is_refused_and_named_by_kind() -> None:
    wanted = ("FIT", "FIT_SIGNATURE", "FIT_FULL_CHECK", "RSA_VERIFY", "ENV_IS_NOWHERE")
    text = "".join(f"CONFIG_{name}=y\n" for name in wanted)
    Path(".config").write_text(f"{text}CONFIG_MMC=y\nCONFIG_ENV_IS_IN_MMC=y\n")

    assert run()[0] == ExitCode.OK
    code, out, _ = run("--uboot", "--json")

    (problem,) = json.loads(out)["problems"]
    assert code == ExitCode.REFUSED
    assert (problem["kind"], problem["symbol"]) == ("forbidden", "CONFIG_ENV_IS_IN_MMC")
    assert (problem["file"], problem["line"]) == (".config", 7)
