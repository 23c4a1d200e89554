# SPDX-License-Identifier: MIT
"""What the gate of `meta-secureboot`'s patches has no room for.

The gate looks at a FIT before U-Boot does, with tables of fixed size. A FIT beyond them is started
by no device with the gate; another U-Boot takes it.

Spec: meta-secureboot, first patch to U-Boot, boot/bootseal_gate.c.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bootseal.findings.catalogue import finding
from bootseal.fit.verify.payloads import room

if TYPE_CHECKING:
    from bootseal.findings.model import Finding
    from bootseal.formats.fit.model import Fit
    from bootseal.target import Target

LIMITS: Final = {"MAX_NODES": 1024, "MAX_PROPS": 64, "MAX_PROP_NAME": 64, "MAX_LOADS": 64}
"""The gate's constants: nodes, properties of a node, the size of a name with its NUL, loads."""

_MEMORY: Final = 1 << 64


def check(fit: Fit, target: Target) -> Iterator[Finding]:
    """Yield what makes the gate refuse a FIT that a strict check would otherwise accept.

    Args:
        fit: The FIT.
        target: The memory of the device.
    """
    number = 0
    for node in fit.flat.root.walk():
        number += 1
        if len(node.properties) > LIMITS["MAX_PROPS"]:
            message = f"{len(node.properties)} properties: it has room for {LIMITS['MAX_PROPS']}"
            yield finding("fit.gate", node.path, message)
        for name in node.properties:
            if len(name) >= LIMITS["MAX_PROP_NAME"]:
                message = f"the name {name!r} is longer than {LIMITS['MAX_PROP_NAME'] - 1} bytes"
                yield finding("fit.gate", node.path, message)
    if number > LIMITS["MAX_NODES"]:
        message = f"{number} nodes: it has room for {LIMITS['MAX_NODES']}"
        yield finding("fit.gate", "/", message)
    yield from _check_loads(fit, target)


def _check_loads(fit: Fit, target: Target) -> Iterator[Finding]:
    """Yield images that are loaded over each other, even if no configuration has both."""
    loaded = sorted(
        (image.load, image.load + room(image, target), image.path)
        for image in fit.images
        if image.load is not None
    )
    if len(loaded) > LIMITS["MAX_LOADS"]:
        message = f"{len(loaded)} load addresses: it has room for {LIMITS['MAX_LOADS']}"
        yield finding("fit.gate", "/images", message)
    last, first = 0, ""
    for start, end, path in loaded:
        if end >= _MEMORY:
            yield finding("fit.gate", path, f"it is loaded to {start:#x} and ends beyond memory")
        if start < last:
            message = f"it may be unpacked over {first}, which is loaded before it"
            yield finding("fit.gate", path, message)
        if end > last:
            last, first = end, path
