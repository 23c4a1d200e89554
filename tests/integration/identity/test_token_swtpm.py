# SPDX-License-Identifier: MIT
"""The PKCS#11 token of a boot: how it is made, for whom, and what it shows of itself."""

from __future__ import annotations

import base64
import fcntl
import grp
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from tests.integration.attest.fleet import SCRIPT as ATTEST
from tests.integration.identity.board import SCRIPT, Board, certified, library, python

from bootseal import proc
from bootseal.errors import ToolError
from bootseal.keys import public
from bootseal.keys.algorithms import Algorithm

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = [
    *(pytest.mark.tool(name) for name in ("swtpm", "swtpm_setup", "tpm2", "sqlite3", "openssl")),
    pytest.mark.slow,
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    with certified(tmp_path_factory.mktemp("token")) as made:
        yield made


SIGN: Final = """
import hashlib, sys, pkcs11
token = pkcs11.lib(sys.argv[1]).get_token(token_label="device")
with token.open(user_pin=sys.argv[2]) as session:
    objects = {type(each).__name__: each for each in session.get_objects()}
    print(sorted(objects))
    key = objects["PrivateKey"]
    print(key[pkcs11.Attribute.SENSITIVE], key[pkcs11.Attribute.EXTRACTABLE])
    digest = hashlib.sha256(b"message").digest()
    print(key.sign(digest, mechanism=pkcs11.Mechanism.ECDSA).hex())
"""


def test_python_pkcs11_signs_with_the_token(board: Board) -> None:
    pin = (board.root / "run/identity/pin").read_text()
    objects, flags, signature = python(SIGN, str(library()), pin, env=board.env).splitlines()
    board.flush()

    assert objects == "['Certificate', 'PrivateKey', 'PublicKey']"
    assert flags == "True False"
    pem = proc.run("openssl", ["x509", "-in", board.root / "pem", "-noout", "-pubkey"], timeout=30)
    digest, algorithm = hashlib.sha256(b"message").digest(), Algorithm.parse("sha256,ecdsa256")
    public.verify_digest(public.from_pem(pem.stdout), digest, bytes.fromhex(signature), algorithm)


def test_wrong_pin_is_refused_and_counts_nothing(board: Board) -> None:
    def counted() -> str:
        said = board.chip.run("tpm2_getcap", "properties-variable").decode()
        found = re.search(r"TPM2_PT_LOCKOUT_COUNTER: (\w+)", said)
        assert found is not None
        return found[1]

    before = counted()
    with pytest.raises(AssertionError, match="PinIncorrect"):
        python(SIGN, str(library()), "A" * 24, env=board.env)
    board.flush()

    assert counted() == before


def test_pin_is_new_for_each_token_and_short_enough(board: Board) -> None:
    path = board.root / "run/identity/pin"
    first = path.read_text()
    board.script("token")

    assert re.fullmatch("[A-Z2-7]{24}", first)
    assert path.read_text() != first
    assert (board.root / "run/identity").stat().st_mode & 0o077 == 0


def spied(directory: Path) -> dict[str, str]:
    """Put programs in front of those that the script starts, which note their arguments."""
    names = set(re.findall(r"\b[a-z][a-z0-9_]+\b", SCRIPT.read_text()))
    directory.mkdir()
    for name in names:
        if found := shutil.which(name, path="/usr/bin:/bin"):
            spy = directory / name
            spy.write_text(f'#!/bin/sh\necho "{name} $*" >>{directory}.log\nexec {found} "$@"\n')
            spy.chmod(0o755)
    return {"PATH": f"{directory}:{os.environ['PATH']}"}


@pytest.mark.parametrize("form", ["file:$work/auth", "str:$auth"])
def test_no_secret_is_an_argument_of_a_program(board: Board, tmp_path: Path, form: str) -> None:
    """Everyone on the device sees arguments; in the second form they hold one."""
    text = SCRIPT.read_text()
    assert "file:$work/auth" in text
    script = tmp_path / "script"
    script.write_text(text.replace("file:$work/auth", form))
    token = tmp_path / "run/identity"
    env = board.env | spied(tmp_path / "bin") | {"TOKEN_DIR": str(token)}

    proc.run("sh", [script, "token"], env=env, timeout=300)

    query = "SELECT userauthsalt FROM sealobjects"
    salt = proc.run("sqlite3", [token / "tpm2_pkcs11.sqlite3", query], timeout=30).stdout.strip()
    pin = (token / "pin").read_bytes()
    secrets = (pin.decode(), hashlib.sha256(pin + salt).hexdigest()[:32])
    arguments = (tmp_path / "bin.log").read_text()
    assert "tpm2_create " in arguments
    assert any(secret in arguments for secret in secrets) is (form == "str:$auth")


def test_one_run_waits_for_another(board: Board, tmp_path: Path) -> None:
    token = tmp_path / "run/identity"
    env = os.environ | board.env | {"TOKEN_DIR": str(token)}
    token.parent.mkdir()
    with Path(f"{token}.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        runs = [subprocess.Popen(["sh", SCRIPT, "token"], env=env) for _ in range(2)]
        with pytest.raises(subprocess.TimeoutExpired):
            runs[0].wait(timeout=2)
        assert not Path(f"{token}.new").exists()
    assert [each.wait(timeout=300) for each in runs] == [0, 0]

    assert {path.name for path in token.parent.iterdir()} == {"identity", "identity.lock"}
    pin = (token / "pin").read_text()
    env = board.env | {"TPM2_PKCS11_STORE": str(token)}
    assert "PrivateKey" in python(SIGN, str(library()), pin, env=env)
    board.flush()


def library_of(directory: Path, group: str) -> Path:
    """Return a directory of the device's shell functions, with the group that an image names."""
    directory.mkdir()
    shutil.copy2(ATTEST.parent / "tpm", directory)
    (directory / "token-group").write_text(f"{group}\n")
    return directory


def modes(token: Path) -> dict[str, tuple[int, int]]:
    """Return mode and group of the token and of what is in it."""
    found = [token, *token.iterdir()]
    return {path.name: (path.stat().st_mode & 0o777, path.stat().st_gid) for path in found}


def test_token_is_given_to_the_group_that_the_image_names(board: Board, tmp_path: Path) -> None:
    own = os.getgid()
    found = grp.getgrnam("daemon") if os.geteuid() == 0 else grp.getgrgid(own)
    token = tmp_path / "run/identity"
    env = board.env | {"TOKEN_DIR": str(token)}

    proc.run("sh", [SCRIPT, "token"], env=env, timeout=300)
    alone = modes(token)
    env["LIBRARY"] = str(library_of(tmp_path / "named", found.gr_name))
    proc.run("sh", [SCRIPT, "token"], env=env, timeout=300)

    names = ("certificate.pem", "name", "pin", "tpm2_pkcs11.sqlite3")
    assert alone == {"identity": (0o700, own)} | dict.fromkeys(names, (0o600, own))
    given = found.gr_gid
    assert modes(token) == {"identity": (0o750, given)} | dict.fromkeys(names, (0o640, given))


def test_name_and_certificate_are_files_for_clients_that_read_these(
    board: Board, tmp_path: Path
) -> None:
    token, key = tmp_path / "run/identity", tmp_path / "key"
    env = board.env | {"TOKEN_DIR": str(token), "KEY_DIR": str(key)}
    shutil.copytree(board.env["KEY_DIR"], key)
    proc.run("sh", [SCRIPT, "token"], env=env, timeout=300)

    assert (token / "name").read_text() == "dev-1"
    genuine = x509.load_pem_x509_certificate((key / "certificate.pem").read_bytes())
    assert x509.load_pem_x509_certificate((token / "certificate.pem").read_bytes()) == genuine

    # Anyone who can write to the data partition chooses it, but not the form of a name.
    args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    proc.run(
        "openssl",
        [*args, "-subj", "/CN=a b", "-keyout", os.devnull, "-out", key / "certificate.pem"],
        timeout=60,
    )
    proc.run("sh", [SCRIPT, "token"], env=env, timeout=300)
    assert not (token / "name").exists()
    (key / "certificate.pem").unlink()
    proc.run("sh", [SCRIPT, "token"], env=env, timeout=300)
    assert not (token / "name").exists()


def test_group_that_is_not_there_ends_the_token(board: Board, tmp_path: Path) -> None:
    env = board.env | {"TOKEN_DIR": str(tmp_path / "run/identity")}
    env["LIBRARY"] = str(library_of(tmp_path / "named", "nobody-has-it"))

    with pytest.raises(ToolError, match="there is no group nobody-has-it"):
        proc.run("sh", [SCRIPT, "token"], env=env, timeout=300)

    status = json.loads(proc.run("sh", [SCRIPT, "status"], env=env, timeout=60).stdout)
    assert (status["token"], status["reason"][:27]) == (False, "there is no group nobody-ha")


def test_wrong_usage_is_no_reason_for_a_missing_token(board: Board, tmp_path: Path) -> None:
    env = board.env | {"TOKEN_DIR": str(tmp_path / "run/identity")}

    with pytest.raises(ToolError, match="expected create"):
        proc.run("sh", [SCRIPT, "token", "extra"], env=env, timeout=60)

    status = json.loads(proc.run("sh", [SCRIPT, "status"], env=env, timeout=60).stdout)
    assert status["reason"] == "no token was made: bootseal-identity token"


def test_key_on_p384_is_proven_and_signs(board: Board, tmp_path: Path) -> None:
    for name in ("store", "approved.json"):
        copy = shutil.copytree if (board.root / name).is_dir() else shutil.copy2
        copy(board.root / name, tmp_path / name)
    (tmp_path / "run").mkdir()
    other = Board(chip=board.chip, root=tmp_path)
    with pytest.raises(ToolError, match="expected ecc256 or ecc384"):
        other.script("create", "ecc521")
    (tmp_path / "data").mkdir()
    other.script("create", "ecc384")
    proof = other.script("prove", other.challenge())
    assert other.verify(proof) == []
    request = x509.load_der_x509_csr(base64.b64decode(json.loads(proof)["csr"]))
    key = request.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp384r1"

    other.script("token")
    pin = (tmp_path / "run/identity/pin").read_text()
    *_, signature = python(SIGN, str(library()), pin, env=other.env).splitlines()
    other.flush()

    digest, algorithm = hashlib.sha256(b"message").digest(), Algorithm.parse("sha256,ecdsa384")
    public.verify_digest(public.from_crypto(key), digest, bytes.fromhex(signature), algorithm)
