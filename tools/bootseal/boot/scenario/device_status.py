# SPDX-License-Identifier: MIT
"""What a running device reports about itself: the document `bootseal.status/1`, strictly read.

`bootseal-status` on the device prints it as one line; every value is read from the kernel. It
comes from the device, so it is untrusted like any other input: it is bounded and typed, and unknown
members are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bootseal import documents
from bootseal.device import Partition  # noqa: TC001 - documents.decode reads the annotation

SCHEMA: Final = "bootseal.status/1"
_IDENTITY_SCHEMA: Final = "bootseal.identity-status/1"


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
        created: Whether this boot made it.
        boots: How many boots its own counter has counted, this one included.
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
class IdentityStatus:
    """The key that identifies the device, as `bootseal-identity status` prints it.

    Attributes:
        schema: Always `bootseal.identity-status/1`.
        key: Whether there is one.
        certificate: Serial number of its certificate, lower-case hex; "" when there is none.
        token: Whether this boot made a PKCS#11 token of it.
        reason: Why it did not; "" when it did.
    """

    schema: str = _IDENTITY_SCHEMA
    key: bool
    certificate: str
    token: bool
    reason: str

    def text(self) -> str:
        """Say it in one line.

        >>> IdentityStatus(key=True, certificate="1f", token=True, reason="").text()
        'key, certificate 1f, token'
        """
        what = [
            "key" if self.key else "no key",
            f"certificate {self.certificate}" if self.certificate else "no certificate",
            "token" if self.token else f"no token: {self.reason}",
        ]
        return ", ".join(what)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationStatus:
    """An application that the release allows.

    Attributes:
        name: Its name.
        version: What was checked before it was started; "" when nothing was.
        root_hash: Likewise, lower-case hex.
        state: `running`, `not installed`, `refused: ` or `failed: ` with the reason.
    """

    name: str
    version: str
    root_hash: str
    state: str

    def text(self) -> str:
        """Say it in one line.

        >>> ApplicationStatus(name="hello", version="1.2.0", root_hash="", state="running").text()
        'hello 1.2.0: running'
        """
        return f"{' '.join(filter(None, [self.name, self.version]))}: {self.state}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BootLoadersStatus:
    """The banks of boot loaders.

    Attributes:
        running: The bank that runs, `a` or `b`.
        chosen: The bank that the boot ROM tries first.
        trial: `none`; `next`: the chosen one is tried at the next start; `running`: the other one
            is tried.
        a: SHA-256 of the whole bank, lower-case hex.
        b: Likewise.
        release: Likewise of what the running release brings; "" when it brings none.
    """

    running: str
    chosen: str
    trial: str
    a: str
    b: str
    release: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One line of /proc/self/mounts."""

    target: str
    source: str
    type: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The whole document.

    Attributes:
        schema: Always `bootseal.status/1`.
        slot: Slot on the kernel command line.
        root: The root file system.
        data: The data partition.
        identity: The identity key; None on a device without the program for it.
        state: `kept` or `volatile`, by place that the product keeps on the data partition; None on
            a device that keeps nothing.
        applications: Those that the release allows; None on a device without the program for them.
        boot_loaders: The banks; None where they are not looked at: without a boot ROM, or while the
            system is not good.
        pcrs: SHA-256 PCR values by index, lower-case hex.
        event_log_size: Bytes of the TCG event log, 0 when there is none.
        event_log: The log itself.
        lockdown: Kernel lockdown level in force: `none`, `integrity` or `confidentiality`.
        kernel: Kernel release.
        login: Whether the image offers a root shell.
        mounts: Everything mounted.
        partitions: The disk's partitions as the kernel sees them.
    """

    schema: str = SCHEMA
    slot: str
    root: RootStatus
    data: DataStatus
    identity: IdentityStatus | None = None
    applications: tuple[ApplicationStatus, ...] | None = None
    state: dict[str, str] | None = None
    boot_loaders: BootLoadersStatus | None = None
    pcrs: dict[str, str]
    event_log_size: int
    event_log: bytes
    lockdown: str
    kernel: str
    login: bool
    mounts: tuple[Mount, ...]
    partitions: tuple[Partition, ...]


def parse(line: bytes) -> dict[str, object]:
    """Read the status line as a JSON object.

    Raises:
        FormatError: It is not one.
    """
    return documents.parse(line, "the status line")


def load(document: dict[str, object]) -> Status:
    """Turn the document into its model.

    Raises:
        FormatError: It is not a valid `bootseal.status/1` document.
    """
    return documents.decode(Status, document, "the status line")
