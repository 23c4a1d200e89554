# SPDX-License-Identifier: MIT
"""What the device's scripts read out of LUKS2 headers, on headers that cryptsetup made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.integration.layer.device_library import library

from bootseal import proc
from bootseal.boot.attacks import data_volume

pytestmark = pytest.mark.tool("cryptsetup")

FILES = Path(__file__).parents[3] / "meta-secureboot/recipes-core/bootseal-device/files"
PASSPHRASE = b"wrong horse"
SHELLS = [s for s in ("dash", "bash", "busybox") if shutil.which(s)]


@pytest.fixture
def luks(tmp_path: Path) -> Path:
    path = tmp_path / "volume"
    with path.open("wb") as file:
        file.truncate(32 * 1024 * 1024)
    fast = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", "-"]
    args = ["luksFormat", "--type", "luks2", "--batch-mode", *fast, str(path)]
    proc.run("cryptsetup", args, stdin=PASSPHRASE, timeout=60)
    return path


def add_token(path: Path, text: str) -> None:
    args = ["token", "import", "--json-file", "-", str(path)]
    proc.run("cryptsetup", args, stdin=text.encode(), timeout=60)


def reading(path: Path) -> str:
    """Return the beginning of a script that looks into a volume, as if it were the device's."""
    changes = {"/dev/disk/by-partlabel/data": path, "/run/bootseal": path.parent / "run"}
    return f". {library(path.parent, changes)}/luks2"


def functions(script: str, *names: str) -> str:
    """Return functions of a script."""
    text = (FILES / script).read_text()
    return "\n".join(
        text[text.index(f"\n{name}() {{\n") :].partition("\n}\n")[0] + "\n}" for name in names
    )


def tokens(path: Path) -> list[str]:
    script = f"{reading(path)}\nforget\nmetadata | tokens"
    args = ["sh", "-euc", script]
    return subprocess.run(args, capture_output=True, text=True, check=False).stdout.splitlines()


def wiped(path: Path) -> bool:
    text = (FILES / "create-data").read_text()
    zeros = next(line for line in text.splitlines() if line.startswith("zeros="))
    script = f"{reading(path)}\n{zeros}\n{functions('create-data', 'wiped')}\nwiped"
    return subprocess.run(["sh", "-euc", script], check=False).returncode == 0


def test_tokens_are_read_with_type_and_key_slot(luks: Path) -> None:
    add_token(luks, '{"type":"bootseal-escrowed","keyslots":["0"]}')
    add_token(luks, '{"type":"bootseal-rotate","keyslots":[]}')

    assert tokens(luks) == ["keyslot 0", "0 bootseal-escrowed 0", "1 bootseal-rotate -"]


@pytest.mark.parametrize(
    "kind",
    [
        r"a\n  9: systemd-tpm2\n\tKeyslot:    7",
        r"\u001b[2J",
        "systemd-tpm2 (x)",
        "SYSTEMD",
        r"tpm\u009b",
        r"q\",\"type\":\"systemd-tpm2",
    ],
)
def test_token_type_of_other_characters_is_not_printed(luks: Path, kind: str) -> None:
    inner = '{"type":"systemd-tpm2","keyslots":["7"]}'
    add_token(luks, f'{{"type":"{kind}","keyslots":["0"],"3":{inner}}}')
    add_token(luks, '{"type":"bootseal-rotate","keyslots":[]}')

    assert tokens(luks) == ["keyslot 0", "0 unreadable 0", "1 bootseal-rotate -"]


@pytest.mark.parametrize("function", ["say", "warn"])
def test_controls_do_not_reach_the_console(function: str) -> None:
    text = (FILES / "bootseal-data").read_text()
    start = text.index("\nline() {\n")
    printing = text[start : text.index("# Reads the header again")]
    script = f'{printing}\n{function} "$1"'
    hostile = "a\x1b[2Jb\nbootseal: data: opened\tc\x7fd\u009be"
    said = subprocess.run(["sh", "-euc", script, "-", hostile], capture_output=True, check=True)

    prefix = b"<4>" if function == "warn" else b""
    assert said.stdout == prefix + b"bootseal: data: a?[2Jb?bootseal: data: opened?c?d??e\n"


def test_volume_in_use_is_not_taken_for_wiped(luks: Path) -> None:
    assert not wiped(luks)


def test_zeros_are_a_wiped_volume(luks: Path) -> None:
    luks.write_bytes(bytes(luks.stat().st_size))
    assert wiped(luks)


def test_volume_without_key_slots_is_a_wiped_one(luks: Path) -> None:
    proc.run("cryptsetup", ["luksErase", "--batch-mode", luks], timeout=60)
    assert wiped(luks)


def test_what_cannot_be_read_is_not_taken_for_wiped(tmp_path: Path) -> None:
    short, noise = tmp_path / "short", tmp_path / "noise"
    short.write_bytes(bytes(512))
    noise.write_bytes(bytes(range(256)) * 512)

    assert not wiped(tmp_path / "nothing")
    assert not wiped(short)
    assert not wiped(noise)


def test_passphrase_opens_a_volume_and_another_does_not(luks: Path) -> None:
    assert data_volume.opens(luks, PASSPHRASE)
    assert not data_volume.opens(luks, b"right horse")


def test_volume_key_is_the_same_for_every_key_slot(luks: Path) -> None:
    key = data_volume.volume_key(luks, PASSPHRASE)

    assert len(key) == 64
    fast = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]
    second = luks.with_name("second")
    second.write_bytes(b"other")
    args = ["luksAddKey", *fast, "--key-file", "-", str(luks), str(second)]
    proc.run("cryptsetup", args, stdin=PASSPHRASE, timeout=60)
    assert data_volume.volume_key(luks, b"other") == key


def slots(path: Path) -> list[str]:
    args = ["luksDump", "--dump-json-metadata", str(path)]
    return sorted(json.loads(proc.run("cryptsetup", args, timeout=60).stdout)["keyslots"])


@pytest.mark.parametrize("shell_name", SHELLS)
def test_slot_without_a_token_and_token_without_a_slot_are_cleaned_away(
    luks: Path, shell_name: str
) -> None:
    for number in ("1", "2", "3"):
        second = luks.with_name("second")
        second.write_bytes(number.encode())
        args = ["luksAddKey", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]
        args += ["--key-slot", number, "--key-file", "-", str(luks), str(second)]
        proc.run("cryptsetup", args, stdin=PASSPHRASE, timeout=60)
    # cryptsetup looks into a token of type systemd-tpm2 where it has systemd's library for it.
    for named in ('"0"', '"2"', ""):
        add_token(luks, f'{{"type":"systemd-recovery","keyslots":[{named}]}}')
    add_token(luks, '{"type":"bootseal-rotate","keyslots":[]}')
    command = [shell_name, *(["sh"] if shell_name == "busybox" else [])]
    script = f"{reading(luks)}\n{functions('bootseal-data', 'look', 'clean')}\nlook\nclean"
    done = subprocess.run([*command, "-euc", script], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert slots(luks) == ["0", "2"]
    assert tokens(luks) == [
        *("keyslot 0", "keyslot 2"),
        *("0 systemd-recovery 0", "1 systemd-recovery 2", "3 bootseal-rotate -"),
    ]


# Debian's busybox takes its own blkdiscard, whatever PATH says.
@pytest.mark.parametrize("shell_name", [name for name in SHELLS if name != "busybox"])
def test_lock_that_wiping_makes_is_for_root_alone(tmp_path: Path, shell_name: str) -> None:
    """Anyone who can open the lock can hold it, and no token is made meanwhile."""
    run = tmp_path / "bootseal"
    text = (FILES / "bootseal-data").read_text().replace("/run/bootseal", str(run))
    script = tmp_path / "bootseal-data"
    script.write_text(text.replace("/dev/mapper/data", str(tmp_path / "nothing")))
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("systemctl", "cryptsetup", "blkdiscard"):
        (tools / name).write_text("#!/bin/sh\n")
        (tools / name).chmod(0o755)
    (run / "identity").mkdir(parents=True)
    done = subprocess.run(
        [shell_name, script, "wipe"],
        env={"PATH": f"{tools}:{os.environ['PATH']}", "LIBRARY": str(library(tmp_path))},
        umask=0o022,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert not (run / "identity").exists()
    assert (run / "identity.lock").stat().st_mode & 0o777 == 0o600
