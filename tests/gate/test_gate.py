# SPDX-License-Identifier: MIT
"""The gate in U-Boot against every construction, and against the release gate in Python."""

from __future__ import annotations

import os
import random
import re
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests.gate.edits import ROOT_NODE, blocks
from tests.gate.vectors import VECTORS

from bootseal.boot.catalogue.fit_attacks import FIT_ATTACKS
from bootseal.errors import FormatError
from bootseal.fit import build as fit_build
from bootseal.fit.verify.verdict import inspect
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fdt.model import Node

if TYPE_CHECKING:
    from tests.gate.conftest import Gate

    from bootseal.boot.catalogue.fit_attacks import FitAttack

MUTANTS: Final = int(os.environ.get("BOOTSEAL_MUTANTS", "2000"))
FUZZ_SECONDS: Final = int(os.environ.get("BOOTSEAL_FUZZ_SECONDS", "5"))

BEYOND_THE_GATE: Final = {
    **dict.fromkeys(
        (
            "fit.bad-signature",
            "fit.no-signature",
            "fit.algorithm",
            "fit.hashed-nodes",
            "fit.key-hint",
        ),
        "signatures are checked behind the gate",
    ),
    **dict.fromkeys(
        ("fit.image-hash", "fit.no-hash", "fit.weak-hash", "fit.unknown-hash", "fit.ignored-hash"),
        "hashes are checked behind the gate, and the signer decides about them",
    ),
    **dict.fromkeys(
        ("fit.missing-image", "fit.image-type", "fit.unreferenced-image", "fit.no-configuration"),
        "names are looked up behind the gate, in what is signed",
    ),
    "fit.default": "U-Boot is told which configuration to boot",
    "fit.load-address": "the gate knows where the FIT is, and refuses what would overlap",
    "fit.trailing-data": "a partition is longer than its FIT",
    "fit.description": "U-Boot itself asks for it",
}
"""Findings of the release gate that the gate in U-Boot does not make, with the reason."""

THE_GATE_ALONE: Final = {
    "a load range overlaps the FIT": "only the device knows where the FIT is",
}
"""Refusals of the gate in U-Boot that the release gate need not make, with the reason."""


def agree(reason: str, fit: bytes, trust: bytes) -> bool:
    """Whether the release gate refuses for a reason that is the gate's concern when this does."""
    if reason in THE_GATE_ALONE:
        return True
    try:
        found = {finding.id for finding in inspect(fit, trust).errors}
    except FormatError:
        return bool(reason)
    # A FIT of images alone is a FIT to the release gate, which says that nothing of it boots.
    if reason == "images or configurations are missing":
        return "fit.no-configuration" in found
    return bool(reason) is not (found <= BEYOND_THE_GATE.keys())


@pytest.fixture(scope="session")
def reasons(gate: Gate, genuine: bytes) -> dict[str, str]:
    """What the gate says to each vector."""
    answers = gate.check([make(genuine) for make, _ in VECTORS.values()])
    return dict(zip(VECTORS, answers, strict=True))


@pytest.mark.parametrize("name", VECTORS)
def test_gate_vector_has_the_named_verdict(reasons: dict[str, str], name: str) -> None:
    assert reasons[name] == VECTORS[name][1]


@pytest.mark.parametrize("name", VECTORS)
def test_gate_vector_has_the_same_verdict_from_the_release_gate(
    genuine: bytes, trust: bytes, name: str
) -> None:
    make, reason = VECTORS[name]
    assert agree(reason, make(genuine), trust)


@pytest.mark.parametrize("attack", FIT_ATTACKS, ids=lambda attack: attack.id)
def test_gate_says_what_the_boot_matrix_waits_for(
    gate: Gate, genuine: bytes, attack: FitAttack
) -> None:
    assert attack.boot is not None
    seen = [name.partition(":") for name in attack.boot.step.expect.console]
    waits_for = [reason for name, _, reason in seen if name == "gate-refused"]
    assert gate.check_one(attack.change(genuine)) == next(iter(waits_for), "")


def test_gate_every_reason_has_a_vector(gate_source: Path) -> None:
    text = (gate_source / "boot/bootseal_gate.c").read_text()
    body = text[text.index("static const char *check_header") :]
    spoken = set(re.findall(r'"([a-z\'][^"%:]+ [^"%:]+)"', body)) - {"images", "configurations"}
    assert spoken == {reason for _, reason in VECTORS.values() if reason}


@pytest.mark.tool("mkimage")
def test_gate_lets_pass_what_mkimage_makes(gate: Gate, tmp_path: Path) -> None:
    for name in ("kernel", "initramfs", "a.dtb", "b.dtb"):
        content = fdt.emit(Node("", {})) if name.endswith("dtb") else name.encode() * 1000
        (tmp_path / name).write_bytes(content)
    spec = fit_build.FitSpec(
        description="mkimage",
        kernel=tmp_path / "kernel",
        compression="none",
        load=0x40400000,
        entry=0x40400000,
        fdts={"a": tmp_path / "a.dtb", "b": tmp_path / "b.dtb"},
        ramdisk=tmp_path / "initramfs",
        hint="dev",
        algorithm="sha256,rsa2048",
        arch="arm64",
    )
    fit_build.build(spec, tmp_path / "fit.itb", epoch=0)
    unsigned = (tmp_path / "fit.itb").read_bytes()
    key = ["-newkey", "rsa:2048", "-nodes", "-keyout", "dev.key", "-subj", "/CN=dev"]
    request = ["openssl", "req", "-x509", *key, "-out", "dev.crt"]
    sign = ["mkimage", "-F", "-k", ".", "fit.itb"]
    for command in (request, sign):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    signed = (tmp_path / "fit.itb").read_bytes()

    assert b"signer-version\0" in signed
    assert gate.check([unsigned, signed]) == ["", ""]


def test_gate_sees_one_size_less_than_loaded_as_too_large(gate: Gate, genuine: bytes) -> None:
    assert gate.check_one(genuine[:-1]) == "larger than what was read"


def test_gate_every_prefix_of_a_fit_is_refused(gate: Gate, genuine: bytes) -> None:
    reasons = gate.check([genuine[:size] for size in range(len(genuine))])
    assert "" not in reasons


def mutant(fit: bytes, rng: random.Random) -> bytes:
    """A few random changes of words, bytes and whole runs of tags."""
    tags, names = (bytearray(block) for block in blocks(fit))
    header = bytearray(fdt.assemble(bytes(16), b"", b""))[:ROOT_NODE]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        block = rng.choice((tags, tags, tags, names))
        where = rng.randrange(0, len(block), 4)
        match rng.randrange(6):
            case 0:
                block[rng.randrange(len(block))] ^= 1 << rng.randrange(8)
            case 1:
                value = rng.choice((0, 1, 2, 3, 4, 9, 0x7FFFFFFF, 0xFFFFFFFF, len(block)))
                tags[where : where + 4] = struct.pack(">I", value)
            case 2:
                del block[where : where + 4 * rng.randrange(1, 24)]
            case 3:
                run = block[where : where + 4 * rng.randrange(1, 48)]
                there = rng.randrange(0, len(block), 4)
                block[there:there] = run
            case 4:
                header[rng.randrange(len(header))] ^= 1 << rng.randrange(8)
            case _:
                block[where : where + 4] = rng.randbytes(4)
        if not tags or not names:
            break
    whole = bytearray(fdt.assemble(bytes(16), tags, names))
    blank = fdt.assemble(bytes(16), b"", b"")[:ROOT_NODE]
    for i, (old, new) in enumerate(zip(blank, header, strict=True)):
        whole[i] ^= old ^ new
    return bytes(whole)


def test_gate_and_release_gate_agree_on_random_mutants(
    gate: Gate, genuine: bytes, trust: bytes
) -> None:
    # Repeatable on purpose.
    fits = [mutant(genuine, random.Random(seed)) for seed in range(MUTANTS)]  # noqa: S311
    wrong = [
        (seed, reason)
        for seed, (fit, reason) in enumerate(zip(fits, gate.check(fits), strict=True))
        if not agree(reason, fit, trust)
    ]
    assert wrong == []


@pytest.mark.tool("clang")
@pytest.mark.timeout(FUZZ_SECONDS + 300)
def test_gate_survives_the_fuzzer(gate_source: Path, genuine: bytes, tmp_path: Path) -> None:
    """A smoke test; `BOOTSEAL_FUZZ_SECONDS=600` makes a campaign of it, `-s` shows the figures."""
    harness = Path(__file__).with_name("fuzz_gate.c")
    program = tmp_path / "fuzz_gate"
    sanitizers = ["-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
    sources = [gate_source / "boot/bootseal_gate.c", harness]
    include = f"-I{gate_source}/include"
    subprocess.run(
        ["clang", "-g", "-O1", *sanitizers, include, *sources, "-lfdt", "-o", program], check=True
    )
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    for name, (make, _) in VECTORS.items():
        if len(content := make(genuine)) < 65536:
            (seeds / name).write_bytes(content)
    limits = [f"-max_total_time={FUZZ_SECONDS}", "-max_len=16384", "-timeout=5", "-seed=1"]
    done = subprocess.run(
        [program, *limits, "-print_final_stats=1", seeds],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=FUZZ_SECONDS + 120,
    )
    said = done.stderr.decode(errors="replace")
    print(said[said.find("stat::number") :])  # noqa: T201 - the figures of a campaign
    assert done.returncode == 0, said[-4000:]
