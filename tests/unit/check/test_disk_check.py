# SPDX-License-Identifier: MIT
"""A good disk is accepted; each tampered twin is refused for its reason, at its place."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.check.conftest import DISK

from bootseal import proc
from bootseal.check import coverage, partitions, slot_state
from bootseal.check import disk as disk_check
from bootseal.device import Partition
from bootseal.disk import image as source
from bootseal.disk.partitions import Copy, Table
from bootseal.findings.catalogue import finding
from bootseal.findings.model import Severity
from bootseal.fit.sign import sign
from bootseal.formats.fit import model as fit_format
from bootseal.formats.gpt import GptEntry, Header
from bootseal.formats.uboot.environment import emit_environment
from bootseal.keys.signers.file import FileSigner
from bootseal.progress import Silent
from bootseal.units import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.check.conftest import Base

    from bootseal.check.disk import DiskVerdict
    from bootseal.formats.fdt.model import Buffer
    from bootseal.formats.fit.model import Fit

    CheckImage: TypeAlias = Callable[..., DiskVerdict]
    Errors: TypeAlias = Callable[..., dict[str, str]]

STATE = {"BOOT_ORDER": "A B", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}
FIRST, OTHER = str(uuid.UUID(int=1)), str(uuid.UUID(int=99))
BEFORE = Partition(number=7, name="x", type=OTHER, uuid=OTHER, offset=0, size=MIB)
TAIL = MIB - 64 * KIB
SECOND = 512 * KIB
SINGLE = "disk.bootstate-copy: it has no second copy: a write cut short would lose it"


def test_good_disk_is_accepted_without_a_warning(check_image: CheckImage) -> None:
    verdict = check_image()

    assert {f.severity for f in verdict.findings} <= {Severity.INFO}
    assert [root.name for root in verdict.chain.roots] == ["root-a", "root-b"]
    assert verdict.chain.refused == frozenset()
    assert verdict.chain.approved == {"a", "b"}


def test_fit_of_two_slots_is_read_once(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    parse = fit_format.parse

    def counted(data: Buffer, *, lenient: bool = False) -> Fit:
        reads.append(len(data))
        return parse(data, lenient=lenient)

    monkeypatch.setattr(fit_format, "parse", counted)
    with source.opened(base.target.image) as disk:
        verdict = disk_check.check(disk, base.target, Silent(), inside=False)
        assert coverage.regions(disk, verdict)

    assert reads == [len(base.fit)]


@pytest.mark.parametrize(
    ("place", "offset", "refusal"),
    [
        pytest.param("", 0, {"disk.mbr": "protective MBR"}, id="boot code"),
        pytest.param("", 450, {"disk.mbr": "protective MBR"}, id="protective type"),
        pytest.param("", 511, {"disk.mbr": "protective MBR"}, id="boot mark"),
        pytest.param("", 512, {"disk.gpt-primary": "primary GPT"}, id="signature"),
        pytest.param("", 600, {"disk.gpt-primary": "primary GPT"}, id="header"),
        pytest.param("", 1024 + 40, {"disk.gpt-primary": "primary GPT"}, id="entries"),
        pytest.param("", 12 * MIB - 500, {"disk.gpt-backup": "backup GPT"}, id="backup"),
        pytest.param("", 12 * MIB - 999, {"disk.gpt-backup": "backup GPT"}, id="backup entries"),
        pytest.param("", 20 * KIB, {"disk.hidden-data": "unallocated"}, id="in front"),
        pytest.param("", 11 * MIB, {"disk.hidden-data": "unallocated"}, id="behind"),
        pytest.param("bootstate", 2, {"disk.bootstate": "bootstate"}, id="state checksum"),
        pytest.param(
            "bootstate", 16 * KIB, {"disk.hidden-data": "bootstate, unused"}, id="behind state"
        ),
        pytest.param("bootstate", 512 * KIB + 2, {"disk.bootstate": "bootstate"}, id="its copy"),
        pytest.param(
            "bootstate", 528 * KIB, {"disk.hidden-data": "bootstate, unused end"}, id="behind both"
        ),
        pytest.param(
            "boot-a", TAIL - 1, {"disk.hidden-data": "boot-a, unused end"}, id="behind the FIT"
        ),
        pytest.param("boot-b", TAIL, {"disk.policy": "boot-b: PCR policy"}, id="policy"),
        pytest.param("boot-b", MIB - 1, {"disk.policy": "boot-b: PCR policy"}, id="behind policy"),
        pytest.param("root-a", 0, {"disk.verity-data": "root-a"}, id="first block"),
        pytest.param("root-a", 299 * 4096, {"disk.verity-data": "root-a"}, id="last block"),
        pytest.param("root-b", 77 * 4096, {"disk.verity-data": "root-b"}, id="slot b"),
        pytest.param(
            "root-b", 300 * 4096, {"disk.hidden-data": "root-b, unused end"}, id="behind root"
        ),
        pytest.param("root-a-verity", 4096, {"disk.verity-tree": "root-a"}, id="top of the tree"),
        pytest.param("root-a-verity", 120, {"disk.superblock": "root-a"}, id="superblock"),
        pytest.param(
            "root-a-verity",
            5 * 4096,
            {"disk.hidden-data": "root-a-verity, unused end"},
            id="behind the tree",
        ),
    ],
)
def test_flipped_bit_is_refused_at_its_place(
    base: Base, errors: Errors, place: str, offset: int, refusal: dict[str, str]
) -> None:
    assert errors(base.flipped(place, offset)) == refusal


def test_bad_blocks_have_their_offset_and_are_counted(base: Base, check_image: CheckImage) -> None:
    start = base.offset("root-a")
    junk = b"junk" * 1024 * 20

    found = [
        f for f in check_image(base.changed("root-a", 40960, junk)).findings if "verity" in f.id
    ]

    assert [f.offset for f in found[:2]] == [start + 40960, start + 45056]
    assert (len(found), found[-1].id) == (9, "disk.verity-more")
    assert "12 more" in found[-1].message


def test_lower_tree_block_is_named_with_its_level(base: Base, check_image: CheckImage) -> None:
    found = [
        f for f in check_image(base.flipped("root-a-verity", 8192)).findings if "verity" in f.id
    ]

    assert found[0].id == "disk.verity-tree"
    assert "level 1" in found[0].message
    assert found[0].offset == base.offset("root-a-verity") + 8192


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        pytest.param(lambda p: replace(p, type=OTHER), "disk.partition-type", id="type"),
        pytest.param(lambda p: replace(p, uuid=OTHER), "disk.partition-guid", id="guid"),
        pytest.param(lambda p: replace(p, size=MIB), "disk.partition-place", id="size"),
        pytest.param(lambda p: replace(p, number=12), "disk.partition-number", id="number"),
        pytest.param(lambda p: replace(p, name="other"), "disk.unexpected", id="name"),
        pytest.param(lambda p: replace(p, name="root-b"), "disk.duplicate", id="same name"),
        pytest.param(lambda p: replace(p, uuid=FIRST), "disk.duplicate", id="same guid"),
        pytest.param(lambda p: replace(p, offset=3 * MIB + 4096), "disk.overlap", id="overlap"),
        pytest.param(lambda p: replace(p, offset=51200), "disk.outside", id="outside"),
    ],
)
def test_partition_that_is_not_as_declared_is_refused(
    base: Base, errors: Errors, change: Callable[[Partition], Partition], refusal: str
) -> None:
    found = [change(p) if p.name == "root-a" else p for p in base.target.partitions]

    assert refusal in errors(base.partitioned(found))


@pytest.mark.parametrize("name", ["bootstate", "boot-a", "root-a", "root-a-verity", "data"])
@pytest.mark.parametrize(
    "place",
    [{"offset": 1 << 63}, {"offset": (1 << 72) - (1 << 30)}, {"size": 1 << 62}, {"size": 12 * MIB}],
    ids=["offset", "largest offset", "size", "end"],
)
def test_partition_that_leaves_the_disk_is_a_finding(
    base: Base, tmp_path: Path, name: str, place: dict[str, int]
) -> None:
    old = "root-b-verity" if name == "data" else name
    (part,) = (p for p in base.target.partitions if p.name == old)
    offset, size = place.get("offset", part.offset), place.get("size", part.size)
    changed = replace(part, name=name, offset=offset, size=size)
    found = [changed if p.name == old else p for p in base.target.partitions]
    image = tmp_path / "disk.img"
    image.write_bytes(base.partitioned(found))

    with source.opened(image) as disk:
        verdict = disk_check.check(disk, replace(base.target, image=image), Silent(), inside=True)

    assert ("disk.outside", name) in {(f.id, f.where) for f in verdict.errors}


def test_partition_that_is_missing_is_named(base: Base, errors: Errors) -> None:
    found = [each for each in base.target.partitions if each.name != "root-b-verity"]

    assert errors(base.partitioned(found))["disk.missing"] == "root-b-verity"


def test_partition_nobody_declared_is_refused_and_data_is_not(
    base: Base, check_image: CheckImage
) -> None:
    last = base.target.partitions[-1]
    more = replace(
        last, number=8, uuid=str(uuid.UUID(int=8)), name="data", offset=last.offset + MIB
    )
    extra = replace(more, name="backdoor")

    data = check_image(base.partitioned([*base.target.partitions, more]))
    backdoor = check_image(base.partitioned([*base.target.partitions, extra]))

    assert next(f.id for f in data.findings if f.where == "data") == "disk.data-present"
    assert "disk.unexpected" in {f.id for f in backdoor.errors}


DATA_TYPE = "0fc63daf-8483-4772-8e79-3d69d8477de4"


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        pytest.param(lambda made: made, set(), id="as made"),
        pytest.param(lambda made: replace(made, number=9), {"disk.partition-number"}, id="number"),
        pytest.param(lambda made: replace(made, type=OTHER), {"disk.partition-type"}, id="type"),
        pytest.param(
            lambda made: replace(made, offset=0),
            {"disk.partition-place", "disk.outside"},
            id="place",
        ),
    ],
)
def test_data_partition_is_where_and_what_the_device_makes(
    base: Base,
    errors: Errors,
    change: Callable[[Partition], Partition],
    refusal: set[str],
) -> None:
    shorter = replace(base.target.partitions[-1], size=MIB)
    data = replace(shorter, number=8, type=DATA_TYPE, uuid=OTHER, name="data", offset=shorter.end)
    declared = [*base.target.partitions[:-1], shorter]
    made = change(data)

    found = errors(
        base.partitioned([*declared, made]),
        change=lambda target: replace(target, partitions=tuple(declared)),
    )

    assert {name for name in found if found[name] == "data"} == refusal


def test_attributes_of_the_data_partition_are_compared() -> None:
    entry = GptEntry(
        number=8, name="data", type=DATA_TYPE, uuid=OTHER, offset=MIB, size=MIB, attributes=1 << 60
    )
    header = Header(
        place=512,
        other=8 * MIB,
        first_usable=MIB,
        last_usable=4 * MIB,
        disk=OTHER,
        entries=1024,
        count=128,
        entries_crc=0,
    )
    copy = Copy("primary", 512, header, (entry,))
    table = Table(copies=(copy,), entries=(entry,), findings=())
    before = replace(BEFORE, number=7)

    found = {each.id for each in partitions.check(table, [before])}

    assert "disk.partition-attributes" in found
    assert "disk.partition-number" not in found


def test_disk_with_another_guid_is_refused(errors: Errors) -> None:
    same = errors(change=lambda target: replace(target, disk_guid=str(DISK)))
    other = errors(change=lambda target: replace(target, disk_guid=OTHER))

    assert same == {}
    assert other == {"disk.guid": "primary GPT"}


@pytest.mark.parametrize(
    "word",
    ["init=/data/x", "systemd.debug_shell=ttyAMA0", "systemd.unit=rescue.target", "rd.break"],
)
def test_command_line_with_a_shell_is_refused(base: Base, errors: Errors, word: str) -> None:
    found = errors(base.with_fit("boot-a", arguments=f" {word}"))

    assert found["disk.bootargs-shell"] == "boot-a"


@pytest.mark.parametrize("policy", [True, False])
@pytest.mark.parametrize("inside", [True, False])
def test_summary_says_what_was_checked_and_what_was_not(
    base: Base, *, inside: bool, policy: bool
) -> None:
    key = base.target.policy_key if policy else None
    with source.opened(base.target.image) as disk:
        verdict = disk_check.check(
            disk, replace(base.target, policy_key=key), Silent(), inside=inside
        )

    checked, unchecked = verdict.summary(inside=inside).split(". Not checked: ")
    assert "to every block of root-a and root-b" in checked
    assert ("PCR policies" in checked, "PCR policies" in unchecked) == (policy, not policy)
    assert ("makes the roots start" in checked) == inside
    assert ("the contents of the file systems" in unchecked) == (not inside)


@pytest.mark.parametrize("inside", [True, False])
def test_summary_says_what_was_checked_of_the_data(base: Base, *, inside: bool) -> None:
    with source.opened(base.target.image) as disk:
        verdict = disk_check.check(disk, base.target, Silent(), inside=inside)
    assert " data" not in verdict.summary(inside=inside)
    entry = replace(verdict.table.entries[-1], name="data")
    provisioned = (finding("disk.data-provisioned", "data", ""),) if inside else ()

    with_data = replace(
        verdict,
        table=replace(verdict.table, entries=(*verdict.table.entries, entry)),
        findings=provisioned,
    )

    checked, unchecked = with_data.summary(inside=inside).split(". Not checked: ")
    assert ("LUKS2 header of data" in checked, "LUKS2 header" in unchecked) == (inside, not inside)
    assert ("encrypted in data" in unchecked) == inside


@pytest.mark.parametrize(
    ("backup", "changes"),
    [
        pytest.param(False, {"revision": 0x10001}, id="revision"),
        pytest.param(False, {"length": 96}, id="length"),
        pytest.param(False, {"crc": 5}, id="crc"),
        pytest.param(False, {"reserved": 1}, id="reserved"),
        pytest.param(False, {"place": 2}, id="place"),
        pytest.param(False, {"other": 5}, id="backup elsewhere"),
        pytest.param(False, {"first": 3}, id="entries in the space"),
        pytest.param(False, {"first": 30000}, id="backwards"),
        pytest.param(False, {"last": 1 << 60}, id="outside the disk"),
        pytest.param(False, {"entries": 40}, id="entries elsewhere"),
        pytest.param(False, {"count": 1 << 31}, id="too many entries"),
        pytest.param(False, {"count": 0}, id="no entries"),
        pytest.param(False, {"each": 4096}, id="entry size"),
        pytest.param(False, {"table": 5}, id="crc of entries"),
        pytest.param(True, {"place": 1}, id="backup place"),
        pytest.param(True, {"entries": 2}, id="backup entries elsewhere"),
    ],
)
def test_header_that_is_not_right_is_refused(
    base: Base, errors: Errors, *, backup: bool, changes: dict[str, int]
) -> None:
    name = "disk.gpt-backup" if backup else "disk.gpt-primary"

    assert name in errors(base.with_header(backup=backup, **changes))


def test_tables_that_differ_are_refused(base: Base, errors: Errors) -> None:
    image = base.with_header(backup=True, first=2056)

    assert errors(image) == {"disk.gpt-agreement": "backup GPT"}


def test_disk_is_checked_by_its_backup_when_the_primary_is_broken(
    base: Base, check_image: CheckImage
) -> None:
    verdict = check_image(base.flipped("", 512))

    assert len(verdict.table.entries) == 7
    assert {f.id for f in verdict.errors} == {"disk.gpt-primary"}


@pytest.mark.parametrize("size", [0, 100, 512, 1024, 12 * MIB - 512, 12 * MIB + 512])
def test_disk_of_another_size_is_refused(base: Base, errors: Errors, size: int) -> None:
    assert errors(base.image[:size].ljust(size, b"\0"))


@pytest.mark.parametrize(
    ("variables", "refusal"),
    [
        pytest.param(STATE | {"bootcmd": "bootm"}, "disk.bootstate-variable", id="smuggled"),
        pytest.param(STATE | {"BOOT_A_LEFT": "9"}, "disk.bootstate-value", id="value"),
        pytest.param(STATE | {"BOOT_ORDER": "A B; x"}, "disk.bootstate-value", id="order"),
        pytest.param({"BOOT_ORDER": "A B"}, "disk.bootstate-value", id="missing"),
    ],
)
def test_slot_state_may_say_three_things_only(
    base: Base, errors: Errors, variables: dict[str, str], refusal: str
) -> None:
    assert errors(base.changed("bootstate", 0, emit_environment(variables))) == {
        refusal: "bootstate"
    }


@pytest.mark.parametrize("place", [0, SECOND])
def test_each_copy_of_the_slot_state_may_say_three_things_only(
    base: Base, check_image: CheckImage, place: int
) -> None:
    smuggled = emit_environment(STATE | {"bootcmd": "bootm"})

    found = check_image(base.changed("bootstate", place, smuggled)).findings

    start = base.offset("bootstate")
    assert [(f.id, f.severity, f.offset) for f in found if "bootstate" in f.id] == [
        ("disk.bootstate-variable", "error", start + place),
        ("disk.bootstate-copy", "warning", start + SECOND),
    ]


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("whole", "whole", []),
        ("whole", "torn", ["disk.bootstate: the first copy"]),
        ("torn", "whole", ["disk.bootstate: the second copy"]),
        ("torn", "older", ["disk.bootstate: the second copy"]),
        ("torn", "torn", ["disk.bootstate: its defaults"] * 2),
        ("torn", "none", [SINGLE, "disk.bootstate: its defaults"]),
        ("whole", "none", [SINGLE]),
        ("whole", "older", ["disk.bootstate-copy: the first copy"]),
        ("older", "whole", ["disk.bootstate-copy: the first copy"]),
    ],
)
def test_copies_of_the_slot_state_are_told_apart(
    base: Base, check_image: CheckImage, first: str, second: str, told: list[str]
) -> None:
    whole = emit_environment(STATE)
    blocks = {
        "whole": whole,
        "older": emit_environment(STATE | {"BOOT_ORDER": "B A"}),
        "torn": whole[:30] + b"\xff" * 482 + whole[512:],
        "none": bytes(len(whole)),
    }
    image = replace(base, image=base.changed("bootstate", 0, blocks[first]))

    verdict = check_image(image.changed("bootstate", SECOND, blocks[second]))

    said = [f for f in verdict.findings if "bootstate" in f.id]
    assert [f"{f.id}: {f.message.rpartition(' use ')[2]}" for f in said] == told
    torn = "torn" in {first, second}
    assert {f.id for f in verdict.errors} == ({"disk.bootstate"} if torn else set())


def test_partition_without_room_for_a_second_copy_has_one(base: Base) -> None:
    entry = replace(base.target.partitions[0], size=528 * KIB - 512)
    with source.opened(base.target.image) as disk:
        found = list(slot_state.check(disk, entry))

    assert [f"{f.id}: {f.message}" for f in found] == [SINGLE]


@pytest.mark.parametrize(("left", "spent"), [("1", []), ("0", ["slot b"])])
def test_slot_without_attempts_is_told(
    base: Base, check_image: CheckImage, left: str, spent: list[str]
) -> None:
    state = emit_environment(STATE | {"BOOT_B_LEFT": left})

    verdict = check_image(base.changed("bootstate", 0, state))

    told = [f.message for f in verdict.findings if f.id == "disk.bootstate-spent"]
    assert [message.partition(" has no attempts left")[0] for message in told] == spent
    assert not verdict.errors


def test_fit_signed_by_a_stranger_is_refused(base: Base, errors: Errors) -> None:
    key = FileSigner(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    fit = sign(base.fit, key, "dev", timestamp=1_700_000_001)

    found = errors(base.changed("boot-a", 0, fit))

    assert found == {"fit.bad-signature": "boot-a: /configurations/conf-a/signature-1"}


def test_flipped_image_is_refused_at_its_hash(base: Base, check_image: CheckImage) -> None:
    at = base.fit.index(b"kernel kernel")

    found = check_image(base.flipped("boot-b", at)).errors

    # The kernel is measured, too, so that it is another one has consequences for the policy.
    assert [(f.id, f.where) for f in found] == [
        ("fit.image-hash", "boot-b: /images/kernel-1/hash-1"),
        ("disk.pcr", "boot-b: PCR policy"),
        ("policy.missing", "boot-b: PCR policy, conf-b"),
    ]
    assert base.offset("boot-b") < (found[0].offset or 0) < base.offset("root-a")


def test_partition_without_a_fit_is_refused(base: Base, errors: Errors) -> None:
    assert errors(base.changed("boot-a", 0, b"junk"))["disk.fit"] == "boot-a"


def test_fit_larger_than_its_room_is_refused(base: Base, errors: Errors) -> None:
    assert errors(base.changed("boot-a", 4, MIB.to_bytes(4)))["disk.fit"] == "boot-a"


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(" bootseal.roothash=" + "0" * 64, id="second root hash"),
        pytest.param(" bootseal.slot=b", id="second slot"),
    ],
)
def test_command_line_that_says_it_twice_is_refused(
    base: Base, errors: Errors, arguments: str
) -> None:
    found = errors(base.with_fit("boot-a", arguments=arguments))

    assert found["disk.bootargs"] == "boot-a"


def test_signed_fit_of_another_build_has_no_policy_and_other_pcrs(
    base: Base, errors: Errors
) -> None:
    found = errors(base.with_fit("boot-a", arguments=" debug"))

    assert found == {
        "disk.pcr": "boot-a: PCR policy",
        "policy.missing": "boot-a: PCR policy, conf-a",
    }


def test_root_hash_of_another_build_is_refused(base: Base, errors: Errors) -> None:
    slots = tuple(replace(slot, root_hash="0" * 64) for slot in base.target.slots)

    assert errors(change=lambda target: replace(target, slots=slots)) == {
        "disk.root-hash": "boot-a"
    }


def test_version_of_uboot_is_compared_where_it_is_known(base: Base, errors: Errors) -> None:
    slots = tuple(replace(s, pcrs=s.pcrs | {"0": "0" * 64}) for s in base.target.slots)
    binary = b"\0U-Boot 2026.01 (Nov 22 2026 - 04:49:03 +0000)\0"
    gate = b"bootseal gate 1\0"

    alone = errors(change=lambda target: replace(target, slots=slots))
    whole = errors(
        change=lambda target: replace(
            target, slots=slots, control=binary + gate + base.target.control
        )
    )

    assert alone == {}
    assert whole == {"disk.pcr": "boot-a: PCR policy"}


@pytest.mark.parametrize("index", ["x", "-1", "01", "24", "1" * 5000])
def test_value_of_a_pcr_that_there_is_not_is_compared_with_nothing(
    errors: Errors, base: Base, index: str
) -> None:
    slots = tuple(replace(s, pcrs={index: "0" * 64}) for s in base.target.slots)

    found = errors(change=lambda target: replace(target, slots=slots))

    assert found == {"disk.pcr": "boot-a: PCR policy"}


def test_policy_is_not_called_checked_without_its_key(check_image: CheckImage) -> None:
    found = check_image(change=lambda target: replace(target, policy_key=None))

    assert [f.id for f in found.findings if f.severity is Severity.WARNING] == [
        "disk.policy-unchecked"
    ] * 2
    assert found.chain.approved == frozenset()


def test_policy_of_another_vendor_is_refused(errors: Errors) -> None:
    key = FileSigner(rsa.generate_private_key(public_exponent=65537, key_size=2048)).public_key

    found = errors(change=lambda target: replace(target, policy_key=key))

    assert {"policy.key", "policy.signature", "policy.missing"} <= found.keys()


def test_uboot_without_a_key_refuses_everything(errors: Errors) -> None:
    assert "disk.control" in errors(change=lambda target: replace(target, control=b"none"))


def test_uboot_with_another_key_than_described_is_refused(errors: Errors) -> None:
    assert errors(change=lambda target: replace(target, fit_key="0" * 64)) == {
        "disk.control-key": "U-Boot"
    }


@given(st.data())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@pytest.mark.slow
def test_any_bytes_are_checked_without_a_traceback(
    base: Base, check_image: CheckImage, data: st.DataObject
) -> None:
    image = bytearray(base.image)
    starts = [0, 512, 1024, len(image) - 512, *(p.offset for p in base.target.partitions)]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.sampled_from(starts)) + data.draw(st.integers(0, 300))
        junk = data.draw(st.binary(min_size=1, max_size=64))
        image[at : at + len(junk)] = junk
    del image[12 * MIB :]

    check_image(bytes(image))


def test_disk_with_an_mbr_is_named_once(base: Base, tmp_path: Path) -> None:
    image = tmp_path / "mbr.img"
    with image.open("wb") as file:
        file.truncate(base.target.image.stat().st_size)
    script = b"label: dos\nstart=2048, size=8192, type=c, bootable\n"
    proc.run("sfdisk", ["-q", image], stdin=script, timeout=30)

    with source.opened(image) as disk:
        verdict = disk_check.check(disk, base.target, Silent(), inside=False)

    assert [found.id for found in verdict.errors] == ["disk.mbr-table"]
    assert "MBR (DOS) partition table" in verdict.errors[0].message
