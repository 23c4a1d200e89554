# SPDX-License-Identifier: MIT
"""The library below AWS's own SDKs against the same double, and a fleet on the same broker.

awscrt keeps the double and the agent from agreeing on an error that they have in common.
"""

from __future__ import annotations

import json
import queue
from typing import TYPE_CHECKING, Final

import pytest
from awscrt import io, mqtt
from tests.agent_samples import DOCUMENT
from tests.integration.jobs import site as sites
from tests.integration.jobs.device import Simulated, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.jobs.site import Site

pytestmark = [pytest.mark.tool("mosquitto"), pytest.mark.slow]
PREFIX: Final = "$aws/things/dev-9/jobs/"
FLEET: Final = 12


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with sites.opened(tmp_path) as opened:
        yield opened
        assert opened.plane.refused == []


def test_awscrt_is_answered_as_aws_documents(site: Site) -> None:
    endpoint = site.endpoint("dev-9")
    options = io.TlsContextOptions.create_client_with_mtls_from_path(
        str(endpoint.certificate), str(endpoint.key)
    )
    options.override_default_trust_store_from_path(None, str(endpoint.ca))
    connection = mqtt.Connection(
        client=mqtt.Client(tls_ctx=io.ClientTlsContext(options)),
        host_name="localhost",
        port=site.port,
        client_id="dev-9",
    )
    connection.connect().result(60)
    answers: queue.Queue[tuple[str, dict[str, object]]] = queue.Queue()

    def received(topic: str, payload: bytes, **_: object) -> None:
        answers.put((topic.removeprefix(PREFIX), json.loads(payload)))

    for topic in ("start-next/+", "+/get/+", "+/update/+"):
        future, _ = connection.subscribe(PREFIX + topic, mqtt.QoS.AT_LEAST_ONCE, received)
        future.result(60)

    def ask(topic: str, **body: object) -> tuple[str, dict[str, object]]:
        payload = json.dumps(body | {"clientToken": "t"})
        connection.publish(PREFIX + topic, payload, mqtt.QoS.AT_LEAST_ONCE)
        said, found = answers.get(timeout=60)
        assert found["clientToken"] == "t"
        return said, found

    site.push(site.plane.create("job-1", DOCUMENT, ["dev-9"]))
    said, found = ask("start-next")
    assert said == "start-next/accepted"
    assert isinstance(found["execution"], dict)
    assert found["execution"]["jobDocument"] == DOCUMENT
    version = found["execution"]["versionNumber"]

    said, found = ask("job-1/update", status="IN_PROGRESS", expectedVersion=version + 1)
    assert (said, found["code"]) == ("job-1/update/rejected", "VersionMismatch")
    said, found = ask("job-1/update", status="SUCCEEDED", expectedVersion=version)
    assert said == "job-1/update/accepted"
    said, found = ask("job-1/update", status="IN_PROGRESS")
    assert (said, found["code"]) == ("job-1/update/rejected", "InvalidStateTransition")
    said, found = ask("job-2/get")
    assert (said, found["code"]) == ("job-2/get/rejected", "ResourceNotFound")
    assert "execution" not in ask("start-next")[1]
    connection.disconnect().result(60)


def test_fleet_in_batches_is_aborted_where_the_threshold_says(site: Site, tmp_path: Path) -> None:
    """A third of each batch refuses the bundle; AWS's rule is 30 % of at least 6."""
    names = [f"dev-{number}" for number in range(FLEET)]
    fleet = [
        Simulated(root=tmp_path / name, endpoint=site.endpoint(name), name=name) for name in names
    ]
    for number, device in enumerate(fleet):
        if number % 3 == 0:
            (device.root / "fail").write_text("LastError: signature verification failed\n")
        device.on()
    rule = {"failureType": "ALL", "thresholdPercentage": 30, "minNumberOfExecutedThings": 6}
    site.push(site.plane.create("job-1", DOCUMENT, names, batch=6, abort=[rule]))

    def settled(device: Simulated) -> bool:
        if device.restarted:
            device.boot("b", "2.0")
        status = site.plane.execution(device.name, "job-1").status
        return status in {"SUCCEEDED", "FAILED"}

    until(lambda: all(map(settled, fleet[:6])), 120)
    site.push(site.plane.roll_out("job-1", 6))
    for device in fleet:
        device.off()

    assert site.plane.jobs["job-1"].status == "CANCELED"
    assert site.plane.statuses("job-1") == {"SUCCEEDED": 4, "FAILED": 2}
    assert all(not device.calls for device in fleet[6:])
