# SPDX-License-Identifier: MIT
"""Attacks on the boot loaders in the two banks, and boot loaders of the maker's that are not good.

Each `Callable[[Workspace], None]` here is something that anyone with write access to the whole disk
can do; what its maker would have to sign uses the keys in DIR/keys.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from bootseal.boot.attacks import forge, forge_signed
from bootseal.errors import UsageError
from bootseal.firmware import chain, places, rom, sign
from bootseal.formats import bank_choice, fip
from bootseal.keys.profile import Role

if TYPE_CHECKING:
    from bootseal.boot.scenario.workspace import Workspace
    from bootseal.keys.signers.base import Signer

_BOOTSTATE: Final = "bootstate"
# PSCI SYSTEM_RESET, the first thing that this U-Boot does.
_RESET: Final = struct.pack(
    "<4I",
    0x52B08000,  # mov w0, #0x84000000
    0x72800120,  # movk w0, #9
    0xD4000003,  # smc #0
    0x14000000,  # b   .
)
_ALGORITHM: Final = "sha256,rsa2048"


def original(workspace: Workspace) -> bytes:
    """Return the FIP that was built for the device."""
    return workspace.device.artefact(workspace.directory, "firmware").read_bytes()


def install(workspace: Workspace, content: bytes, banks: str = "ab") -> None:
    """Write a FIP to the start of banks; what was there is gone."""
    room = max(len(content), len(original(workspace)))
    for bank in banks:
        workspace.disk.write(f"fw-{bank}", 0, content.ljust(room, b"\0"))


def changed(change: Callable[[bytes], bytes], banks: str = "ab") -> Callable[[Workspace], None]:
    """Put what `change` makes of the device's FIP into these banks."""

    def prepare(workspace: Workspace) -> None:
        install(workspace, change(original(workspace)), banks)

    return prepare


def at(offset: int) -> Callable[[bytes], bytes]:
    """Flip a bit of the FIP's header or table of contents."""
    return lambda content: forge.flip_bit(content, offset)


def inside(image: str) -> Callable[[bytes], bytes]:
    """Flip a bit in the middle of an image or a certificate."""

    def change(content: bytes) -> bytes:
        entry = next(e for e in fip.parse(content).entries if e.name == image)
        return forge.flip_bit(content, entry.offset + entry.size // 2)

    return change


def last_byte(image: str) -> Callable[[bytes], bytes]:
    """Flip a bit in the last byte of an image: of U-Boot, in its control device tree."""

    def change(content: bytes) -> bytes:
        entry = next(e for e in fip.parse(content).entries if e.name == image)
        return forge.flip_bit(content, entry.end - 1)

    return change


def behind(content: bytes) -> bytes:
    """Put a byte behind the end of the FIP."""
    return content + b"\1"


def half(content: bytes) -> bytes:
    """Cut the FIP short, as when the power goes while it is written."""
    return content[: len(content) // 2]


def bits_at_random(seed: int) -> Callable[[Workspace], None]:
    """Flip another bit in each bank, anywhere in the FIP."""

    def prepare(workspace: Workspace) -> None:
        content = original(workspace)
        for number, bank in enumerate("ab"):
            noise = int.from_bytes(forge.noise(8, seed=2 * seed + number))
            # A share of its length, so that it is in the same image in the next build.
            offset = (noise >> 3) * len(content) >> 61
            install(workspace, forge.flip_bit(content, offset, bit=noise & 7), bank)

    return prepare


def foreign(content: bytes) -> bytes:
    """Sign the same images with keys of the attacker's, the root key included."""
    signers = {key: forge_signed.stranger(Role(key), _ALGORITHM) for key in chain.Key}
    return signed(content, {}, signers, 1)


def by_maker(
    images: Mapping[str, bytes], banks: str = "ab", *, counter: int = 1
) -> Callable[[Workspace], None]:
    """Put a FIP of the maker's with other images into these banks."""

    def prepare(workspace: Workspace) -> None:
        signers = places.signers(workspace.keys)
        install(workspace, signed(original(workspace), images, signers, counter), banks)

    return prepare


def crashing(banks: str = "ab") -> Callable[[Workspace], None]:
    """Put a FIP of the maker's whose U-Boot resets the machine at once into these banks."""
    return by_maker({"nt-fw": _RESET}, banks)


def replace_uboot(workspace: Workspace, content: bytes) -> None:
    """Start another U-Boot of the maker's: as what QEMU starts, or signed in both banks."""
    if workspace.device.firmware is None:
        workspace.replace_bios(content)
    else:
        by_maker({"nt-fw": content})(workspace)


def choose(bank: int) -> Callable[[Workspace], None]:
    """Have a bank tried first."""

    def prepare(workspace: Workspace) -> None:
        workspace.disk.write(_BOOTSTATE, bank_choice.PLACE, bank_choice.emit(bank))

    return prepare


def choice_is_noise(workspace: Workspace) -> None:
    """Fill the block that chooses the bank with bytes that look random."""
    noise = forge.noise(bank_choice.SIZE, seed=3)
    workspace.disk.write(_BOOTSTATE, bank_choice.PLACE, noise)


def foreign_rom(workspace: Workspace) -> None:
    """Put a boot ROM into the machine that holds the hash of another root key."""
    firmware = workspace.device.firmware
    if firmware is None:
        raise UsageError(f"{workspace.device.name} has no boot ROM")
    own = rom.HEAD + bytes.fromhex(firmware.mrk)
    content = workspace.device.artefact(workspace.directory, "rom").read_bytes()
    other = forge_signed.stranger(Role.MRK, _ALGORITHM).public_key.fingerprint()
    workspace.replace_bios(content.replace(own, rom.HEAD + bytes.fromhex(other)))


def signed(
    content: bytes,
    images: Mapping[str, bytes],
    signers: Mapping[chain.Key, Signer],
    counter: int,
) -> bytes:
    """Sign a FIP once more.

    Args:
        content: The FIP.
        images: Images to exchange, by fiptool's names.
        signers: The keys.
        counter: Security version.
    """
    found = fip.parse(content)
    kept = {name: found.image(name) or b"" for name in chain.REQUIRED}
    unsigned = fip.parse(fip.emit(kept | dict(images)))
    return sign.sign(unsigned, signers, dict.fromkeys(chain.Counter, counter))
