# SPDX-License-Identifier: MIT
"""A job in AWS IoT from its plan to its end, for a thing of its own that no device is.

Makes one thing and one job, and removes both, whatever happens. The same steps run against AWS in
`tests/aws`, and against moto's server in `tests/integration/jobs`.
"""

from __future__ import annotations

import json
import secrets
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import boto3
from botocore.exceptions import ClientError
from tests import update_samples
from typer.testing import CliRunner

from bootseal.cli.app import app
from bootseal.errors import BootsealError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PATIENCE: Final = 180.0
_BETWEEN: Final = 3.0
_GONE: Final = "ResourceNotFoundException"


class Status(NamedTuple):
    """What `bootseal job status` says."""

    status: str
    devices: dict[str, int]
    reasons: dict[str, str]


def run(place: Path, account: str, region: str) -> None:
    """Make, push and follow a job, and have another one of its name refused.

    Args:
        place: For plan and bundle.
        account: The account that the credentials have to be of.
        region: Where the thing is made.
    """
    iot = boto3.client("iot", region_name=region)
    name = f"bootseal-test-{secrets.token_hex(6)}"
    plan, bundle = place / "plan.json", place / "release.raucb"
    with _thing(name, region):
        _make(plan, bundle, "1.0", name, account, region)
        assert _push(plan, "--dry-run") == "missing"
        assert _push(plan) == "done"
        assert _push(plan) == "there"
        found = _counted(name, region)
        assert sum(found.devices.values()) == 1, found
        assert found.reasons == {}
        document = json.loads(iot.get_job_document(jobId=name)["document"])
        assert document == json.loads(plan.read_text())["document"]

        _make(plan, bundle, "2.0", name, account, region)
        code, said = _bootseal("push", str(plan))
        assert code == ExitCode.REFUSED, said
        assert f"a job {name} with another document" in said

        iot.cancel_job(jobId=name, force=True)
        assert _status(name, region).status == "CANCELED"
    _, said = _bootseal("status", name, "--region", region)
    assert f"no job {name}" in said or "DELETION" in said


@contextmanager
def _thing(name: str, region: str) -> Iterator[None]:
    """Make a thing; at the end remove it, and the job of its name."""
    client = boto3.client("iot", region_name=region)
    client.create_thing(thingName=name)
    try:
        yield
    finally:
        # Each by itself: one that stays does not keep the other from being removed.
        left = [
            f"{error}"
            for remove in (
                lambda: client.delete_job(jobId=name, force=True),
                lambda: client.delete_thing(thingName=name),
            )
            if (error := _failure(remove))
        ]
        assert not left, f"{name} is not removed: {left}"


def _failure(remove: Callable[[], object]) -> ClientError | None:
    try:
        remove()
    except ClientError as error:
        return None if error.response["Error"]["Code"] == _GONE else error
    return None


def _make(plan: Path, bundle: Path, version: str, name: str, account: str, region: str) -> None:
    bundle.write_bytes(update_samples.small("bootseal-test", version))
    options = {
        "url": "https://updates.example.com/release.raucb",
        "target": f"thing/{name}",
        "account": account,
        "region": region,
        "output": str(plan),
    }
    args = [text for key, value in options.items() for text in (f"--{key}", value)]
    code, said = _bootseal("make", name, str(bundle), *args)
    assert code == ExitCode.OK, said


def _push(plan: Path, *options: str) -> str:
    code, said = _bootseal("push", str(plan), "--json", *options)
    assert code == ExitCode.OK, said
    return str(json.loads(said)["outcome"])


def _status(name: str, region: str) -> Status:
    code, said = _bootseal("status", name, "--region", region, "--json")
    assert code == ExitCode.OK, said
    found = json.loads(said)
    return Status(found["status"], found["devices"], found["reasons"])


def _counted(name: str, region: str) -> Status:
    """Return the status once the thing was told: AWS takes its time."""
    end = time.monotonic() + _PATIENCE
    while not (found := _status(name, region)).devices and time.monotonic() < end:
        time.sleep(_BETWEEN)
    return found


def _bootseal(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["job", *args])
    error = result.exception
    if isinstance(error, BootsealError):
        return error.exit_code, error.message
    return result.exit_code, result.stdout
