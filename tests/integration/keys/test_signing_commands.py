# SPDX-License-Identifier: MIT
"""Every command that signs comes to a token's PIN in the same ways, in the same order."""

from __future__ import annotations

import getpass
import io
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
from tests.integration.keys.softhsm import PIN, log_out
from tests.samples import unsigned

from bootseal.cli.app import app
from bootseal.errors import UsageError
from bootseal.keys import profile
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.signers import offline
from bootseal.keys.signers.file import FileSigner

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.keys.softhsm import Token

pytestmark = pytest.mark.tool("softhsm2-util")

QUESTION = "The PIN of the token 'release keys': "
PROFILE = """\
name = "product"
development = false
[keys.fit]
name = "fit-1"
algorithm = "sha256,rsa2048"
subject = "CN=FIT 1"
valid_days = 100
storage = "file"
"""


class Terminal(io.StringIO):
    """Standard input of a user who can be asked."""

    def isatty(self) -> bool:
        return True


COMMANDS = (
    "fit sign",
    "disk sign",
    "disk sign-requests",
    "measure sign",
    "keys generate",
    "keys rotate",
)


def prepare(command: str, token: Token, uri: str, work: Path) -> list[str]:
    """Write what a command reads; return its arguments, which name the key of a URI."""
    work.mkdir(exist_ok=True)
    (work / "fit").write_bytes(unsigned(["sha256,rsa2048"]))
    (work / "p.toml").write_text(PROFILE)
    match command:
        case "fit sign":
            options = [work / "fit", "--compat", "--key", uri, "--hint", "key-1"]
        case "disk sign":
            options = [work / "no-disk", "--key", uri, "--hint", "fit-1"]
        case "disk sign-requests":
            key = FileSigner.load(token.directory / "rsa2048.key").public_key
            recorder = offline.Recorder(public_key=key, role="fit")
            recorder.sign_digest(bytes(32), Algorithm.parse("sha256,rsa2048"))
            offline.export(work / "requests", [recorder], "a test")
            options = [work / "requests", "--key", uri]
        case "measure sign":
            options = [work / "fit", "--key", uri, "--output", work / "policy"]
        case "keys generate":
            options = [work / "keys", "--profile", work / "p.toml", "--token", f"fit={uri}"]
        case _:
            key_directory.generate(profile.load(work / "p.toml"), work / "keys")
            options = [work / "keys", "--token", uri]
    return [*command.split(), *map(str, options)]


@pytest.mark.parametrize("command", COMMANDS)
def test_pin_comes_from_a_file_then_the_environment_then_a_question(
    token: Token,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    command: str,
) -> None:
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return PIN

    def run(number: int, *options: str, opens: bool = True) -> None:
        """Log in to the token, and go on."""
        log_out()
        uri = token.uri("object=rsa2048")
        arguments = prepare(command, token, uri, tmp_path / str(number))
        # Of `disk sign` the key is enough here: the disk is looked for once it is open.
        no_disk = pytest.raises(UsageError, match="there is neither a disk image")
        with no_disk if command == "disk sign" and opens else nullcontext():
            app(["-vv", *arguments, *options], standalone_mode=False)

    monkeypatch.setattr(getpass, "getpass", answer)
    with pytest.raises(
        UsageError, match="PIN of the token 'release keys' is needed, and there is no"
    ):
        run(0, opens=False)
    monkeypatch.setattr(sys, "stdin", Terminal())
    run(1)
    assert asked == [QUESTION]
    monkeypatch.setenv("BOOTSEAL_PIN", PIN)
    run(2)
    monkeypatch.setenv("BOOTSEAL_PIN", "wrong")
    with pytest.raises(UsageError, match="the PIN of the token 'release keys' is wrong"):
        run(3, opens=False)
    run(4, "--pin-file", str(token.pin_file))
    monkeypatch.setenv("BOOTSEAL_PIN_FILE", str(token.pin_file))
    run(5)
    assert asked == [QUESTION]
    output = capfd.readouterr()
    assert PIN not in output.out + output.err
    assert "softhsm/libsofthsm2.so, token 'release keys', slot " in output.err
    assert "the PIN of the token 'release keys': from BOOTSEAL_PIN\n" in output.err
    assert f"the PIN of the token 'release keys': from the file {token.pin_file}\n" in output.err


@pytest.mark.parametrize("command", COMMANDS)
def test_module_comes_from_its_option_when_the_uri_names_none(
    token: Token,
    tmp_path: Path,
    command: str,
) -> None:
    uri = "pkcs11:token=release%20keys;object=rsa2048"
    arguments = prepare(command, token, uri, tmp_path)

    with pytest.raises(UsageError, match=r"there is no PKCS#11 module .*none\.so"):
        app([*arguments, "--module", str(tmp_path / "none.so")], standalone_mode=False)
