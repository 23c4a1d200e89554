# SPDX-License-Identifier: MIT
"""`bootseal-mkimage` with keys in a token: nothing of theirs is in a file, or on a screen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.mkimage.oe_build import mkimage, trusting

from bootseal.fit.verify.strictness import COMPAT
from bootseal.fit.verify.verdict import verify
from bootseal.keys.directory import export

if TYPE_CHECKING:
    from tests.integration.mkimage.oe_build import Build

pytestmark = [pytest.mark.tool("mkimage"), pytest.mark.tool("softhsm2-util")]

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "PIN-that-nobody-may-see-4711"


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory, own_keys: Path) -> dict[str, str]:
    """Put both keys into a token; return the environment that reaches it."""
    directory = tmp_path_factory.mktemp("hsm")
    (directory / "tokens").mkdir()
    configuration = directory / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {directory}/tokens\nlog.level = ERROR\n")
    pin_file = directory / "pin"
    pin_file.touch(mode=0o600)
    pin_file.write_text(PIN)
    env = os.environ | {"SOFTHSM2_CONF": str(configuration)}
    pins = ["--pin", PIN, "--so-pin", PIN]
    init = ["--init-token", "--free", "--label", "build", *pins]
    subprocess.run(["softhsm2-util", *init], check=True, capture_output=True, env=env)
    for number, name in enumerate(("DEV-fit-1", "DEV-fit-2")):
        key = ["--import", str(own_keys / f"{name}.key"), "--label", name, "--id", f"0{number}"]
        subprocess.run(
            ["softhsm2-util", *key, "--token", "build", "--pin", PIN],
            check=True,
            capture_output=True,
            env=env,
        )
    return {
        "SOFTHSM2_CONF": str(configuration),
        "URI": f"pkcs11:token=build?module-path={MODULE}&pin-source=file:{pin_file}",
    }


def bootseal_mkimage(env: dict[str, str], arguments: list[str]) -> str:
    """Run in a process of its own: SoftHSM reads its configuration once."""
    done = subprocess.run(
        [sys.executable, "-c", "from bootseal.cli.mkimage import main; main()", *arguments],
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert PIN not in done.stdout + done.stderr
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("way", ["variable", "keydir", "reference"])
def test_token_signs_and_no_private_key_is_in_any_file(
    build: Build, own_keys: Path, hsm: dict[str, str], way: str
) -> None:
    theirs = build.copy("theirs")
    mkimage(*theirs.arguments())
    shutil.rmtree(build.keys)
    env = {"SOFTHSM2_CONF": hsm["SOFTHSM2_CONF"]}
    arguments = build.arguments(keys=hsm["URI"] if way == "keydir" else None)
    if way == "variable":
        env["BOOTSEAL_SIGNER"] = hsm["URI"]
    if way == "reference":
        # As OE demands: NAME.key and NAME.crt exist.
        uri = hsm["URI"].replace("?", ";object=DEV-fit-1?")
        export.for_mkimage(own_keys, build.keys, signers={"DEV-fit-1": uri})
        assert b"PRIVATE" not in (build.keys / "DEV-fit-1.key").read_bytes()

    said = bootseal_mkimage(env, arguments)

    assert build.content() == theirs.content()
    assert "is signed by" in said


def test_token_signs_with_ecdsa(build: Build, hsm: dict[str, str]) -> None:
    build.assemble(algorithm="sha256,ecdsa256", hint="DEV-fit-2")
    trust = trusting(build)
    shutil.rmtree(build.keys)
    env = {"SOFTHSM2_CONF": hsm["SOFTHSM2_CONF"], "BOOTSEAL_SIGNER": hsm["URI"]}

    bootseal_mkimage(env, ["-F", "-k", str(build.keys), str(build.fit)])

    verify(build.fit.read_bytes(), trust, strictness=COMPAT)


def test_pin_shows_nowhere_when_bootseal_signs_or_fails(build: Build, hsm: dict[str, str]) -> None:
    uri = hsm["URI"].partition("&")[0].replace("?", ";object=DEV-fit-1?")
    sign = ["fit", "sign", str(build.fit), "--compat", "--key", uri, "--hint", "DEV-fit-1"]
    program = "from bootseal.cli.app import main; main()"
    env = os.environ | {"SOFTHSM2_CONF": hsm["SOFTHSM2_CONF"]}

    def bootseal(**variables: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", program, "-v", *sign],
            env=env | variables,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return done.returncode, done.stdout + done.stderr

    code, said = bootseal(BOOTSEAL_PIN="wrong-" + PIN)
    assert (code, PIN in said, "Traceback" in said) == (2, False, False)
    assert "the PIN of the token 'build' is wrong" in said
    code, said = bootseal()
    assert code == 2
    assert "there is no terminal to prompt on" in said
    code, said = bootseal(BOOTSEAL_PIN=PIN)
    assert (code, PIN in said) == (0, False), said


@pytest.mark.parametrize("variable", ["BOOTSEAL_PIN", "BOOTSEAL_PIN_FILE"])
def test_pin_comes_from_a_file_or_the_environment(
    build: Build, hsm: dict[str, str], variable: str
) -> None:
    uri, _, source = hsm["URI"].partition("&pin-source=file:")
    env = {"SOFTHSM2_CONF": hsm["SOFTHSM2_CONF"], "BOOTSEAL_SIGNER": uri}
    env[variable] = PIN if variable == "BOOTSEAL_PIN" else source

    said = bootseal_mkimage(env, build.arguments())

    assert "is signed by" in said
