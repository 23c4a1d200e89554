# SPDX-License-Identifier: MIT
"""The encrypted data partition seen from outside: its LUKS2 header, and what opens it."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal import proc
from bootseal.boot.machine import escrow
from bootseal.errors import FormatError, ToolError, VerificationRefused
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role
from bootseal.units import MIB

if TYPE_CHECKING:
    from bootseal.boot.scenario.workspace import Overlay, Workspace

PARTITION: Final = "data"
HEADER_SIZE: Final = 16 * MIB
"""Bytes of both LUKS2 headers and all key slots, as cryptsetup and systemd-repart lay them out."""
_TOKEN: Final = "systemd-tpm2"  # noqa: S105 - the type of a LUKS2 token
_TIMEOUT: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """The object that the key is sealed in: marshalled TPM2B_PRIVATE and TPM2B_PUBLIC."""

    private: bytes
    public: bytes


def header(workspace: Workspace, disk: Overlay | None = None) -> Path:
    """Copy the data partition's header and key slots, of the scenario's disk or `disk`."""
    path = workspace.work / ("other-header" if disk else "header")
    path.write_bytes((disk or workspace.disk).read(PARTITION, 0, HEADER_SIZE))
    return path


def recovery_key(workspace: Workspace, log: Path) -> bytes:
    """Decrypt the recovery key that was handed out in the boot with this serial log.

    Raises:
        VerificationRefused: Not exactly one recovery key was handed out.
        UsageError: The device's key directory has no escrow key.
        ToolError: openssl cannot open it.
    """
    found = escrow.handed_out(log)
    if len(found) != 1:
        raise VerificationRefused(f"{len(found)} recovery keys were handed out: expected one")
    private = workspace.keys / f"{key_directory.find(workspace.keys, Role.ESCROW).name}.key"
    args = ["cms", "-decrypt", "-binary", "-inform", "DER", "-inkey", str(private)]
    return proc.run("openssl", args, stdin=found[0].cms, timeout=_TIMEOUT).stdout


def opens(volume: Path, passphrase: bytes) -> bool:
    """Tell whether a passphrase opens a key slot of a volume.

    Raises:
        ToolError: It is not a LUKS2 volume.
    """
    proc.run("cryptsetup", ["isLuks", "--type", "luks2", volume], timeout=_TIMEOUT)
    args = ["open", "--test-passphrase", "--type", "luks2", "--key-file", "-", str(volume)]
    try:
        proc.run("cryptsetup", args, stdin=passphrase, timeout=_TIMEOUT)
    except ToolError:
        return False
    return True


def volume_key(volume: Path, passphrase: bytes) -> bytes:
    """Return the key that encrypts the data.

    Raises:
        ToolError: The passphrase opens no key slot.
    """
    target = volume.with_suffix(".key")
    target.unlink(missing_ok=True)
    args = ["luksDump", "--batch-mode", "--dump-volume-key", "--key-file", "-"]
    args += ["--volume-key-file", str(target), str(volume)]
    proc.run("cryptsetup", args, stdin=passphrase, timeout=_TIMEOUT)
    key = target.read_bytes()
    target.unlink()
    return key


def sealed(volume: Path) -> Sealed:
    """Return the sealed object in the one TPM token of a volume.

    systemd's token has both structures in base64, each with its size in front (u16, big endian).

    Raises:
        FormatError: There is no such token, or more than one.
    """
    args = ["luksDump", "--dump-json-metadata", str(volume)]
    document = json.loads(proc.run("cryptsetup", args, timeout=_TIMEOUT).stdout)
    tokens = [t for t in document.get("tokens", {}).values() if t.get("type") == _TOKEN]
    if len(tokens) != 1:
        raise FormatError(f"the volume has {len(tokens)} tokens of {_TOKEN}: expected one")
    try:
        blob = base64.b64decode(tokens[0]["tpm2-blob"], validate=True)
    except (KeyError, TypeError, binascii.Error) as error:
        raise FormatError(f"the token of {_TOKEN} holds no sealed object: {error}") from error
    split = 2 + int.from_bytes(blob[:2])
    return Sealed(private=blob[:split], public=blob[split:])
