# SPDX-License-Identifier: MIT
"""Parts of a release: verified only where verified evidence names what was read, and good."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests import evidence_samples as samples

from bootseal import device as devices
from bootseal.dossier.model import Course, Dossier, Standing
from bootseal.errors import FormatError
from bootseal.evidence import companions, sbom

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.tool("mksquashfs"), pytest.mark.slow]

GOOD, UNKNOWN, ABSENT, REFUSED = (
    *(Standing.GOOD, Standing.UNKNOWN),
    *(Standing.ABSENT, Standing.REFUSED),
)


def parts(dossier: Dossier) -> dict[str, Standing]:
    """Return the parts but the disk, whose root is refused here in any case."""
    found = {each.title: each.standing for each in dossier.parts}
    assert found.pop("Disk") is REFUSED
    assert dossier.standing is REFUSED
    return found


def test_complete_release_is_verified_in_its_parts(
    complete: Path, gathered: Callable[..., Dossier]
) -> None:
    found = gathered(complete)
    assert set(parts(found).values()) == {GOOD}
    assert [slot.approved for slot in found.slots] == [("1.0",), ("1.0",)]
    attestation = found.keys[-1]
    assert attestation.role == "attestation"
    assert attestation.standing is GOOD
    assert "statement release" in attestation.signed


def test_without_a_key_nothing_is_verified(
    complete: Path, gathered: Callable[..., Dossier]
) -> None:
    found = gathered(complete, key=None)
    assert set(parts(found).values()) == {UNKNOWN}
    assert found.evidence is None
    assert found.statements == len(samples.STATEMENTS)


def test_any_release_is_not_the_one_that_was_meant(
    complete: Path, gathered: Callable[..., Dossier]
) -> None:
    assert parts(gathered(complete, release=""))["Evidence"] is UNKNOWN
    assert parts(gathered(complete, release="2.0"))["Evidence"] is REFUSED


def test_another_key_vouches_for_nothing(complete: Path, gathered: Callable[..., Dossier]) -> None:
    found = gathered(complete, key=samples.signer(number=2).public_key)
    assert parts(found) == {
        "Evidence": REFUSED,
        "Boot matrix": UNKNOWN,
        "Approved list": UNKNOWN,
        "Bill of materials": UNKNOWN,
    }


@pytest.mark.parametrize(
    ("path", "title"),
    [
        (companions.MATRIX, "Boot matrix"),
        (companions.APPROVED, "Approved list"),
        (sbom.FILE_NAME, "Bill of materials"),
    ],
)
def test_file_that_is_not_the_listed_one_is_not_verified(
    release: Path, gathered: Callable[..., Dossier], path: str, title: str
) -> None:
    data = (release / path).read_bytes()
    (release / path).write_bytes(data + b"\n")
    changed = parts(gathered(release))
    assert (changed["Evidence"], changed[title]) == (REFUSED, UNKNOWN)
    (release / path).unlink()
    missing = parts(gathered(release))
    assert (missing["Evidence"], missing[title]) == (REFUSED, ABSENT)
    (release / path).symlink_to("/etc/passwd")
    if path != sbom.FILE_NAME:  # A link is among what is not a file, and no bill.
        assert parts(gathered(release))[title] is REFUSED
    (release / path).unlink()
    (release / path).write_bytes(b"{")
    assert parts(gathered(release))[title] is REFUSED


@pytest.mark.parametrize(("verdict", "standing"), [("failed", REFUSED), ("inconclusive", UNKNOWN)])
def test_matrix_that_did_not_pass_is_not_verified(
    release: Path, gathered: Callable[..., Dossier], verdict: str, standing: Standing
) -> None:
    device = devices.load(release)
    samples.put_matrix(release, samples.result(device, {"first-boot": verdict}))
    assert parts(gathered(release))["Boot matrix"] is standing


def test_partial_matrix_is_not_verified(release: Path, gathered: Callable[..., Dossier]) -> None:
    device = devices.load(release)
    samples.put_matrix(release, samples.result(device, left_out=("first-boot",)))
    found = gathered(release)
    assert parts(found)["Boot matrix"] is UNKNOWN
    assert found.matrix is not None
    assert found.matrix.left_out == ("first-boot",)


def test_list_that_approves_other_values_is_refused(
    release: Path, gathered: Callable[..., Dossier]
) -> None:
    path = release / companions.APPROVED
    listed = json.loads(path.read_text())
    listed["releases"][0]["boots"] = listed["releases"][0]["boots"][:1]
    path.write_text(json.dumps(listed))
    found = gathered(release)
    assert parts(found)["Approved list"] is REFUSED
    assert [slot.approved for slot in found.slots] == [("1.0",), ()]
    listed["releases"][0]["fit"] = "0" * 64
    path.write_text(json.dumps(listed))
    assert parts(gathered(release))["Approved list"] is REFUSED


def test_history_names_what_changed(
    release: Path, complete: Path, gathered: Callable[..., Dossier]
) -> None:
    device = devices.load(release)
    old = samples.result(device, {"first-boot": "failed"}, left_out=("state-noise",))
    samples.put_matrix(release, old)
    found = gathered(complete, before=release).matrix
    assert found is not None
    assert found.before is not None
    assert not found.before.listed
    assert {each.id: each.course for each in found.history or () if each.course != Course.SAME} == {
        "first-boot": Course.REPAIRED,
        "state-noise": Course.NEW,
    }
    back = gathered(release, before=complete, release="").matrix
    assert back is not None
    assert [each.course for each in back.history or ()][:2] == [Course.BROKEN, Course.GONE]
    (release / companions.MATRIX).write_text("{}")
    with pytest.raises(FormatError, match="release before"):
        gathered(complete, before=release)


def test_chain_breaks_where_the_disk_does(release: Path, gathered: Callable[..., Dossier]) -> None:
    good = {each.name: each.standing for each in gathered(release).stages}
    # Without a boot ROM nothing verifies U-Boot, and nothing here names the policy key.
    assert (good["u-boot"], good["policy-a"], good["data"]) == (UNKNOWN, UNKNOWN, ABSENT)
    assert good["fit-a"] is GOOD
    device = devices.load(release)
    with (release / "disk.img").open("r+b") as file:
        file.seek(device.partition("boot-a").offset + 4096)
        file.write(b"changed")
    found = gathered(release)
    broken = {each.name: each.standing for each in found.stages}
    assert (broken["fit-a"], broken["root-a"]) == (REFUSED, REFUSED)
    assert broken["fit-b"] is GOOD
    assert next(each for each in found.keys if each.role.startswith("fit")).standing is REFUSED


def test_document_says_what_the_page_does(complete: Path, gathered: Callable[..., Dossier]) -> None:
    found = gathered(complete, before=complete)
    document = json.loads(json.dumps(found.document()))
    assert document["schema"] == "bootseal.release-report/1"
    assert document["standing"] == "refused"
    assert document["release"] == "1.0"
    assert document["matrix"]["verdict"] == "passed"
    assert {each["title"] for each in document["parts"]} == {each.title for each in found.parts}
