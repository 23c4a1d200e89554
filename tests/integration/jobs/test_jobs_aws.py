# SPDX-License-Identifier: MIT
"""`bootseal job` with boto3 against moto's server, a double of AWS. Nothing ran against AWS."""

from __future__ import annotations

import hashlib
import json
import re
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import boto3
import pytest
from moto.core.config import default_user_config
from tests import app_samples, aws_models, update_samples
from tests.agent_samples import MALFORMED
from tests.aws import round_trip
from tests.integration import cloud
from typer.testing import CliRunner

from bootseal.cli.app import app
from bootseal.errors import BootsealError
from bootseal.formats.update import cms
from bootseal.jobs import plan as plans
from bootseal.jobs import run as runs
from bootseal.keys.signers import amazon
from bootseal_agent import document as device_side
from bootseal_agent.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ROLE: Final = f"arn:aws:iam::{cloud.ACCOUNT}:role/jobs"
OPTIONS: Final = {
    "url": "s3://releases/2.raucb",
    "target": "thing/dev-1",
    "account": cloud.ACCOUNT,
    "region": cloud.REGION,
    "role": ROLE,
}


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    with cloud.credentials() as patch, cloud.served(patch):
        patch.setitem(default_user_config, "iot", {"use_valid_cert": True})
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Where jobs are made."""

    plan: Path
    bundle: Path

    def run(self, *args: str, code: int = 0) -> str:
        """Run a command; what it printed, or the message and hint of its error."""
        result = CliRunner().invoke(app, ["job", *args])
        error = result.exception
        if isinstance(error, BootsealError):
            assert error.exit_code == code
            return f"{result.stdout}{error.message}\n{error.hint}"
        assert result.exit_code == code, result.output
        return result.stdout

    def release(self, version: str = "2.0", compatible: str = "bootseal-qemuarm64") -> None:
        """Make another bundle."""
        self.bundle.write_bytes(update_samples.small(compatible, version))

    def make(self, code: int = 0, **changes: str) -> str:
        file = changes.pop("file", str(self.bundle))
        given = OPTIONS | {key.replace("_", "-"): value for key, value in changes.items()}
        args = [text for name, value in given.items() for text in (f"--{name}", value)]
        paths = [*([file] if file else []), "-o", str(self.plan)]
        return self.run("make", "release-2", *paths, *args, code=code)

    def push(self, *options: str, code: int = 0) -> str:
        return self.run("push", str(self.plan), *options, code=code)


@pytest.fixture
def office(server: None, tmp_path: Path) -> Office:
    del server
    url = f"{boto3.client('iot').meta.endpoint_url}/moto-api/reset"
    with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=30):  # noqa: S310
        pass
    boto3.client("iot").create_thing(thingName="dev-1")
    made = Office(plan=tmp_path / "plan", bundle=tmp_path / "2.raucb")
    made.release()
    made.make()
    return made


@pytest.mark.usefixtures("server")
def test_what_runs_against_aws_runs_against_its_double(tmp_path: Path) -> None:
    round_trip.run(tmp_path, cloud.ACCOUNT, cloud.REGION)

    iot = boto3.client("iot")
    names = [each["thingName"] for each in iot.list_things()["things"]]
    assert not any(name.startswith("bootseal-test-") for name in names)
    jobs = [each["jobId"] for each in iot.list_jobs()["jobs"]]
    assert not any(name.startswith("bootseal-test-") for name in jobs)


def test_what_runs_against_aws_leaves_nothing_when_it_fails(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second plan is taken for the first one's."""
    del office
    monkeypatch.setattr(runs, "_check_same", lambda *_: None)
    with pytest.raises(AssertionError):
        round_trip.run(tmp_path, cloud.ACCOUNT, cloud.REGION)

    iot = boto3.client("iot")
    assert [each["thingName"] for each in iot.list_things()["things"]] == ["dev-1"]
    assert iot.list_jobs()["jobs"] == []


def test_job_is_created_once(office: Office) -> None:
    iot = boto3.client("iot")
    assert json.loads(office.push("--dry-run", "--json"))["outcome"] == "missing"
    assert iot.list_jobs()["jobs"] == []

    assert json.loads(office.push("--json"))["outcome"] == "done"
    assert json.loads(office.push("--json"))["outcome"] == "there"

    document = json.loads(iot.get_job_document(jobId="release-2")["document"])
    assert document.pop("url") == (
        "${aws:iot:s3-presigned-url-v2:https://s3.eu-central-1.amazonaws.com/releases/2.raucb}"
    )
    bundle = office.bundle.read_bytes()
    parsed = cms.parse(update_samples.parts(bundle)[1])
    assert parsed is not None
    assert document == {
        "schema": "bootseal.job/1",
        "operation": "update",
        "version": "2.0",
        "compatible": "bootseal-qemuarm64",
        "manifest_sha256": hashlib.sha256(parsed.content or b"").hexdigest(),
        "size": len(bundle),
    }


def test_request_is_one_of_awss_model(office: Office) -> None:
    office.make(window="cron(0 2 ? * SUN *)", window_minutes="120")
    plan = plans.parse(office.plan.read_bytes(), "it")

    asked = plans.request(plan)

    aws_models.check("iot", "CreateJob", asked)
    assert asked["presignedUrlConfig"] == {"roleArn": ROLE, "expiresInSec": 3600}
    assert asked["jobExecutionsRolloutConfig"] == {"maximumPerMinute": 10}
    assert asked["schedulingConfig"] == {
        "maintenanceWindows": [{"startTime": "cron(0 2 ? * SUN *)", "durationInMinutes": 120}]
    }
    with pytest.raises(AssertionError, match="jobId"):
        aws_models.check("iot", "CreateJob", asked | {"jobId": "a b"})


def test_every_other_request_is_one_of_awss_model(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    genuine = amazon.call

    def checked(
        client: object, operation: str, parameters: Mapping[str, object]
    ) -> Mapping[str, object]:
        if parameters:
            aws_models.check("iot", operation, dict(parameters))
        asked.append(operation)
        return genuine(client, operation, parameters)

    monkeypatch.setattr(amazon, "call", checked)
    office.push()
    office.push()
    office.run("status", "release-2")

    assert {"GetJobDocument", "DescribeThing", "CreateJob", "DescribeJob"} <= set(asked)
    assert "ListJobExecutionsForJob" in asked


def test_job_that_is_there_is_not_said_to_have_the_plans_pace(office: Office) -> None:
    for again in (False, True):
        said = CliRunner().invoke(app, ["job", "push", str(office.plan)]).stderr
        assert "OK: release-2 is " in said
        assert ("Not checked: its pace" in said) is again


def test_status_counts_devices(office: Office) -> None:
    office.push()

    found = json.loads(office.run("status", "release-2", "--json"))

    assert sum(found["devices"].values()) == 1
    assert found["reasons"] == {}


def test_status_of_a_fleet_names_the_failed_and_exits_with_3(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """moto's executions never end, so AWS's answers are given here, on two pages."""

    def answering(
        client: object, operation: str, parameters: Mapping[str, object]
    ) -> Mapping[str, object]:
        del client
        if operation == "DescribeJob":
            return {"job": {"status": "CANCELED"}}
        if operation == "DescribeJobExecution":
            details = {"detailsMap": {"reason": "reverted to last known good"}}
            return {"execution": {"status": "FAILED", "statusDetails": details}}
        second = "nextToken" in parameters
        state = "FAILED" if second else "SUCCEEDED"
        arn = f"arn:aws:iot:eu-central-1:{cloud.ACCOUNT}:thing/dev-{int(second)}"
        row = {"thingArn": arn, "jobExecutionSummary": {"status": state}}
        return {"executionSummaries": [row]} | ({} if second else {"nextToken": "2"})

    monkeypatch.setattr(amazon, "call", answering)

    said = office.run("status", "release-2", code=3)

    assert "release-2  CANCELED" in said
    assert "dev-1: FAILED: reverted to last known good" in said
    assert "1 of 2 devices did not take release-2" in said


def test_other_job_of_that_name_is_refused(office: Office) -> None:
    office.push()
    office.release("3.0")
    office.make()

    assert "a job release-2 with another document" in office.push(code=3)


def test_plan_with_more_targets_is_not_taken_for_the_job_that_is_there(office: Office) -> None:
    boto3.client("iot").create_thing(thingName="dev-2")
    office.push()
    plan = json.loads(office.plan.read_text())
    plan["targets"].append(plan["targets"][0].replace("dev-1", "dev-2"))
    office.plan.write_text(json.dumps(plan))

    assert "a job release-2 for other targets" in office.push(code=3)


@pytest.mark.parametrize(
    "url",
    [
        "https://s3.us-east-1.amazonaws.com/releases/2.raucb}",
        "https://s3.eu-central-1.amazonaws.com.example.com/releases/2.raucb}",
        "https://s3.eu-central-1.amazonaws.com/releases/2.raucb",
        "https://s3.eu-central-1.amazonaws.com/releases}",
        "https://s3.eu-central-1.amazonaws.com/releases/2}${aws:iot:x}",
    ],
)
def test_plan_whose_url_aws_would_not_sign_is_refused(office: Office, url: str) -> None:
    plan = json.loads(office.plan.read_text())
    plan["document"]["url"] = f"${{aws:iot:s3-presigned-url-v2:{url}"
    office.plan.write_text(json.dumps(plan))

    assert "expected an object of S3 in eu-central-1" in office.push(code=4)


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("app")
    return app_samples.build(app_samples.tree(place / "root"), place / "hello.raw")


def test_job_about_an_application_is_made_of_its_image(
    office: Office, application: Path, tmp_path: Path
) -> None:
    office.make(file=str(application))
    plan = plans.parse(office.plan.read_bytes(), "it")
    office.push()

    document = json.loads(boto3.client("iot").get_job_document(jobId="release-2")["document"])
    assert document == {
        "schema": "bootseal.job/1",
        "operation": "app",
        "name": app_samples.NAME,
        "version": app_samples.VERSION,
        "url": "${aws:iot:s3-presigned-url-v2:https://s3.eu-central-1.amazonaws.com/releases/2.raucb}",
        "sha256": hashlib.sha256(application.read_bytes()).hexdigest(),
        "size": application.stat().st_size,
    }
    aws_models.check("iot", "CreateJob", plans.request(plan))
    found = device_side.read(document | {"url": "https://updates.example.com/hello.raw"})
    assert isinstance(found, device_side.App)

    image = application.read_bytes()
    changed = tmp_path / "changed.raw"
    offset = app_samples.entries(image)[0].offset
    changed.write_bytes(app_samples.changed(image, offset + 4096))
    assert "does not match the root hash" in office.make(3, file=str(changed))
    changed.write_bytes(app_samples.resigned(image, b""))
    assert "is not signed" in office.make(3, file=str(changed))
    changed.write_bytes(image[:-512])
    assert "cut off" in office.make(4, file=str(changed))


def test_job_that_removes_an_application_is_made_of_its_name(office: Office) -> None:
    made = office.make(file="", url="", role="", remove="hello")
    assert made == ""
    office.push()

    document = json.loads(boto3.client("iot").get_job_document(jobId="release-2")["document"])
    assert document == {
        "schema": "bootseal.job/1",
        "operation": "app-remove",
        "name": "hello",
    }
    assert isinstance(device_side.read(document), device_side.Removal)
    assert "removed" in boto3.client("iot").describe_job(jobId="release-2")["job"]["description"]
    assert "the name '../a'" in office.make(2, file="", url="", role="", remove="../a")
    assert "expected none, as AWS" in office.make(2, file="", url="", remove="hello")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"remove": "hello"}, "and not both"),
        ({"file": ""}, "and not both"),
        ({"file": "", "remove": "hello", "role": ""}, "has --url, and no other"),
        ({"url": ""}, "has --url, and no other"),
    ],
    ids=["both", "neither", "removal with a URL", "bundle without one"],
)
def test_job_says_once_what_devices_are_asked_for(
    office: Office, changes: dict[str, str], said: str
) -> None:
    assert said in office.make(2, **changes)


def test_url_in_china_is_of_its_own_domain() -> None:
    made = plans.presigned("s3://releases/2.raucb", "cn-north-1")
    assert made.endswith(":https://s3.cn-north-1.amazonaws.com.cn/releases/2.raucb}")


def test_missing_target_account_and_job_are_told(office: Office) -> None:
    office.make(target="group/nobody")
    assert "AWS IoT has no thinggroup nobody" in office.push(code=2)
    other = "999999999999"
    office.make(account=other, role=f"arn:aws:iam::{other}:role/jobs")
    assert f"the plan is for {other}" in office.push(code=2)
    assert "AWS IoT has no job nothing" in office.run("status", "nothing", code=2)
    assert boto3.client("iot").list_jobs()["jobs"] == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"url": "http://example.com/2"}, "the url"),
        ({"url": "s3://A/2"}, "the url"),
        ({"role": ""}, "the role"),
        ({"url": "https://example.com/2"}, "expected none, as AWS signs no URL"),
        ({"target": "dev-1"}, "expected thing/NAME"),
        ({"target": "thing/a b"}, "expected the ARN"),
        ({"account": "1"}, "the account"),
        ({"region": "europe"}, "the region"),
        ({"expires": "3601"}, "expected 60 to 3600"),
        ({"per_minute": "0"}, "per_minute 0"),
        ({"timeout": "0"}, "timeout 0"),
        ({"abort_percent": "101"}, "an abort at 101 %"),
        ({"window": "tonight", "window_minutes": "5"}, "the window"),
        ({"window_minutes": "5"}, "a window of 5 minutes"),
    ],
    ids=lambda value: (
        " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else ""
    ),
)
def test_job_that_would_be_refused_is_not_made(
    office: Office, changes: dict[str, str], said: str
) -> None:
    assert said in office.make(2, **changes)


@pytest.mark.parametrize(
    ("version", "compatible", "said"),
    [("2-rc1", "board", "the version '2-rc1'"), ("2.0", "a/b", "the compatible 'a/b'")],
)
def test_job_for_a_bundle_that_devices_would_refuse_is_not_made(
    office: Office, version: str, compatible: str, said: str
) -> None:
    office.release(version, compatible)
    assert said in office.make(2)


def test_job_for_a_changed_or_cut_bundle_is_not_made(office: Office) -> None:
    genuine = office.bundle.read_bytes()
    office.bundle.write_bytes(b"\1" + genuine[1:])
    assert "does not match its manifest" in office.make(3)
    office.bundle.write_bytes(genuine[:-1])
    assert "not an update bundle" in office.make(4)


@pytest.mark.parametrize("case", MALFORMED, ids=lambda case: case.title)
def test_plan_with_a_document_that_devices_refuse_is_refused(office: Office, case: object) -> None:
    """The device's reader and the plan's are two programs; what one refuses, the other does."""
    assert hasattr(case, "text")
    plan = json.loads(office.plan.read_text())
    plan["role"] = ""
    plan["document"] = json.loads(case.text)
    office.plan.write_text(json.dumps(plan))

    assert re.search(
        r"document|operation|url|name|version|compatible|size|sha256|keys", office.push(code=4)
    )


def test_document_that_is_made_is_one_that_devices_take(office: Office) -> None:
    office.make(url="https://updates.example.com/2.raucb", role="")
    plan = plans.parse(office.plan.read_bytes(), "it")
    found = json.loads(plans.text(plan))

    assert device_side.read(found).version == "2.0"  # type: ignore[union-attr]
    with pytest.raises(Refusal, match="unknown key"):
        device_side.read(found | {"command": "id"})
