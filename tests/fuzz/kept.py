# SPDX-License-Identifier: MIT
"""The kept corpus of FITs, and how it is made: few, small, and each reaches code of its own.

    python -m tests.fuzz.kept [DIRECTORY...]

adds what campaigns found in these directories and what `mutants.py` makes, and drops what reaches
nothing that smaller files do not reach. `outcomes.json` has the verdict on each file. The private
key behind `control.dtb` was never kept: delete the directory to start with another one.
"""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.fuzz import targets
from tests.fuzz.mutants import mutant
from tests.samples import Sample, sample
from tests.vectors.fit_attacks import CATALOGUE

from bootseal.errors import FormatError
from bootseal.fit.verify.strictness import COMPAT, STRICT
from bootseal.fit.verify.verdict import inspect

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from _typeshed import TraceFunction

    Outcome = dict[str, list[str]]
    Places = frozenset[tuple[str, int, int]]

DIRECTORY: Final = Path(__file__).with_name("corpus") / "fit"
OUTCOMES: Final = DIRECTORY / "outcomes.json"
MALFORMED: Final = "malformed"
_CONTROL: Final = "control.dtb"
_GENUINE: Final = ("genuine-embedded", "genuine-external")
_LARGE: Final = 1 << 14
_MUTANTS: Final = 3000


def genuine() -> list[Sample]:
    """Return FITs of one key, with embedded and with external data."""
    control = (DIRECTORY / _CONTROL).read_bytes()
    return [Sample(fit=(DIRECTORY / name).read_bytes(), control=control) for name in _GENUINE]


def fits() -> dict[str, bytes]:
    """Return every kept FIT by name."""
    return {name: (DIRECTORY / name).read_bytes() for name in json.loads(OUTCOMES.read_text())}


def outcome_of(data: bytes, control: bytes) -> Outcome:
    """Say what each policy finds: the findings that refuse it, none for an accepted FIT."""
    found: Outcome = {}
    for policy in (STRICT, COMPAT):
        try:
            found[policy.name] = sorted(
                {f.id for f in inspect(data, control, strictness=policy).errors}
            )
        except FormatError:
            found[policy.name] = [MALFORMED]
    return found


def reached(data: bytes, good: list[Sample]) -> Places:
    """Return the steps from line to line that the readers take, and what they decide."""
    places: set[tuple[str, int, int]] = set()

    def trace(frame: FrameType, _event: str, _: object) -> TraceFunction | None:
        name = frame.f_code.co_filename
        if "/bootseal/" not in name:
            return None
        last = frame.f_lineno

        def lines(frame: FrameType, event: str, _: object) -> TraceFunction:
            nonlocal last
            if event == "line":
                places.add((name, last, frame.f_lineno))
                last = frame.f_lineno
            return lines

        return lines

    sys.settrace(trace)
    try:
        targets.check_tree(data)
        targets.check_model(data)
        targets.check_verifier(good)(data)
    finally:
        sys.settrace(None)
    outcome = outcome_of(data, good[0].control)
    findings = {(policy, each) for policy, found in outcome.items() for each in found}
    return frozenset(places | {(f"{policy}: {each}", 0, 0) for policy, each in findings})


def smallest(candidates: dict[str, bytes], good: list[Sample]) -> list[str]:
    """Choose files that reach together what all reach, small ones first."""
    order = sorted(candidates, key=lambda name: (len(candidates[name]), name))
    places: dict[str, Places] = {}
    known: set[tuple[str, int, int]] = set()
    for name in order:
        found = reached(candidates[name], good)
        if not found <= known:
            places[name] = found
            known |= found
    for name in reversed(list(places)):
        others: set[tuple[str, int, int]] = set().union(*(places[n] for n in places if n != name))
        if places[name] <= others:
            del places[name]
    return list(places)


def candidates(good: list[Sample], directories: Iterable[Path]) -> dict[str, bytes]:
    """Return what is kept already, attacks, mutants, and what campaigns found."""
    found = fits() if OUTCOMES.exists() else {}
    found |= {f"attack-{each.id}": each.change(good[0].fit) for each in CATALOGUE}
    for seed in range(_MUTANTS):
        kind, data = mutant(good[seed % len(good)].fit, seed)
        found[f"mutant-{kind}-{seed}"] = data
    for path in (path for directory in directories for path in directory.iterdir()):
        data = path.read_bytes()
        found[f"campaign-{sha256(data).hexdigest()[:12]}"] = data
    return {name: data for name, data in found.items() if len(data) <= _LARGE}


def main() -> None:
    """Make the corpus, or add to it."""
    if not (DIRECTORY / _CONTROL).exists():
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        made = [sample("sha256,rsa2048"), sample("sha256,rsa2048", external=True)]
        (DIRECTORY / _CONTROL).write_bytes(made[0].control)
        for name, each in zip(_GENUINE, made, strict=True):
            (DIRECTORY / name).write_bytes(each.fit)
    good = genuine()
    found = candidates(good, map(Path, sys.argv[1:]))
    chosen = {name: found[name] for name in smallest(found, good)}
    chosen |= dict(zip(_GENUINE, (each.fit for each in good), strict=True))
    for path in DIRECTORY.iterdir():
        if path.name != _CONTROL:
            path.unlink()
    for name, data in chosen.items():
        (DIRECTORY / name).write_bytes(data)
    outcomes = {name: outcome_of(chosen[name], good[0].control) for name in sorted(chosen)}
    OUTCOMES.write_text(json.dumps(outcomes, indent=1) + "\n")


if __name__ == "__main__":
    main()
