# SPDX-License-Identifier: MIT
from __future__ import annotations

import hashlib

import pytest

from bootseal.errors import FormatError
from bootseal.formats.tpm import eventlog
from bootseal.formats.tpm.eventlog import Event, EventLog, EventType
from bootseal.measure import pcr_values
from bootseal.measure.approved import CAPPED

BANKS = ("sha1", "sha256")
USED = bytes(31) + b"\7"


def measured(pcr: int, data: bytes) -> Event:
    digests = {bank: hashlib.new(bank, data).digest() for bank in BANKS}
    return Event(pcr=pcr, type=EventType.COMPACT_HASH, digests=digests, data=data)


LOG = EventLog(algorithms=BANKS, events=tuple(measured(pcr, b"%d" % pcr) for pcr in (0, 8, 9)))


def values(bank: str = "sha256", **changed: bytes) -> dict[str, dict[int, bytes]]:
    """Return what a TPM holds after `LOG`, with some PCRs changed (`p8=...`)."""
    size = hashlib.new(bank).digest_size
    found = {pcr: bytes(size) for pcr in range(17)} | dict.fromkeys(range(17, 23), b"\xff" * size)
    found |= eventlog.replay(LOG.events, bank)
    return {bank: found | {int(name[1:]): value for name, value in changed.items()}}


def text(read: dict[str, dict[int, bytes]]) -> bytes:
    """Print values as tpm2_pcrread does."""
    lines = []
    for bank, found in read.items():
        lines.append(f"  {bank}:")
        lines += [f"    {pcr:<2}: 0x{value.hex().upper()}" for pcr, value in found.items()]
    return "\n".join(lines).encode() + b"\n"


@pytest.mark.parametrize("bank", BANKS)
def test_values_of_a_tpm_are_read_as_they_are_printed(bank: str) -> None:
    assert pcr_values.parse(text(values(bank))) == values(bank)


def test_values_of_several_banks_and_an_empty_one_are_read() -> None:
    read = values("sha1") | values("sha256")

    assert pcr_values.parse(text(read) + b"  sha384:\n") == read | {"sha384": {}}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "there are no PCR values"),
        (b"  sha256:\n", "there are no PCR values"),
        (b"0 : 0x" + b"00" * 32, "line 1: '0 : 0x"),
        (b"sha256:\n  0 : 0x" + b"0" * 63, "line 2: '0 : 0x"),
        (b"sha256:\n  0 : 0x" + b"00" * 20, "line 2: 20 bytes: a value of sha256 has 32"),
        (b"sha256:\n" + (b"  0 : 0x" + b"00" * 32 + b"\n") * 2, "line 3: PCR 0 is listed twice"),
        (b"sha256:\n  24: 0x" + b"00" * 32, "PCR 24 is listed twice, or does not exist in a TPM"),
        (b"sha256:\n  0 : 0x" + b"00" * 32 + b"\nsha256:\n", "line 3: 'sha256:'"),
        (b"\x7fELF\0\xff", "line 1"),
        (b" " * 65537, "expected at most 65536"),
    ],
    ids=[
        "empty",
        "no value",
        "no bank",
        "half a byte",
        "short",
        "twice",
        "PCR 24",
        "bank twice",
        "ELF",
        "long",
    ],
)
def test_text_that_tpm2_pcrread_does_not_print_is_malformed(data: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        pcr_values.parse(data)


@pytest.mark.parametrize("bank", BANKS)
def test_log_adds_up_to_the_values_of_its_tpm(bank: str) -> None:
    found = pcr_values.compare(LOG, values(bank))

    assert not found.differences
    assert found.compared == {bank: tuple(range(10))}
    assert found.not_logged == {bank: ()}


@pytest.mark.parametrize(
    "pcr", [0, 4, 8, 9], ids=["firmware", "in no entry", "kernel", "initramfs"]
)
def test_another_value_of_a_measured_pcr_is_a_difference(pcr: int) -> None:
    (found,) = pcr_values.compare(LOG, values("sha256", **{f"p{pcr}": USED})).differences

    assert (found.bank, found.pcr, found.read) == ("sha256", pcr, USED)


def test_log_without_the_entries_of_a_pcr_differs() -> None:
    cut = EventLog(algorithms=BANKS, events=LOG.events[:-1])

    (found,) = pcr_values.compare(cut, values()).differences

    assert (found.pcr, found.logged) == (9, bytes(32))


def test_pcrs_of_the_running_system_are_named_and_not_compared() -> None:
    found = pcr_values.compare(LOG, values(p10=USED, p23=bytes(32)))

    assert not found.differences
    assert found.not_logged == {"sha256": (10,)}


def test_capped_pcr_matches_and_is_named_and_anything_else_is_not() -> None:
    logged = eventlog.replay(LOG.events)[9]
    capped = hashlib.sha256(logged + bytes.fromhex(CAPPED.digests["sha256"])).digest()

    found = pcr_values.compare(LOG, values(p9=capped), [CAPPED])
    assert not found.differences
    assert found.extended == {"sha256": (9,)}

    twice = hashlib.sha256(capped + bytes.fromhex(CAPPED.digests["sha256"])).digest()
    assert pcr_values.compare(LOG, values(p9=twice), [CAPPED]).differences
    assert pcr_values.compare(LOG, values(p9=capped)).differences


def test_value_that_was_not_read_is_named() -> None:
    read = values()
    del read["sha256"][8]

    assert pcr_values.compare(LOG, read).not_read == {"sha256": (8,)}


def test_log_and_values_without_a_common_bank_are_refused() -> None:
    with pytest.raises(FormatError, match="the PCR values sha384: expected one in both"):
        pcr_values.compare(LOG, {"sha384": {0: bytes(48)}})
