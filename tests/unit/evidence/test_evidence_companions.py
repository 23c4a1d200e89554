# SPDX-License-Identifier: MIT
"""Files that go with a release: signed with it, and refused where they are not about it."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest
from tests import evidence_samples as samples

from bootseal import device as devices
from bootseal.errors import VerificationRefused
from bootseal.evidence import companions, make, verify
from bootseal.evidence.verify import Wanted
from bootseal.measure import approved

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.evidence.conftest import Releases

pytestmark = [pytest.mark.tool("mksquashfs"), pytest.mark.slow]


def refuses(release: Path, identifier: str, path: str) -> None:
    """What is wrong is not signed, neither by `make` nor with it."""
    asked = samples.request(release)
    with pytest.raises(VerificationRefused, match=rf"{identifier} at {path}"):
        make.write(asked, make.payloads(asked), samples.signer())


def test_both_are_listed(release: Path) -> None:
    found = verify.verify(release, Wanted(key=samples.signer().public_key))
    assert found.findings == []
    assert found.release is not None
    assert {companions.APPROVED, companions.MATRIX} <= found.release.files.keys()


@pytest.mark.parametrize(
    ("path", "identifier"),
    [(companions.APPROVED, "evidence.approved"), (companions.MATRIX, "evidence.matrix")],
)
@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"schema": "bootseal.device/1"}'])
def test_malformed_one_is_refused(release: Path, path: str, identifier: str, data: bytes) -> None:
    (release / path).write_bytes(data)
    refuses(release, identifier, path)


def test_list_of_another_release_is_refused(releases: Releases, release: Path) -> None:
    data = (releases.second / companions.APPROVED).read_bytes()
    (release / companions.APPROVED).write_bytes(data)
    refuses(release, "evidence.approved", companions.APPROVED)


@pytest.mark.parametrize("pcrs", [{}, {"1": "0" * 64}])
def test_list_approves_no_slot_without_its_values(release: Path, pcrs: dict[str, str]) -> None:
    device = devices.load(release)
    found = approved.parse((release / companions.APPROVED).read_bytes())
    assert list(companions.of_list(found, device)) == []
    slots = tuple(dataclasses.replace(slot, pcrs=pcrs) for slot in device.slots)
    refused = companions.of_list(found, dataclasses.replace(device, slots=slots))
    assert [each.id for each in refused] == ["evidence.approved"] * len(slots)


def test_list_with_others_too_is_taken(releases: Releases, release: Path) -> None:
    path = release / companions.APPROVED
    own = json.loads(path.read_text())
    other = json.loads((releases.second / companions.APPROVED).read_text())
    path.write_text(json.dumps(own | {"releases": own["releases"] + other["releases"]}))
    samples.sign(release)


@pytest.mark.parametrize("change", ["device", "root", "slot", "failed", "twice"])
def test_matrix_that_does_not_speak_for_it_is_refused(release: Path, change: str) -> None:
    document = json.loads((release / companions.MATRIX).read_text())
    if change == "device":
        document["device"] = "another"
    elif change == "root":
        document["roots"]["a"] = "0" * 64
    elif change == "slot":
        document["roots"].popitem()
    elif change == "failed":
        document["results"][3]["verdict"] = "failed"
    else:
        document["results"].append(document["results"][0])
    (release / companions.MATRIX).write_text(json.dumps(document))
    refuses(release, "evidence.matrix", companions.MATRIX)


@pytest.mark.parametrize("change", ["inconclusive", "left out", "empty"])
def test_matrix_that_is_not_whole_is_a_warning(release: Path, change: str) -> None:
    device = devices.load(release)
    found = samples.result(device, {"first-boot": "inconclusive"})
    if change == "left out":
        found = samples.result(device, left_out=("first-boot",))
    samples.put_matrix(release, found)
    if change == "empty":
        document = found.document() | {"results": []}
        (release / companions.MATRIX).write_text(json.dumps(document))
    samples.sign(release)
    [warning] = verify.verify(release, Wanted(key=samples.signer().public_key)).findings
    assert warning.id == "evidence.matrix-unproven"


def test_release_without_them_is_taken(
    release: Path, refused: Callable[..., dict[str, str]]
) -> None:
    for path in (companions.APPROVED, companions.MATRIX):
        (release / path).unlink()
    samples.sign(release)
    assert refused(release) == {}
