# SPDX-License-Identifier: MIT
"""The agent on a real broker, with a double of AWS IoT Jobs behind it. Nothing ran against AWS."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

import pytest
from tests.agent_samples import DOCUMENT
from tests.integration.jobs import image_server
from tests.integration.jobs.device import CA, create, installs, job, until

from bootseal.boot.catalogue.bench.dataplane import URL
from bootseal_agent.agent import INSTALL
from bootseal_agent.events import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.jobs.device import Simulated
    from tests.integration.jobs.image_server import Images
    from tests.integration.jobs.site import Site


pytestmark = [pytest.mark.tool("mosquitto"), pytest.mark.slow]


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

    create(site, name="job-2")
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
