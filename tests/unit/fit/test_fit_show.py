# SPDX-License-Identifier: MIT
"""What `fit show` is told."""

from __future__ import annotations

import json

from bootseal.fit.show import HashState, SignatureState, document, hash_state, signature_state
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit.model import parse


def test_signed_fit_is_described(signed: bytes) -> None:
    shown = json.loads(json.dumps(document(parse(signed, lenient=True))))
    kernel = shown["images"][0]
    assert (kernel["name"], kernel["type"], kernel["load"], kernel["size"]) == (
        "kernel-1",
        "kernel",
        0x40400000,
        63,
    )
    assert signed[kernel["offset"] :].startswith(b"kernel ")
    assert kernel["hashes"][0]["state"] == "matches"
    assert [(c["name"], c["default"]) for c in shown["configurations"]] == [
        ("conf-a", True),
        ("conf-b", False),
    ]
    assert shown["configurations"][0]["signatures"][0]["state"] == "signed, not checked"


def test_unsigned_fit_is_marked(unsigned: bytes) -> None:
    signature = parse(unsigned, lenient=True).configurations[0].signatures[0]
    assert signature_state(signature) is SignatureState.UNSIGNED


def states(data: bytes, algorithm: bytes, value: bytes) -> HashState:
    def change(root: fdt.Node) -> None:
        node = root.find("/images/kernel-1/hash-1")
        assert node is not None
        node.properties = {"algo": algorithm + b"\0", "value": value}

    image = parse(fdt.rewrite(data, change), lenient=True).images[0]
    return hash_state(image.hashes[0], image)


def test_hash_states(unsigned: bytes) -> None:
    image = parse(unsigned, lenient=True).images[0]
    assert hash_state(image.hashes[0], image) is HashState.MATCHES
    assert states(unsigned, b"sha256", bytes(32)) is HashState.DIFFERS
    assert states(unsigned, b"sha256", b"") is HashState.EMPTY
    assert states(unsigned, b"sha3", b"x") is HashState.UNKNOWN
