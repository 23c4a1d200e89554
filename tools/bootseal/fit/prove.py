# SPDX-License-Identifier: MIT
"""The negative control of a verification: change signed bytes, and require each refusal.

The changes are made in place, one after the other, in a private copy that shares its pages with
the file; digests of payloads that a change does not touch are computed once. Which bytes and bits
change depends on a seed alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootseal.errors import FormatError
from bootseal.findings.model import refuse
from bootseal.fit.verify.digest import PayloadCache
from bootseal.fit.verify.strictness import STRICT, Strictness
from bootseal.fit.verify.verdict import check_fit
from bootseal.formats.fdt.scan import Tag
from bootseal.formats.fit import model as fit_format
from bootseal.formats.fit.regions import covered

if TYPE_CHECKING:
    from bootseal.fit.control_dtb import Trust
    from bootseal.formats.fit.model import Configuration, Fit


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRegion:
    """Bytes whose change must be refused.

    Attributes:
        name: What they are, for example `/images/kernel-1 load`.
        ranges: Start and end offset in the file; one byte of each range changes at a time.
        tries: How many changes to try.
    """

    name: str
    ranges: tuple[tuple[int, int], ...]
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change and its fate.

    Attributes:
        region: Name of the region.
        flips: Offset in the file and bit number of every bit that was inverted.
        refused: Whether the FIT was refused with it.
        reason: The first reason for that, empty when it was accepted.
    """

    region: str
    flips: tuple[tuple[int, int], ...]
    refused: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FitProof:
    """All changes that were tried, and the seed that chose them."""

    seed: int
    mutants: tuple[Mutant, ...]

    @property
    def accepted(self) -> tuple[Mutant, ...]:
        """The changes that were not noticed; a sound verification has none."""
        return tuple(mutant for mutant in self.mutants if not mutant.refused)


def prove(
    fit: memoryview,
    trust: Trust,
    configuration: str | None = None,
    *,
    strictness: Strictness = STRICT,
    seed: int = 0,
    tries: int = 3,
) -> FitProof:
    """Change every signed region of an acceptable FIT and check each result.

    Args:
        fit: The file, writable and private; it is the same afterwards.
        trust: The keys.
        configuration: The one to check, as for `inspect`.
        strictness: How severely.
        seed: Chooses bytes and bits.
        tries: Changes per payload, signature and strings block; properties get one each.

    Raises:
        FormatError: `fit` is not a FIT.
        VerificationRefused: It is refused as it is, so refusing changes of it proves nothing.
    """
    cache = PayloadCache()
    model = strictness.parse(fit)
    verdict = check_fit(model, trust, configuration, strictness=strictness, cache=cache)
    refuse(verdict.errors, "the FIT is refused unchanged")
    verified = {result.configuration for result in verdict.results}
    chosen = [each for each in model.configurations if each.name in verified]
    choice = random.Random(seed)  # noqa: S311 - repeatable on purpose
    mutants: list[Mutant] = []
    for region in regions(model, chosen, tries):
        for number in range(region.tries):
            flips = tuple(_flip(choice, span, number) for span in region.ranges)
            _apply(fit, flips)
            try:
                known = cache.without(offset for offset, _ in flips)
                reason = _reason(fit, trust, configuration, strictness, known)
            finally:
                _apply(fit, flips)
            mutant = Mutant(region=region.name, flips=flips, refused=bool(reason), reason=reason)
            mutants.append(mutant)
    return FitProof(seed=seed, mutants=tuple(mutants))


def regions(fit: Fit, configurations: list[Configuration], tries: int) -> list[SignedRegion]:
    """Return what the signatures of some configurations protect, each region once."""
    found: dict[tuple[tuple[int, int], ...], SignedRegion] = {}
    for configuration in configurations:
        for region in _regions(fit, configuration, tries):
            if all(start < end for start, end in region.ranges):
                found.setdefault(region.ranges, region)
    return list(found.values())


def _regions(fit: Fit, configuration: Configuration, tries: int) -> Iterator[SignedRegion]:
    nodes = set(fit_format.hashed_nodes(fit, configuration))
    yield from _structure(fit, nodes)
    signatures = [s for s in configuration.signatures if s.value]
    # Any good signature may be enough, so all of them change together.
    values = [s.node.properties["value"] for s in signatures]
    spans = tuple((found.offset, found.offset + len(found.value)) for found in values)
    yield SignedRegion(name=f"{configuration.path} signature value", ranges=spans, tries=tries)
    sizes = [int.from_bytes(s.hashed_strings[4:8]) for s in signatures]
    if covered_size := min(sizes, default=0):
        start = fit.flat.header.off_strings
        span = ((start, start + covered_size),)
        yield SignedRegion(name="names in the strings block", ranges=span, tries=tries)
    for names in configuration.references.values():
        for image in map(fit.image, names):
            span = ((image.offset, image.offset + len(image.payload)),)
            yield SignedRegion(name=f"{image.path} data", ranges=span, tries=tries)


def _structure(fit: Fit, nodes: set[str]) -> Iterator[SignedRegion]:
    path: list[str] = []
    tokens = fit.flat.tokens
    for token, signed in zip(tokens, covered(tokens, nodes), strict=True):
        where = "/".join(path) or "/"
        if token.tag is Tag.BEGIN_NODE:
            path.append(token.name)
            where = "/".join(path) or "/"
            if signed and token.name:
                start = token.start + 4
                span = ((start, start + len(token.name)),)
                yield SignedRegion(name=f"{where} name", ranges=span, tries=1)
        elif token.tag is Tag.END_NODE:
            path.pop()
        elif token.tag is Tag.PROP and signed:
            span = ((token.start, token.end),)
            yield SignedRegion(name=f"{where} {token.name}", ranges=span, tries=1)
            if token.size:
                span = ((token.value, token.value + token.size),)
                yield SignedRegion(name=f"{where} {token.name} value", ranges=span, tries=1)


def _flip(choice: random.Random, span: tuple[int, int], number: int) -> tuple[int, int]:
    """Choose a bit; of several changes the first two hit the first and the last byte."""
    start, end = span
    offset = {0: start, 1: end - 1}.get(number, choice.randrange(start, end))
    return offset, choice.randrange(8)


def _apply(fit: memoryview, flips: tuple[tuple[int, int], ...]) -> None:
    for offset, bit in flips:
        fit[offset] ^= 1 << bit


def _reason(
    fit: memoryview,
    trust: Trust,
    configuration: str | None,
    strictness: Strictness,
    cache: PayloadCache,
) -> str:
    """Return why a changed FIT is refused, empty when it is not."""
    try:
        changed = strictness.parse(fit)
        found = check_fit(changed, trust, configuration, strictness=strictness, cache=cache)
    except FormatError as error:
        return error.message
    first = next(iter(found.errors), None)
    return f"{first.id} at {first.where}" if first else ""
