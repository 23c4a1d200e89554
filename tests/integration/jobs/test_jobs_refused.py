# SPDX-License-Identifier: MIT
"""What the agent does not do, on a real broker: jobs of a wrong form, time, thing or server.

The broker is mosquitto with mutual TLS and per-thing rights; behind it is a double, which is not
AWS. Each refusal is followed by something that is done, so that silence is not taken for one.
"""

from __future__ import annotations

import gc
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.agent_samples import BROKEN, DOCUMENT, MALFORMED, ODD
from tests.integration.jobs import device as devices
from tests.integration.jobs import site as sites
from tests.integration.jobs.device import Simulated, create, installs, job, until

from bootseal_agent.events import Phase
from bootseal_agent.mqtt import Connection
from bootseal_agent.wire import Message, Thing

if TYPE_CHECKING:
    from pathlib import Path

    from tests.agent_samples import Malformed
    from tests.integration.jobs.site import Site

    from bootseal.boot.catalogue.bench.dataplane import Answer

pytestmark = [pytest.mark.tool("mosquitto"), pytest.mark.slow]


def idle(device: Simulated) -> bool:
    return device.agent is not None and device.agent.phase is Phase.IDLE


def takes_the_next(site: Site, device: Simulated) -> None:
    """Give the device a job, and wait until it has installed it: it is the only one."""
    create(site, name="next")
    until(lambda: device.restarted)
    assert len(installs(device)) == 1


def test_every_malformed_document_is_rejected(site: Site, device: Simulated) -> None:
    for number, case in enumerate(MALFORMED):
        create(site, json.loads(case.text), f"job-{number}")
    last = f"job-{len(MALFORMED) - 1}"
    until(lambda: job(site, last).status == "REJECTED")

    for number in range(len(MALFORMED)):
        assert job(site, f"job-{number}").status == "REJECTED"
        assert job(site, f"job-{number}").details["reason"]
    assert device.calls == []


def test_every_document_that_readers_could_see_differently_is_rejected(
    site: Site, device: Simulated
) -> None:
    """No writer of JSON makes these: they are put into the messages as text."""
    for number, case in enumerate(ODD):
        site.texts[json.dumps({"odd": number}).encode()] = case.text.encode()
        create(site, {"odd": number}, f"job-{number}")
    last = f"job-{len(ODD) - 1}"
    until(lambda: job(site, last).status == "REJECTED")

    for number in range(len(ODD)):
        assert job(site, f"job-{number}").status == "REJECTED"
    assert device.calls == []
    takes_the_next(site, device)


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.title)
def test_message_that_is_not_json_is_dropped_and_the_job_asked_for_again(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Malformed
) -> None:
    monkeypatch.setattr(devices, "TIMES", replace(devices.TIMES, answer=0.5))
    site.texts[b'{"broken": true}'] = case.text.encode()
    create(site, {"broken": True})
    device = Simulated(root=tmp_path / "device", endpoint=site.endpoint("dev-1"))
    device.on()
    try:
        until(lambda: site.plane.messages >= 3)
        assert job(site).status == "IN_PROGRESS"
        assert idle(device)

        site.push(site.plane.cancel("job-1"))
        takes_the_next(site, device)
    finally:
        device.off()


def test_document_of_another_program_does_not_hold_up_the_next_job(
    site: Site, device: Simulated
) -> None:
    """It has a fraction, which spoils the document and not the message that it is in."""
    create(site, {"version": "1.0", "steps": [{"timeout": 1.5}]})
    takes_the_next(site, device)

    assert job(site).status == "REJECTED"
    assert job(site, "next").status == "IN_PROGRESS"


def test_job_for_another_board_is_rejected(site: Site, device: Simulated) -> None:
    create(site, DOCUMENT | {"compatible": "other-board"})
    until(lambda: job(site).status == "REJECTED")

    assert "other-board" in job(site).details["reason"]
    assert device.calls == []
    takes_the_next(site, device)


def test_older_and_replayed_releases_are_not_installed(site: Site, device: Simulated) -> None:
    device.boot("b", "3.0")
    create(site)
    until(lambda: job(site).status == "REJECTED")
    assert job(site).details == {"reason": "version 2.0 is older than 3.0, which runs"}

    create(site, DOCUMENT | {"version": "3.0"}, "job-2")
    until(lambda: job(site, "job-2").status == "SUCCEEDED")
    assert device.calls == []


def test_messages_of_a_job_that_are_played_again_start_nothing(
    site: Site, device: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that was sent about it, with the very tokens: each of them counted once."""
    sent: list[Answer] = []
    genuine = site.plane.handle

    def handle(topic: str, payload: bytes) -> list[Answer]:
        answers = genuine(topic, payload)
        sent.extend(answers)
        return answers

    monkeypatch.setattr(site.plane, "handle", handle)
    create(site)
    until(lambda: device.restarted)
    device.boot("b", "2.0")
    until(lambda: job(site).status == "SUCCEEDED" and idle(device))
    recorded = [*sent]
    assert any(topic.endswith("start-next/accepted") for topic, _ in recorded)

    # The device is back where it was, and would have to install what the messages ask for.
    device.boot("a", "1.0")
    until(lambda: idle(device))
    before = site.traffic.got
    site.push(recorded)
    # What is pushed without a token has the device ask which job is next: none.
    until(lambda: site.traffic.got > before)
    create(site, DOCUMENT | {"version": "1.0"}, "job-2")
    until(lambda: job(site, "job-2").status == "SUCCEEDED")

    assert (len(installs(device)), device.restarted, job(site).status) == (1, False, "SUCCEEDED")


def test_job_that_is_cancelled_while_the_device_is_off_is_never_begun(
    site: Site, device: Simulated
) -> None:
    device.off()
    create(site)
    site.push(site.plane.cancel("job-1"))
    device.on()
    takes_the_next(site, device)

    assert job(site).status == "CANCELED"


def test_job_that_is_cancelled_after_the_restart_was_announced_leaves_the_release(
    site: Site, device: Simulated
) -> None:
    create(site)
    until(lambda: device.restarted)
    site.push(site.plane.cancel("job-1"))
    device.boot("b", "2.0")
    until(lambda: not (device.root / "record").exists())
    until(lambda: idle(device))

    assert job(site).status == "CANCELED"
    assert "status mark-bad other" not in device.calls


def test_job_of_another_thing_is_neither_heard_of_nor_asked_for(
    site: Site, device: Simulated, tmp_path: Path
) -> None:
    """The second device has dev-1's key, and dev-2 in the file that names it."""
    stranger = Simulated(root=tmp_path / "stranger", endpoint=device.endpoint, name="dev-2")
    until(lambda: site.traffic.got == 1)
    device.off()
    stranger.on()
    site.push(site.plane.create("job-2", DOCUMENT, ["dev-2"]))
    until(lambda: stranger.agent is not None and stranger.agent._token != "")
    time.sleep(0.5)
    stranger.off()
    assert site.plane.execution("dev-2", "job-2").status == "QUEUED"
    assert (stranger.calls, site.traffic.got) == ([], 1)

    device.on()
    takes_the_next(site, device)
    assert site.plane.execution("dev-2", "job-2").status == "QUEUED"


def test_another_thing_cannot_speak_for_this_one(site: Site, device: Simulated) -> None:
    """The broker takes no message of dev-2 on topics of dev-1, and gives it none."""
    heard: list[str] = []

    class Spy:
        def connected(self) -> None:
            heard.append("connected")

        def received(self, topic: str, payload: bytes) -> None:
            del payload
            heard.append(topic)

    (device.root / "hold").touch()
    create(site)
    until(lambda: bool(installs(device)))
    # Its certificate names dev-2, its topics are those of dev-1.
    link = Connection(site.endpoint("dev-2"), Thing(name="dev-1"), Spy())
    link.open()
    until(lambda: bool(heard))
    update = json.dumps({"status": "SUCCEEDED", "clientToken": "x"}).encode()
    link.publish(Message(topic="$aws/things/dev-1/jobs/job-1/update", payload=update))

    # While another one does its job on its own topics, the message could have come through.
    place, endpoint = device.root.with_name("dev-3"), site.endpoint("dev-3")
    other = Simulated(root=place, endpoint=endpoint, name="dev-3")
    site.push(site.plane.create("job-3", DOCUMENT, ["dev-3"]))
    other.on()
    until(lambda: other.restarted)
    other.off()
    assert job(site).status == "IN_PROGRESS"

    site.push(site.plane.cancel("job-1"))
    until(lambda: device.agent is not None and device.agent.phase is Phase.ABANDONED)
    link.close()
    assert {*heard} == {"connected"}
    (device.root / "hold").unlink()


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning")
@pytest.mark.parametrize(
    ("host", "said"),
    [
        pytest.param(None, "self-signed certificate in", id="another authority"),
        pytest.param("127.0.0.1", "IP address mismatch", id="another name"),
    ],
)
def test_broker_with_another_certificate_is_not_spoken_to(
    site: Site,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    host: str | None,
    said: str,
) -> None:
    other = sites.Authority(directory=tmp_path / "other", name="other")
    endpoint = site.endpoint("dev-1")
    wrong = (
        replace(endpoint, ca=other.certificate) if host is None else replace(endpoint, host=host)
    )
    made = Simulated(root=tmp_path / "device", endpoint=wrong)
    create(site)
    made.on()
    try:
        until(lambda: said in caplog.text)
    finally:
        made.off()
    gc.collect()
    assert "CERTIFICATE_VERIFY_FAILED" in caplog.text
    assert (job(site).status, site.traffic.got, made.calls) == ("QUEUED", 0, [])

    made.endpoint = endpoint
    made.on()
    until(lambda: made.restarted)
    made.off()


def test_thing_that_another_authority_certified_is_not_let_in(site: Site, tmp_path: Path) -> None:
    other = sites.Authority(directory=tmp_path / "other", name="other")
    made = Simulated(root=tmp_path / "stranger", endpoint=site.endpoint("dev-1", other))
    made.on()
    create(site)
    until(lambda: "certificate" in site.log.read_text() or "error" in site.log.read_text())
    made.off()

    assert job(site).status == "QUEUED"
    assert made.calls == []
