# SPDX-License-Identifier: MIT
"""The software TPM: manufacture a chip, power it, clear it.

A chip's whole state is a directory. Its certificates come from a small certificate authority of
its own next to it, so that nothing outside the directory is read or written.
"""

from __future__ import annotations

import hashlib
import os
import select
import shutil
import socket
import struct
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal import files, proc
from bootseal.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STATE_FILE: Final = "tpm2-00.permall"
_STATE: Final = "tpm2-*"
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a directory of its own is made in it
AUTHORITIES: Final = ("ca/issuer.pem", "ca/swtpm-localca-rootca-cert.pem")
"""Certificates of the chip's maker, next to its state."""
_ALG_SHA256: Final = 0x000B
_NO_NV_SPACE: Final = 0x14B
_FILLING: Final = 0x01A00000
"""First of the owner's NV indices that fill a chip."""
_ROLLBACK: Final = 0x01500B00
_FIRMWARE: Final = 0x01500B02
# In the place of a deletion policy, as the device has it: no policy has this digest.
_NEVER_UNDEFINED: Final = b"bootseal-this-is-never-undefined"
# TPM2_NV_SetBits by the platform hierarchy: bits 0 and 1.
_REFUSE_BELOW_TWO: Final = bytes.fromhex(
    "8002 00000027 00000135 4000000c 01500b02 00000009 40000009 0000 00 0000 0000000000000003"
)
_ROLLBACK_ATTRIBUTES: Final = 0x42050425
_OWNER: Final = 0x40000001
_PLATFORM: Final = 0x4000000C
_SETUP_TIMEOUT: Final = 120.0
_START_TIMEOUT: Final = 10.0

# swtpm control protocol, big-endian u32: CMD_GET_CAPABILITY; answered by a result and flags.
_GET_CAPABILITY: Final = (1).to_bytes(4, "big")
# TPM2_Clear(TPM_RH_PLATFORM) with an empty password session, TPM 2.0 Library part 3, 24.6.
_CLEAR: Final = bytes.fromhex("8002 0000001b 00000126 4000000c 00000009 40000009 0000 00 0000")
# TPM2_ClearControl(TPM_RH_PLATFORM) likewise, NO: the running system has disabled it. Part 3, 24.7.
_ALLOW_CLEAR: Final = bytes.fromhex(
    "8002 0000001c 00000127 4000000c 00000009 40000009 0000 00 0000 00"
)
# TPM2_PCR_Allocate(TPM_RH_PLATFORM) likewise, all SHA-1 PCRs and no SHA-256 one, part 3, 22.5.
_SHA1_ONLY: Final = bytes.fromhex(
    "8002 0000002b 0000012b 4000000c 00000009 40000009 0000 00 0000"
    "00000002 0004 03 ffffff 000b 03 000000"
)
# TPM2_DictionaryAttackParameters(TPM_RH_LOCKOUT) likewise, part 3, 25.3: no try at all is allowed.
_NO_TRIES: Final = bytes.fromhex(
    "8002 00000027 0000013a 4000000a 00000009 40000009 0000 00 0000 00000000 00000258 00015180"
)
# TPM2_Shutdown(TPM_SU_CLEAR), part 3, 9.4.
_SHUTDOWN: Final = bytes.fromhex("8001 0000000c 00000145 0000")


def manufacture(state: Path) -> None:
    """Make a new TPM 2.0 chip in `state`: SHA-256 bank only, EK and platform certificate.

    The directory must not hold a chip yet. Nothing is left behind when it fails.

    Raises:
        ToolError: swtpm_setup failed or left no state.
    """
    parent = state.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    fresh = parent / f".{state.name}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    authority = fresh / "ca"
    authority.mkdir(parents=True)
    try:
        config = _write_config(authority)
        args = ["--tpm2", "--tpmstate", str(fresh), "--config", str(config)]
        args += ["--pcr-banks", "sha256"]
        args += ["--create-ek-cert", "--create-platform-cert", "--lock-nvram"]
        proc.run("swtpm_setup", args, timeout=_SETUP_TIMEOUT)
        _demand_state(fresh)
        fresh.replace(state)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def _demand_state(directory: Path) -> None:
    if not (directory / STATE_FILE).is_file():
        raise ToolError(f"swtpm_setup succeeded and left no {STATE_FILE} in {directory}")


def _write_config(authority: Path) -> Path:
    options = authority / "options"
    options.write_text(
        "--platform-manufacturer bootseal\n--platform-version 1\n--platform-model qemu\n"
    )
    names = {"signingkey": "signing.pem", "issuercert": "issuer.pem", "certserial": "serial"}
    lines = [f"statedir = {authority}", *(f"{k} = {authority / v}" for k, v in names.items())]
    local_ca = authority / "localca.conf"
    local_ca.write_text("\n".join(lines) + "\n")
    config = authority / "setup.conf"
    config.write_text(
        f"create_certs_tool = {proc.find_tool('swtpm_localca')}\n"
        f"create_certs_tool_config = {local_ca}\n"
        f"create_certs_tool_options = {options}\n"
    )
    return config


@contextmanager
def powered(state: Path, control: Path, output: Path, *extra: str) -> Iterator[int]:
    """Run the emulator for one power cycle, on a copy of the chip's state in memory.

    It writes its state out with each change. On a busy disk that takes longer than the 750 ms that
    a boot loader waits for its TPM.

    Args:
        state: The chip's directory.
        control: Path for its control socket; at most 107 bytes, as for every UNIX socket.
        output: File for what the emulator says.
        extra: Further arguments.

    Yields:
        The emulator's process id.

    Raises:
        ToolError: The emulator did not come up.
    """
    with _in_memory(state) as directory:
        args = ["socket", "--tpm2", "--tpmstate", f"dir={directory}"]
        args += ["--ctrl", f"type=unixio,path={control}", *extra]
        with proc.background("swtpm", args, output=output) as process:
            _await_ready(control, process.pid, output)
            yield process.pid


@contextmanager
def _in_memory(state: Path) -> Iterator[Path]:
    """Give a copy of a chip's state that is not on a disk; at the end the chip gets what it is."""
    if not os.access(_MEMORY, os.W_OK):
        yield state.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="bootseal-tpm-", dir=_MEMORY) as name:
        copy = Path(name)
        for file in state.glob(_STATE):
            shutil.copy2(file, copy)
        try:
            yield copy
        finally:
            for file in copy.glob(_STATE):
                files.write_file(state / file.name, file.read_bytes(), mode=0o600)


@contextmanager
def serving(state: Path, commands: Path, output: Path, *extra: str) -> Iterator[int]:
    """Run the emulator for programs, which reach it at TPM2TOOLS_TCTI=swtpm:path=COMMANDS.

    Args:
        state: The chip's directory.
        commands: Path for its command socket; the control socket is next to it, with `.ctrl` added.
        output: File for what the emulator says.
        extra: Further arguments.

    Yields:
        The emulator's process id.

    Raises:
        ToolError: The emulator did not come up.
    """
    control = commands.with_name(f"{commands.name}.ctrl")
    server = ("--server", f"type=unixio,path={commands}", "--flags", "not-need-init,startup-clear")
    with powered(state, control, output, *server, *extra) as pid:
        yield pid


def recorded(path: Path) -> tuple[str, ...]:
    """Return arguments that make the emulator record every command and response.

    The path must not contain a comma. `tpm_traffic.messages` reads the file.
    """
    return ("--log", f"file={path},level=20,truncate")


def clear(state: Path, scratch: Path) -> None:
    """Clear the chip through the platform hierarchy, as anyone who holds the board can.

    Owner hierarchy, storage root key and everything sealed under it are gone; the EK stays.

    Args:
        state: The chip's directory; the chip must not be powered.
        scratch: Short-named directory for sockets and logs.

    Raises:
        ToolError: The emulator did not come up, or the TPM refused.
    """
    _command(state, scratch, "TPM2_ClearControl", _ALLOW_CLEAR)
    _command(state, scratch, "TPM2_Clear", _CLEAR)


def exchange_bank(state: Path, scratch: Path) -> None:
    """Replace the chip's SHA-256 PCRs by SHA-1 ones; arguments and errors as for `clear`."""
    _command(state, scratch, "TPM2_PCR_Allocate", _SHA1_ONLY)


def lock_out(state: Path, scratch: Path) -> None:
    """Put the chip into lockout, as after too many wrong guesses; likewise."""
    _command(state, scratch, "TPM2_DictionaryAttackParameters", _NO_TRIES)


def fill(state: Path, scratch: Path) -> None:
    """Define NV indices until the chip has no room for another.

    Args:
        state: The chip's directory; the chip must not be powered.
        scratch: Short-named directory for sockets and logs.

    Raises:
        ToolError: The emulator did not come up, or the TPM refused for another reason.
    """
    with _talking(state, scratch) as send:
        number = 0
        for size in (2048, 256, 32, 1):
            while (code := send(_define(_FILLING + number, size))) == 0:
                number += 1
            if code != _NO_NV_SPACE:
                raise ToolError(f"TPM2_NV_DefineSpace was refused with response code {code:#x}")


def squat(state: Path, scratch: Path) -> None:
    """Define the rollback index as the device would, but for a policy that deletes it.

    The policy is TPM2_PolicyCommandCode(TPM_CC_NV_UndefineSpaceSpecial), part 3, 23.11, which
    anyone can satisfy. Arguments and errors as for `clear`.
    """
    policy = hashlib.sha256(bytes(32) + bytes.fromhex("0000016c 0000011f")).digest()
    _command(
        state,
        scratch,
        "TPM2_NV_DefineSpace",
        _define(_ROLLBACK, 8, attributes=_ROLLBACK_ATTRIBUTES, policy=policy, hierarchy=_PLATFORM),
    )


def raise_firmware(state: Path, scratch: Path) -> None:
    """Refuse firmware below security version 2, as a device does that had a newer one.

    TPM2_NV_DefineSpace and TPM2_NV_SetBits, part 3, 31.3 and 31.10. Arguments and errors as for
    `clear`.
    """
    define = _define(
        _FIRMWARE,
        8,
        attributes=_ROLLBACK_ATTRIBUTES,
        policy=_NEVER_UNDEFINED,
        hierarchy=_PLATFORM,
    )
    _command(state, scratch, "TPM2_NV_DefineSpace", define)
    _command(state, scratch, "TPM2_NV_SetBits", _REFUSE_BELOW_TWO)


def _define(
    index: int,
    size: int,
    *,
    attributes: int = 1 << 2 | 1 << 18,  # TPMA_NV_AUTHWRITE, TPMA_NV_AUTHREAD
    policy: bytes = b"",
    hierarchy: int = _OWNER,
) -> bytes:
    """Encode TPM2_NV_DefineSpace, part 3, 31.3; big endian."""
    public = struct.pack(">IHIH", index, _ALG_SHA256, attributes, len(policy)) + policy
    public += struct.pack(">H", size)
    body = hierarchy.to_bytes(4, "big") + bytes.fromhex("00000009 40000009 0000 00 0000 0000")
    body += struct.pack(">H", len(public)) + public
    return struct.pack(">HII", 0x8002, 10 + len(body), 0x0000012A) + body


def _command(state: Path, scratch: Path, title: str, request: bytes) -> None:
    with _talking(state, scratch) as send:
        if code := send(request):
            raise ToolError(f"{title} was refused by the TPM with response code {code:#x}")


@contextmanager
def _talking(state: Path, scratch: Path) -> Iterator[Callable[[bytes], int]]:
    """Power the chip and yield a function that sends a command and returns the response code."""
    commands = scratch / "tpm-commands"
    with (
        serving(state, commands, scratch / "tpm.log"),
        socket.socket(socket.AF_UNIX) as tpm,
    ):
        tpm.settimeout(_START_TIMEOUT)
        tpm.connect(str(commands))

        def send(command: bytes) -> int:
            tpm.sendall(command)
            return int.from_bytes(tpm.recv(4096)[6:10], "big")

        yield send
        if code := send(_SHUTDOWN):
            raise ToolError(f"TPM2_Shutdown was refused by the TPM with response code {code:#x}")


def _await_ready(control: Path, pid: int, output: Path) -> None:
    """Return when the emulator answers on its control socket."""
    process = os.pidfd_open(pid)
    try:
        # swtpm takes its time to create the socket; meanwhile, wait for the end of its process.
        for _ in range(int(_START_TIMEOUT / 0.01)):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(_START_TIMEOUT)
                try:
                    probe.connect(str(control))
                    probe.sendall(_GET_CAPABILITY)
                    if probe.recv(8)[:4] == bytes(4):
                        return
                except (FileNotFoundError, ConnectionError, TimeoutError):
                    pass
            if select.select([process], [], [], 0.01)[0]:
                break
    finally:
        os.close(process)
    said = output.read_text(errors="replace").strip()
    raise ToolError(f"the TPM emulator did not come up on {control}: it said {said[-400:]!r}")
