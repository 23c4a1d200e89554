# SPDX-License-Identifier: MIT
"""Small signed FITs of every kind, with the control device trees that go with them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bootseal.fit import control_dtb
from bootseal.fit.sign import Request, SigningKey, sign_request
from bootseal.fit.verify.strictness import COMPAT
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fdt.edit import Editor
from bootseal.formats.fit import model as fit_format
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.signers.file import FileSigner

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RSA: Final = ("rsa2048", "rsa3072", "rsa4096")
HASHES: Final = ("sha256", "sha384", "sha512")
CONFIGURATION: Final = "conf-1"
_TIMESTAMP: Final = 1_700_000_000
_CURVES: Final = {"ecdsa256": ec.SECP256R1(), "ecdsa384": ec.SECP384R1()}
PARTS: Final = {
    "kernel-1": ("kernel", b"a kernel, or so " * 64),
    "fdt-1": ("flat_dt", fdt.emit(fdt.Node("", {"model": b"board\0"}))),
    "ramdisk-1": ("ramdisk", b"a ramdisk" * 33),
}


class Sample(NamedTuple):
    """A signed FIT and a control device tree that requires its key."""

    fit: bytes
    control: bytes


@cache
def signer(kind: str, _number: int) -> FileSigner:
    """Return a key of this kind; the same one for the same arguments."""
    if kind in _CURVES:
        return FileSigner(ec.generate_private_key(_CURVES[kind]))
    return FileSigner(rsa.generate_private_key(65537, int(kind.removeprefix("rsa"))))


def write_key(
    directory: Path, name: str, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
) -> None:
    """Write what mkimage wants: NAME.crt, and the private key as NAME.key or, for ECDSA, NAME.pem.

    The key is written under both names.
    """
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"DEV {name}")])
    start = datetime(2024, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start.replace(year=2044))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    for suffix in ("key", "pem"):
        (directory / f"{name}.{suffix}").touch(mode=0o600)
        (directory / f"{name}.{suffix}").write_bytes(private)
    (directory / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def hash_node(data: bytes, name: str) -> fdt.Node:
    value = hashlib.new(name, data).digest()
    return fdt.Node("hash-1", {"algo": name.encode() + b"\0", "value": value})


def image(name: str, kind: str, data: bytes, hash_name: str = "sha256") -> fdt.Node:
    properties = {
        "description": name.encode() + b"\0",
        "data": data,
        "type": kind.encode() + b"\0",
        "arch": b"arm64\0",
        "os": b"linux\0",
        "compression": b"none\0",
    }
    if kind == "kernel":
        properties |= dict.fromkeys(("load", "entry"), (0x40400000).to_bytes(4))
    return fdt.Node(name, properties, [hash_node(data, hash_name)])


def unsigned(
    algorithms: Sequence[str],
    *,
    padding: str = "",
    parts: dict[str, tuple[str, bytes]] = PARTS,
    hint: str = "key",
) -> bytes:
    """A FIT of one configuration with a signature node per algorithm, for keys key-1, key-2..."""
    names = {kind: name for name, (kind, _) in parts.items()}
    hash_name = algorithms[0].split(",")[0]
    images = [image(name, kind, data, hash_name) for name, (kind, data) in parts.items()]
    properties = {"kernel": "kernel", "fdt": "flat_dt", "ramdisk": "ramdisk"}
    named = {key: names[kind] for key, kind in properties.items() if kind in names}
    nodes = []
    for number, algorithm in enumerate(algorithms, 1):
        values = {
            "algo": algorithm.encode() + b"\0",
            "key-name-hint": f"{hint}-{number}".encode() + b"\0",
            "sign-images": b"".join(key.encode() + b"\0" for key in named),
        }
        if padding:
            values["padding"] = padding.encode() + b"\0"
        nodes.append(fdt.Node(f"signature-{number}", values))
    references = {key: name.encode() + b"\0" for key, name in named.items()}
    configuration = fdt.Node(CONFIGURATION, {"description": b"one\0"} | references, nodes)
    tree = fdt.Node(
        "",
        {
            "timestamp": _TIMESTAMP.to_bytes(4),
            "description": b"a sample\0",
            "#address-cells": (1).to_bytes(4),
        },
        [
            fdt.Node("images", {}, images),
            fdt.Node(
                "configurations", {"default": CONFIGURATION.encode() + b"\0"}, [configuration]
            ),
        ],
    )
    return fdt.emit(tree)


def sample(
    algorithm: str,
    *more: str,
    padding: str = "",
    external: bool = False,
    base: bytes = b"",
    parts: dict[str, tuple[str, bytes]] = PARTS,
    hint: str = "key",
) -> Sample:
    """Sign a sample; further algorithms are those of further required keys.

    Args:
        algorithm: For example `sha256,rsa2048`.
        more: Algorithms of further keys.
        padding: `pss`, or nothing.
        external: Put the data behind the tree.
        base: Device tree that the keys are added to; else an empty one.
        parts: Type and data of each image.
        hint: What the hints of the keys begin with.
    """
    algorithms = (algorithm, *more)
    fit = unsigned(algorithms, padding=padding, parts=parts, hint=hint)
    keys = [
        SigningKey(signer=signer(each.split(",")[1], number), hint=f"{hint}-{number}")
        for number, each in enumerate(algorithms, 1)
    ]
    control = base or fdt.emit(fdt.Node("", {"model": b"board\0"}))
    for key, each in zip(keys, algorithms, strict=True):
        control = control_dtb.add_key(
            control, key.signer.public_key, hint=key.hint, algorithm=each, required="conf"
        )
    request = Request(keys=keys, timestamp=_TIMESTAMP, strictness=COMPAT)
    return Sample(fit=sign_request(move_out(fit) if external else fit, request), control=control)


def move_out(fit: bytes, *, position: int | None = None) -> bytes:
    """Turn a FIT with embedded data into one with external data, as `mkimage -E` lays it out."""
    payloads: list[bytes] = []
    start = position or 0

    def change(root: fdt.Node) -> None:
        images = root.find("/images")
        assert images is not None
        for node in images.children:
            payload = node.properties.pop("data")
            place = start + sum(map(len, payloads))
            name = "data-offset" if position is None else "data-position"
            sizes = {"data-size": len(payload), name: place}
            new = {key: value.to_bytes(4) for key, value in sizes.items()}
            node.properties = new | node.properties
            payloads.append(payload.ljust(-(-len(payload) // 4) * 4, b"\0"))

    packed = fdt.rewrite(fit, change)
    size = -(-len(packed) // 4) * 4
    tree = packed[:4] + size.to_bytes(4) + packed[8:].ljust(size - 8, b"\0")
    return tree.ljust(position or 0, b"\0") + b"".join(payloads)


def force_sign(fit: bytes, key: FileSigner) -> bytes:
    """Sign whatever is there, as a careless signer with the right key would."""
    model = fit_format.parse(fit, lenient=True)
    editor = Editor(fit, lenient=True)
    for configuration in model.configurations:
        for signature in configuration.signatures:
            flat = fdt.read(editor.to_bytes())
            nodes = fit_format.hashed_nodes(model, configuration)
            size = len(flat.strings)
            algorithm = Algorithm.parse(signature.algorithm, signature.padding)
            digest = algorithm.digest(fit_format.SignedRegions(flat).chunks(nodes, size))
            listed = b"".join(path.encode() + b"\0" for path in nodes)
            value = key.sign_digest(digest, algorithm)
            editor.set_property(signature.path, "value", value)
            editor.set_property(signature.path, "hashed-nodes", listed)
            editor.set_property(signature.path, "hashed-strings", size.to_bytes(8))
    return editor.to_bytes() + fit[model.flat.header.total_size :]
