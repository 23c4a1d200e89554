# SPDX-License-Identifier: MIT
"""The agent on a real broker, with a double of AWS IoT Jobs behind it. Nothing ran against AWS."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import TYPE_CHECKING

import pytest
from tests.agent_samples import DOCUMENT, MALFORMED
from tests.integration.jobs import image_server
from tests.integration.jobs import site as sites
from tests.integration.jobs.device import CA, Simulated, until

from bootseal.boot.catalogue.bench.dataplane import URL
from bootseal_agent.agent import INSTALL
from bootseal_agent.events import Phase
from bootseal_agent.mqtt import Connection
from bootseal_agent.wire import Message, Thing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.jobs.image_server import Images
    from tests.integration.jobs.site import Site

    from bootseal.boot.catalogue.bench.dataplane import Execution

pytestmark = [pytest.mark.tool("mosquitto"), pytest.mark.slow]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with sites.opened(tmp_path) as opened:
        yield opened
        assert opened.plane.refused == []


@pytest.fixture
def device(site: Site, tmp_path: Path) -> Iterator[Simulated]:
    made = Simulated(root=tmp_path / "device", endpoint=site.endpoint("dev-1"))
    made.on()
    yield made
    made.off()


def create(site: Site, document: object = DOCUMENT, job: str = "job-1") -> None:
    site.push(site.plane.create(job, document, ["dev-1"]))


def job(site: Site, name: str = "job-1") -> Execution:
    return site.plane.execution("dev-1", name)


def installs(device: Simulated) -> list[str]:
    return [call for call in device.calls if call.startswith("install")]


def test_update_succeeds_from_the_new_slot_only(site: Site, device: Simulated) -> None:
    create(site)
    until(lambda: device.restarted)
    assert job(site).status == "IN_PROGRESS"
    assert job(site).details == {"step": "reboot"}
    assert installs(device) == [f"install --tls-ca={CA} {DOCUMENT['url']}"]

    device.boot("b", "2.0", good=False)
    assert device.agent is not None
    assert device.agent.phase is Phase.CONFIRMING
    device.good = True
    until(lambda: job(site).status == "SUCCEEDED")

    assert job(site).details == {"reason": "version 2.0 runs"}
    until(lambda: not (device.root / "record").exists())


def test_release_that_fell_back_is_reported_as_reverted(site: Site, device: Simulated) -> None:
    create(site)
    until(lambda: device.restarted)

    device.boot("a", "1.0")
    until(lambda: job(site).status == "FAILED")

    assert job(site).details == {"reason": "reverted to last known good"}
    assert device.calls[-1] == "status mark-bad other"


def test_power_cut_while_installing_begins_again(site: Site, device: Simulated) -> None:
    (device.root / "hold").touch()
    create(site)
    until(lambda: bool(installs(device)))
    device.off()
    (device.root / "hold").unlink()

    device.on()
    until(lambda: device.restarted)

    assert len(installs(device)) == 2
    assert job(site).status == "IN_PROGRESS"


def test_restarted_agent_waits_for_a_rauc_that_is_busy(site: Site, device: Simulated) -> None:
    device.busy("installing")
    create(site)
    until(lambda: len(device.calls) > 3)
    assert installs(device) == []
    device.off()
    device.on()
    until(lambda: len(device.calls) > 9)
    assert (installs(device), job(site).status) == ([], "IN_PROGRESS")

    device.busy("idle")
    until(lambda: device.restarted)

    assert device.agent is not None
    assert device.agent.phase is Phase.LEAVING


def test_cancelled_job_is_not_started(site: Site, device: Simulated) -> None:
    (device.root / "hold").touch()
    create(site)
    until(lambda: bool(installs(device)))
    site.push(site.plane.cancel("job-1"))
    assert device.agent is not None
    until(lambda: device.agent is not None and device.agent.phase is Phase.ABANDONED)
    (device.root / "hold").unlink()
    until(lambda: device.calls[-1] == "status mark-bad other")

    assert not device.restarted
    assert job(site).status == "CANCELED"


def test_job_whose_time_ran_out_is_not_started(site: Site, device: Simulated) -> None:
    (device.root / "hold").touch()
    create(site)
    until(lambda: bool(installs(device)))
    site.push(site.plane.expire("dev-1", "job-1"))
    until(lambda: device.agent is not None and device.agent.phase is Phase.ABANDONED)
    (device.root / "hold").unlink()
    until(lambda: device.calls[-1] == "status mark-bad other")

    assert (device.restarted, job(site).status) == (False, "TIMED_OUT")


@pytest.mark.parametrize("word", ["error", "response"], ids=["RAUC 1.13", "RAUC 1.15"])
def test_expired_url_is_replaced_by_a_fresh_one(site: Site, device: Simulated, word: str) -> None:
    (device.root / "fail").write_text(f"LastError: unexpected HTTP {word} code 403\n")
    create(site, DOCUMENT | {"url": URL + "https://s3.eu-central-1.amazonaws.com/b/k}"})
    until(lambda: device.restarted)

    first, second = installs(device)
    assert first != second


def test_bundle_that_rauc_refuses_fails_the_job_with_its_reason(
    site: Site, device: Simulated
) -> None:
    said = "LastError: signature verification failed: unable to get local issuer certificate\n"
    (device.root / "fail").write_text(said)
    create(site)
    until(lambda: job(site).status == "FAILED")

    assert job(site).details == {"reason": said.removeprefix("LastError: ").strip()}
    assert len(installs(device)) == 1


def test_other_bundle_than_the_jobs_is_not_installed(site: Site, device: Simulated) -> None:
    create(site, DOCUMENT | {"manifest_sha256": "cd" * 32})
    until(lambda: job(site).status == "FAILED")

    assert "the bundle has manifest-hash 'abab" in job(site).details["reason"]
    assert installs(device) == []


def test_every_malformed_document_is_rejected(site: Site, device: Simulated) -> None:
    for number, case in enumerate(MALFORMED):
        create(site, json.loads(case.text), f"job-{number}")
    last = f"job-{len(MALFORMED) - 1}"
    until(lambda: job(site, last).status == "REJECTED")

    for number in range(len(MALFORMED)):
        assert job(site, f"job-{number}").status == "REJECTED"
        assert job(site, f"job-{number}").details["reason"]
    assert device.calls == []


def test_document_of_another_program_does_not_hold_up_the_next_job(
    site: Site, device: Simulated
) -> None:
    """It has a fraction, which spoils the document and not the message that it is in."""
    create(site, {"version": "1.0", "steps": [{"timeout": 1.5}]})
    create(site, job="job-2")
    until(lambda: device.restarted)

    assert job(site).status == "REJECTED"
    assert job(site, "job-2").status == "IN_PROGRESS"


def test_older_and_replayed_releases_are_not_installed(site: Site, device: Simulated) -> None:
    device.boot("b", "3.0")
    create(site)
    until(lambda: job(site).status == "REJECTED")
    assert job(site).details == {"reason": "version 2.0 is older than 3.0, which runs"}

    create(site, DOCUMENT | {"version": "3.0"}, "job-2")
    until(lambda: job(site, "job-2").status == "SUCCEEDED")
    assert device.calls == []


CONTENT = b"an image" * 100_000


@pytest.fixture
def images(site: Site) -> Iterator[Images]:
    with image_server.served(*site.authority.issue("localhost")) as served:
        served.files["/hello.raw"] = CONTENT
        yield served


def app(images: Images, **changes: object) -> dict[str, object]:
    return {
        "schema": "bootseal.job/1",
        "operation": "app",
        "name": "hello",
        "version": "1.2.0",
        "url": images.url("/hello.raw"),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "size": len(CONTENT),
        **changes,
    }


def asked(device: Simulated) -> str:
    """Take the request to the installer, as that does; what it is about."""
    request = device.root / "request"
    until(request.exists)
    text = request.read_text()
    request.unlink()
    device.token, _, about = text.strip().partition(" ")
    return about


def answer(device: Simulated, said: str) -> None:
    (device.root / "result").write_text(f"{device.token} {said}\n")


def test_application_is_installed_and_reported_without_a_restart(
    site: Site, device: Simulated, images: Images
) -> None:
    create(site, app(images))
    digest = app(images)["sha256"]
    assert asked(device) == f"install hello 1.2.0 {digest} {len(CONTENT)}"
    assert (device.root / "downloads" / str(digest)).read_bytes() == CONTENT
    assert job(site).status == "IN_PROGRESS"
    answer(device, "done version 1.2.0 of hello runs")
    until(lambda: job(site).status == "SUCCEEDED")

    assert job(site).details == {"reason": "version 1.2.0 of hello runs"}
    until(lambda: list((device.root / "downloads").iterdir()) == [])
    assert (device.restarted, device.calls) == (False, [])

    create(site, {"schema": "bootseal.job/1", "operation": "app-remove", "name": "hello"}, "job-2")
    assert asked(device) == "remove hello"
    answer(device, "done hello is removed")
    until(lambda: job(site, "job-2").status == "SUCCEEDED")


def test_application_that_the_installer_refuses_fails_the_job(
    site: Site, device: Simulated, images: Images
) -> None:
    create(site, app(images))
    asked(device)
    answer(device, "failed no certificate in /etc/verity.d signed the image")
    until(lambda: job(site).status == "FAILED")
    assert job(site).details == {"reason": "no certificate in /etc/verity.d signed the image"}

    create(site, app(images, sha256="ab" * 32), "job-2")
    until(lambda: job(site, "job-2").status == "FAILED")
    assert job(site, "job-2").details["reason"].startswith("the image has SHA-256 ")
    assert not (device.root / "request").exists()


def test_cancelled_download_is_ended_and_the_next_job_taken(
    site: Site, device: Simulated, images: Images
) -> None:
    images.gate.clear()
    create(site, app(images))
    until(lambda: bool(images.asked))
    site.push(site.plane.cancel("job-1"))
    until(lambda: device.agent is not None and device.agent.phase is Phase.ABANDONED)
    images.gate.set()
    until(lambda: device.agent is not None and device.agent.phase is Phase.IDLE)
    assert job(site).status == "CANCELED"
    assert not (device.root / "request").exists()

    create(site, job="job-2")
    until(lambda: device.restarted)


def test_power_cut_in_a_download_resumes_it(site: Site, device: Simulated, images: Images) -> None:
    before = {*threading.enumerate()}
    images.gate.clear()
    create(site, app(images))
    place = device.root / "downloads" / str(app(images)["sha256"])
    until(lambda: place.exists() and place.stat().st_size > 0)
    device.off()
    images.gate.set()
    until(lambda: INSTALL not in {each.name for each in {*threading.enumerate()} - before})
    there = place.stat().st_size
    assert 0 < there < len(CONTENT)

    device.on()
    about = asked(device)
    answer(device, "done version 1.2.0 of hello runs")
    until(lambda: job(site).status == "SUCCEEDED")

    assert about.startswith("install hello")
    assert images.asked[-1] == f"bytes={there}-{len(CONTENT) - 1}"


def test_power_cut_in_an_installation_asks_again(
    site: Site, device: Simulated, images: Images
) -> None:
    create(site, app(images))
    first = asked(device)
    device.off()
    device.on()
    assert asked(device) == first
    answer(device, "done version 1.2.0 of hello runs")
    until(lambda: job(site).status == "SUCCEEDED")
    # What was downloaded before the power cut is not downloaded again.
    assert len(images.asked) == 1


def test_expired_url_of_an_application_is_asked_for_again(
    site: Site, device: Simulated, images: Images
) -> None:
    images.codes = [403]
    create(site, app(images))
    asked(device)
    answer(device, "done version 1.2.0 of hello runs")
    until(lambda: job(site).status == "SUCCEEDED")


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
    until(lambda: bool(heard) or "dev-2" in site.log.read_text())
    update = {"status": "SUCCEEDED", "clientToken": "x"}
    topic = "$aws/things/dev-1/jobs/job-1/update"
    link.publish(Message(topic=topic, payload=json.dumps(update).encode()))
    link.close()

    assert job(site).status == "IN_PROGRESS"
    assert not any("accepted" in each or "notify" in each for each in heard)
    (device.root / "hold").unlink()


def test_broker_that_another_authority_certified_is_not_spoken_to(
    site: Site, tmp_path: Path
) -> None:
    other = sites.Authority(directory=tmp_path / "other", name="other")
    endpoint = site.endpoint("dev-1", other)
    made = Simulated(root=tmp_path / "stranger", endpoint=endpoint)
    made.on()
    create(site)
    until(lambda: "certificate" in site.log.read_text() or "error" in site.log.read_text())
    made.off()

    assert job(site).status == "QUEUED"
    assert made.calls == []
