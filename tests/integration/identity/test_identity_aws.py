# SPDX-License-Identifier: MIT
"""Registering a device with boto3 against moto's server, a double of AWS. Nothing ran against AWS.

moto checks neither policies nor thingPrincipalType. It is told to number certificates as AWS does.
"""

from __future__ import annotations

import json
import re
import sys
import time
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import boto3
import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator
from moto.core.config import default_user_config
from tests import identity_samples as samples
from tests.integration import cloud
from typer.testing import CliRunner

from bootseal.attest.store import Store
from bootseal.cli.app import app
from bootseal.errors import BootsealError
from bootseal.identity import aws
from bootseal.identity.registry import Registry
from bootseal.keys import signers
from bootseal.keys.signers import amazon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import TypeAlias

    Answer: TypeAlias = Mapping[str, object]

RECORD: Final = samples.Device().record
ROLE: Final = f"arn:aws:iam::{cloud.ACCOUNT}:role/gateway"
STEPS: Final = [
    "CreatePolicy",
    "CreateRoleAlias",
    "CreateThing",
    "RegisterCertificateWithoutCA",
    "AttachPolicy",
    "AttachThingPrincipal",
]


@pytest.fixture(scope="module")
def server() -> Iterator[pytest.MonkeyPatch]:
    with cloud.credentials() as patch, cloud.served(patch):
        patch.setitem(default_user_config, "iot", {"use_valid_cert": True})
        yield patch


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """Where plans are made and run, in an account that is empty at first."""

    root: Path

    @property
    def registry(self) -> Registry:
        return Registry(self.root / "store")

    def run(self, *args: str | Path) -> str:
        result = CliRunner().invoke(app, list(map(str, args)), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    def export(self, *options: str) -> None:
        given = {"account": cloud.ACCOUNT, "region": cloud.REGION, "role-alias": "gw", "role": ROLE}
        args = [text for name, value in given.items() for text in (f"--{name}", value)]
        args += ["--format", "aws", "--store", str(self.root / "store"), *options]
        self.run("identity", "export", "dev-1", *args, "-o", self.root / "plan")

    def register(self, *options: str) -> dict[str, list[str]]:
        """Run the plan; the operations by their outcome."""
        out = self.run("identity", "register", self.root / "plan", "--json", *options)
        found: dict[str, list[str]] = {}
        for step in json.loads(out)["steps"]:
            found.setdefault(step["outcome"], []).append(step["operation"])
        return found

    def refused(self, code: int) -> str:
        """Run the plan, and return what was said before and with the error."""
        result = CliRunner().invoke(app, ["identity", "register", str(self.root / "plan")])
        error = result.exception
        assert isinstance(error, BootsealError), result.output
        assert error.exit_code == code
        return f"{result.stderr}{error.message}\n{error.hint}"

    @property
    def certificate(self) -> str:
        return str(json.loads((self.root / "plan").read_text())["certificate"])

    @property
    def arn(self) -> str:
        return f"arn:aws:iot:{cloud.REGION}:{cloud.ACCOUNT}:cert/{self.certificate}"


@pytest.fixture
def station(server: pytest.MonkeyPatch, tmp_path: Path) -> Station:
    del server
    url = f"{boto3.client('iot').meta.endpoint_url}/moto-api/reset"
    with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=30):  # noqa: S310
        pass
    Store(tmp_path / "store").save(RECORD)
    made = Station(root=tmp_path)
    made.registry.save(samples.issued(RECORD, proven=int(time.time())))
    made.export()
    return made


def test_device_is_registered_once(station: Station) -> None:
    assert station.register("--dry-run") == {"missing": STEPS}
    iot = boto3.client("iot")
    assert iot.list_things()["things"] == iot.list_certificates()["certificates"] == []

    assert station.register() == {"done": STEPS}
    assert station.register() == {"there": STEPS}

    assert iot.list_thing_principals(thingName="dev-1")["principals"] == [station.arn]
    (attached,) = iot.list_attached_policies(target=station.arn)["policies"]
    assert attached["policyName"] == "bootseal-device"
    found = iot.describe_certificate(certificateId=station.certificate)["certificateDescription"]
    assert found["status"] == "ACTIVE"


def check_request(operation: str, parameters: Mapping[str, object], service: str) -> None:
    """Hold a request against botocore's model, with what botocore itself does not check."""
    model = botocore.session.get_session().get_service_model(service)
    shape = model.operation_model(operation).input_shape
    if shape is None:
        assert parameters == {}
        return
    report = ParamValidator().validate(parameters, shape)
    assert not report.has_errors(), report.generate_report()
    for name, value in parameters.items():
        member = shape.members[name]
        if isinstance(value, str):
            assert re.fullmatch(member.metadata.get("pattern", r"[\s\S]*"), value), name
            assert len(value) <= member.metadata.get("max", len(value)), name
            assert not member.enum or value in member.enum, name
        if isinstance(value, int):
            assert value <= member.metadata["max"], name


def test_every_request_is_one_of_awss_models(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    genuine = amazon.call

    def checked(client: object, operation: str, parameters: Mapping[str, object]) -> Answer:
        service = client.meta.service_model.service_name  # type: ignore[attr-defined]
        check_request(operation, parameters, service)
        asked.append(operation)
        return genuine(client, operation, parameters)

    monkeypatch.setattr(amazon, "call", checked)
    station.register()

    assert set(STEPS) < set(asked)
    with pytest.raises(AssertionError, match="thingName"):
        check_request("CreateThing", {"thingName": "a b"}, "iot")


def test_run_that_ended_early_goes_on(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = amazon.call
    denied = {"Error": {"Code": "AccessDeniedException", "Message": "no"}}

    def refusing(client: object, operation: str, parameters: Mapping[str, object]) -> Answer:
        if operation == "AttachPolicy":
            raise ClientError(denied, operation)
        return genuine(client, operation, parameters)

    with monkeypatch.context() as patch:
        patch.setattr(amazon, "call", refusing)
        said = station.refused(5)
    assert "4/6  done  RegisterCertificateWithoutCA" in said
    assert "AWS IoT, AttachPolicy: AWS answered AccessDeniedException: no" in said
    assert "the caller needs iot:AttachPolicy" in said

    assert station.register() == {"there": STEPS[:4], "done": STEPS[4:]}


def test_revocation_reaches_aws(station: Station) -> None:
    station.register()
    number = station.certificate
    args = ("identity", "revoke", "dev-1", "--store", station.root / "store")
    station.run(*args, "--reason", "keyCompromise")
    station.export()

    assert station.register() == {"done": ["UpdateCertificate"]}
    assert station.register() == {"there": ["UpdateCertificate"]}

    found = boto3.client("iot").describe_certificate(certificateId=number)
    assert found["certificateDescription"]["status"] == "REVOKED"


def test_revocation_of_what_aws_never_saw_is_done(station: Station) -> None:
    station.run("identity", "revoke", "dev-1", "--store", station.root / "store")
    station.export()

    assert station.register() == {"there": ["UpdateCertificate"]}


def other_policy(station: Station) -> None:
    del station
    document = json.dumps({"Version": "2012-10-17", "Statement": []})
    boto3.client("iot").create_policy(policyName="bootseal-device", policyDocument=document)


def other_role(station: Station) -> None:
    del station
    boto3.client("iot").create_role_alias(roleAlias="gw", roleArn=f"{ROLE}-2")


def inactive(station: Station) -> None:
    station.register()
    changed = {"certificateId": station.certificate, "newStatus": "INACTIVE"}
    boto3.client("iot").update_certificate(**changed)


def revoked(station: Station) -> None:
    station.register()
    changed = {"certificateId": station.certificate, "newStatus": "REVOKED"}
    boto3.client("iot").update_certificate(**changed)


def other_thing(station: Station) -> None:
    station.register()
    iot = boto3.client("iot")
    iot.create_thing(thingName="dev-2")
    iot.attach_thing_principal(thingName="dev-2", principal=station.arn)


@pytest.mark.parametrize(
    ("change", "said", "hint"),
    [
        (other_policy, "differs from the plan's", "another --policy"),
        (other_role, f"the role alias gw is of {ROLE}-2: expected {ROLE}", "another --role-alias"),
        (inactive, "is registered in AWS as INACTIVE: expected ACTIVE", "--new-status ACTIVE"),
        (
            revoked,
            "is registered in AWS as REVOKED: expected ACTIVE",
            "bootseal identity challenge",
        ),
        (other_thing, "attached to the thing dev-2: expected only dev-1", "detach-thing-principal"),
    ],
)
def test_something_else_in_its_place_is_refused(
    station: Station, change: Callable[[Station], None], said: str, hint: str
) -> None:
    change(station)

    told = station.refused(3)

    assert said in told
    assert hint in told


def test_other_account_is_refused(station: Station) -> None:
    station.export("--account", "999999999999", "--role", "arn:aws:iam::999999999999:role/x")

    told = station.refused(2)

    assert f"the credentials are of account {cloud.ACCOUNT}: the plan is for 999999999999" in told
    assert boto3.client("iot").list_things()["things"] == []


def test_policy_that_is_not_json_is_refused(station: Station) -> None:
    plan = json.loads((station.root / "plan").read_text())
    plan["steps"][0]["parameters"]["policyDocument"] = "{"
    (station.root / "plan").write_text(json.dumps(plan))

    assert "a policyDocument that AWS cannot read: it is not JSON" in station.refused(4)
    assert boto3.client("iot").list_things()["things"] == []


def test_without_credentials_nothing_is_asked(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")

    told = station.refused(5)

    assert "AWS cannot be reached: Unable to locate credentials" in told
    assert "aws sts get-caller-identity" in told


def test_missing_boto3_is_told_with_its_remedy(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package, name in ((aws, "register"), (signers, "amazon")):
        monkeypatch.delitem(sys.modules, f"{package.__name__}.{name}", raising=False)
        monkeypatch.delattr(package, name, raising=False)
    monkeypatch.setitem(sys.modules, "boto3", None)

    told = station.refused(5)

    assert "AWS needs the Python package boto3, which is not installed" in told
    assert "pip install 'bootseal[aws]'" in told
