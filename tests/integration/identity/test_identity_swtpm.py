# SPDX-License-Identifier: MIT
"""The device's own script with a software TPM: its proof, its token, and clients that use it."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from tests.integration.attest.fleet import powered
from tests.integration.identity.board import (
    KERNEL,
    SCRIPT,
    Board,
    certified,
    library,
    python,
    start,
)

from bootseal import proc
from bootseal.attest.store import Store
from bootseal.boot.machine import swtpm
from bootseal.boot.scenario.workspace import copy_tpm
from bootseal.errors import ToolError, VerificationRefused
from bootseal.identity.registry import Registry
from bootseal.keys.search import search
from bootseal.keys.tpm import identity

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = [
    *(pytest.mark.tool(name) for name in ("swtpm", "swtpm_setup", "tpm2", "sqlite3", "openssl")),
    pytest.mark.slow,
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    with certified(tmp_path_factory.mktemp("identity")) as made:
        yield made


def test_record_names_the_chip(board: Board) -> None:
    chip = Store(board.root / "store").record("dev-1").chip

    assert re.fullmatch(r"id:[0-9A-F]{8}:[0-9a-f]{40}:[0-9a-f]+", chip), chip


def test_openssl_accepts_the_certificate(board: Board) -> None:
    keys = board.root / "keys"
    args = ["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", f"{keys}/DEV-root.crt"]
    args += ["-untrusted", f"{keys}/DEV-device-ca.crt", f"{board.root}/pem"]
    done = proc.run("openssl", args, timeout=30)

    assert done.stdout.endswith(b"pem: OK\n")


def test_status_names_the_certificate(board: Board) -> None:
    (entry,) = json.loads(board.run("identity", "list", "--store", board.root / "store", "--json"))[
        "identities"
    ]

    assert json.loads(board.script("status")) == {
        "schema": "bootseal.identity-status/1",
        "key": True,
        "certificate": entry["serial"],
        "token": True,
        "reason": "",
    }


def test_proof_counts_once(board: Board) -> None:
    proof = board.script("prove", board.challenge())
    assert board.verify(proof) == []

    assert board.verify(proof, code=3) == ["attest.nonce"]


def test_there_is_one_key(board: Board) -> None:
    with pytest.raises(ToolError, match="there is an identity key"):
        board.script("create")


@pytest.mark.parametrize("nonce", ["", "XYZ", "00;reboot"])
def test_what_is_not_a_nonce_is_refused(board: Board, nonce: str) -> None:
    with pytest.raises(ToolError, match="not lower-case hex"):
        board.script("prove", nonce)


def test_certificate_of_another_key_is_not_installed(board: Board) -> None:
    before = (board.root / "data/identity/certificate.pem").read_bytes()

    with pytest.raises(ToolError, match="is for another key"):
        board.script("install", board.root / "keys/DEV-root.crt")

    assert (board.root / "data/identity/certificate.pem").read_bytes() == before


def altered(board: Board, nonce: str, key: str, certified: str) -> bytes:
    """Return a proof with the key and the statement that the chip makes by other commands."""
    document = json.loads(board.script("prove", nonce))
    board.chip.run("tpm2_readpublic", "-Q", "-c", key, "-f", "tpmt", "-o", "other.tpmt")
    board.chip.run("tpm2_flushcontext", "-t")
    ak = ("0x81010010", "-g", "sha256")
    if certified == "certify":
        args = ["-C", *ak, "-c", key, "-o", "att", "-s", "sig"]
        board.chip.run("tpm2_certify", "-Q", *args)
    else:
        args = ["-C", *ak, "-c", key, "-d", "ch", "-t", "ct", "-q", nonce, "-s", "ecdsa"]
        board.chip.run("tpm2_certifycreation", "-Q", *args, "-o", "sig", "--attestation", "att")
    board.chip.run("tpm2_flushcontext", "-t")
    names = {"key": "other.tpmt", "certification": "att", "certification_signature": "sig"}
    for field, name in names.items():
        data = (board.chip.directory / name).read_bytes()
        document[field] = base64.b64encode(data).decode()
    return json.dumps(document).encode()


def imported(board: Board) -> None:
    """Import a key that software made, as soft.ctx: below the storage key, but not fixed to it."""
    pem = board.chip.directory / "soft.pem"
    args = ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(pem)]
    proc.run("openssl", args, timeout=30)
    args = ["-Q", "-C", "0x81000001", "-G", "ecc", "-i", "soft.pem", "-u", "soft.pub"]
    board.chip.run("tpm2_import", *args, "-r", "soft.priv", "-a", "userwithauth|sign|noda")
    board.flush()
    args = ["-C", "0x81000001", "-u", "soft.pub", "-r", "soft.priv", "-c", "soft.ctx"]
    board.chip.run("tpm2_load", "-Q", *args)
    board.chip.run("tpm2_flushcontext", "-t")


def test_imported_key_is_refused_although_the_tpm_certifies_it(board: Board) -> None:
    imported(board)

    proof = altered(board, board.challenge(), "soft.ctx", "certify")

    found = board.verify(proof, code=3)
    assert found[:3] == ["identity.statement", "identity.nonce", "identity.attributes"]
    assert "identity.csr" in found


def external(board: Board, attributes: str) -> None:
    """Load a key that software made, as ext.ctx: no parent, no import."""
    pem = board.chip.directory / "external.pem"
    args = ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(pem)]
    proc.run("openssl", args, timeout=30)
    args = ["-Q", "-C", "n", "-G", "ecc", "-r", "external.pem", "-a", attributes, "-c", "ext.ctx"]
    try:
        board.chip.run("tpm2_loadexternal", *args)
    finally:
        board.flush()


def test_external_key_is_refused_although_the_tpm_certifies_it(board: Board) -> None:
    external(board, "userwithauth|sign|noda")

    proof = altered(board, board.challenge(), "ext.ctx", "certify")

    found = board.verify(proof, code=3)
    assert found[:3] == ["identity.statement", "identity.nonce", "identity.attributes"]
    assert "identity.csr" in found


def test_external_key_that_is_given_a_tpm_key_s_attributes_has_another_name(board: Board) -> None:
    """The TPM takes no external key with fixedTPM, and its statement is about the one it took."""
    genuine = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign"
    with pytest.raises(ToolError, match="0x2C2"):  # TPM_RC_ATTRIBUTES
        external(board, genuine)
    external(board, "userwithauth|sign|noda")
    document = json.loads(altered(board, board.challenge(), "ext.ctx", "certify"))
    public = bytearray(base64.b64decode(document["key"]))
    # TPMT_PUBLIC: type, nameAlg, and objectAttributes in four bytes.
    public[4:8] = identity.ATTRIBUTES.to_bytes(4)
    document["key"] = base64.b64encode(public).decode()

    found = board.verify(json.dumps(document).encode(), code=3)

    assert "identity.attributes" not in found
    assert {"identity.statement", "identity.nonce", "identity.name"} <= set(found)


@pytest.mark.parametrize("key", ["ext.ctx", "soft.ctx"])
def test_tpm_states_the_making_of_no_key_that_it_did_not_make(board: Board, key: str) -> None:
    """Neither with the ticket of the genuine key, nor with any other."""
    if key == "ext.ctx":
        external(board, "userwithauth|sign|noda")
    else:
        imported(board)
    for name in ("creation-hash", "ticket"):
        shutil.copy2(board.root / "data/identity" / name, board.chip.directory / name)
    args = ["-C", "0x81010010", "-g", "sha256", "-c", key, "-d", "creation-hash", "-t", "ticket"]
    args += ["-q", "00", "-s", "ecdsa", "-o", "sig", "--attestation", "att"]

    with pytest.raises(ToolError, match="invalid ticket"):
        board.chip.run("tpm2_certifycreation", "-Q", *args)
    board.flush()


@pytest.mark.parametrize(
    "attributes",
    [
        "sensitivedataorigin|userwithauth|sign|noda",
        "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign|decrypt|noda",
        "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign",
    ],
    ids=["duplicable", "decrypting", "counting"],
)
def test_other_key_of_the_tpm_is_refused_for_its_attributes(board: Board, attributes: str) -> None:
    args = ["-Q", "-C", "0x81000001", "-G", "ecc256", "-a", attributes, "-u", "u", "-r", "r"]
    board.chip.run("tpm2_create", *args, "--creation-hash", "ch", "--creation-ticket", "ct")
    board.chip.run("tpm2_flushcontext", "-t")
    board.chip.run("tpm2_load", "-Q", "-C", "0x81000001", "-u", "u", "-r", "r", "-c", "k.ctx")
    board.chip.run("tpm2_flushcontext", "-t")

    proof = altered(board, board.challenge(), "k.ctx", "creation")

    # The request in the proof is that of the genuine key.
    assert board.verify(proof, code=3) == ["identity.attributes", "identity.csr"]


def test_store_has_the_schema_of_the_installed_tpm2_pkcs11(board: Board, tmp_path: Path) -> None:
    """The library writes its own version into a store that it makes."""
    code = "import pkcs11, sys; list(pkcs11.lib(sys.argv[1]).get_slots())"
    env = board.env | {"TPM2_PKCS11_STORE": str(tmp_path)}
    python(code, str(library()), env=env)

    def schema(path: Path) -> str:
        query = "SELECT schema_version FROM schema"
        return proc.run(
            "sqlite3", [path / "tpm2_pkcs11.sqlite3", query], timeout=30
        ).stdout.decode()

    assert schema(board.root / "run/identity") == schema(tmp_path), (
        "tpm2-pkcs11 has another schema than bootseal-identity writes: change `schema` there"
    )


def test_key_of_another_chip_does_not_load(board: Board, tmp_path: Path) -> None:
    swtpm.manufacture(tmp_path / "chip")
    start(tmp_path)
    shutil.copytree(board.root / "data/identity", tmp_path / "data/identity")
    # The cloned disk has everything; the chip is another one.
    with (
        powered(tmp_path / "chip") as chip,
        pytest.raises(ToolError, match="the key is of another TPM"),
    ):
        Board(chip=chip, root=tmp_path).script("token")
    assert not (tmp_path / "run/identity").exists()


def test_clear_ends_the_key_and_the_script_says_so(board: Board, tmp_path: Path) -> None:
    (tmp_path / "chip").mkdir()
    shutil.copy2(board.chip.directory / swtpm.STATE_FILE, tmp_path / "chip")
    (tmp_path / "scratch").mkdir()
    swtpm.clear(tmp_path / "chip", tmp_path / "scratch")
    start(tmp_path)
    shutil.copytree(board.root / "data/identity", tmp_path / "data/identity")
    with powered(tmp_path / "chip") as chip:
        cleared = Board(chip=chip, root=tmp_path)
        with pytest.raises(ToolError, match="the TPM does not load the identity key"):
            cleared.script("token")
        status = json.loads(cleared.script("status"))

    assert (status["key"], status["token"]) == (True, False)
    assert status["reason"].startswith("the TPM does not load the identity key: it was cleared")


@pytest.mark.parametrize("change", ["cleared", "other board"])
def test_device_whose_tpm_changed_is_enrolled_again_with_another_key(
    board: Board, tmp_path: Path, change: str
) -> None:
    state, store = tmp_path / "chip", tmp_path / "store"
    if change == "cleared":
        (tmp_path / "scratch").mkdir()
        copy_tpm(board.chip.directory, state)
        swtpm.clear(state, tmp_path / "scratch")
    else:
        swtpm.manufacture(state)
    start(tmp_path)
    for name in ("store", "keys"):
        shutil.copytree(board.root / name, tmp_path / name)
    identity_, credential, answer = (tmp_path / n for n in ("identity", "credential", "answer"))
    trusted = [f"--ca={state / name}" for name in swtpm.AUTHORITIES]
    with powered(state) as chip:
        changed = Board(chip=chip, root=tmp_path)
        chip.boot(KERNEL)
        identity_.write_bytes(chip.script("identity"))
        options: tuple[str | Path, ...] = (*trusted, "--store", store, "--again", "-o", credential)
        changed.run("attest", "enrol", "dev-1", identity_, *options)
        answer.write_bytes(chip.script("activate", credential.read_text().strip()))
        changed.run("attest", "certify", "dev-1", answer, "--store", store)
        args = ("identity", "issue", "dev-1", "--store", store, *changed.authority)
        # Not for the key of the TPM as it was.
        with pytest.raises(VerificationRefused, match="was enrolled again"):
            changed.run(*args, "-o", tmp_path / "pem")
        changed.script("create")
        assert changed.verify(changed.script("prove", changed.challenge())) == []
        changed.run(*args, "-o", tmp_path / "pem")
        changed.script("install", tmp_path / "pem")
        status = json.loads(changed.script("status"))

    assert (status["key"], status["token"]) == (True, True)
    keys = [
        x509.load_pem_x509_certificate((root / "pem").read_bytes()).public_key()
        for root in (board.root, tmp_path)
    ]
    assert keys[0] != keys[1]
    serials = [
        {entry.serial for entry in Registry(root / "store").entries()}
        for root in (board.root, tmp_path)
    ]
    assert serials[1] - serials[0] == {status["certificate"]}


def test_closed_data_partition_is_the_reason(board: Board, tmp_path: Path) -> None:
    env = board.env | {"DATA": str(tmp_path / "data"), "KEY_DIR": str(tmp_path / "identity")}
    env["TOKEN_DIR"] = str(tmp_path / "run/identity")

    for verb in ("create", "token"):
        with pytest.raises(ToolError, match="the data partition is closed"):
            proc.run("sh", [SCRIPT, verb], env=env, timeout=60)
    status = json.loads(proc.run("sh", [SCRIPT, "status"], env=env, timeout=60).stdout)

    assert (status["key"], status["token"]) == (False, False)
    assert status["reason"].startswith("the data partition is closed")


def test_damaged_certificate_is_the_reason_and_install_ends_it(
    board: Board, tmp_path: Path
) -> None:
    key = tmp_path / "identity"
    shutil.copytree(board.root / "data/identity", key)
    (key / "certificate.pem").write_text("-----BEGIN")
    env = board.env | {"KEY_DIR": str(key), "TOKEN_DIR": str(tmp_path / "run/identity")}

    with pytest.raises(ToolError, match="is not a certificate: bootseal-identity install"):
        proc.run("sh", [SCRIPT, "token"], env=env, timeout=60)
    board.flush()
    status = json.loads(proc.run("sh", [SCRIPT, "status"], env=env, timeout=60).stdout)
    assert (status["key"], status["token"]) == (True, False)
    assert status["reason"].endswith("is not a certificate: bootseal-identity install")

    proc.run("sh", [SCRIPT, "install", board.root / "pem"], env=env, timeout=120)
    board.flush()
    status = json.loads(proc.run("sh", [SCRIPT, "status"], env=env, timeout=60).stdout)
    assert (status["token"], status["reason"]) == (True, "")


def test_what_is_ended_by_systemd_leaves_nothing(board: Board, tmp_path: Path) -> None:
    ended = tmp_path / "bin/tpm2_load"
    ended.parent.mkdir()
    ended.write_text("#!/bin/sh\nkill -TERM $PPID\n")
    ended.chmod(0o755)
    (tmp_path / "tmp").mkdir()
    env = board.env | {"PATH": f"{ended.parent}:{os.environ['PATH']}"}

    with pytest.raises(ToolError):
        proc.run("sh", [SCRIPT, "token"], env=env | {"TMPDIR": str(tmp_path / "tmp")}, timeout=60)

    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("program", ["tpm2_create", "tpm2_flushcontext", "sync", "mv"])
def test_power_cut_in_create_leaves_a_key_or_none(
    board: Board, tmp_path: Path, program: str
) -> None:
    cut(tmp_path / "bin", program)
    env = board.env | {"KEY_DIR": str(tmp_path / "identity")}
    torn = env | {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}

    with pytest.raises(ToolError):
        proc.run("sh", [SCRIPT, "create"], env=torn, timeout=60)
    assert not (tmp_path / "identity").exists()

    proc.run("sh", [SCRIPT, "create"], env=env, timeout=60)
    names = {"creation", "creation-hash", "key.priv", "key.pub", "ticket"}
    assert {path.name for path in (tmp_path / "identity").iterdir()} == names


@pytest.mark.parametrize("program", ["cat", "sync", "mv"])
def test_power_cut_in_install_leaves_the_old_certificate(
    board: Board, tmp_path: Path, program: str
) -> None:
    cut(tmp_path / "bin", program)
    key = tmp_path / "identity"
    shutil.copytree(board.root / "data/identity", key)
    before = (key / "certificate.pem").read_bytes()
    # The same certificate in another form, to tell the old file from the new one.
    (key / "certificate.pem").write_bytes(b"old\n" + before)
    env = board.env | {"KEY_DIR": str(key), "TOKEN_DIR": str(tmp_path / "token")}
    torn = env | {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}

    with pytest.raises(ToolError):
        proc.run("sh", [SCRIPT, "install", board.root / "pem"], env=torn, timeout=60)
    assert (key / "certificate.pem").read_bytes() == b"old\n" + before

    proc.run("sh", [SCRIPT, "install", board.root / "pem"], env=env, timeout=120)
    assert (key / "certificate.pem").read_bytes() == before
    board.flush()


def cut(directory: Path, program: str) -> None:
    """Put a program in the place of another that ends the script, as a power cut would."""
    directory.mkdir()
    (directory / program).write_text("#!/bin/sh\nkill -KILL $PPID\n")
    (directory / program).chmod(0o755)


def private(*roots: Path) -> list[str]:
    return [
        path.name
        for root in roots
        for path in sorted(root.rglob("*"))
        if path.is_file()
        if any(key.private for key in search.find(path.read_bytes()))
    ]


def test_what_the_device_keeps_holds_no_private_key(board: Board, tmp_path: Path) -> None:
    """Neither the data partition, decrypted, nor the memory of the token."""
    kept = (board.root / "data", board.root / "run")
    assert private(*kept) == []

    shutil.copytree(board.root / "data", tmp_path / "data")
    shutil.copy2(board.root / "keys/DEV-device-ca.key", tmp_path / "data/identity")
    assert private(tmp_path / "data") == ["DEV-device-ca.key"]
