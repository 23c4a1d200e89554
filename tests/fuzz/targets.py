# SPDX-License-Identifier: MIT
"""What must hold for any bytes at all: one function for each reader, which fails by an assertion.

`campaign.py` feeds them with a fuzzer, `test_targets.py` with what is at hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bootseal.errors import FormatError
from bootseal.fit.control_dtb import read_trust
from bootseal.fit.coverage import coverage
from bootseal.fit.show import document
from bootseal.fit.verify.strictness import COMPAT, STRICT
from bootseal.fit.verify.verdict import inspect, uboot_accepts
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fdt.edit import Editor
from bootseal.formats.fit import model as fit_format

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.samples import Sample

    from bootseal.formats.fdt.read import Flat
    from bootseal.formats.fit.model import Fit

    Target = Callable[[bytes], None]


def read(data: bytes, *, lenient: bool) -> Flat | None:
    try:
        return fdt.read(data, lenient=lenient)
    except FormatError:
        return None


def check_tree(data: bytes) -> None:
    """Any bytes are a device tree or a FormatError; what is strict is lenient; trees survive."""
    lenient, strict = read(data, lenient=True), read(data, lenient=False)
    if lenient is not None:
        end = lenient.header.off_struct
        for token in lenient.tokens:
            assert token.start == end
            end = token.end
        assert end == lenient.header.off_struct + lenient.header.size_struct <= len(data)
        assert Editor(data, lenient=True).size <= len(data)
    if strict is None:
        return
    assert lenient is not None
    assert strict.tokens == lenient.tokens
    packed = fdt.read(Editor(data).to_bytes())
    assert [token.name for token in packed.tokens] == [token.name for token in strict.tokens]
    try:
        tree = fdt.parse(data)
    except FormatError:
        return  # Two nodes have one name: the model of a tree cannot hold that.
    assert fdt.parse(fdt.emit(tree)) == tree


def check_model(data: bytes) -> None:
    """Any bytes are a FIT or a FormatError; every byte of a FIT is in the map of coverage once."""
    for lenient in (False, True):
        try:
            fit = fit_format.parse(data, lenient=lenient)
        except FormatError:
            continue
        found = coverage(fit)
        assert sum(found.totals.values()) == len(data)
        document(fit)
        for image in fit.images:
            assert len(image.payload) <= len(data)


def check_verifier(good: list[Sample]) -> Target:
    """Return the target that verifies FITs: what is accepted boots what was signed."""
    control = good[0].control
    signed = [booted(fit_format.parse(each.fit)) for each in good]
    trust = read_trust(control)

    def check(data: bytes) -> None:
        try:
            lax = inspect(data, control, strictness=COMPAT).errors
        except FormatError:
            lax = None
        else:
            if not lax:
                assert booted(fit_format.parse(data, lenient=True)) in signed
            uboot_accepts(data, trust)
        try:
            errors = inspect(data, control, strictness=STRICT).errors
        except FormatError:
            return
        # A strict policy asks nothing of the default, which a U-Boot without `#NAME` needs.
        if not errors:
            fit = fit_format.parse(data)
            assert booted(fit, fit.configurations[0].name) in signed

    return check


def booted(fit: Fit, name: str = "") -> list[tuple[object, ...]]:
    """Return everything that a configuration starts, the default one without a name."""
    wanted = name or fit.default
    configuration = next(c for c in fit.configurations if c.name == wanted)
    return [
        (
            *(kind, image.type, image.os, image.arch, image.compression),
            *(image.load, image.entry, bytes(image.payload)),
        )
        for kind, names in configuration.references.items()
        for image in map(fit.image, names)
    ]
