# SPDX-License-Identifier: MIT
"""Bounded model checking of the boot ROM's own C and of U-Boot's FIT gate, function by function.

No input of the stated size does harm: no access outside of an object, no overflow of a pointer, and
what `cbmc/` says of the result. A called function is replaced by what is proved of it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from tests.gate.conftest import unpack_gate
from tests.rom.host import HOST, OWN

if TYPE_CHECKING:
    from tests.rom.host import Programs

HARNESSES: Final = Path(__file__).with_name("cbmc")
OLDEST: Final = 6
"""Older releases check nothing unless they are told to."""
FAILED: Final = 10


class Proof(NamedTuple):
    """A function of `cbmc/FILE.c` that is the proof, how far loops go, and what is replaced."""

    file: str
    name: str
    unwind: int
    replaced: str = ""


_FIFO: Final = "wait_for:any_wait burst:any_burst"
PROOFS: Final = (
    Proof("bank", "harness", 6),
    Proof("fip", "prove_alignment", 11),
    Proof("fip", "prove_zero", 18),
    Proof("fip", "prove_entry", 3),
    Proof("fip", "prove_small_bank", 11),
    Proof(
        "fip",
        "prove_bank",
        11,
        "find_alignment:any_alignment is_zero:any_zero read_entry:any_entry memcmp:any_compare",
    ),
    Proof("disk", "prove_find", 33),
    Proof("disk", "prove_read", 33),
    Proof("tpm", "prove_wait", 4),
    Proof("tpm", "prove_burst", 4),
    Proof("tpm", "prove_send", 6, _FIFO),
    Proof("tpm", "prove_receive", 6, _FIFO),
    Proof("tpm", "prove_exchange", 5, "wait_for:any_wait send:any_send receive:any_receive"),
    Proof("tpm", "prove_run", 5, "wait_for:any_wait exchange:any_exchange"),
    Proof("tpm", "prove_startup", 5, "run:any_run"),
    Proof("tpm", "prove_extend", 5, "run:any_run"),
    Proof("tpm", "prove_lowest", 66, "run:any_run"),
    Proof("log", "prove_add", 5),
    Proof("log", "prove_start", 5, "add:any_add"),
    Proof("log", "prove_log_add", 17, "add:any_add"),
    Proof("gate", "prove_texts", 18),
    Proof("gate", "prove_zeros", 18),
    Proof("gate", "prove_header", 18, "is_zero:any_zeros"),
    Proof("gate", "prove_enter", 18, "strcmp:any_strcmp is_node_name:any_is_name"),
    Proof("gate", "prove_begin", 18, "is_zero:any_zeros enter_child:any_enter"),
    Proof("gate", "prove_claim", 66),
    Proof("gate", "prove_end", 6, "claim:any_claim"),
    Proof(
        "gate",
        "prove_tags",
        7,
        "begin_node:any_begin property:any_property end_node:any_end",
    ),
)


@pytest.fixture(scope="session")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the gate's sources."""
    return unpack_gate(tmp_path_factory.mktemp("gate-cbmc"))


def cbmc() -> str:
    """Return the program, or skip: Debian 13 has one that is new enough, Debian 12 does not."""
    found = shutil.which("cbmc")
    if found is None:
        pytest.skip("cbmc is not installed")
    said = subprocess.run([found, "--version"], capture_output=True, check=True).stdout.decode()
    version = re.match(r"\d+", said)
    if version is None or int(version[0]) < OLDEST:
        pytest.skip(f"cbmc is {said.strip()}: {OLDEST} or newer is needed")
    return found


def run(
    rom: Programs, gate: Path, proof: Proof, work: Path, *defines: str
) -> subprocess.CompletedProcess[str]:
    """Check a proof, with every loop unwound so many times."""
    program = cbmc()
    tfa = rom.directory / "tfa"
    places = (OWN, HOST, HARNESSES, tfa / "include", tfa, gate / "include", gate / "boot")
    source = HARNESSES / f"{proof.file}.c"
    whole, divided = work / "whole", work / "divided"
    includes = [f"-I{path}" for path in places]
    compiler: list[str | Path] = [
        "goto-cc",
        *defines,
        *includes,
        source,
        "--function",
        proof.name,
        "-o",
        whole,
    ]
    subprocess.run(compiler, check=True, capture_output=True)
    options = [word for each in proof.replaced.split() for word in ("--replace-calls", each)]
    if options:
        subprocess.run(
            ["goto-instrument", *options, whole, divided], check=True, capture_output=True
        )
    limits = ["--unwind", str(proof.unwind), "--unwinding-assertions", "--slice-formula"]
    return subprocess.run(
        [program, divided if options else whole, *limits, "--pointer-overflow-check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )


@pytest.mark.timeout(600)
@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: f"{proof.file}-{proof.name}")
def test_function_does_no_harm(rom: Programs, gate: Path, proof: Proof, tmp_path: Path) -> None:
    done = run(rom, gate, proof, tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "proof",
    [each for each in PROOFS if each.file != "bank"],
    ids=lambda proof: f"{proof.file}-{proof.name}",
)
def test_end_of_a_proof_is_reached(rom: Programs, gate: Path, proof: Proof, tmp_path: Path) -> None:
    """The twin: what a proof is given does not exclude everything."""
    done = run(rom, gate, proof, tmp_path, "-DTWIN")
    assert done.returncode == FAILED, done.stdout[-3000:]
    assert "the end was reached: FAILURE" in done.stdout


def test_loops_that_are_not_unwound_to_their_end_are_a_failure(
    rom: Programs, gate: Path, tmp_path: Path
) -> None:
    """The twin: the check says so when it has not seen everything."""
    assert run(rom, gate, Proof("bank", "harness", 2), tmp_path).returncode == FAILED
