# SPDX-License-Identifier: MIT
"""What a running device says of itself: the document `bootseal.status/1`, strictly read.

`bootseal-status` on the device prints it as one line; every value is read from the kernel. It
comes from the device, so it is input like any other: bounded, typed, and nothing unknown.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Final, NoReturn

from bootseal.errors import FormatError

SCHEMA: Final = "bootseal.status/1"
_WHERE: Final = "status"


@dataclass(frozen=True, slots=True, kw_only=True)
class RootStatus:
    """The root file system: `table` is the device-mapper table line, `hash` its root hash."""

    hash: str
    device: str
    mount: str
    type: str
    options: tuple[str, ...]
    table: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataStatus:
    """The data partition.

    Attributes:
        state: `open` or `closed`.
        reason: Why it is closed, in the words of the system; "" when open.
        created: Whether it was made in this boot.
        boots: How many boots its own counter has seen, this one included.
        keyslot: LUKS2 key slot of the TPM token, -1 when there is none.
        token: Type of the LUKS2 token.
        table: Its device-mapper table line, "" when closed.
    """

    state: str
    reason: str
    created: bool
    boots: int
    keyslot: int
    token: str
    table: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One line of /proc/self/mounts."""

    target: str
    source: str
    type: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskPartition:
    """A partition as the kernel sees it; `start` and `size` in bytes."""

    number: int
    name: str
    type: str
    uuid: str
    start: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The whole document.

    Attributes:
        schema: Always `bootseal.status/1`.
        slot: Slot on the kernel command line.
        root: The root file system.
        data: The data partition.
        pcrs: SHA-256 PCR values by index, lower-case hex.
        event_log_size: Bytes of the TCG event log, 0 when there is none.
        event_log: The log itself.
        lockdown: Kernel lockdown level in force: `none`, `integrity` or `confidentiality`.
        kernel: Kernel release.
        login: Whether the image offers a root shell.
        mounts: Everything mounted.
        partitions: The disk's partitions.
    """

    schema: str
    slot: str
    root: RootStatus
    data: DataStatus
    pcrs: dict[str, str]
    event_log_size: int
    event_log: bytes
    lockdown: str
    kernel: str
    login: bool
    mounts: tuple[Mount, ...]
    partitions: tuple[DiskPartition, ...]


def parse(line: bytes) -> dict[str, object]:
    """Read the status line as a JSON object.

    Raises:
        FormatError: It is not one.
    """
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"the status line is not JSON: {error}: {line[:80]!r}") from error
    return _Object(document, _WHERE).members()


def load(document: dict[str, object]) -> Status:
    """Turn the document into its model.

    Raises:
        FormatError: It is not a valid `bootseal.status/1` document.
    """
    top = _Object(document, _WHERE)
    schema = top.text("schema")
    if schema != SCHEMA:
        raise FormatError(f"the status line has schema {schema!r}: expected {SCHEMA!r}")
    pcrs = top.part("pcrs")
    status = Status(
        schema=schema,
        slot=top.text("slot"),
        root=_root(top.part("root")),
        data=_data(top.part("data")),
        pcrs={name: pcrs.text(name) for name in pcrs.members()},
        event_log_size=top.number("event_log_size"),
        event_log=top.base64("event_log"),
        lockdown=top.text("lockdown"),
        kernel=top.text("kernel"),
        login=top.flag("login"),
        mounts=tuple(_mount(o) for o in top.parts("mounts")),
        partitions=tuple(_partition(o) for o in top.parts("partitions")),
    )
    top.done()
    return status


def _root(value: _Object) -> RootStatus:
    found = RootStatus(
        hash=value.text("hash"),
        device=value.text("device"),
        mount=value.text("mount"),
        type=value.text("type"),
        options=value.texts("options"),
        table=value.text("table"),
    )
    value.done()
    return found


def _data(value: _Object) -> DataStatus:
    found = DataStatus(
        state=value.text("state"),
        reason=value.text("reason"),
        created=value.flag("created"),
        boots=value.number("boots"),
        keyslot=value.number("keyslot"),
        token=value.text("token"),
        table=value.text("table"),
    )
    value.done()
    return found


def _mount(value: _Object) -> Mount:
    found = Mount(
        target=value.text("target"),
        source=value.text("source"),
        type=value.text("type"),
        options=value.texts("options"),
    )
    value.done()
    return found


def _partition(value: _Object) -> DiskPartition:
    found = DiskPartition(
        number=value.number("number"),
        name=value.text("name"),
        type=value.text("type"),
        uuid=value.text("uuid"),
        start=value.number("start"),
        size=value.number("size"),
    )
    value.done()
    return found


class _Object:
    """A JSON object whose members must be asked for by name and type, and all of them."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise FormatError(f"{where} is {value!r:.60}: expected an object")
        self._members: dict[str, object] = value
        self._where = where
        self._asked: set[str] = set()

    def members(self) -> dict[str, object]:
        return dict(self._members)

    def text(self, name: str) -> str:
        value = self._member(name)
        return value if isinstance(value, str) else self._refuse(name, value, "text")

    def base64(self, name: str) -> bytes:
        value = self.text(name)
        try:
            return base64.b64decode(value, validate=True)
        except ValueError:
            return self._refuse(name, value, "base64")

    def number(self, name: str) -> int:
        value = self._member(name)
        # True is an int to Python and not to us.
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        return self._refuse(name, value, "a whole number")

    def flag(self, name: str) -> bool:
        value = self._member(name)
        return value if isinstance(value, bool) else self._refuse(name, value, "true or false")

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._member(name)
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            return self._refuse(name, value, "a list of text")
        return tuple(value)

    def part(self, name: str) -> _Object:
        return _Object(self._member(name), f"{self._where}.{name}")

    def parts(self, name: str) -> list[_Object]:
        value = self._member(name)
        if not isinstance(value, list):
            return self._refuse(name, value, "a list")
        return [_Object(v, f"{self._where}.{name}[{i}]") for i, v in enumerate(value)]

    def done(self) -> None:
        if unknown := self._members.keys() - self._asked:
            raise FormatError(f"{self._where} has unknown members: {', '.join(sorted(unknown))}")

    def _member(self, name: str) -> object:
        self._asked.add(name)
        if name not in self._members:
            raise FormatError(f"{self._where} lacks {name!r}")
        return self._members[name]

    def _refuse(self, name: str, value: object, wanted: str) -> NoReturn:
        raise FormatError(f"{self._where}.{name} is {value!r:.60}: expected {wanted}")
