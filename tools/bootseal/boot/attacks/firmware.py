# SPDX-License-Identifier: MIT
"""Attacks on the boot loaders in the two banks, and bad boot loaders signed by the maker.

Each `Callable[[Workspace], None]` here is something that anyone with write access to the whole disk
can do; what its maker would have to sign uses the keys in DIR/keys.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from bootseal import proc
from bootseal.boot.attacks import forge, forge_signed
from bootseal.errors import UsageError
from bootseal.firmware import chain, places, rom, sign
from bootseal.formats import bank_choice, boot_partition, fip
from bootseal.keys import certificate, tbbr
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.boot.scenario.workspace import Workspace
    from bootseal.keys.signers.base import Signer

_BOOTSTATE: Final = "bootstate"
RESET: Final = struct.pack(
    "<4I",
    0x52B08000,  # mov w0, #0x84000000
    0x72800120,  # movk w0, #9
    0xD4000003,  # smc #0
    0x14000000,  # b   .
)
"""PSCI SYSTEM_RESET, the first thing that this U-Boot does."""
_ALGORITHM: Final = "sha256,rsa2048"
# Of the block that chooses a bank: less than its magic number.
_TORN: Final = 3
_SEQUENCE, _BIT_STRING = 0x30, 0x03
# Tag and length of a DER value of 256 bytes to 64 KiB.
_HEAD: Final = 4
# Without parameters, RSASSA-PSS is SHA-1, MGF1 with SHA-1 and a salt of 20 bytes: RFC 4055.
PSS_SHA1: Final = (
    bytes.fromhex("300d06092a864886f70d01010a3000"),
    *("-sha1", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:20"),
)
PKCS1_SHA256: Final = (bytes.fromhex("300d06092a864886f70d01010b0500"), "-sha256")
_TIMEOUT: Final = 60.0


def original(workspace: Workspace) -> bytes:
    """Return the FIP that was built for the device."""
    return workspace.device.artefact(workspace.directory, "firmware").read_bytes()


def install(workspace: Workspace, content: bytes, banks: str = "ab") -> None:
    """Overwrite whole banks with a FIP and zeros."""
    for name in (f"fw-{bank}" for bank in banks):
        workspace.disk.write(name, 0, content.ljust(workspace.disk.size(name), b"\0"))


def bring(workspace: Workspace, content: bytes, slots: str = "ab") -> None:
    """Have the releases in slots bring a FIP for the banks."""
    for slot in (slot for slot in workspace.device.slots if slot.name in slots):
        place = boot_partition.loaders_place(workspace.disk.size(slot.boot))
        padded = content.ljust(boot_partition.LOADERS_SIZE, b"\0")
        workspace.disk.write(slot.boot, place, padded)


def changed(change: Callable[[bytes], bytes], banks: str = "ab") -> Callable[[Workspace], None]:
    """Write the device's FIP, as changed by `change`, to these banks."""

    def prepare(workspace: Workspace) -> None:
        install(workspace, change(original(workspace)), banks)

    return prepare


def at(offset: int) -> Callable[[bytes], bytes]:
    """Flip a bit of the FIP's header or table of contents."""
    return lambda content: forge.flip_bit(content, offset)


def inside(image: str) -> Callable[[bytes], bytes]:
    """Flip a bit in the middle of an image."""

    def change(content: bytes) -> bytes:
        entry = next(e for e in fip.parse(content).entries if e.name == image)
        return forge.flip_bit(content, entry.offset + entry.size // 2)

    return change


def vouched(image: str) -> Callable[[bytes], bytes]:
    """Flip a bit in the last hash or key in a certificate.

    What is in the middle of a certificate depends on how long its random serial number is; this
    one stays well-formed, so that it is its signature that refuses it.
    """

    def change(content: bytes) -> bytes:
        entry = next(e for e in fip.parse(content).entries if e.name == image)
        value = list(tbbr.read(content[entry.offset : entry.end]).extensions.values())[-1]
        start = content.rindex(value, entry.offset, entry.end)
        return forge.flip_bit(content, start + len(value) // 2)

    return change


def last_byte(image: str) -> Callable[[bytes], bytes]:
    """Flip a bit in the last byte of an image: of U-Boot, in its control device tree."""

    def change(content: bytes) -> bytes:
        entry = next(e for e in fip.parse(content).entries if e.name == image)
        return forge.flip_bit(content, entry.end - 1)

    return change


def behind(content: bytes) -> bytes:
    """Put a byte after the end of the FIP."""
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
    return by_maker({"nt-fw": RESET}, banks)


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


def choice_is_torn(workspace: Workspace) -> None:
    """Write the beginning of the block that chooses bank b, as when the power goes."""
    workspace.disk.write(_BOOTSTATE, bank_choice.PLACE, bank_choice.emit(1)[:_TORN])


def switched_early(workspace: Workspace) -> None:
    """Choose bank b when half of it is written."""
    changed(half, "b")(workspace)
    choose(1)(workspace)


def mixed(workspace: Workspace) -> None:
    """Put U-Boot with its certificates next to BL2 and BL31 of a newer version of the maker's."""
    older = fip.parse(original(workspace))
    signers = places.signers(workspace.keys)
    newer = fip.parse(signed(original(workspace), {}, signers, 2))
    parts = {entry.name: newer.image(entry.name) or b"" for entry in newer.entries}
    for name in ("nt-fw", "nt-fw-key-cert", "nt-fw-cert"):
        parts[name] = older.image(name) or b""
    install(workspace, fip.emit(parts))


def certified_with_sha1(workspace: Workspace) -> None:
    """Have the maker sign BL2's certificate by RSASSA-PSS with SHA-1."""
    install(workspace, certified(original(workspace), _root_key(workspace), *PSS_SHA1))


def certified_with_pkcs1(workspace: Workspace) -> None:
    """Have the maker sign BL2's certificate by RSASSA-PKCS1-v1_5 with SHA-256."""
    install(workspace, certified(original(workspace), _root_key(workspace), *PKCS1_SHA256))


def certified(content: bytes, key: Path, identifier: bytes, *options: str) -> bytes:
    """Sign BL2's certificate in a way that none of our signers supports.

    Args:
        content: A signed FIP.
        key: The master root key, RSA.
        identifier: The algorithm in DER form, RFC 8017 or 4055.
        options: The same for `openssl dgst`.

    Raises:
        ToolError: openssl cannot sign so.
    """
    found = fip.parse(content)
    parts = {entry.name: found.image(entry.name) or b"" for entry in found.entries}
    whole = parts["tb-fw-cert"]
    now = tbbr.read(whole)
    # The same identifier is inside of what is signed and behind it.
    value = certificate.der(_BIT_STRING, b"\0" + now.signature)
    old = whole[_HEAD + len(now.signed) : -len(value)]
    inside = certificate.der(_SEQUENCE, now.signed[_HEAD:].replace(old, identifier, 1))
    args = ["dgst", *options, "-sign", str(key)]
    signature = proc.run("openssl", args, stdin=inside, timeout=_TIMEOUT).stdout
    value = certificate.der(_BIT_STRING, b"\0" + signature)
    parts["tb-fw-cert"] = certificate.der(_SEQUENCE, inside + identifier + value)
    return fip.emit(parts, alignment=found.alignment)


def _root_key(workspace: Workspace) -> Path:
    return workspace.keys / f"{key_directory.find(workspace.keys, Role.MRK).name}.key"


def foreign_rom(workspace: Workspace) -> None:
    """Give the machine a boot ROM with the hash of another root key."""
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
