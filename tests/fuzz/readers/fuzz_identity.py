# SPDX-License-Identifier: MIT
"""Coverage-guided fuzzing of proofs of identity keys, plans for AWS, and Greengrass configurations.

    pip install atheris
    python -m tests.fuzz.readers.fuzz_identity CORPUS -max_total_time=600

Any bytes must end in a model or a `BootsealError`. No proof is accepted, a plan is about its own
device, account and certificate alone, and an accepted configuration says what PyYAML's own loader
reads in it. The first byte chooses the reader; CORPUS is filled with well-formed inputs when it is
empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import atheris
import yaml

with atheris.instrument_imports(include=["bootseal"]):
    from tests import identity_samples
    from tests.fuzz.readers import seeded

    from bootseal import documents
    from bootseal.formats.tpm import structures
    from bootseal.identity import greengrass, messages
    from bootseal.identity import verify as identity_verify
    from bootseal.identity.aws import plan as plans
    from bootseal.identity.aws.plan import PARAMETERS, Operation
    from bootseal.keys.tpm import identity as tpm_identity

if TYPE_CHECKING:
    from collections.abc import Callable

STRANGER = identity_samples.Device()
VERIFIER = identity_verify.Verifier(identity_samples.release(STRANGER.kernel)[0])
FLEET = plans.Fleet(
    account="123456789012",
    region="eu-central-1",
    policy="gateways",
    role_alias="gateway",
    role="arn:aws:iam::123456789012:role/gateway",
)
CORE = greengrass.Core(
    thing="dev-1",
    region="eu-central-1",
    data_endpoint="a1-ats.iot.eu-central-1.amazonaws.com",
    credentials_endpoint="c1.credentials.iot.eu-central-1.amazonaws.com",
    role_alias="gateway",
    root_ca="/usr/share/ca-certificates/mozilla/Amazon_Root_CA_1.crt",
)
CONFIGURATION = greengrass.configuration(CORE)


def read_proof(data: bytes) -> None:
    """Read a proof; none is by a device that nobody has seen."""
    proof = messages.parse(data)
    asked, now = identity_samples.CHALLENGE, identity_samples.NOW
    verdict = VERIFIER.inspect(proof, STRANGER.record, asked, now)
    assert "attest.signature" in {finding.id for finding in verdict.findings}


def read_plan(data: bytes) -> None:
    plan = plans.parse(data, "it")
    assert plans.parse(documents.dump(plan), "it") == plan
    for step in plan.steps:
        assert step.parameters.keys() == PARAMETERS[step.operation].keys()
        for name, value in step.parameters.items():
            if name in {"principal", "target"}:
                wanted = f":{plan.region}:{plan.account}:cert/{plan.certificate}"
                assert value.endswith(wanted)
        if step.operation is Operation.CREATE_POLICY:
            documents.parse(step.parameters["policyDocument"].encode(), "it")
        assert step.parameters.get("thingName", plan.device) == plan.device


def read_configuration(data: bytes) -> None:
    """Read config.yaml, or one with a file of config.d behind a NUL."""
    first, _, more = data.partition(b"\0")
    files = [("config.yaml", first), ("config.d/x.yaml", more)]
    if greengrass.check(files):
        return
    # Read by the loader alone, the last file that has a value has the right one.
    for _name, text in reversed(files):
        found: Any = yaml.safe_load(text) or {}
        key = found.get("system", {}).get("privateKeyPath")
        if key is not None:
            assert key == yaml.safe_load(CONFIGURATION)["system"]["privateKeyPath"]
            return
    raise AssertionError("a configuration without a key was accepted")


READERS: tuple[Callable[[bytes], object], ...] = (
    structures.parse_statement,
    read_proof,
    tpm_identity.read_request,
    read_plan,
    read_configuration,
    # What is behind a genuine configuration replaces values of it.
    lambda data: read_configuration(CONFIGURATION + b"\0" + data),
)


def seeds() -> dict[str, bytes]:
    device = identity_samples.Device()
    made, record = device.answer(), device.record
    plan = plans.make(record, [identity_samples.issued(record)], FLEET, identity_samples.NOW)
    fragment = b"---\nsystem:\n  rootPath: /var/lib/greengrass\n  thingName: 'dev-1'\n"
    return {
        "statement": b"\0" + made.certification,
        "proof": b"\1" + documents.dump(made),
        "request": b"\2" + made.csr,
        "plan": b"\3" + documents.dump(plan),
        "configuration": b"\4" + CONFIGURATION,
        "two-files": b"\4" + CONFIGURATION + b"\0" + fragment,
        "fragment": b"\5" + fragment,
    }


if __name__ == "__main__":
    seeded.run(READERS, seeds)
