# SPDX-License-Identifier: MIT
"""What `fit show` is told."""

from __future__ import annotations

from bootseal.fit.show import HashState, SignatureState, describe
from bootseal.formats.fdt import model as fdt


def test_signed_fit_is_described(signed: bytes) -> None:
    view = describe(signed)
    kernel = view.images[0]
    assert (kernel.name, kernel.type, kernel.load, kernel.size) == (
        "kernel-1",
        "kernel",
        0x40400000,
        63,
    )
    assert signed[kernel.offset :].startswith(b"kernel ")
    assert [(c.name, c.default) for c in view.configurations] == [
        ("conf-a", True),
        ("conf-b", False),
    ]
    assert view.configurations[0].signatures[0].state is SignatureState.NOT_CHECKED


def test_unsigned_fit_is_marked(unsigned: bytes) -> None:
    signature = describe(unsigned).configurations[0].signatures[0]
    assert signature.state is SignatureState.UNSIGNED


def states(data: bytes, algorithm: bytes, value: bytes) -> HashState:
    def change(root: fdt.Node) -> None:
        node = root.find("/images/kernel-1/hash-1")
        assert node is not None
        node.properties = {"algo": algorithm + b"\0", "value": value}

    return describe(fdt.rewrite(data, change)).images[0].hashes[0].state


def test_hash_states(unsigned: bytes) -> None:
    assert describe(unsigned).images[0].hashes[0].state is HashState.MATCHES
    assert states(unsigned, b"sha256", bytes(32)) is HashState.DIFFERS
    assert states(unsigned, b"sha256", b"") is HashState.EMPTY
    assert states(unsigned, b"sha3", b"x") is HashState.UNKNOWN
