# SPDX-License-Identifier: MIT
"""Signing, and everything that must not be signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.tree_edits import drop, node, put

from bootseal.errors import BootsealError, UsageError, VerificationRefused
from bootseal.fit import control_dtb
from bootseal.fit.sign import sign
from bootseal.fit.verify.verdict import verify
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.keys.algorithms import Algorithm
    from bootseal.keys.public import PublicKey
    from bootseal.keys.signers.file import FileSigner

SIGNATURE = "/configurations/conf-b/signature-1"


def no_signature(root: fdt.Node) -> None:
    node(root, "/configurations/conf-b").children.clear()


def no_hash(root: fdt.Node) -> None:
    node(root, "/images/kernel-1").children.clear()


REFUSALS: dict[str, tuple[Callable[[fdt.Node], None], type[BootsealError], str]] = {
    "no signature node": (no_signature, UsageError, "no signature node for the key 'dev'"),
    "other hint": (put(SIGNATURE, "key-name-hint", b"prod\0"), UsageError, "it has 'prod'"),
    "default sign-images": (
        drop(SIGNATURE, "sign-images"),
        VerificationRefused,
        "leaves out /images/ramdisk-1",
    ),
    "short sign-images": (
        put(SIGNATURE, "sign-images", b"kernel\0ramdisk\0"),
        VerificationRefused,
        "leaves out /images/fdt-b",
    ),
    "no hash": (no_hash, VerificationRefused, r"fit\.no-hash"),
    "weak hash": (
        put("/images/kernel-1/hash-1", "algo", b"sha1\0"),
        VerificationRefused,
        r"fit\.weak-hash",
    ),
    "wrong hash": (put("/images/kernel-1", "data", b"x"), VerificationRefused, r"fit\.image-hash"),
    "external data": (
        put("/images/kernel-1", "data-size", bytes(4)),
        VerificationRefused,
        r"fit\.external-data",
    ),
    "sha1 signature": (put(SIGNATURE, "algo", b"sha1,rsa2048\0"), UsageError, "sha1,rsa2048"),
    "larger key wanted": (
        put(SIGNATURE, "algo", b"sha256,rsa4096\0"),
        UsageError,
        "a key of 2048 bits does not fit",
    ),
}


@pytest.mark.parametrize(("change", "error", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
def test_unfit_fit_is_not_signed(
    unsigned: bytes,
    signer: FileSigner,
    change: Callable[[fdt.Node], None],
    error: type[BootsealError],
    reason: str,
) -> None:
    with pytest.raises(error, match=reason):
        sign(fdt.rewrite(unsigned, change), signer, "dev", timestamp=0)


def test_key_of_another_size_is_refused(unsigned: bytes, big_signer: FileSigner) -> None:
    with pytest.raises(UsageError, match="3072"):
        sign(unsigned, big_signer, "dev", timestamp=0)


def test_other_algorithm_than_asked_for_is_refused(unsigned: bytes, signer: FileSigner) -> None:
    with pytest.raises(UsageError, match="sha512,rsa2048 was requested"):
        sign(unsigned, signer, "dev", timestamp=0, algorithm="sha512,rsa2048")


class Liar:
    """A signer that returns something else than a signature."""

    def __init__(self, public_key: PublicKey) -> None:
        self._public_key = public_key

    @property
    def public_key(self) -> PublicKey:
        return self._public_key

    def sign_digest(self, digest: bytes, algorithm: Algorithm) -> bytes:
        del digest
        return bytes(algorithm.signature_size)


def test_bad_signature_of_the_signer_is_noticed(unsigned: bytes, signer: FileSigner) -> None:
    with pytest.raises(VerificationRefused, match=r"fit\.bad-signature"):
        sign(unsigned, Liar(signer.public_key), "dev", timestamp=0)


def test_signature_node_says_who_signed_when(signed: bytes) -> None:
    signature = fit_format.parse(signed).configuration("conf-b").signatures[0]
    properties = node(fdt.parse(signed), signature.path).properties
    assert properties["signer-name"] == b"bootseal\0"
    assert signature.timestamp == 1_700_000_001
    assert signature.hashed_nodes[:2] == ("/", "/configurations/conf-b")


def test_signing_again_replaces_the_signature(
    signed: bytes, stranger: FileSigner, signer: FileSigner, control: bytes
) -> None:
    by_stranger = sign(signed, stranger, "dev", timestamp=5)
    again = sign(by_stranger, signer, "dev", timestamp=5)
    verify(again, control)


def test_signing_is_deterministic(unsigned: bytes, signer: FileSigner, signed: bytes) -> None:
    assert sign(unsigned, signer, "dev", timestamp=1_700_000_001) == signed


@pytest.mark.parametrize("padding", ["pkcs-1.5", "pss"])
@pytest.mark.parametrize("algorithm", ["sha256,rsa3072", "sha384,rsa3072", "sha512,rsa3072"])
def test_every_algorithm_verifies_after_signing(
    unsigned: bytes, big_signer: FileSigner, algorithm: str, padding: str
) -> None:
    def change(root: fdt.Node) -> None:
        for conf in node(root, "/configurations").children:
            conf.children[0].properties["algo"] = algorithm.encode() + b"\0"
            conf.children[0].properties["padding"] = padding.encode() + b"\0"

    fit = sign(fdt.rewrite(unsigned, change), big_signer, "dev", timestamp=0)
    trust = control_dtb.add_key(
        fdt.emit(fdt.Node()), big_signer.public_key, hint="dev", algorithm=algorithm
    )
    verify(fit, trust)
