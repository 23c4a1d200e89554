# SPDX-License-Identifier: MIT
"""Attacks on what a slot's boot partition holds, written to a scenario's disk.

Each `Callable[[Workspace], None]` here is something that anyone with write access to the whole disk
can do. The FITs come from pure functions of the device's own FIT; only those that its maker would
have to sign use the keys in DIR/keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.boot.attacks import forge, forge_fit
from bootseal.errors import UsageError
from bootseal.fit import sign as fit_sign
from bootseal.formats import boot_partition
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fdt.edit import Editor
from bootseal.formats.fit import model as fit_format
from bootseal.keys import certificate
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.directory import directory as store
from bootseal.keys.profile import KeySpec, Role, Storage
from bootseal.keys.signers.file import FileSigner
from bootseal.units import KIB, MIB, align_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.boot.scenario.workspace import Workspace
    from bootseal.formats.fit.model import Signature
    from bootseal.keys.signers.base import Signer

FIT_ADDRESS: Final = 0x50000000
"""Where the boot logic reads the FIT to; see bootseal.env."""

_KERNEL_ADDRESS: Final = 0x40200000
_FUTURE_VERSION: Final = 18
_DEEP: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyBit:
    """Where to flip a bit: a property of the image a configuration names, or of a fixed node.

    Attributes:
        image: Property of the configuration that names the image; empty for another node.
        node: Path below the configuration; used without an image.
        name: The property.
        at: Which byte of the value: the fraction of its length, from 0 to 1.
        bit: Which bit of that byte, 0 being the least significant.
    """

    image: str = ""
    node: str = ""
    name: str = "data"
    at: float = 0.5
    bit: int = 0


KERNEL: Final = PropertyBit(image="kernel")
DEVICE_TREE: Final = PropertyBit(image="fdt")
INITRAMFS: Final = PropertyBit(image="ramdisk")
# "fdt-a" becomes "fdt-c": still a valid name, which only the signature can object to.
CONFIGURATION: Final = PropertyBit(name="fdt", at=0.7, bit=1)
SIGNATURE: Final = PropertyBit(node="/signature-1", name="value")
HINT: Final = PropertyBit(node="/signature-1", name="key-name-hint", at=0.0)


def original(workspace: Workspace) -> bytes:
    """Return the FIT that was built for the device."""
    return workspace.device.artefact(workspace.directory, "fit").read_bytes()


def install(workspace: Workspace, content: bytes, slots: str = "ab") -> None:
    """Write content to the start of the boot partitions, in front of the PCR policy.

    Raises:
        UsageError: It does not fit.
    """
    for slot in (slot for slot in workspace.device.slots if slot.name in slots):
        room = boot_partition.room(workspace.disk.size(slot.boot))
        if len(content) > room:
            raise UsageError(f"{len(content)} bytes do not fit {slot.boot}: there are {room}")
        workspace.disk.write(slot.boot, 0, content)


def flip(place: PropertyBit, slots: str = "a") -> Callable[[Workspace], None]:
    """Flip one bit of the FIT in each of the slots, in the configuration that slot boots."""

    def prepare(workspace: Workspace) -> None:
        fit = original(workspace)
        for slot in (slot for slot in workspace.device.slots if slot.name in slots):
            offset = spot(fit, slot.configuration, place)
            workspace.disk.write(
                slot.boot, offset, forge.flip_bit(fit, offset, bit=place.bit)[offset:][:1]
            )

    return prepare


def spot(fit: bytes, configuration: str, place: PropertyBit) -> int:
    """Return the file offset of the byte that a `PropertyBit` means."""
    path = f"/configurations/{configuration}{place.node}"
    if place.image:
        path = f"/images/{forge_fit.referenced(fit, configuration, place.image)}"
    offset, size = forge_fit.locate(fit, path, place.name)
    # The last byte of a string is its NUL; a flip there would make another, malformed, tree.
    return offset + min(int(size * place.at), max(size - 2, 0))


def replaced(make: Callable[[bytes], bytes]) -> Callable[[Workspace], None]:
    """Put `make` of the device's FIT into both slots."""

    def prepare(workspace: Workspace) -> None:
        install(workspace, make(original(workspace)))

    return prepare


def unsigned(fit: bytes) -> bytes:
    """Replace the kernel and remove the signatures."""
    return forge_fit.strip_signatures(_with_attacker_kernel(fit, "unsigned"))


def shadowed(fit: bytes) -> bytes:
    """Put a configuration of the pinned name in front of each genuine one."""
    kernel = forge.attacker_kernel("shadow-configuration")
    return forge_fit.shadow_configurations(fit, configurations(fit), kernel)


def added(fit: bytes) -> bytes:
    """Add a configuration under a new name and make it the default."""
    kernel = forge.attacker_kernel("added-configuration")
    return forge_fit.add_configuration(fit, "conf-evil", configurations(fit)[0], kernel)


def cloned(fit: bytes) -> bytes:
    """Let the signature cover clones of the images (CVE-2026-46728)."""
    return forge_fit.clone_images(fit, forge.attacker_kernel("cloned-images"))


def unit_address(fit: bytes) -> bytes:
    """Put a node with a unit address in front of the kernel (CVE-2021-27138)."""
    kernel = forge.attacker_kernel("unit-address")
    return forge_fit.add_unit_address(fit, configurations(fit)[0], kernel)


def version(fit: bytes) -> bytes:
    """Claim a future version of the device tree format, which mainline U-Boot accepts."""
    return forge_fit.set_version(fit, _FUTURE_VERSION)


def oversized(fit: bytes) -> bytes:
    """Claim more in the header than the partition holds, but less than mainline's limit."""
    return forge_fit.set_size(fit, 32 * MIB)


def nested(fit: bytes) -> bytes:
    """Make a tree of nodes inside nodes, a million deep."""
    del fit
    return forge_fit.nested(_DEEP)


def spoofed(fit: bytes) -> bytes:
    """Write lines of a good boot into the hint of each signature."""
    text = "\x1b[2J\r\nbootseal: root-{} verified by dm-verity, starting the system\r\n"
    for name in configurations(fit):
        path = f"/configurations/{name}/signature-1"
        fit = forge_fit.set_text(fit, path, "key-name-hint", text.format(name[-1]))
    return fit


def legacy(fit: bytes) -> bytes:
    """Make a legacy image, which has checksums and no signature."""
    del fit
    kernel = forge.attacker_kernel("legacy-image")
    return forge.legacy_image(kernel, load=_KERNEL_ADDRESS)


def raw_kernel(fit: bytes) -> bytes:
    """Return the attacker's bare arm64 Image."""
    del fit
    return forge.attacker_kernel("raw-kernel")


def configurations(fit: bytes) -> list[str]:
    """Return the names of the configurations in file order."""
    return [configuration.name for configuration in fit_format.parse(fit).configurations]


def signed_by_maker(make: Callable[[bytes, Signer], bytes]) -> Callable[[Workspace], None]:
    """Put into both slots what `make` makes with the device's FIT and its signing key."""

    def prepare(workspace: Workspace) -> None:
        install(workspace, make(original(workspace), store.signer(workspace.keys, Role.FIT)))

    return prepare


def foreign(fit: bytes) -> bytes:
    """Replace the kernel and sign with another key of the same size under the genuine hint."""
    signer = stranger(Role.FIT, _signature(fit).algorithm)
    return sign_like(_with_attacker_kernel(fit, "signed-with-another-key"), signer)


def stranger(role: Role, algorithm: str) -> Signer:
    """Make a key that the device does not know."""
    spec = KeySpec(
        role=role,
        name="attacker",
        algorithm=Algorithm.parse(algorithm),
        subject="CN=attacker",
        issuer=None,
        authority=False,
        valid_days=1,
        storage=Storage.FILE,
    )
    return FileSigner(certificate.issue(spec, None).private)


def other_initramfs(fit: bytes, signer: Signer) -> bytes:
    """Make and sign a FIT whose initramfs has one file more, for which no policy was signed."""
    name = forge_fit.referenced(fit, configurations(fit)[0], "ramdisk")
    more = forge.archive({"bootseal-other-build": b"nobody signed a policy for this\n"})
    return sign_like(forge_fit.replace_payload(fit, name, more + _payload(fit, name)), signer)


def overwriting(fit: bytes, signer: Signer) -> bytes:
    """Move the kernel to where a signed initramfs will be loaded: verified, then overwritten.

    The maker's mistake is the load address of the initramfs, which `bootseal fit sign` refuses;
    everything after that is unsigned `data-position`.
    """
    first = configurations(fit)[0]
    kernel = forge_fit.referenced(fit, first, "kernel")
    rest = len(fit) - len(_payload(fit, kernel))
    position = align_up(rest + 64 * KIB, MIB)
    mistaken = _with_ramdisk_at(fit, signer, FIT_ADDRESS + position)
    return forge_fit.move_payload(mistaken, kernel, position)


def overlapping(fit: bytes, signer: Signer) -> bytes:
    """Load the initramfs to where the kernel will be unpacked."""
    return _with_ramdisk_at(fit, signer, _KERNEL_ADDRESS + MIB)


def self_overwriting(fit: bytes, signer: Signer) -> bytes:
    """Load the initramfs over the FIT."""
    return _with_ramdisk_at(fit, signer, FIT_ADDRESS + 64 * KIB)


def _with_ramdisk_at(fit: bytes, signer: Signer, address: int) -> bytes:
    ramdisk = forge_fit.referenced(fit, configurations(fit)[0], "ramdisk")
    mistaken = forge_fit.set_number(fit, f"/images/{ramdisk}", "load", address)
    return _sign_unchecked(mistaken, signer)


def _with_attacker_kernel(fit: bytes, detail: str) -> bytes:
    name = forge_fit.referenced(fit, configurations(fit)[0], "kernel")
    kernel = forge.attacker_kernel(detail)
    return forge_fit.replace_payload(fit, name, kernel, compression="none")


def _payload(fit: bytes, image: str) -> bytes:
    return bytes(fit_format.parse(fit).image(image).payload)


def _signature(fit: bytes) -> Signature:
    return fit_format.parse(fit).configurations[0].signatures[0]


def sign_like(fit: bytes, signer: Signer) -> bytes:
    """Sign a FIT with the hint and the time the FIT has."""
    old = _signature(fit)
    return fit_sign.sign(fit, signer, old.hint, timestamp=old.timestamp or 0)


def _sign_unchecked(fit: bytes, signer: Signer) -> bytes:
    """Sign again in place what our own signer refuses: only the signature's value changes."""
    editor = Editor(fit)
    model = fit_format.parse(fit)
    for configuration in model.configurations:
        for signature in configuration.signatures:
            nodes = fit_format.hashed_nodes(model, configuration)
            size = int.from_bytes(signature.hashed_strings[4:])
            flat = fdt.read(editor.to_bytes())
            algorithm = Algorithm.parse(signature.algorithm, signature.padding)
            digest = algorithm.digest(fit_format.signed_chunks(flat, nodes, size))
            editor.set_property(signature.path, "value", signer.sign_digest(digest, algorithm))
    return editor.to_bytes()
