# SPDX-License-Identifier: MIT
"""FITs with very many configurations: the work grows with their number and not with its square."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests import samples
from tests.tree_edits import put

from bootseal.errors import VerificationRefused
from bootseal.fit import control_dtb
from bootseal.fit.add_signature import NewSignature
from bootseal.fit.sign import Request, SigningKey, sign_file, sign_request
from bootseal.fit.verify.strictness import COMPAT, STRICT
from bootseal.fit.verify.verdict import check_fit, inspect, uboot_accepts
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from bootseal.fit.control_dtb import Trust

ALGORITHM = "sha256,ecdsa256"
KEY = samples.signer("ecdsa256", 1)
KEYS = [SigningKey(signer=KEY, hint="key-1")]
REQUEST = Request(keys=KEYS, timestamp=0)


def unsigned(number: int) -> bytes:
    """A FIT with a kernel, and this many device trees with a configuration each."""

    def change(root: fdt.Node) -> None:
        images, configurations = root.children
        tree, one = images.children.pop(), configurations.children.pop()
        for each in map(str, range(number)):
            images.children.append(fdt.Node(f"fdt-{each}", tree.properties, tree.children))
            named = one.properties | {"fdt": f"fdt-{each}".encode() + b"\0"}
            configurations.children.append(fdt.Node(f"conf-{each}", named, one.children))
        configurations.properties["default"] = b"conf-0\0"

    parts = {name: samples.PARTS[name] for name in ("kernel-1", "fdt-1")}
    return fdt.rewrite(samples.unsigned([ALGORITHM], parts=parts), change)


def trust() -> Trust:
    tree = fdt.emit(fdt.Node())
    tree = control_dtb.add_key(tree, KEY.public_key, hint="key-1", algorithm=ALGORITHM)
    return control_dtb.read_trust(tree)


def calls(run: Callable[[], object]) -> int:
    """Count the functions that are called, which is the same on every machine."""
    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        run()
    finally:
        sys.setprofile(before)
    return count


def signed(number: int) -> bytes:
    return sign_request(unsigned(number), REQUEST)


def adding(fit: bytes) -> bytes:
    add = NewSignature(hint="key-2", algorithm=ALGORITHM)
    keys = [*KEYS, SigningKey(signer=KEY, hint="key-2")]
    return sign_request(fit, Request(keys=keys, timestamp=0, add=add))


WORK: dict[str, tuple[Callable[[int], bytes], Callable[[bytes], object]]] = {
    "sign": (unsigned, lambda fit: sign_request(fit, REQUEST)),
    "sign, compat": (
        unsigned,
        lambda fit: sign_request(fit, Request(keys=KEYS, timestamp=0, strictness=COMPAT)),
    ),
    "add a signature": (unsigned, adding),
    "verify": (signed, lambda fit: check_fit(STRICT.parse(fit), trust())),
    "what U-Boot accepts": (signed, lambda fit: uboot_accepts(fit, trust())),
}


@pytest.mark.parametrize(("make", "run"), WORK.values(), ids=WORK.keys())
def test_work_is_in_proportion_to_the_number_of_configurations(
    make: Callable[[int], bytes], run: Callable[[bytes], object]
) -> None:
    fits = [make(number) for number in (5, 20, 35)]
    run(fits[0])
    few, some, more = (calls(partial(run, fit)) for fit in fits)
    assert more - some < 1.2 * (some - few)


def test_each_of_many_configurations_is_signed_for_itself() -> None:
    fit = signed(20)
    assert not check_fit(STRICT.parse(fit), trust()).errors
    assert uboot_accepts(fit, trust()) == {f"conf-{number}": True for number in range(20)}
    model = fit_format.parse(fit)
    assert len({c.signatures[0].value for c in model.configurations}) == 20


def test_one_bad_configuration_of_many_is_named() -> None:
    bad = fdt.rewrite(signed(20), put("/configurations/conf-7", "fdt", b"fdt-8\0"))
    verdict = check_fit(STRICT.parse(bad), trust())
    places = {finding.where for finding in verdict.errors if finding.id == "fit.bad-signature"}
    assert places == {"/configurations/conf-7/signature-1"}
    accepted = uboot_accepts(bad, trust())
    assert [name for name, good in accepted.items() if not good] == ["conf-7"]


def test_one_bad_configuration_of_many_stops_signing() -> None:
    bad = fdt.rewrite(unsigned(20), put("/images/fdt-7", "data", b"x"))
    with pytest.raises(VerificationRefused, match=r"fit\.image-hash at /images/fdt-7"):
        sign_request(bad, REQUEST)


def test_signing_says_what_it_does(tmp_path: Path) -> None:
    said: list[str] = []

    class Told:
        def step(self, title: str) -> AbstractContextManager[None]:
            @contextmanager
            def step() -> Iterator[None]:
                said.append(title)
                yield

            return step()

        def note(self, text: str) -> None:
            said.append(text)

    path = tmp_path / "fit.itb"
    path.write_bytes(unsigned(3))
    sign_file(path, path, REQUEST, Told())
    assert said == ["Sign 3 configurations", "Verify what was signed"]
    tree = fdt.emit(fdt.Node())
    control = control_dtb.add_key(tree, KEY.public_key, hint="key-1", algorithm=ALGORITHM)
    assert not inspect(path.read_bytes(), control).errors
