# SPDX-License-Identifier: MIT
"""FITs that are not a kernel with its device tree: of an SPL, with loadables, with overlays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from tests import samples
from tests.tree_edits import put

from bootseal.errors import UsageError, VerificationRefused
from bootseal.fit import control_dtb
from bootseal.fit.sign import Request, SigningKey, sign_request
from bootseal.fit.verify.strictness import COMPAT, STRICT
from bootseal.fit.verify.verdict import inspect
from bootseal.formats.fdt import model as fdt

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.fit.verify.strictness import Strictness

ALGORITHM: Final = "sha256,rsa2048"
CONF: Final = samples.signer(ALGORITHM.partition(",")[2], 1)
IMG: Final = samples.signer(ALGORITHM.partition(",")[2], 2)
TREE: Final = fdt.emit(fdt.Node("", {"compatible": b"acme,board\0"}))


def signature(hint: str, **more: bytes) -> fdt.Node:
    values = {"algo": ALGORITHM.encode() + b"\0", "key-name-hint": hint.encode() + b"\0"}
    return fdt.Node("signature-1", values | {n.replace("_", "-"): v for n, v in more.items()})


def image(name: str, kind: str, load: int | None = None, *, hint: str = "") -> fdt.Node:
    data = TREE if kind == "flat_dt" else f"{name} ".encode() * 40
    found = samples.image(name, kind, data)
    if load is not None:
        found.properties["load"] = load.to_bytes(4)
    if hint:
        found.children.append(signature(hint))
    return found


def fit(images: list[fdt.Node], signed: str = "", **named: str) -> bytes:
    """A FIT with one configuration, signed as a whole if a hint is given."""
    values = {name: value.encode() + b"\0" for name, value in named.items()}
    covered = b"".join(name.encode() + b"\0" for name in named)
    children = [signature(signed, sign_images=covered)] if signed else []
    nodes = [
        fdt.Node("images", {}, images),
        fdt.Node("configurations", {"default": b"c\0"}, [fdt.Node("c", values, children)]),
    ]
    return fdt.emit(fdt.Node("", {"description": b"FIT\0", "timestamp": bytes(4)}, nodes))


def spl(*, hint: str = "", signed: str = "", tee: int = 0x84000000) -> bytes:
    images = [
        image("atf", "firmware", 0x80000000, hint=hint),
        image("uboot", "standalone", 0x80200000, hint=hint),
        image("tee", "tee", tee, hint=hint),
        image("board", "flat_dt", hint=hint),
    ]
    return fit(images, signed, firmware="atf", loadables="uboot\0tee", fdt="board")


def kernel(*, signed: str = "conf", tee: int = 0x60000000, load: str = "loadables") -> bytes:
    images = [image("kernel", "kernel"), image("tee", "tee", tee), image("board", "flat_dt")]
    return fit(images, signed, kernel="kernel", **{load: "tee"}, fdt="board")


def trust(**required: str) -> bytes:
    """A control device tree that requires keys, each for configurations or images."""
    found = fdt.emit(fdt.Node())
    for hint, what in required.items():
        key = CONF if hint == "conf" else IMG
        found = control_dtb.add_key(
            found, key.public_key, hint=hint, algorithm=ALGORITHM, required=what
        )
    return found


def request(*hints: str, **more: str) -> Request:
    keys = [SigningKey(signer=CONF if hint == "conf" else IMG, hint=hint) for hint in hints]
    return Request(keys=keys, timestamp=0, required=more)


def ids(data: bytes, control: bytes, strictness: Strictness = STRICT) -> set[str]:
    return {finding.id for finding in inspect(data, control, strictness=strictness).errors}


GOOD: Final[dict[str, tuple[bytes, Request, bytes]]] = {
    "SPL, configuration": (spl(signed="conf"), request("conf"), trust(conf="conf")),
    "SPL, images": (spl(hint="img"), request("img"), trust(img="image")),
    "SPL, images, said": (spl(hint="img"), request("img", img="image"), trust(img="image")),
    "SPL, both": (
        spl(hint="img", signed="conf"),
        request("conf", "img"),
        trust(conf="conf", img="image"),
    ),
    "kernel and loadable": (kernel(), request("conf"), trust(conf="conf")),
    "kernel and firmware": (kernel(load="firmware"), request("conf"), trust(conf="conf")),
    "kernel and overlay": (
        fit(
            [image("kernel", "kernel"), image("board", "flat_dt"), image("o", "flat_dt")],
            "conf",
            kernel="kernel",
            fdt="board\0o",
        ),
        request("conf"),
        trust(conf="conf"),
    ),
}


@pytest.mark.parametrize(("unsigned", "how", "control"), GOOD.values(), ids=GOOD.keys())
@pytest.mark.parametrize("strictness", [STRICT, COMPAT], ids=["strict", "compat"])
def test_shape_is_signed_and_accepted(
    unsigned: bytes, how: Request, control: bytes, strictness: Strictness
) -> None:
    signed = sign_request(unsigned, replace(how, strictness=strictness, control=control))
    assert ids(signed, control, strictness) == set()


@pytest.mark.parametrize(("unsigned", "how", "control"), GOOD.values(), ids=GOOD.keys())
@pytest.mark.parametrize("strictness", [STRICT, COMPAT], ids=["strict", "compat"])
def test_shape_with_changed_data_is_refused(
    unsigned: bytes, how: Request, control: bytes, strictness: Strictness
) -> None:
    signed = sign_request(unsigned, replace(how, strictness=strictness))
    where = signed.index(TREE)
    bad = signed[: where + 60] + b"x" + signed[where + 61 :]
    found = ids(bad, control, strictness)
    assert "fit.image-hash" in found
    assert found <= {"fit.image-hash", "fit.bad-signature"}


@pytest.mark.parametrize(("unsigned", "how", "control"), GOOD.values(), ids=GOOD.keys())
def test_shape_without_signatures_is_refused(unsigned: bytes, how: Request, control: bytes) -> None:
    del how
    for strictness in (STRICT, COMPAT):
        assert ids(unsigned, control, strictness) == {"fit.no-signature"}


def test_image_of_another_key_is_refused() -> None:
    signed = sign_request(spl(hint="img"), request("img"))
    other = control_dtb.add_key(
        fdt.emit(fdt.Node()), CONF.public_key, hint="img", algorithm=ALGORITHM, required="image"
    )
    assert ids(signed, other) == {"fit.bad-signature"}


def test_kernel_by_an_image_key_alone_is_refused() -> None:
    images = [image("kernel", "kernel", hint="img"), image("board", "flat_dt", hint="img")]
    unsigned = fit(images, kernel="kernel", fdt="board")
    control = trust(img="image")
    signed = sign_request(unsigned, replace(request("img"), strictness=COMPAT))
    assert ids(signed, control) == {"fit.kernel-by-image-key"}
    assert ids(signed, control, COMPAT) == set()
    with pytest.raises(VerificationRefused, match=r"fit\.kernel-by-image-key"):
        sign_request(unsigned, request("img"))


def test_what_an_image_key_leaves_open_is_said() -> None:
    signed = sign_request(spl(hint="img"), request("img"))
    moved = fdt.rewrite(signed, put("/images/tee", "load", (0x88000000).to_bytes(4)))
    verdict = inspect(moved, trust(img="image"))
    assert not verdict.errors
    assert "fit.unsigned-configuration" in {finding.id for finding in verdict.findings}


MISPLACED: Final[dict[str, Callable[[], bytes]]] = {
    "SPL": lambda: spl(signed="conf", tee=0x80200010),
    "kernel and loadable": lambda: kernel(tee=0x40400010),
}


@pytest.mark.parametrize("make", MISPLACED.values(), ids=MISPLACED.keys())
def test_images_over_each_other_are_refused(make: Callable[[], bytes]) -> None:
    with pytest.raises(VerificationRefused, match=r"fit\.load-overlap"):
        sign_request(make(), request("conf"))


@pytest.mark.parametrize("name", ["ramdisk", "fdt"])
def test_load_address_of_what_belongs_to_a_kernel_is_refused(name: str) -> None:
    kind = "flat_dt" if name == "fdt" else name
    images = [image("kernel", "kernel"), image("x", kind, 0x60000000)]
    unsigned = fit(images, "conf", kernel="kernel", **{name: "x"})
    with pytest.raises(VerificationRefused, match=r"fit\.load-address"):
        sign_request(unsigned, request("conf"))


def test_fit_and_control_tree_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(VerificationRefused, match="with this control device tree"):
        sign_request(spl(signed="conf"), replace(request("conf"), control=trust(img="image")))


def test_images_of_which_one_is_not_signed_are_refused() -> None:
    unsigned = fdt.rewrite(
        spl(hint="img"),
        lambda root: root.children[0].children[0].children.pop(),
    )
    with pytest.raises(VerificationRefused, match="no signature of the image"):
        sign_request(unsigned, request("img"))


def test_key_without_any_node_is_refused() -> None:
    with pytest.raises(UsageError, match="no signature node"):
        sign_request(spl(hint="img"), request("conf"))
