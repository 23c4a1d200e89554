# SPDX-License-Identifier: MIT
"""The status line: read strictly, and every way it can differ from what was built."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import event_logs

from bootseal.boot.scenario import device_findings, device_status
from bootseal.device import Device, PredictedEvent, Qemu, Slot
from bootseal.errors import FormatError
from bootseal.formats.tpm import eventlog
from bootseal.formats.tpm.eventlog import Event, EventLog
from bootseal.measure.predict import CAP
from bootseal.state import APPLICATIONS

ROOT_HASH = "7e" * 32
PCRS = {"1": "11" * 32, "8": "88" * 32, "9": "99" * 32}
CAPPED_9 = hashlib.sha256(bytes.fromhex(PCRS["9"]) + hashlib.sha256(b"capped").digest()).hexdigest()
VERITY = (
    f"0 156752 verity 1 254:4 254:5 4096 4096 19594 1 sha256 {ROOT_HASH} {'63' * 32}"
    " 1 restart_on_corruption"
)
EVENTS = eventlog.bootm_events(
    kernel=b"k", ramdisk=b"r", fdt=bytes.fromhex("d00dfeed 00000030") + bytes(40), version=b"U-Boot"
)


DATA_OPTIONS = ["rw", "nosuid", "nodev", "noexec", "nosymfollow"]
DATA_MOUNT = {"target": "/data", "source": "/dev/mapper/data", "type": "ext4"}


def log_of(events: tuple[Event, ...]) -> str:
    log = event_logs.emit(EventLog(algorithms=("sha256",), events=events))
    return base64.b64encode(log).decode()


DEVICE = Device(
    name="test",
    profile="dev",
    login=True,
    epoch=0,
    qemu=Qemu(system="qemu", machine="virt", cpu="max", cpus=1, memory=128),
    artefacts={},
    partitions=(),
    slots=tuple(
        Slot.named(
            name,
            root_hash=ROOT_HASH,
            pcrs=PCRS,
            events=tuple(
                PredictedEvent(
                    pcr=event.pcr,
                    type=event.type,
                    sha256=event.digests["sha256"].hex(),
                    data=event.data.hex(),
                )
                for event in EVENTS
            ),
        )
        for name in "ab"
    ),
    keys={},
)


def document(**changes: object) -> dict[str, object]:
    """Return the status of a proven system; a change is named with `__` between its members."""
    good: dict[str, object] = {
        "schema": "bootseal.status/1",
        "slot": "a",
        "root": {
            "hash": ROOT_HASH,
            "device": "/dev/mapper/root",
            "mount": "/",
            "type": "erofs",
            "options": ["ro", "nodev"],
            "table": VERITY,
        },
        "data": {
            "state": "open",
            "reason": "",
            "created": False,
            "boots": 2,
            "keyslot": 0,
            "token": "systemd-tpm2",
            "table": "0 1109976 crypt aes-xts-plain64 :64:logon:x 0 254:8 32768",
        },
        "pcrs": {**PCRS, "9": CAPPED_9},
        "event_log_size": 825,
        "event_log": log_of(EVENTS),
        "lockdown": "integrity",
        "kernel": "6.12.117",
        "login": True,
        "mounts": [
            {"target": "/", "source": "/dev/mapper/root", "type": "erofs", "options": ["ro"]},
            {**DATA_MOUNT, "options": DATA_OPTIONS},
            {"target": "/tmp", "source": "tmpfs", "type": "tmpfs", "options": ["rw"]},  # noqa: S108
        ],
        "partitions": [
            {"number": 1, "name": "boot-a", "type": "t", "uuid": "u", "offset": 1, "size": 2}
        ],
    }
    for name, value in changes.items():
        *path, last = name.split("__")
        place: object = good
        for member in path:
            assert isinstance(place, dict)
            place = place[member]
        assert isinstance(place, dict)
        place[last] = value
    return good


def findings(**changes: object) -> list[str]:
    return [f.id for f in device_findings.check(device_status.load(document(**changes)), DEVICE)]


def test_check_proven_system_has_no_findings() -> None:
    assert findings() == []


def test_check_other_slot_is_as_good() -> None:
    assert findings(slot="b") == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"slot": "c"}, ["slot.unknown"], id="slot"),
        pytest.param({"root__hash": "00" * 32}, ["root.hash"], id="root-hash"),
        pytest.param({"root__mount": "/mnt"}, ["root.mount"], id="root-elsewhere"),
        pytest.param({"root__options": ["rw"]}, ["root.read-only"], id="root-writable"),
        pytest.param(
            {"root__table": VERITY.replace("verity", "linear")}, ["root.verity"], id="no-verity"
        ),
        pytest.param({"root__table": ""}, ["root.verity"], id="no-table"),
        pytest.param(
            {"root__table": VERITY.replace(ROOT_HASH, "00" * 32)}, ["root.verity"], id="other-tree"
        ),
        pytest.param(
            {"root__table": VERITY.replace("1 restart_on_corruption", "1 ignore_corruption")},
            ["root.corruption-mode"],
            id="corruption-ignored",
        ),
        pytest.param({"data__state": "closed"}, ["data.closed"], id="data-closed"),
        pytest.param({"data__table": "0 1 linear 8:1 0"}, ["data.crypt"], id="data-plain"),
        pytest.param({"data__token": ""}, ["data.token"], id="data-no-token"),
        pytest.param({"data__keyslot": -1}, ["data.token"], id="data-no-key-slot"),
        pytest.param({"mounts": []}, ["data.mount"], id="data-not-mounted"),
        pytest.param({"pcrs__1": "00" * 32}, ["pcr.1"], id="pcr-1"),
        pytest.param({"pcrs__8": "00" * 32}, ["pcr.8"], id="pcr-8"),
        pytest.param({"pcrs__9": PCRS["9"]}, ["pcr.9"], id="pcr-9-not-capped"),
        pytest.param({"pcrs": {}}, ["pcr.1", "pcr.8", "pcr.9"], id="no-tpm"),
        pytest.param({"event_log_size": 0}, ["event-log.missing"], id="no-event-log"),
        pytest.param({"event_log": ""}, ["event-log.malformed"], id="log-malformed"),
        pytest.param({"event_log": log_of(EVENTS[1:])}, ["event-log.differs"], id="log-short"),
        pytest.param(
            {"event_log": log_of((*EVENTS, EVENTS[0]))}, ["event-log.differs"], id="log-long"
        ),
        pytest.param(
            {"event_log": log_of((EVENTS[1], EVENTS[0], *EVENTS[2:]))},
            ["event-log.differs"],
            id="log-order",
        ),
        pytest.param(
            {"event_log": log_of((dataclasses.replace(EVENTS[0], data=b"other"), *EVENTS[1:]))},
            ["event-log.differs"],
            id="log-data",
        ),
        pytest.param({"lockdown": "none"}, ["lockdown.off"], id="lockdown"),
    ],
)
def test_check_difference_is_found(changes: dict[str, object], expected: list[str]) -> None:
    assert findings(**changes) == expected


def test_check_writable_foreign_file_system_is_found() -> None:
    good = document()["mounts"]
    assert isinstance(good, list)
    usb = {"target": "/mnt", "source": "/dev/vdb1", "type": "ext4", "options": ["rw"]}
    assert findings(mounts=[*good, usb]) == ["mount.writable"]


@pytest.mark.parametrize("option", DATA_OPTIONS)
def test_check_data_mounted_with_an_option_less_is_found(option: str) -> None:
    root = {"target": "/", "source": "/dev/mapper/root", "type": "erofs", "options": ["ro"]}
    options = [o for o in DATA_OPTIONS if o != option]
    assert findings(mounts=[root, {**DATA_MOUNT, "options": options}]) == ["data.mount"]


PLACE = "/var/lib/product"


def with_state(where: str = "kept", target: str = PLACE, without: str = "") -> dict[str, object]:
    """Return changes of a status: a device that keeps a directory and its machine id."""
    mounts = document()["mounts"]
    assert isinstance(mounts, list)
    options = [o for o in DATA_OPTIONS if o != without]
    kept = {**DATA_MOUNT, "target": target, "options": options}
    state = {"/etc/machine-id": "kept", PLACE: where}
    return {"state": state, "mounts": [*mounts, *([kept] if target else [])]}


def test_check_state_that_is_kept_has_no_findings() -> None:
    assert findings(**with_state()) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(with_state("volatile", ""), ["state.volatile"], id="in-memory"),
        pytest.param(with_state(target=""), ["state.mount"], id="not-mounted"),
        pytest.param(
            with_state(target="/usr/lib"), ["state.mount", "state.mount"], id="somewhere-else"
        ),
        *(
            pytest.param(with_state(without=o), ["state.mount"], id=f"without-{o}")
            for o in ("nosuid", "nodev", "noexec", "nosymfollow")
        ),
        pytest.param(
            {**with_state("volatile", ""), "data__state": "closed"}, ["data.closed"], id="closed"
        ),
    ],
)
def test_check_state_that_is_not_kept_is_found(
    changes: dict[str, object], expected: list[str]
) -> None:
    assert findings(**changes) == expected


@pytest.mark.parametrize(("without", "expected"), [("", []), ("noexec", ["state.mount"])])
def test_check_what_applications_keep_is_mounted_as_the_data_is(
    without: str, expected: list[str]
) -> None:
    changes = with_state(target=APPLICATIONS, without=without)
    assert findings(mounts=changes["mounts"]) == expected


def test_check_login_of_a_production_device_is_found() -> None:
    production = {name: getattr(DEVICE, name) for name in DEVICE.__dataclass_fields__}
    found = device_findings.check(
        device_status.load(document()), Device(**{**production, "login": False})
    )
    assert [f.id for f in found] == ["login.unexpected"]


def test_check_says_which_entries_of_the_log_differ() -> None:
    other = dataclasses.replace(EVENTS[1], digests={"sha256": bytes(32)})
    log = log_of((EVENTS[0], other, *EVENTS[2:]))

    (found,) = device_findings.check(device_status.load(document(event_log=log)), DEVICE)

    assert found.message.startswith("2 entries are not as predicted: unexpected in PCR 8: ")
    assert "missing in PCR 8: the kernel" in found.message


def test_capped_matches_the_constant_of_the_unit() -> None:
    # bootseal-cap.service extends with this value.
    assert CAP.hex() == "5a194219907fbbede83523b4776c99480377fbf87850563dbd611781ee69faaa"


def test_status_of_a_proven_system_is_read() -> None:
    read = device_status.load(device_status.parse(json.dumps(document()).encode()))
    assert (read.slot, read.data.boots, read.partitions[0].size) == ("a", 2, 2)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"schema": "bootseal.status/2"}, id="schema"),
        pytest.param({"slot": 1}, id="number-for-text"),
        pytest.param({"extra": 1}, id="unknown-member"),
        pytest.param({"root__extra": 1}, id="unknown-inner-member"),
        pytest.param({"root": []}, id="list-for-object"),
        pytest.param({"root__options": [1]}, id="numbers-for-texts"),
        pytest.param({"data__boots": True}, id="flag-for-number"),
        pytest.param({"data__created": "false"}, id="text-for-flag"),
        pytest.param({"mounts": {}}, id="object-for-list"),
        pytest.param({"event_log": "not base64"}, id="no-base64"),
    ],
)
def test_status_malformed_document_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        device_status.load(document(**changes))


def test_status_missing_member_is_named() -> None:
    short = document()
    del short["lockdown"]
    with pytest.raises(FormatError, match="lacks 'lockdown'"):
        device_status.load(short)


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"\xff", b"[" * 100_000], ids=str)
def test_status_line_that_is_no_object_is_refused(line: bytes) -> None:
    with pytest.raises(FormatError):
        device_status.parse(line)


@given(st.binary(max_size=100))
def test_status_any_bytes_are_read_or_refused(line: bytes) -> None:
    with contextlib.suppress(FormatError):
        device_status.load(device_status.parse(line))
