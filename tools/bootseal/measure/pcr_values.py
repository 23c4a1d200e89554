# SPDX-License-Identifier: MIT
"""PCR values as `tpm2_pcrread` prints them, and what an event log says about them.

The text is a bank's name and a colon, then a line for each PCR: its number, a colon, the value in
hexadecimal. The values are a file from the device like the log: only a quote is signed.

Spec: tpm2_pcrread(1) and tpm2_eventlog(1) of tpm2-tools 5; TCG PC Client Platform Firmware Profile
1.05, section 3.3.4 (which PCRs the firmware measures into).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError
from bootseal.formats.tpm import eventlog
from bootseal.formats.tpm.policy import PCR_COUNT

if TYPE_CHECKING:
    from bootseal.formats.tpm.eventlog import EventLog
    from bootseal.measure.approved import Extension

MAX_SIZE: Final = 1 << 16
"""Bytes of the longest text that is read; 24 PCRs in five banks have 12,000."""

FIRMWARE: Final = range(10)
"""The PCRs that only firmware and its boot loader extend; without an entry they are at zero."""

_BANK: Final = re.compile(r"\s*([a-z][a-z0-9_]{2,15})\s*:\s*")
_VALUE: Final = re.compile(r"\s*([0-9]{1,2})\s*:\s*(?:0x)?((?:[0-9A-Fa-f]{2}){20,64})\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class PcrDifference:
    """A PCR that does not hold what the log leaves in it.

    Attributes:
        bank: The bank.
        pcr: Index of the PCR.
        read: What the TPM holds.
        logged: What the log leaves in it.
    """

    bank: str
    pcr: int
    read: bytes
    logged: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PcrComparison:
    """A log compared with the PCRs of a TPM.

    Attributes:
        compared: The PCRs that were compared, by bank.
        differences: Those that differ.
        extended: The PCRs that hold what the running system makes of the logged value, by bank.
        not_logged: PCRs from 10 on that hold something and have no entry in the log, by bank: the
            running system extends them.
        not_read: The PCRs of the log whose value is not among those that were read, by bank.
    """

    compared: dict[str, tuple[int, ...]] = field(default_factory=dict)
    differences: list[PcrDifference] = field(default_factory=list)
    extended: dict[str, tuple[int, ...]] = field(default_factory=dict)
    not_logged: dict[str, tuple[int, ...]] = field(default_factory=dict)
    not_read: dict[str, tuple[int, ...]] = field(default_factory=dict)


def parse(data: bytes) -> dict[str, dict[int, bytes]]:
    """Read PCR values, by bank and index.

    Raises:
        FormatError: A line is neither a bank nor a value, a value has not the size of its bank, a
            PCR is there twice, or there is no value at all.
    """
    if len(data) > MAX_SIZE:
        raise FormatError(f"the PCR values have {len(data)} bytes: expected at most {MAX_SIZE}")
    found: dict[str, dict[int, bytes]] = {}
    bank = ""
    for number, line in enumerate(data.decode("ascii", errors="replace").splitlines(), start=1):
        if (value := _VALUE.fullmatch(line)) is not None and bank:
            _add(found[bank], bank, number, int(value[1]), bytes.fromhex(value[2]))
        elif (name := _BANK.fullmatch(line)) is not None and name[1] not in found:
            bank = name[1]
            found[bank] = {}
        elif line.strip():
            raise FormatError(
                f"PCR values, line {number}: {line.strip()[:60]!r}: expected a bank such as "
                "'sha256:', or '8 : 0x...' below one",
                hint="tpm2_pcrread sha256 >FILE, on the device",
            )
    if not any(found.values()):
        raise FormatError(
            "there are no PCR values", hint="tpm2_pcrread sha256 >FILE, on the device"
        )
    return found


def _add(values: dict[int, bytes], bank: str, line: int, pcr: int, value: bytes) -> None:
    if pcr >= PCR_COUNT or pcr in values:
        raise FormatError(
            f"PCR values, line {line}: PCR {pcr} is listed twice, or does not exist in a TPM"
        )
    if bank in eventlog.BANKS and len(value) != hashlib.new(bank).digest_size:
        raise FormatError(
            f"PCR values, line {line}: {len(value)} bytes: a value of {bank} has "
            f"{hashlib.new(bank).digest_size}"
        )
    values[pcr] = value


def compare(
    log: EventLog, read: Mapping[str, Mapping[int, bytes]], runtime: Sequence[Extension] = ()
) -> PcrComparison:
    """Compare what a log leaves in the PCRs with what a TPM holds.

    Args:
        log: The log.
        read: Values by bank and index.
        runtime: What the running system may have extended PCRs with, for the banks it names.

    Raises:
        FormatError: The log cannot be replayed, or no bank is in both.
    """
    banks = [bank for bank in log.algorithms if read.get(bank)]
    if not banks:
        raise FormatError(
            f"the event log has the banks {', '.join(log.algorithms) or 'none'}, the PCR values "
            f"{', '.join(bank for bank in read if read[bank])}: expected one in both",
            hint=f"tpm2_pcrread {'+'.join(log.algorithms) or 'sha256'} >FILE, on the device",
        )
    found = PcrComparison()
    for bank in banks:
        _compare_bank(found, bank, log, read[bank], runtime)
    return found


def _compare_bank(
    found: PcrComparison,
    bank: str,
    log: EventLog,
    read: Mapping[int, bytes],
    runtime: Sequence[Extension],
) -> None:
    logged = eventlog.replay(log.events, bank)
    after = dict(logged)
    for extension in (one for one in runtime if bank in one.digests):
        digest = bytes.fromhex(extension.digests[bank])
        old = after.get(extension.pcr, bytes(len(digest)))
        after[extension.pcr] = hashlib.new(bank, old + digest).digest()
    compared = tuple(pcr for pcr in sorted(read) if pcr in logged or pcr in FIRMWARE)
    left = {pcr: logged.get(pcr, bytes(len(read[pcr]))) for pcr in compared}
    other = [pcr for pcr in compared if read[pcr] != left[pcr]]
    found.compared[bank] = compared
    found.differences.extend(
        PcrDifference(bank=bank, pcr=pcr, read=read[pcr], logged=left[pcr])
        for pcr in other
        if read[pcr] != after.get(pcr)
    )
    found.extended[bank] = tuple(pcr for pcr in other if read[pcr] == after.get(pcr))
    found.not_logged[bank] = tuple(
        pcr for pcr in sorted(read) if pcr not in compared and _used(read[pcr])
    )
    found.not_read[bank] = tuple(pcr for pcr in sorted(logged) if pcr not in read)


def _used(value: bytes) -> bool:
    """Tell whether a PCR was extended: 17 to 22 start with all bits set."""
    return value.strip(b"\0") != b"" and value.strip(b"\xff") != b""
