# SPDX-License-Identifier: MIT
"""The approved list: what a release measures, kept, revoked, and read strictly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseal import documents
from bootseal.errors import FormatError, UsageError
from bootseal.formats.fdt import model as fdt
from bootseal.measure import approved, inputs, pcr_policy
from bootseal.measure.approved import Approved, Release

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = b"U-Boot 2025.01 (Jan 01 2026 - 00:00:00 +0000)"


@pytest.fixture
def release(tree: fdt.Node) -> Release:
    return make(tree, "1.0")


def make(tree: fdt.Node, name: str) -> Release:
    data = fdt.emit(tree)
    slots = {"conf-a": "a", "conf-b": "b"}
    artefacts = inputs.Source(fit=data, version=VERSION, slots=slots)
    return approved.release(name, inputs.predictions(artefacts), data, VERSION)


def test_list_is_read_as_it_was_written(release: Release) -> None:
    listed = Approved().add(release)

    assert approved.parse(documents.dump(listed)) == listed


def test_release_has_every_boot_with_pcrs_of_every_bank_and_its_log(release: Release) -> None:
    assert [(boot.slot, boot.configuration) for boot in release.boots] == [
        ("a", "conf-a"),
        ("b", "conf-b"),
    ]
    for boot in release.boots:
        assert list(boot.pcrs) == ["sha256", "sha384", "sha512"]
        assert list(boot.pcrs["sha256"]) == [str(pcr) for pcr in range(10)]
        assert [event.type for event in boot.events][:2] == ["EV_S_CRTM_VERSION", "EV_COMPACT_HASH"]
    assert release.firmware == VERSION.decode()
    assert release.runtime[0].pcr == 9


def test_same_release_again_changes_nothing(release: Release) -> None:
    listed = Approved().add(release)

    assert listed.add(release) == listed


def test_another_release_of_the_same_name_is_refused(tree: fdt.Node, release: Release) -> None:
    kernel = tree.find("/images/kernel-1")
    assert kernel is not None
    kernel.properties["data"] = b"OTHER"

    with pytest.raises(UsageError, match=r"has another release called '1\.0'"):
        Approved().add(release).add(make(tree, "1.0"))


def test_revoked_release_is_gone_and_cannot_be_revoked_again(
    tree: fdt.Node, release: Release
) -> None:
    listed = Approved().add(release).add(make(tree, "2.0"))

    after = listed.remove(["1.0"])

    assert [one.name for one in after.releases] == ["2.0"]
    with pytest.raises(UsageError, match=r"no release '1\.0': it has 2\.0"):
        after.remove(["1.0"])


def test_release_without_u_boots_version_is_refused(tree: fdt.Node) -> None:
    data = fdt.emit(tree)
    artefacts = inputs.Source(fit=data, version=None, slots={})

    with pytest.raises(UsageError, match="PCR 0 is not predicted"):
        approved.release("1.0", inputs.predictions(artefacts), data, b"")


@pytest.mark.parametrize("name", ["", "a b", "../x", "a" * 65, "\x1b[2J"])
def test_unusable_name_is_refused(tree: fdt.Node, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a release"):
        make(tree, name)


def test_policy_digests_are_those_that_are_signed(tree: fdt.Node, release: Release) -> None:
    artefacts = inputs.Source(fit=fdt.emit(tree), version=VERSION, slots={})
    signed = {pcr_policy.policy_digest(found) for _, found in inputs.predictions(artefacts)}

    assert approved.policy_digests(Approved().add(release), pcr_policy.PCRS) == signed


Document = dict[str, object]


def first_boot(document: Document) -> Document:
    releases = document["releases"]
    assert isinstance(releases, list)
    boot = releases[0]["boots"][0]
    assert isinstance(boot, dict)
    return boot


def other_schema(document: Document) -> None:
    document["schema"] = "bootseal.approved/2"


def other_pcr_value(document: Document) -> None:
    first_boot(document)["pcrs"] = {"sha256": {"8": "00" * 32}}


def twice(document: Document) -> None:
    releases = document["releases"]
    assert isinstance(releases, list)
    releases.append(releases[0])


def no_events(document: Document) -> None:
    first_boot(document)["events"] = []


def unknown_key(document: Document) -> None:
    first_boot(document)["note"] = ""


def changed_event(key: str, value: object) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        events = first_boot(document)["events"]
        assert isinstance(events, list)
        events[0][key] = value

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (other_schema, "has schema"),
        (other_pcr_value, "do not follow from its events"),
        (twice, "names a release twice"),
        (no_events, "has no events"),
        (unknown_key, "unknown keys: note"),
        (changed_event("pcr", 24), "PCR 24 is not one of 0 to 23"),
        (changed_event("type", "EV_NONE"), "type or data cannot be read"),
        (changed_event("data", "0"), "type or data cannot be read"),
        (changed_event("data", "zz"), "type or data cannot be read"),
        (changed_event("digests", {"sha256": "00"}), "is not a digest of the bank"),
        (changed_event("digests", {"sha384": "00" * 48}), "no sha256 digest"),
        (changed_event("digests", {"sha256": "00" * 32}), "do not follow from its events"),
        (changed_event("digests", {"sha256": "00" * 32, "md5": ""}), "of the bank 'md5'"),
    ],
)
def test_list_that_contradicts_itself_is_refused(
    release: Release, change: Callable[[Document], None], reason: str
) -> None:
    document = json.loads(documents.dump(Approved().add(release)))
    change(document)

    with pytest.raises(FormatError, match=reason):
        approved.parse(json.dumps(document).encode())


@given(st.binary(max_size=100))
def test_any_bytes_that_are_no_list_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        approved.parse(data)
