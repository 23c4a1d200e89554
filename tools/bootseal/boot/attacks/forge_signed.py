# SPDX-License-Identifier: MIT
"""FITs with valid signatures: with a key of the attacker's own, or by a mistake of the maker's.

Pure functions of the device's FIT. The maker's mistakes are what `bootseal fit sign` refuses to
make, so they are signed here without its checks.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from bootseal.boot.attacks import forge, forge_fit
from bootseal.fit import sign as fit_sign
from bootseal.formats import cpio
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fdt.edit import Editor
from bootseal.formats.fit import model as fit_format
from bootseal.keys import certificate
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.profile import KeySpec, Role, Storage
from bootseal.keys.signers.file import FileSigner
from bootseal.units import KIB, MIB, align_up

if TYPE_CHECKING:
    from bootseal.formats.fit.model import Signature
    from bootseal.keys.signers.base import Signer


def foreign(fit: bytes) -> bytes:
    """Replace the kernel and sign with another key of the same size under the genuine hint."""
    signer = stranger(Role.FIT, _signature(fit).algorithm)
    kernel = forge.attacker_kernel("signed-with-another-key")
    return sign_like(forge_fit.replace_kernel(fit, kernel), signer)


@cache
def stranger(role: Role, algorithm: str) -> Signer:
    """Return a key that the device does not know: a new one, but the same in one process."""
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
    name = forge_fit.referenced(fit, forge_fit.first_configuration(fit), "ramdisk")
    more = cpio.pack([cpio.file("bootseal-other-build", b"nobody signed a policy\n")], epoch=0)
    return sign_like(forge_fit.replace_payload(fit, name, more + _payload(fit, name)), signer)


def overwriting(fit: bytes, signer: Signer) -> bytes:
    """Move the kernel to where a signed initramfs will be loaded: verified, then overwritten.

    The maker's mistake is the load address of the initramfs, which `bootseal fit sign` refuses;
    everything after that is unsigned `data-position`.
    """
    first = forge_fit.first_configuration(fit)
    kernel = forge_fit.referenced(fit, first, "kernel")
    rest = len(fit) - len(_payload(fit, kernel))
    position = align_up(rest + 64 * KIB, MIB)
    mistaken = _with_ramdisk_at(fit, signer, forge_fit.FIT_ADDRESS + position)
    return forge_fit.move_payload(mistaken, kernel, position)


def overlapping(fit: bytes, signer: Signer) -> bytes:
    """Load the initramfs to where the kernel will be unpacked."""
    return _with_ramdisk_at(fit, signer, forge_fit.KERNEL_ADDRESS + MIB)


def self_overwriting(fit: bytes, signer: Signer) -> bytes:
    """Load the initramfs over the FIT."""
    return _with_ramdisk_at(fit, signer, forge_fit.FIT_ADDRESS + 64 * KIB)


def _with_ramdisk_at(fit: bytes, signer: Signer, address: int) -> bytes:
    ramdisk = forge_fit.referenced(fit, forge_fit.first_configuration(fit), "ramdisk")
    mistaken = forge_fit.set_number(fit, f"/images/{ramdisk}", "load", address)
    return _sign_unchecked(mistaken, signer)


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
            digest = algorithm.digest(fit_format.SignedRegions(flat).chunks(nodes, size))
            editor.set_property(signature.path, "value", signer.sign_digest(digest, algorithm))
    return editor.to_bytes()
