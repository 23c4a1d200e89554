# SPDX-License-Identifier: MIT
"""The boot ROM's drivers against a TPM and a disk that answer what they like."""

from __future__ import annotations

import os
import struct
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rom.host import Programs

pytestmark = pytest.mark.tool("clang")

FUZZ_SECONDS: Final = int(os.environ.get("BOOTSEAL_FUZZ_SECONDS", "5"))
UNTOUCHED: Final = 999

PUBLIC: Final = (
    bytes.fromhex("01500b02000b420504250020") + b"bootseal-this-is-never-undefined\0\x08"
)
WRITTEN: Final = PUBLIC[:6] + bytes([PUBLIC[6] | 0x20]) + PUBLIC[7:]
NAME: Final = bytes.fromhex("0022000b") + bytes(32)


def answer(body: bytes = b"", code: int = 0, tag: int = 0x8001) -> bytes:
    return struct.pack(">HII", tag, 10 + len(body), code) + body


def found(public: bytes) -> bytes:
    return answer(struct.pack(">H", len(public)) + public + NAME)


def value(bits: int, size: int = 8) -> bytes:
    body = struct.pack(">IHQ", 10, size, bits) + bytes.fromhex("0000010000")
    return answer(body, tag=0x8002)


def ask(rom: Programs, what: str, answers: list[bytes], burst: int = 64) -> tuple[int, int]:
    """Return the driver's result and the lowest security version it read."""
    frames = b"".join(struct.pack(">I", len(each)) + each for each in answers)
    done = rom.run("devices", what, str(burst), data=frames)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    result, lowest = done.stdout.split()
    return int(result), int(lowest)


@pytest.mark.parametrize("burst", [1, 3, 64, 4096])
@pytest.mark.parametrize(
    ("bits", "lowest"), [(0, 0), (1, 1), (0b111, 3), (0b100, 3), (1 << 63, 64), (2**64 - 1, 64)]
)
def test_lowest_version_follows_the_highest_bit(
    rom: Programs, bits: int, lowest: int, burst: int
) -> None:
    assert ask(rom, "lowest", [found(WRITTEN), value(bits)], burst) == (0, lowest)


def test_index_that_is_not_there_or_was_never_written_refuses_nothing(rom: Programs) -> None:
    assert ask(rom, "lowest", [answer(code=0x18B)]) == (0, 0)
    assert ask(rom, "lowest", [found(PUBLIC)]) == (0, 0)


OTHERS: Final = {
    "another index": b"\x01\x50\x0b\x00" + WRITTEN[4:],
    "another name algorithm": WRITTEN[:5] + b"\x0c" + WRITTEN[6:],
    "a counter": WRITTEN[:9] + b"\x15" + WRITTEN[10:],
    "written by the owner": WRITTEN[:9] + b"\x27" + WRITTEN[10:],
    "deletable": WRITTEN[:8] + b"\x00" + WRITTEN[9:],
    "of the owner hierarchy": bytes([*WRITTEN[:6], WRITTEN[6] & ~0x40, *WRITTEN[7:]]),
    "another policy": WRITTEN[:12] + b"B" + WRITTEN[13:],
    "another size": WRITTEN[:-1] + b"\x10",
}


@pytest.mark.parametrize("kind", OTHERS)
def test_index_of_another_shape_is_not_believed(rom: Programs, kind: str) -> None:
    assert OTHERS[kind] != WRITTEN
    result, lowest = ask(rom, "lowest", [found(OTHERS[kind]), value(0)])
    assert result != 0
    assert lowest == 0


MALFORMED: Final = {
    "nothing": b"",
    "half a header": answer()[:5],
    "shorter than its size": found(WRITTEN)[:-1],
    "longer than its size": found(WRITTEN) + b"\0",
    "a size below a header": struct.pack(">HII", 0x8001, 9, 0),
    "a size of nothing": struct.pack(">HII", 0x8001, 0, 0),
    "a size beyond the buffer": struct.pack(">HII", 0x8001, 129, 0) + bytes(119),
    "the largest size": struct.pack(">HII", 0x8001, 0xFFFFFFFF, 0) + bytes(500),
    "another tag": answer(found(WRITTEN)[10:], tag=0x8002),
    "no body": answer(),
    "a body with an error": answer(b"\0", code=0x18B),
    "an error": answer(code=0x101),
    "a public area of another size": answer(struct.pack(">H", 45) + WRITTEN + NAME),
    "a longer body": answer(struct.pack(">H", 46) + WRITTEN + NAME + b"\0"),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_answer_is_an_error(rom: Programs, kind: str) -> None:
    # A byte at a time: it is asked before each whether there is one.
    result, lowest = ask(rom, "lowest", [MALFORMED[kind], value(0)], burst=1)
    assert result != 0
    assert lowest == 0


VALUES: Final = {
    "an error": answer(code=0x149),
    "a password": answer(code=0x9A2),
    "another size": value(0, size=7),
    "no session": answer(struct.pack(">IHQ", 10, 8, 0), tag=0x8002),
    "the tag of no sessions": answer(value(0)[10:]),
}


@pytest.mark.parametrize("kind", VALUES)
def test_value_that_cannot_be_read_is_an_error(rom: Programs, kind: str) -> None:
    result, lowest = ask(rom, "lowest", [found(WRITTEN), VALUES[kind]])
    assert result != 0
    assert lowest == 0


def test_tpm_that_is_never_ready_ends_the_wait(rom: Programs) -> None:
    assert ask(rom, "startup", [], burst=0)[0] != 0


def test_startup_takes_a_tpm_that_was_started(rom: Programs) -> None:
    assert ask(rom, "startup", [answer()]) == (0, UNTOUCHED)
    assert ask(rom, "startup", [answer(code=0x100)]) == (0, UNTOUCHED)
    assert ask(rom, "startup", [answer(code=0x101)])[0] != 0


def test_extend_fails_unless_the_tpm_says_that_it_did(rom: Programs) -> None:
    good = answer(bytes(4) + bytes.fromhex("0000010000"), tag=0x8002)
    assert ask(rom, "extend", [good])[0] == 0
    assert ask(rom, "extend", [answer(code=0x12F)])[0] != 0
    assert ask(rom, "extend", [good[:-1]], burst=1)[0] != 0


def disk(rom: Programs, version: int = 1, status: int = 0, *, silent: bool = False) -> str:
    done = rom.run("devices", "disk", str(version), str(status), str(int(silent)))
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode().strip()


@pytest.mark.parametrize("version", [1, 2])
def test_disk_is_read_behind_both_kinds_of_transport(rom: Programs, version: int) -> None:
    assert disk(rom, version) == "0 7"


def test_disk_that_fails_or_is_silent_is_an_error(rom: Programs) -> None:
    assert disk(rom, status=1).startswith("-")
    assert disk(rom, status=0xFF).startswith("-")
    assert disk(rom, silent=True).startswith("-")
    assert disk(rom, version=3).startswith("-")


@pytest.mark.timeout(FUZZ_SECONDS + 300)
@pytest.mark.parametrize("program", ["fuzz-devices", "fuzz-fip"])
def test_rom_survives_the_fuzzer(rom: Programs, tmp_path: Path, program: str) -> None:
    """A smoke test; `BOOTSEAL_FUZZ_SECONDS=600` makes a campaign of it, `-s` shows the figures."""
    from tests.rom.test_rom_fip import genuine  # noqa: PLC0415 - signs when it is called
    from tests.unit.firmware import fips  # noqa: PLC0415

    seeds = tmp_path / "seeds"
    seeds.mkdir()
    for number, data in enumerate((found(WRITTEN) + value(5), answer(code=0x18B), bytes(64))):
        (seeds / f"device-{number}").write_bytes(bytes([2]) + data)
    if program == "fuzz-fip":
        (seeds / "fip").write_bytes(b"\0" + genuine())
        for name, data in fips.images(genuine()).items():
            (seeds / name).write_bytes(b"\1" + data)
    limits = [f"-max_total_time={FUZZ_SECONDS}", "-max_len=16384", "-timeout=10", "-seed=1"]
    done = subprocess.run(
        [rom.directory / program, *limits, "-print_final_stats=1", seeds],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=FUZZ_SECONDS + 120,
    )
    said = done.stderr.decode(errors="replace")
    print(said[said.find("stat::number") :])  # noqa: T201 - the figures of a campaign
    assert done.returncode == 0, said[-4000:]
