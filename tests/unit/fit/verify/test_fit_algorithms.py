# SPDX-License-Identifier: MIT
"""Every algorithm, several keys side by side, and signatures of single images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.tree_edits import ANY_SUFFICES

from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.fit import control_dtb
from bootseal.fit.add_signature import NewSignature
from bootseal.fit.sign import Request, SigningKey, sign, sign_request
from bootseal.fit.verify.strictness import COMPAT
from bootseal.fit.verify.verdict import inspect, verify
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format

if TYPE_CHECKING:
    from bootseal.keys.signers.file import FileSigner

EMPTY = fdt.emit(fdt.Node())
NEXT = NewSignature(hint="next", algorithm="sha384,ecdsa384")


def waiting_for(fit: bytes, algorithm: str, padding: str = "") -> bytes:
    """Return the FIT with signature nodes of another algorithm."""

    def change(root: fdt.Node) -> None:
        for conf in node(root, "/configurations").children:
            conf.children[0].properties["algo"] = algorithm.encode() + b"\0"
            if padding:
                conf.children[0].properties["padding"] = padding.encode() + b"\0"

    return fdt.rewrite(fit, change)


def node(root: fdt.Node, path: str) -> fdt.Node:
    found = root.find(path)
    assert found is not None
    return found


def ids(fit: bytes, control: bytes) -> set[str]:
    return {finding.id for finding in inspect(fit, control).errors}


def trust(signer: FileSigner, algorithm: str, hint: str = "dev", required: str = "conf") -> bytes:
    return control_dtb.add_key(
        EMPTY, signer.public_key, hint=hint, algorithm=algorithm, required=required
    )


@pytest.mark.parametrize("hash_name", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("curve", ["ecdsa256", "ecdsa384"])
def test_ecdsa_signature_verifies_and_a_changed_one_does_not(
    unsigned: bytes, p256: FileSigner, p384: FileSigner, curve: str, hash_name: str
) -> None:
    signer = p256 if curve == "ecdsa256" else p384
    algorithm = f"{hash_name},{curve}"
    control = trust(signer, algorithm)
    fit = sign(waiting_for(unsigned, algorithm), signer, "dev", timestamp=0)
    verify(fit, control)
    verify(fit, control, strictness=COMPAT)
    value = fit_format.parse(fit).configurations[0].signatures[0].node.properties["value"]
    assert len(value.value) == (64 if curve == "ecdsa256" else 96)
    evil = bytearray(fit)
    evil[value.offset + 5] ^= 1
    assert ids(bytes(evil), control) == {"fit.bad-signature"}


def test_ecdsa_signing_is_deterministic(unsigned: bytes, p256: FileSigner) -> None:
    fit = waiting_for(unsigned, "sha256,ecdsa256")
    assert sign(fit, p256, "dev", timestamp=0) == sign(fit, p256, "dev", timestamp=0)


def test_ecdsa_node_has_mkimage_name_and_points(p384: FileSigner) -> None:
    control = trust(p384, "sha384,ecdsa384")
    properties = node(fdt.parse(control), "/signature/dev").properties
    assert properties["ecdsa,curve"] == b"secp384r1\0"
    assert (len(properties["ecdsa,x-point"]), len(properties["ecdsa,y-point"])) == (48, 48)
    assert control_dtb.read_keys(control)[0].public_key == p384.public_key


def test_point_that_is_not_on_the_curve_is_refused(p256: FileSigner) -> None:
    def change(root: fdt.Node) -> None:
        node(root, "/signature/dev").properties["ecdsa,y-point"] = bytes(32)

    with pytest.raises(FormatError, match="/signature/dev: the point is not on the curve"):
        control_dtb.read_keys(fdt.rewrite(trust(p256, "sha256,ecdsa256"), change))


def test_secp521r1_is_refused(unsigned: bytes, p384: FileSigner) -> None:
    """mkimage truncates such points, and no U-Boot verifies them."""
    with pytest.raises(UsageError, match="secp521r1"):
        sign(waiting_for(unsigned, "sha512,secp521r1"), p384, "dev", timestamp=0)
    with pytest.raises(UsageError, match="secp521r1"):
        trust(p384, "sha512,secp521r1")


def test_key_of_the_other_curve_is_refused(unsigned: bytes, p384: FileSigner) -> None:
    with pytest.raises(UsageError, match="does not fit"):
        sign(waiting_for(unsigned, "sha256,ecdsa256"), p384, "dev", timestamp=0)


def test_hash_of_an_ecdsa_signature_must_be_the_one_of_the_key(
    unsigned: bytes, p256: FileSigner
) -> None:
    """U-Boot does not compare them for ECDSA (lib/ecdsa/ecdsa-verify.c)."""
    fit = sign(waiting_for(unsigned, "sha512,ecdsa256"), p256, "dev", timestamp=0)
    assert ids(fit, trust(p256, "sha256,ecdsa256")) == {"fit.algorithm"}


@pytest.mark.parametrize("salt", ["pss", "pkcs-1.5"])
def test_padding_of_the_node_decides(unsigned: bytes, signer: FileSigner, salt: str) -> None:
    control = trust(signer, "sha256,rsa2048")
    fit = sign(waiting_for(unsigned, "sha256,rsa2048", salt), signer, "dev", timestamp=0)
    verify(fit, control)
    other = "pss" if salt == "pkcs-1.5" else "pkcs-1.5"
    assert ids(waiting_for(fit, "sha256,rsa2048", other), control) == {"fit.bad-signature"}


def rotated(signed: bytes, old: FileSigner, new: FileSigner) -> bytes:
    keys = [SigningKey(signer=old, hint="dev"), SigningKey(signer=new, hint="next")]
    return sign_request(signed, Request(keys=keys, timestamp=2, add=NEXT))


def test_old_and_new_key_sign_side_by_side(
    signed: bytes, signer: FileSigner, p384: FileSigner, control: bytes
) -> None:
    fit = rotated(signed, signer, p384)
    new = trust(p384, "sha384,ecdsa384", "next")
    both = control_dtb.add_key(control, p384.public_key, hint="next", algorithm=NEXT.algorithm)
    for tree in (control, new, both, fdt.rewrite(both, ANY_SUFFICES)):
        verify(fit, tree)
        verify(fit, tree, strictness=COMPAT)
    assert ids(signed, both) == {"fit.no-signature"}
    assert ids(signed, fdt.rewrite(both, ANY_SUFFICES)) == set()
    assert ids(fit, trust(p384, "sha384,ecdsa384", "other")) == {"fit.key-hint"}


def test_adding_a_node_again_changes_nothing_but_signatures(
    signed: bytes, signer: FileSigner, p384: FileSigner
) -> None:
    fit = rotated(signed, signer, p384)
    names = [s.path for s in fit_format.parse(rotated(fit, signer, p384)).images[0].signatures]
    again = fit_format.parse(rotated(fit, signer, p384)).configurations[0].signatures
    assert names == []
    assert [s.hint for s in again] == ["next", "dev"]


def test_new_node_without_the_old_key_is_refused(signed: bytes, p384: FileSigner) -> None:
    """The node's name is signed, so the old signature would be broken."""
    request = Request(keys=[SigningKey(signer=p384, hint="next")], timestamp=2, add=NEXT)
    with pytest.raises(UsageError, match="invalidates the signature by 'dev'"):
        sign_request(signed, request)


def test_new_node_of_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(UsageError, match="sha1"):
        NewSignature(hint="x", algorithm="sha1,rsa2048")


def test_removed_key_is_no_longer_trusted(
    signed: bytes, control: bytes, p384: FileSigner, signer: FileSigner
) -> None:
    both = control_dtb.add_key(control, p384.public_key, hint="next", algorithm=NEXT.algorithm)
    assert control_dtb.read_keys(control_dtb.remove_key(both, p384.public_key)) == (
        control_dtb.read_keys(control)
    )
    without = control_dtb.remove_key(control, signer.public_key)
    assert ids(signed, without) == {"fit.no-required-key"}
    with pytest.raises(UsageError, match="no key"):
        control_dtb.remove_key(without, signer.public_key)


def test_required_value_that_uboot_ignores_is_refused(signed: bytes, control: bytes) -> None:
    def change(root: fdt.Node) -> None:
        node(root, "/signature/key-dev").properties["required"] = b"config\0"

    found = ids(signed, fdt.rewrite(control, change))
    assert found == {"fit.no-required-key", "fit.required-value"}


@pytest.fixture(scope="module")
def image_signed(unsigned: bytes, signer: FileSigner, p256: FileSigner) -> bytes:
    """A FIT whose images are signed by `img`, and its configurations by `dev`."""

    def change(root: fdt.Node) -> None:
        for image in node(root, "/images").children:
            wanted = {"algo": b"sha256,ecdsa256\0", "key-name-hint": b"img\0"}
            image.children.append(fdt.Node("signature-1", wanted))

    keys = [SigningKey(signer=signer, hint="dev"), SigningKey(signer=p256, hint="img")]
    return sign_request(fdt.rewrite(unsigned, change), Request(keys=keys, timestamp=0))


@pytest.fixture(scope="module")
def image_control(control: bytes, p256: FileSigner) -> bytes:
    return control_dtb.add_key(
        control, p256.public_key, hint="img", algorithm="sha256,ecdsa256", required="image"
    )


def test_image_signatures_are_checked_with_the_required_key(
    image_signed: bytes, image_control: bytes, signed: bytes
) -> None:
    verify(image_signed, image_control)
    verify(image_signed, image_control, strictness=COMPAT)
    assert ids(signed, image_control) == {"fit.no-signature"}


def test_image_signature_over_other_data_is_refused(
    image_signed: bytes, image_control: bytes
) -> None:
    def change(root: fdt.Node) -> None:
        images = node(root, "/images").children
        images[0].children[1].properties["value"] = images[1].children[1].properties["value"]

    evil = fdt.rewrite(image_signed, change)
    assert ids(evil, image_control) == {"fit.bad-signature"}
    with pytest.raises(VerificationRefused):
        verify(evil, image_control, strictness=COMPAT)


def test_image_signature_by_another_trusted_key_is_good_enough_for_uboot_only(
    image_signed: bytes, control: bytes, p256: FileSigner, p384: FileSigner
) -> None:
    """The key that U-Boot requires is not the one it checks with (boot/image-fit-sig.c)."""
    tree = control_dtb.add_key(
        control, p384.public_key, hint="real", algorithm="sha384,ecdsa384", required="image"
    )
    other = control_dtb.add_key(tree, p256.public_key, hint="img", algorithm="sha256,ecdsa256")

    def forget(root: fdt.Node) -> None:
        del node(root, "/signature/img").properties["required"]

    other = fdt.rewrite(other, forget)
    assert ids(image_signed, other) == {"fit.no-signature"}
    verify(image_signed, other, strictness=COMPAT)
