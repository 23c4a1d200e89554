# SPDX-License-Identifier: MIT
"""Compare what a running device reports about itself with what was built."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bootseal import state
from bootseal.errors import FormatError
from bootseal.findings.catalogue import finding
from bootseal.formats.tpm import eventlog
from bootseal.formats.tpm.eventlog import Event
from bootseal.measure.explain import Match, compare
from bootseal.measure.predict import CAP

if TYPE_CHECKING:
    from bootseal.boot.scenario.device_status import DataStatus, Mount, RootStatus, Status
    from bootseal.device import Device, Slot
    from bootseal.findings.model import Finding

CAPPED_PCR: Final = "9"

_ROOT_HASH_FIELD: Final = 11  # of `start length verity version data hash bs hbs blocks hstart alg`
_DM_TARGET_FIELD: Final = 2
_SHOWN: Final = 4  # one exchanged entry is two: the unexpected and the missing one
_TOKEN: Final = "systemd-tpm2"  # noqa: S105 - the type of a LUKS2 token
# Encrypted is not authentic: nothing on /data is run, is a device or leads elsewhere.
_DATA_OPTIONS: Final = ("rw", "nosuid", "nodev", "noexec", "nosymfollow")
_LOCKED: Final = ("integrity", "confidentiality")
# Kernel interfaces and memory; everything else that is writable keeps what is written to it.
_VOLATILE: Final = frozenset(
    {"autofs", "bpf", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "fusectl"}
    | {"hugetlbfs", "mqueue", "proc", "pstore", "ramfs", "securityfs", "sysfs", "tmpfs", "tracefs"}
)


def check(status: Status, device: Device) -> list[Finding]:
    """Return everything that differs from a fully proven system; nothing means proven.

    Args:
        status: What the device reports.
        device: What was built.
    """
    slot = next((s for s in device.slots if s.name == status.slot), None)
    if slot is None:
        known = ", ".join(s.name for s in device.slots)
        found = [finding("slot.unknown", "slot", f"runs from slot {status.slot!r}: built: {known}")]
    else:
        found = [*_root(status.root, slot), *_pcrs(status, slot)]
    found += _data(status.data, status.mounts)
    found += _mounts(status.mounts)
    found += _state(status)
    found += _system(status, device)
    return found


def capped(pcr: str) -> str:
    """Return the value that a PCR (lower-case hex) has after it was capped.

    PCR extend, TPM 2.0 Library part 1, 17.
    """
    return hashlib.sha256(bytes.fromhex(pcr) + CAP).hexdigest()


def _root(root: RootStatus, slot: Slot) -> Iterator[Finding]:
    if root.hash != slot.root_hash:
        yield finding("root.hash", "root", f"root hash {root.hash}: built {slot.root_hash}")
    if root.mount != "/":
        yield finding("root.mount", "root", f"mounted on {root.mount!r}: expected '/'")
    if "ro" not in root.options:
        yield finding("root.read-only", "root", f"mounted {','.join(root.options)}: expected ro")
    fields = root.table.split()
    if len(fields) <= _ROOT_HASH_FIELD or fields[_DM_TARGET_FIELD] != "verity":
        yield finding("root.verity", "root", f"not on dm-verity: table is {root.table!r}")
        return
    if fields[_ROOT_HASH_FIELD] != slot.root_hash:
        message = f"dm-verity checks against {fields[_ROOT_HASH_FIELD]}: built {slot.root_hash}"
        yield finding("root.verity", "root", message)
    if "restart_on_corruption" not in fields[_ROOT_HASH_FIELD + 1 :]:
        message = "dm-verity does not restart the device on corruption"
        yield finding("root.corruption-mode", "root", f"{message}: table is {root.table!r}")


def _pcrs(status: Status, slot: Slot) -> Iterator[Finding]:
    for pcr, predicted in slot.pcrs.items():
        expected = capped(predicted) if pcr == CAPPED_PCR else predicted
        read = status.pcrs.get(pcr, "nothing")
        if read != expected:
            yield finding(f"pcr.{pcr}", f"PCR {pcr}", f"reads {read}: predicted {expected}")
    if not status.event_log_size:
        yield finding("event-log.missing", "TPM", "the kernel has no event log of the firmware")
    elif slot.events:
        yield from _event_log(status.event_log, slot)


def _event_log(log: bytes, slot: Slot) -> Iterator[Finding]:
    """Compare the firmware's log with the predicted one, entry for entry."""
    try:
        found = eventlog.parse(log)
    except FormatError as error:
        yield finding("event-log.malformed", "TPM", error.message)
        return
    expected = [
        Event(
            pcr=entry.pcr,
            type=entry.type,
            digests={"sha256": bytes.fromhex(entry.sha256)},
            data=bytes.fromhex(entry.data),
        )
        for entry in slot.events
    ]
    wrong = [e for e in compare(found.events, expected) if e.match is not Match.MATCHING]
    if wrong:
        said = "; ".join(f"{e.match} in PCR {e.event.pcr}: {e.meaning}" for e in wrong[:_SHOWN])
        message = f"{len(wrong)} entries are not as predicted: {said}"
        yield finding("event-log.differs", "TPM", message)


def _data(data: DataStatus, mounts: tuple[Mount, ...]) -> Iterator[Finding]:
    if data.state != "open":
        yield finding("data.closed", "data", f"data is {data.state}: {data.reason or 'no reason'}")
        return
    fields = data.table.split()
    if len(fields) <= _DM_TARGET_FIELD or fields[_DM_TARGET_FIELD] != "crypt":
        yield finding("data.crypt", "data", f"not on dm-crypt: table is {data.table!r}")
    if data.token != _TOKEN or data.keyslot < 0:
        message = f"token {data.token!r} in key slot {data.keyslot}: expected {_TOKEN}"
        yield finding("data.token", "data", message)
    on_data = [m for m in mounts if m.target == "/data"]
    sources = [m.source for m in on_data]
    if sources != ["/dev/mapper/data"] or not set(_DATA_OPTIONS) <= set(on_data[0].options):
        said = "; ".join(f"{m.source} {','.join(m.options)}" for m in on_data) or "nothing"
        message = f"/data is {said}: expected /dev/mapper/data {','.join(_DATA_OPTIONS)}"
        yield finding("data.mount", "data", message)


def _mounts(mounts: tuple[Mount, ...]) -> Iterator[Finding]:
    for mount in mounts:
        writable = "rw" in mount.options and mount.type not in _VOLATILE
        if writable and mount.source != "/dev/mapper/data":
            message = f"{mount.source} ({mount.type}) is writable: only /dev/mapper/data may be"
            yield finding("mount.writable", mount.target, message)
        elif mount.source == "/dev/mapper/data" and mount.target != "/data":
            yield from _kept_place(mount)


def _kept_place(mount: Mount) -> Iterator[Finding]:
    """Yield what is wrong with a place that a part of the data partition is mounted on."""
    # What applications keep is theirs, and nothing of a product is declared there.
    why = "" if mount.target == state.APPLICATIONS else state.refusal(mount.target)
    if why:
        yield finding("state.mount", mount.target, f"is on the data partition: {why}")
    elif missing := sorted(set(_DATA_OPTIONS) - set(mount.options)):
        message = f"is mounted from the data partition without {', '.join(missing)}"
        yield finding("state.mount", mount.target, message)


def _state(status: Status) -> Iterator[Finding]:
    """Yield what the product declares as state, and what is not kept although the data is open."""
    if status.state is None or status.data.state != "open":
        return
    kept = {mount.target for mount in status.mounts if mount.source == "/dev/mapper/data"}
    for place, where in status.state.items():
        if where != "kept":
            yield finding("state.volatile", place, "is in memory, although the data is open")
        elif place != state.MACHINE_ID and place not in kept:
            yield finding("state.mount", place, "is said to be kept, and nothing is mounted there")


def _system(status: Status, device: Device) -> Iterator[Finding]:
    if status.lockdown not in _LOCKED:
        message = f"kernel lockdown is {status.lockdown or 'absent'}: expected integrity"
        yield finding("lockdown.off", "kernel", message)
    if status.login and not device.login:
        yield finding("login.unexpected", "login", "offers a root shell: built without one")
