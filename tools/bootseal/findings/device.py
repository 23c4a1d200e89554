# SPDX-License-Identifier: MIT
"""Findings about a device: its PCR policy, its quotes, and what it says of itself."""

from __future__ import annotations

from typing import Final

from bootseal.findings.model import Rule, Severity

_SIGN: Final = "sign the policy for this FIT again: bootseal measure sign"
_AGAIN: Final = "ask the device again: bootseal attest challenge"
_ENROL: Final = "enrol the device again: bootseal attest enrol"
_WHY: Final = "compare the device's log: bootseal measure log"

POLICY: Final = (
    Rule("policy.pcrs", "an entry is over other PCRs than asked for", _SIGN),
    Rule("policy.key", "an entry names another key", _SIGN),
    Rule("policy.signature", "an entry whose signature does not verify", _SIGN),
    Rule("policy.missing", "no valid entry approves a predicted state", _SIGN),
    Rule(
        "policy.unexpected",
        "an entry approves a state that is not predicted, such as that of an earlier release",
        _SIGN,
        Severity.WARNING,
    ),
)
"""A signed PCR policy."""

ATTEST: Final = (
    Rule("attest.key-not-certified", "the device never opened its credential", _ENROL),
    Rule("attest.key", "the attestation key may sign what the TPM did not make", _ENROL),
    Rule("attest.signature", "another key, or another message", _AGAIN),
    Rule(
        "attest.nonce",
        "a replay (every challenge is answered once), an expired challenge (300 s, "
        "`--validity`), or one that was never asked",
        _AGAIN,
    ),
    Rule("attest.selection", "other PCRs than asked for", _AGAIN),
    Rule(
        "attest.log",
        "the log does not add up to the quoted PCRs: it was altered, or PCRs were extended by "
        "something else",
        _WHY,
    ),
    Rule(
        "attest.release",
        "log and PCRs are genuine, and no approved release measures that; names the difference",
        "bootseal measure approve, if the device may run this",
    ),
    Rule("attest.not-capped", "the system left the way to the data key open", "restart the device"),
    Rule("attest.counter", "the TPM's reset counter or clock went back", _ENROL),
)
"""An answer to `attest challenge`."""

STATUS: Final = (
    Rule("status.malformed", "the status line cannot be read"),
    Rule("slot.unknown", "it runs from a slot that was not built"),
    Rule("root.hash", "the root hash is not the one that was built"),
    Rule("root.mount", "the root is not mounted on `/`"),
    Rule("root.read-only", "the root is mounted writable"),
    Rule("root.verity", "the root is not on dm-verity, or checked against another hash"),
    Rule("root.corruption-mode", "dm-verity does not restart the device on corruption"),
    Rule("pcr.*", "a PCR (`pcr.9`: PCR 9) does not have its predicted value"),
    Rule("event-log.missing", "the kernel has no event log of the firmware"),
    Rule("event-log.malformed", "the event log cannot be read"),
    Rule("event-log.differs", "the event log is not as predicted, entry for entry"),
    Rule("data.closed", "the data partition is not open"),
    Rule("data.crypt", "the data partition is not on dm-crypt"),
    Rule("data.token", "the data partition was not opened by the TPM"),
    Rule(
        "data.mount",
        "`/data` is not the data partition, or not mounted as `fstab` says",
    ),
    Rule("mount.writable", "something other than the data partition is writable"),
    Rule("lockdown.off", "the kernel is not locked down"),
    Rule("login.unexpected", "it offers a root shell, and was built without one"),
)
"""What a running device says of itself, compared with what was built."""
