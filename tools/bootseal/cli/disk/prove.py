# SPDX-License-Identifier: MIT
"""`bootseal disk prove`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.console import Styled
from bootseal.cli.disk.check import refuse
from bootseal.cli.options import DiskImage, Json, PolicyKey
from bootseal.cli.target_options import TargetOptions
from bootseal.errors import VerificationRefused
from bootseal.units import format_size


def prove(
    image: DiskImage,
    *,
    target: TargetOptions,
    policy_key: PolicyKey = None,
    seed: Annotated[int, typer.Option(help="Seed for the choice of bits.")] = 0,
    tries: Annotated[int, typer.Option(min=1, metavar="N", help="Changes per region.")] = 200,
    as_json: Json = False,
) -> None:
    """Change a disk in memory, bit by bit, and check that each change is refused.

    Exits with 0 if every change in a region that a signature covers is refused, and lists the
    regions that no signature covers.

    Example: bootseal disk prove build/device
    """
    from bootseal.check.disk import check
    from bootseal.check.prove import prove as prove_disk
    from bootseal.disk.image import opened

    expected = target.expected(image, policy_key)
    progress = console.TerminalProgress()
    with opened(expected.image) as disk:
        verdict = check(disk, expected, progress, inside=False)
        refuse(verdict, image)
        proof = prove_disk(disk, expected, verdict, progress, seed=seed, tries=tries)
    covered = [region for region in proof.regions if region.covered]
    refused, tried = sum(r.refused for r in covered), sum(r.tries for r in covered)
    if as_json:
        listed = [dataclasses.asdict(each) | {"covered": each.covered} for each in proof.regions]
        console.emit_json({"schema": "bootseal.disk-proof/1", "seed": seed, "regions": listed})
    else:
        rows = [
            (
                each.name,
                each.state,
                format_size(each.size),
                f"{each.refused}/{each.tries}",
                _verdict(covered=each.covered, good=each.refused == each.tries),
            )
            for each in sorted(proof.regions, key=lambda each: not each.covered)
        ]
        console.table(("Region", "Protection", "Size", "Refused", "Verdict"), rows)
    if proof.broken:
        first = proof.broken[0]
        raise VerificationRefused(
            f"{image}: {tried - refused} of {tried} changes were not refused: first in "
            f"{first.name} at {first.accepted}"
        )
    console.status(
        "OK: {} of {} changes in covered regions were refused (seed {})", refused, tried, seed
    )
    for each in proof.uncovered:
        noticed = "all noticed" if each.refused == each.tries else f"{each.refused} detected"
        console.status("not covered: {} ({}; {})", each.name, each.state, noticed)


def _verdict(*, covered: bool, good: bool) -> Styled:
    if covered:
        return Styled("[green]REFUSED[/]" if good else "[bold red]NOT REFUSED[/]")
    return Styled("[dim]not covered[/]")
