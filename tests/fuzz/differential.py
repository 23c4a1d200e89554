# SPDX-License-Identifier: MIT
"""Mutated signed FITs, verified by `--compat` and by U-Boot's own code: do the two agree?

    python -m tests.fuzz.differential --count 50000 --seed 1

Ends with 0 when nothing that must not be happened: a mutant accepted here and refused there, a
mutant of a signed bit accepted by either, a refusal here alone that docs/fit.md does not name, or
an exception. Whether U-Boot's code crashed is counted and nothing more.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests import uboot_verdict
from tests.fuzz.mutants import SIGNED, mutant
from tests.samples import PARTS, Sample, sample, signer, unsigned

from bootseal.errors import FormatError
from bootseal.fit import control_dtb
from bootseal.fit.sign import Request, SigningKey, sign_request
from bootseal.fit.verify.strictness import COMPAT, STRICT
from bootseal.fit.verify.verdict import inspect
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fdt.model import Node

if TYPE_CHECKING:
    from tests.uboot_verdict import Uboot

    from bootseal.fit.verify.strictness import Strictness

STRICTER: Final = {
    "the tree goes beyond the end of the file": re.compile(r"format .* at offset 4: total size is"),
    "blocks overlap, are out of order or unaligned": re.compile(
        r"format .* at offset 8: (a block is not aligned|the blocks overlap)"
    ),
    "the memory reservations do not end with an empty one": re.compile(
        r"format .*the memory reservations have no end"
    ),
    "data-offset, data-position or data-size is not of 32 bits": re.compile(
        r"fit\.external-bounds .* must be numbers of 32 bits"
    ),
    "a node name with a slash or longer than 255 bytes": re.compile(
        r"format .*(the node name has no end|without slashes)"
    ),
    "the data of an image that the configuration names but U-Boot would not load": re.compile(
        r"(fit\.(image-hash|no-data|external-bounds) /images/(uboot|tee)\b[^;]*(; |$))+$"
    ),
    "a default that is cut off before its zero byte": re.compile(
        r"fit\.default .* does not exist$"
    ),
}
"""The stricter answers of docs/fit.md, by what our refusal says."""

IMAGE_KEYS: Final = {
    "image keys: the shape of the unsigned tree": re.compile(
        r"format .*(the END tag is not at|nested more than|reaches 200 characters|has no name$)"
    ),
    "image keys: an image without a hash node": re.compile(r"(fit\.no-hash [^;]*(; |$))+$"),
    "image keys: a configuration without an image": re.compile(r"fit\.missing-image .*no image$"),
    "image keys: an image that the configuration does not name": re.compile(
        r"(fit\.(image-hash|bad-signature) /images/[^;]*(; |$))+$"
    ),
}
"""Those where keys are required for images only, and nothing signs the tree around them."""

_STRICT: Final = STRICT._replace(external_data=True)
_ALGORITHM: Final = "sha256,rsa2048"
_BATCH: Final = 500
_SLOW: Final = 2.0


@dataclass(kw_only=True)
class Outcome:
    """What a run counted, and what must not have happened."""

    mutants: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    refused: int = 0
    stricter: Counter[str] = field(default_factory=Counter)
    crashes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    wrong: list[str] = field(default_factory=list)


def seeds() -> list[Sample]:
    """Make the FITs that are mutated; their keys are new in every run."""
    return [
        sample("sha256,rsa2048"),
        sample("sha256,rsa2048", padding="pss"),
        sample("sha512,rsa4096"),
        sample("sha256,rsa2048", external=True),
        sample("sha256,rsa2048", "sha384,rsa2048"),
        _image_key(),
        _spl(),
        _other_architecture(),
    ]


def _image_key() -> Sample:
    """A FIT whose images are signed, and its configuration not."""

    def change(root: Node) -> None:
        (images, (configuration,)) = (each.children for each in root.children)
        (signature,) = configuration.children
        configuration.children.clear()
        for image in images:
            image.children.append(deepcopy(signature))
            image.children[-1].properties.pop("sign-images")

    return _signed(fdt.rewrite(unsigned([_ALGORITHM]), change), "image")


def _spl() -> Sample:
    """A FIT as an SPL starts it, with firmware and loadables."""
    parts = {
        "uboot": ("standalone", b"a U-Boot, or so " * 64),
        "tee": ("tee", b"a trusted system " * 33),
        "fdt-1": PARTS["fdt-1"],
    }

    def change(root: Node) -> None:
        images, configurations = root.children
        for number, image in enumerate(images.children[:2]):
            image.properties["load"] = (0x80000000 + number * 0x200000).to_bytes(4)
        (configuration,) = configurations.children
        configuration.properties |= {"firmware": b"uboot\0", "loadables": b"tee\0"}
        (signature,) = configuration.children
        signature.properties["sign-images"] = b"firmware\0loadables\0fdt\0"

    return _signed(fdt.rewrite(unsigned([_ALGORITHM], parts=parts), change), "conf")


def _other_architecture() -> Sample:
    def change(root: Node) -> None:
        for image in root.children[0].children:
            image.properties["arch"] = b"riscv\0"

    return _signed(fdt.rewrite(unsigned([_ALGORITHM]), change), "conf")


def _signed(fit: bytes, required: str) -> Sample:
    key = signer("rsa2048", 1)
    keys = [SigningKey(signer=key, hint="key-1")]
    control = control_dtb.add_key(
        fdt.emit(Node("", {"model": b"board\0"})),
        key.public_key,
        hint="key-1",
        algorithm=_ALGORITHM,
        required=required,
    )
    request = Request(keys=keys, timestamp=1_700_000_000, strictness=COMPAT, control=control)
    return Sample(fit=sign_request(fit, request), control=control)


def reason(fit: bytes, control: bytes, strictness: Strictness = COMPAT) -> str:
    """Return why `--compat` refuses a FIT, or a strict check; empty when it does not."""
    try:
        errors = inspect(fit, control, strictness=strictness).errors
    except FormatError as error:
        return f"format {error.message}"
    return "; ".join(f"{error.id} {error.where} {error.message}" for error in errors)


def compare(uboot: Uboot, samples: list[Sample], count: int, seed: int) -> Outcome:
    """Verify `count` mutants, a batch of each sample in turn."""
    outcome = Outcome()
    with ThreadPoolExecutor(1) as pool:
        for number, start in enumerate(range(0, count, _BATCH)):
            good = samples[number % len(samples)]
            numbers = range(seed + start, seed + min(start + _BATCH, count))
            batch = [mutant(good.fit, each) for each in numbers]
            answers = pool.submit(uboot.answers, [fit for _, fit in batch], good.control)
            reasons = []
            for _, fit in batch:
                begin = time.process_time()
                reasons.append(reason(fit, good.control))
                outcome.slowest = max(outcome.slowest, time.process_time() - begin)
            for each, (kind, fit), mine, theirs in zip(
                numbers, batch, reasons, answers.result(), strict=True
            ):
                known = STRICTER | IMAGE_KEYS if b"image\0" in good.control else STRICTER
                note = _note(outcome, kind, mine, theirs, known, changed=fit != good.fit)
                # Without a default the tool has nothing to boot, and a command names it.
                default = "has no default" not in mine
                refused = default and theirs.device != uboot_verdict.OK
                if refused and not reason(fit, good.control, _STRICT):
                    note = f"({kind}): accepted strictly, but by U-Boot {theirs}"
                if note:
                    outcome.wrong.append(f"sample {number % len(samples)} seed {each} {note}")
    if outcome.slowest > _SLOW:
        outcome.wrong.append(f"a mutant took {outcome.slowest:.1f} s")
    return outcome


def _note(
    outcome: Outcome,
    kind: str,
    mine: str,
    theirs: uboot_verdict.Answer,
    known: dict[str, re.Pattern[str]],
    *,
    changed: bool,
) -> str:
    """Count one mutant and return what is wrong with the answers to it."""
    outcome.mutants += 1
    outcome.by_kind[kind] += 1
    boots = theirs.device == uboot_verdict.OK
    for who, answer in zip(("fit_check_sign", "with the device's check"), theirs, strict=True):
        outcome.crashes[who] += answer.startswith("crash")
    if kind == SIGNED and changed and (not mine or boots or theirs.tool == uboot_verdict.OK):
        return f"({kind}): a changed signed bit is accepted: ours {mine!r}, U-Boot {theirs}"
    if not mine:
        outcome.accepted += 1
        return "" if boots else f"({kind}): accepted here, but by U-Boot {theirs}"
    outcome.refused += 1
    if not boots:
        return ""
    for name, pattern in known.items():
        if pattern.match(mine):
            outcome.stricter[name] += 1
            return ""
    return f"({kind}): U-Boot boots it; refused here: {mine[:300]}"


def main() -> int:
    """Run a campaign and print its figures as one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        uboot = uboot_verdict.build(Path(directory))
        outcome = compare(uboot, seeds(), options.count, options.seed)
    document = {
        "uboot": uboot.version,
        "seed": options.seed,
        "mutants": outcome.mutants,
        "by_kind": outcome.by_kind,
        "accepted": outcome.accepted,
        "refused": outcome.refused,
        "stricter": outcome.stricter,
        "uboot_crashes": outcome.crashes,
        "slowest_seconds": round(outcome.slowest, 3),
        "seconds": round(time.monotonic() - start),
        "wrong": outcome.wrong,
    }
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
