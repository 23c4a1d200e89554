# SPDX-License-Identifier: MIT
"""A power cycle held against its step: when it passes, fails, and proves nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bootseal.boot.machine.console import Console, Line
from bootseal.boot.machine.events import Ending, Sighting
from bootseal.boot.scenario.evaluate import evaluate, expected, observed
from bootseal.boot.scenario.model import Expectation, ExpectedStatus, Outcome, Step
from bootseal.boot.scenario.power_cycle import Cycle
from bootseal.device import Device, Qemu, Slot

if TYPE_CHECKING:
    from bootseal.boot.scenario.model import StepResult

SLOT = Slot(
    name="b",
    configuration="conf-b",
    boot="boot-b",
    root="root-b",
    verity="root-b-verity",
    root_hash="aa" * 32,
    pcrs={},
)
DEVICE = Device(
    name="test",
    profile="dev",
    login=True,
    epoch=0,
    qemu=Qemu(system="qemu", machine="virt", cpu="max", cpus=1, memory=128),
    artefacts={},
    partitions=(),
    slots=(SLOT,),
    keys={},
)
TABLE = f"0 8 verity 1 1:1 1:2 4096 4096 1 1 sha256 {'aa' * 32} 00 1 restart_on_corruption"


def status(*, state: str = "open", created: bool = False, slot: str = "b") -> bytes:
    root = {"hash": "aa" * 32, "device": "/dev/dm-0", "mount": "/", "type": "erofs"}
    data = {"state": state, "reason": "no TPM", "created": created, "boots": 1, "keyslot": 0}
    options = ["rw", "nosuid", "nodev", "noexec", "nosymfollow"]
    mount = {"target": "/data", "source": "/dev/mapper/data", "type": "ext4", "options": options}
    document = {
        "schema": "bootseal.status/1",
        "slot": slot,
        "root": {**root, "options": ["ro"], "table": TABLE},
        "data": {**data, "token": "systemd-tpm2", "table": "0 8 crypt"},
        "pcrs": {},
        "event_log_size": 1,
        "event_log": "",
        "lockdown": "integrity",
        "kernel": "6.12",
        "login": True,
        "mounts": [mount],
        "partitions": [],
    }
    return json.dumps(document).encode()


def sightings(*names: str) -> tuple[Sighting, ...]:
    parts = [name.partition(":") for name in names]
    return tuple(
        Sighting(time=float(i), name=n, detail=d, line=n) for i, (n, _, d) in enumerate(parts)
    )


def ended(
    ending: Ending,
    *names: str,
    status: bytes = b"",
    undone: int = 0,
    objection: str = "",
    expect: Expectation,
) -> StepResult:
    cycle = Cycle(
        ending=ending,
        duration=9,
        undone=undone,
        objection=objection,
        status=status,
        resets=0,
        seen=sightings(*names),
        last=Line(time=7.6, text="the last thing said"),
    )
    return evaluate(Step(expect=expect), cycle, DEVICE, "log")


REFUSED = Expectation(
    ending=Ending.POWERED_OFF,
    console=("slot-tried:a", "bad-hash:kernel-1", "slot-refused:a", "all-refused"),
    forbidden=("kernel-handover",),
)
REFUSAL = ("slot-tried:a", "bad-hash:kernel-1", "bad-data-hash", "slot-refused:a", "all-refused")
UP = Expectation(ending=Ending.UP, status=ExpectedStatus(slot="b"))


# A device whose TPM emulator got no processor time: nobody had attacked what U-Boot verifies.
UNANSWERED = b"""\
U-Boot 2025.01 (Jan 01 2026 - 00:00:00 +0000)\r
bootseal: trying slot a\r
   Using 'conf-a' configuration\r
   Verifying Hash Integrity ... sha256+ OK\r
   Booting using the fdt blob at 0x50b3fad8\r
TPM error, unable to read header\r
bootseal: boot refused: not measured (err=53426)\r
bootseal: slot a refused\r
bootseal: trying slot b\r
   Booting using the fdt blob at 0x50b40668\r
TPM error, unable to read header\r
bootseal: boot refused: not measured (err=53306)\r
bootseal: slot b refused\r
bootseal: no slot could be started, powering off\r
"""
NOT_MEASURED = Expectation(ending=Ending.POWERED_OFF, console=("boot-refused:not measured",))


@pytest.mark.parametrize("expect", [UP, NOT_MEASURED], ids=["up", "refusal"])
@pytest.mark.parametrize("answered", [False, True], ids=["unanswered", "answered"])
def test_verdict_tpm_that_does_not_answer_in_time_proves_nothing(
    *, expect: Expectation, answered: bool
) -> None:
    said = UNANSWERED
    if answered:
        said = said.replace(b"TPM error, unable to read header\r\n", b"")
    console = Console()
    console.feed(said, 1.0)
    cycle = Cycle(
        ending=Ending.POWERED_OFF,
        duration=9,
        undone=0,
        objection="",
        status=b"",
        resets=0,
        seen=tuple(console.seen),
        last=None,
    )

    result = evaluate(Step(expect=expect), cycle, DEVICE, "log")

    verdict = Outcome.PASSED if expect is NOT_MEASURED else Outcome.FAILED
    assert result.verdict is (verdict if answered else Outcome.INCONCLUSIVE)
    assert ("did not answer U-Boot in time" in result.reason) is not answered


def test_verdict_forbidden_line_is_worse_than_a_tpm_that_does_not_answer() -> None:
    seen = ("tpm-silent", "attacker-code")
    assert ended(Ending.TIMEOUT, *seen, expect=UP).verdict is Outcome.FAILED


@pytest.mark.parametrize("ending", [Ending.TIMEOUT, Ending.CRASHED])
def test_verdict_objection_to_a_run_that_proves_nothing_is_none(ending: Ending) -> None:
    assert ended(ending, objection="no answer", expect=UP).verdict is Outcome.INCONCLUSIVE
    assert ended(Ending.STOPPED, objection="no answer", expect=UP).verdict is Outcome.FAILED


def test_verdict_exact_refusal_passes() -> None:
    result = ended(Ending.POWERED_OFF, *REFUSAL, expect=REFUSED)
    assert (result.verdict, result.reason) == (Outcome.PASSED, "")


@pytest.mark.parametrize(
    ("ending", "names", "verdict", "reason"),
    [
        pytest.param(
            Ending.TIMEOUT,
            REFUSAL,
            Outcome.INCONCLUSIVE,
            "its last line, at 8 s: the last thing said",
            id="timeout",
        ),
        pytest.param(Ending.CRASHED, REFUSAL, Outcome.INCONCLUSIVE, "by itself", id="crash"),
        pytest.param(Ending.UP, REFUSAL, Outcome.FAILED, "ended up", id="came-up"),
        pytest.param(
            Ending.POWERED_OFF,
            ("slot-tried:a", "bad-hash:fdt-a", "slot-refused:a", "all-refused"),
            Outcome.FAILED,
            "did not show bad-hash:kernel-1",
            id="refused-for-another-reason",
        ),
        pytest.param(
            Ending.POWERED_OFF,
            ("bad-hash:kernel-1", "slot-tried:a", "slot-refused:a", "all-refused"),
            Outcome.FAILED,
            "did not show bad-hash:kernel-1",
            id="wrong-order",
        ),
        pytest.param(
            Ending.POWERED_OFF,
            (*REFUSAL, "kernel-handover"),
            Outcome.FAILED,
            "kernel-handover must not be seen",
            id="forbidden",
        ),
        pytest.param(
            Ending.TIMEOUT,
            ("u-boot-prompt",),
            Outcome.FAILED,
            "u-boot-prompt must not be seen",
            id="prompt-is-worse-than-the-timeout-behind-it",
        ),
    ],
)
def test_verdict_other_end_does_not_pass(
    ending: Ending, names: tuple[str, ...], verdict: Outcome, reason: str
) -> None:
    result = ended(ending, *names, expect=REFUSED)
    assert result.verdict is verdict
    assert reason in result.reason


def test_verdict_actions_that_were_never_done_prove_nothing() -> None:
    result = ended(Ending.POWERED_OFF, *REFUSAL, undone=1, expect=REFUSED)
    assert result.verdict is Outcome.INCONCLUSIVE


def test_verdict_objection_of_a_call_fails() -> None:
    result = ended(Ending.UP, status=status(), objection="the proof is refused", expect=UP)
    assert (result.verdict, result.reason) == (Outcome.FAILED, "the proof is refused")


IDENTITY = {
    "schema": "bootseal.identity-status/1",
    "key": True,
    "certificate": "1f",
    "token": True,
    "reason": "",
}


@pytest.mark.parametrize(
    ("said", "expected", "reason"),
    [
        (IDENTITY, "^key, certificate 1f, token$", ""),
        (IDENTITY, "^no key", "the identity is 'key, certificate 1f, token': expected '^no key'"),
        (IDENTITY | {"token": False, "reason": "closed"}, "no token: closed$", ""),
        (None, "^key", "the identity is 'not installed': expected '^key'"),
        (None, "", ""),
    ],
    ids=["as-expected", "another", "reason", "not-installed", "any"],
)
def test_verdict_identity_is_that_of_the_status(
    said: dict[str, object] | None, expected: str, reason: str
) -> None:
    document = json.loads(status()) | ({} if said is None else {"identity": said})
    expect = Expectation(
        ending=Ending.UP, status=ExpectedStatus(slot="b", created=None, identity=expected)
    )
    result = ended(Ending.UP, status=json.dumps(document).encode(), expect=expect)
    assert result.verdict is (Outcome.FAILED if reason else Outcome.PASSED)
    assert result.reason == reason


PLACE = "/var/lib/product"


@pytest.mark.parametrize(
    ("said", "expected", "verdict", "reason"),
    [
        ({PLACE: "volatile"}, "volatile", Outcome.PASSED, ""),
        ({PLACE: "volatile"}, "", Outcome.PASSED, ""),
        ({PLACE: "kept", "/x": "volatile"}, "volatile", Outcome.FAILED, f"not volatile: {PLACE}"),
        (None, "", Outcome.PASSED, ""),
        (None, "kept", Outcome.INCONCLUSIVE, "the device keeps no state"),
    ],
    ids=["as-expected", "any", "another", "none", "none-but-expected"],
)
def test_verdict_state_is_where_it_has_to_be(
    said: dict[str, str] | None, expected: str, verdict: Outcome, reason: str
) -> None:
    document = json.loads(status(state="closed")) | {"state": said}
    system = ExpectedStatus(slot="b", created=None, findings=("data.closed",), state=expected)
    expect = Expectation(ending=Ending.UP, status=system)
    result = ended(Ending.UP, status=json.dumps(document).encode(), expect=expect)
    assert result.verdict is verdict
    assert result.reason.startswith(reason) if reason else not result.reason


def test_verdict_proven_system_passes() -> None:
    assert ended(Ending.UP, status=status(), expect=UP).verdict is Outcome.PASSED


@pytest.mark.parametrize(
    ("line", "system", "reason"),
    [
        pytest.param(b"{", ExpectedStatus(slot="b"), "status.malformed", id="malformed"),
        pytest.param(status(slot="a"), ExpectedStatus(slot="b"), "slot.unknown", id="unknown-slot"),
        pytest.param(status(), ExpectedStatus(slot="a"), "runs from slot b", id="other-slot"),
        pytest.param(status(state="closed"), ExpectedStatus(slot="b"), "data.closed", id="closed"),
        pytest.param(
            status(), ExpectedStatus(slot="b", created=True), "found again", id="not-created"
        ),
        pytest.param(
            status(created=True),
            ExpectedStatus(slot="b", created=False),
            "made in this",
            id="created",
        ),
        pytest.param(
            status(),
            ExpectedStatus(slot="b", findings=("data.closed",)),
            "does not report",
            id="not-closed",
        ),
        pytest.param(
            status(state="closed"),
            ExpectedStatus(slot="b", findings=("data.closed",), reason="policy"),
            "expected 'policy'",
            id="closed-for-another-reason",
        ),
    ],
)
def test_verdict_other_system_fails(line: bytes, system: ExpectedStatus, reason: str) -> None:
    expect = Expectation(ending=Ending.UP, status=system)
    result = ended(Ending.UP, status=line, expect=expect)
    assert result.verdict is Outcome.FAILED
    assert reason in result.reason


def test_verdict_expected_finding_for_the_expected_reason_passes() -> None:
    system = ExpectedStatus(slot="b", findings=("data.closed",), reason="no TPM")
    expect = Expectation(ending=Ending.UP, status=system)
    result = ended(Ending.UP, status=status(state="closed"), expect=expect)
    assert result.verdict is Outcome.PASSED


def test_verdict_expected_and_observed_fit_one_line() -> None:
    result = ended(Ending.POWERED_OFF, *REFUSAL, expect=REFUSED)
    assert expected(REFUSED) == (
        "powered-off after slot-tried:a, bad-hash:kernel-1, slot-refused:a, all-refused"
    )
    assert observed(result) == "powered-off after bad-hash:kernel-1, slot-refused:a, all-refused"
