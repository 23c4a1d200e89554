# SPDX-License-Identifier: MIT
"""Which U-Boot releases answer otherwise than the one with all published fixes.

Release numbers are U-Boot's own; distributions carry some of the fixes in older ones.

Spec: U-Boot's history of boot/image-fit*.c and lib/libfdt; docs/fit.md has the table in prose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bootseal.findings.model import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseNote:
    """What some releases do with a FIT like this.

    Attributes:
        releases: Which ones, for example `before 2026.04 unless patched`.
        answer: What they do.
        identifiers: CVE and advisory numbers, empty when there are none.
    """

    releases: str
    answer: str
    identifiers: tuple[str, ...] = ()


_LIST: Final = "before 2026.04 unless patched"
_RELEASED: Final = "up to 2026.07"
_EVERY: Final = "every release"

ACCEPTS_BY_LIST: Final = ReleaseNote(
    releases=_LIST,
    answer="accept it: they hash the nodes in the unsigned 'hashed-nodes'",
    identifiers=("CVE-2026-46728", "CVE-2026-33243 (barebox)"),
)
REFUSES_BY_LIST: Final = ReleaseNote(
    releases=_LIST,
    answer="refuse it: they need a 'hashed-nodes' that lists what was signed",
)
UNSIGNED_VERITY: Final = ReleaseNote(
    releases="before 2026.10", answer="do not include dm-verity nodes in what they verify"
)

BY_FINDING: Final[dict[str, ReleaseNote]] = {
    "fit.unit-address": ReleaseNote(
        releases="before 2021.04",
        answer="may verify one node and boot another whose name continues with '@'",
        identifiers=("CVE-2021-27138",),
    ),
    "fit.hashed-strings": ReleaseNote(
        releases=_RELEASED,
        answer="read outside the strings block",
        identifiers=("BRLY-2026-039",),
    ),
    "fit.external-bounds": ReleaseNote(
        releases=_RELEASED,
        answer="read the data from outside the FIT",
        identifiers=("BRLY-2026-041",),
    ),
    "fit.no-required-key": ReleaseNote(
        releases=_EVERY, answer="accepts any FIT with this control device tree"
    ),
    "fit.image-key": ReleaseNote(
        releases=_EVERY, answer="accepts an image signature by any trusted key in place of this key"
    ),
    "fit.ignored-hash": ReleaseNote(
        releases=_EVERY, answer="skips this hash on the target, while host tools check it"
    ),
    "fit.weak-hash": ReleaseNote(releases=_EVERY, answer="accepts crc32, md5 and sha1 as hashes"),
    "fit.external-data": ReleaseNote(
        releases=_EVERY,
        answer="finds the data by unsigned numbers, and may overwrite it after the check",
    ),
    "fit.load-address": ReleaseNote(
        releases=_EVERY, answer="may load this image over one that was verified"
    ),
    "fit.noload-compressed": ReleaseNote(
        releases=_RELEASED, answer="may write past the decompression buffer"
    ),
    "fit.default-unsigned": ReleaseNote(
        releases=_EVERY,
        answer="boots whichever signed configuration the unsigned default names",
    ),
}


def notes(
    findings: Iterable[Finding], signatures: Iterable[tuple[bool, bool]]
) -> tuple[ReleaseNote, ...]:
    """Return what older and other releases do with a FIT, each thing once.

    Args:
        findings: What was found.
        signatures: For each configuration and key, whether the signature is good, and whether it
            is to a release that trusts `hashed-nodes`.
    """
    return tuple(dict.fromkeys(_notes(findings, signatures)))


def _notes(
    findings: Iterable[Finding], signatures: Iterable[tuple[bool, bool]]
) -> Iterator[ReleaseNote]:
    pairs = list(signatures)
    if any(by_list and not good for good, by_list in pairs):
        yield ACCEPTS_BY_LIST
    if any(good and not by_list for good, by_list in pairs):
        yield REFUSES_BY_LIST
    for finding in findings:
        if (note := BY_FINDING.get(finding.id)) is not None:
            yield note
        elif finding.id == "fit.unexpected-node" and finding.where.endswith("/dm-verity"):
            yield UNSIGNED_VERITY
