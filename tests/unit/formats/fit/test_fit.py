# SPDX-License-Identifier: MIT
"""The FIT model and the byte ranges a signature covers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootseal.errors import FormatError
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit


def image(name: str, data: bytes) -> fdt.Node:
    return fdt.Node(
        name,
        {"description": b"an image\0", "data": data, "type": b"kernel\0"},
        [fdt.Node("hash-1", {"algo": b"sha256\0", "value": bytes(32)})],
    )


def tree() -> fdt.Node:
    conf = fdt.Node(
        "conf-a",
        {
            "description": b"ramdisk-1\0",
            "kernel": b"kernel-1\0",
            "loadables": b"nothing\0ramdisk-1\0",
            "broken": b"fdt-1",
        },
        [fdt.Node("signature-1", {"algo": b"sha256,rsa2048\0"})],
    )
    images = [image("kernel-1", b"KERNEL"), image("ramdisk-1", b"RAM"), image("fdt-1", b"F")]
    return fdt.Node(
        "",
        {"timestamp": bytes(4), "description": b"a FIT\0"},
        [
            fdt.Node("images", {}, images),
            fdt.Node("configurations", {"default": b"conf-a\0"}, [conf]),
        ],
    )


def test_parse_gives_images_with_payload_and_offset() -> None:
    data = fdt.emit(tree())
    kernel = fit.parse(data).image("kernel-1")
    assert bytes(kernel.payload) == b"KERNEL"
    assert data[kernel.offset :].startswith(b"KERNEL")
    assert kernel.payload.obj is data
    assert kernel.hashes[0].algorithm == "sha256"


def test_parse_gives_configurations_with_references() -> None:
    conf = fit.parse(fdt.emit(tree())).configuration("conf-a")
    assert conf.references == {"kernel": ("kernel-1",), "loadables": ("ramdisk-1",)}
    assert conf.signatures[0].padding == "pkcs-1.5"


def test_hashed_nodes_follow_every_reference() -> None:
    model = fit.parse(fdt.emit(tree()))
    assert fit.hashed_nodes(model, model.configuration("conf-a")) == (
        "/",
        "/configurations/conf-a",
        "/images/kernel-1",
        "/images/kernel-1/hash-1",
        "/images/ramdisk-1",
        "/images/ramdisk-1/hash-1",
    )


def covered(data: bytes) -> bytes:
    model = fit.parse(data)
    nodes = fit.hashed_nodes(model, model.configuration("conf-a"))
    return b"".join(model.regions.chunks(nodes, model.flat.header.size_strings))


def change(path: str, name: str, value: bytes) -> bytes:
    def edit(root: fdt.Node) -> None:
        node = root.find(path)
        assert node is not None
        node.properties[name] = value

    return fdt.rewrite(fdt.emit(tree()), edit)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "description"),
        ("/configurations/conf-a", "kernel"),
        ("/images/kernel-1", "type"),
        ("/images/kernel-1/hash-1", "value"),
    ],
)
def test_listed_node_is_covered(path: str, name: str) -> None:
    assert covered(change(path, name, b"fdt-1\0")) != covered(fdt.emit(tree()))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/images/kernel-1", "data"),
        ("/configurations", "default"),
        ("/configurations/conf-a/signature-1", "algo"),
        ("/images/fdt-1", "type"),
    ],
)
def test_payload_and_unlisted_nodes_are_not_covered(path: str, name: str) -> None:
    assert covered(change(path, name, b"kernel-1\0")) == covered(fdt.emit(tree()))


def test_regions_split_only_at_what_is_left_out() -> None:
    model = fit.parse(fdt.emit(tree()))
    nodes = fit.hashed_nodes(model, model.configuration("conf-a"))
    regions = model.regions.of(nodes)
    assert all(a.end < b.start for a, b in pairwise(regions))
    assert regions[0].start == model.flat.header.off_struct
    assert regions[-1].end == model.flat.header.off_strings


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(bytes.fromhex("27051956") + bytes(60), "legacy uImage", id="uImage"),
        pytest.param(bytes(56) + b"ARM\x64" + bytes(8), "arm64 kernel Image", id="Image"),
        pytest.param(fdt.emit(fdt.Node()), "no /images", id="plain device tree"),
        pytest.param(b"", "too few", id="empty"),
    ],
)
def test_something_else_is_named(data: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        fit.parse(data)


@pytest.mark.parametrize(
    ("path", "name", "value", "reason"),
    [
        ("/images/kernel-1", "type", b"kernel", "one string"),
        ("/images/kernel-1", "type", b"a\0b\0", "one string"),
        ("/images/kernel-1", "type", b"\xff\0", "UTF-8"),
        ("/images/kernel-1", "load", b"abc", "4 or 8"),
    ],
)
def test_malformed_property_is_refused(path: str, name: str, value: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        fit.parse(change(path, name, value))


def test_missing_image_is_named() -> None:
    with pytest.raises(FormatError, match="it has kernel-1, ramdisk-1, fdt-1"):
        fit.parse(fdt.emit(tree())).image("kernel-2")


@settings(deadline=None)
@given(st.data())
def test_damaged_fit_gives_a_model_or_a_format_error(data: st.DataObject) -> None:
    damaged = bytearray(fdt.emit(tree()))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        model = fit.parse(damaged)
        for conf in model.configurations:
            model.regions.of(fit.hashed_nodes(model, conf))
    except FormatError:
        pass
