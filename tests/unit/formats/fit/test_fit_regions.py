# SPDX-License-Identifier: MIT
"""The signed regions against U-Boot's own way of finding them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bootseal.formats.fdt import model as fdt
from bootseal.formats.fdt.scan import Tag
from bootseal.formats.fit.regions import UNHASHED, Region, SignedRegions, covered

NAMES = st.sampled_from(["a", "b", "data", "x"])
PROPERTIES = st.dictionaries(NAMES, st.binary(max_size=5), max_size=3)
NODES = st.recursive(
    st.builds(fdt.Node, NAMES, PROPERTIES),
    lambda inner: st.builds(fdt.Node, NAMES, PROPERTIES, st.lists(inner, max_size=3)),
    max_leaves=8,
)
TREES = st.builds(fdt.Node, st.just(""), PROPERTIES, st.lists(NODES, max_size=3))


def regions_of_uboot(  # noqa: C901 - as long as the original, to compare line by line
    flat: fdt.Flat, nodes: set[str]
) -> list[Region]:
    """Walk the tags with the state machine of boot/fdt_region.c, step by step."""
    found: list[Region] = []
    stack: list[int] = []
    path: list[str] = []
    want, start = 0, -1
    for token in flat.tokens:
        stop = token.end
        if token.tag is Tag.PROP:
            include = want >= 2 and token.name not in UNHASHED
            stop = token.start
        elif token.tag is Tag.NOP:
            include, stop = want >= 2, token.start
        elif token.tag is Tag.BEGIN_NODE:
            path.append(token.name)
            stack.append(want)
            if want == 1:
                stop = token.start
            if ("/".join(path) or "/") in nodes:
                want = 2
            elif want:
                want -= 1
            else:
                stop = token.start
            include = bool(want)
        elif token.tag is Tag.END_NODE:
            include = bool(want)
            want = stack.pop()
            path.pop()
        else:
            include = True
        if include and start == -1:
            merges = found and found[-1].end == token.start
            start = found.pop().start if merges else token.start
        if not include and start != -1:
            found.append(Region(start, stop))
            start = -1
    return [*found, Region(start, flat.tokens[-1].end)]


@settings(deadline=None, max_examples=400)
@given(TREES, st.data())
def test_regions_are_those_of_uboot(root: fdt.Node, data: st.DataObject) -> None:
    flat = fdt.read(fdt.emit(root))
    paths = sorted({node.path for node in flat.root.walk()})
    nodes = set(data.draw(st.lists(st.sampled_from(paths), max_size=4)))
    assert SignedRegions(flat).of(nodes) == regions_of_uboot(flat, nodes)


@settings(deadline=None)
@given(TREES)
def test_every_tag_of_a_fully_listed_tree_is_covered_but_for_its_data(root: fdt.Node) -> None:
    flat = fdt.read(fdt.emit(root))
    nodes = {node.path for node in flat.root.walk()}
    flags = covered(flat.tokens, nodes)
    for token, flag in zip(flat.tokens, flags, strict=True):
        assert flag == (token.tag is not Tag.PROP or token.name not in UNHASHED)


def test_end_of_an_unlisted_parent_belongs_to_the_region_it_closes() -> None:
    """A listed node below an unlisted one takes its parent's END_NODE along."""
    inner = fdt.Node("inner", {"x": b"1"})
    flat = fdt.read(fdt.emit(fdt.Node("", {}, [fdt.Node("outer", {}, [inner])])))
    (first, last) = SignedRegions(flat).of({"/outer/inner"})
    node = flat.find("/outer")
    assert node is not None
    assert first.end == node.end
    assert last == Region(flat.tokens[-1].start, flat.tokens[-1].end)
