# SPDX-License-Identifier: MIT
"""The bench for jobs: what counts as the end of one, and parts of a bundle by HTTPS."""

from __future__ import annotations

import dataclasses
import json
import ssl
import time
import urllib.error
import urllib.request
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from bootseal.boot.catalogue.bench import jobs, servers, station
from bootseal.boot.catalogue.bench.dataplane import DataPlane, Execution
from bootseal.errors import Inconclusive, UsageError, VerificationRefused
from bootseal.jobs import plan as plans
from bootseal.keys.server import Authority

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.boot.scenario.workspace import Workspace

JOB = "release-2"
DIGEST = "ab" * 32
UPDATE = plans.Update(
    url=jobs.url("2.raucb"),
    version="2.0.0",
    compatible="reference-arm64",
    manifest_sha256=DIGEST,
    size=9,
)


def test_job_ends_as_it_was_expected_to_and_for_its_reason() -> None:
    found = Execution(job="j", status="FAILED", details={"reason": "reverted"})

    jobs.demand(found, "FAILED", "reverted")
    for status, reason in (("SUCCEEDED", "reverted"), ("FAILED", "no such file")):
        with pytest.raises(VerificationRefused, match=r"the job ended FAILED, .*reverted"):
            jobs.demand(found, status, reason)


def test_wait_for_a_job_ends_when_nobody_answers_the_device(tmp_path: Path) -> None:
    plane = DataPlane()
    plane.create(JOB, {}, [station.NAME])
    desk = jobs.Desk(plane=plane, port=0, place=tmp_path)
    desk.faults.append("mosquitto_pub is not installed")

    with pytest.raises(Inconclusive, match="has ended: mosquitto_pub is not installed"):
        desk.ended(JOB)


@pytest.mark.tool("mosquitto_sub")
def test_end_of_what_listens_is_told(tmp_path: Path) -> None:
    desk = jobs.Desk(plane=DataPlane(), port=servers.free_port(), place=tmp_path)

    with jobs._listening(desk):
        end = time.monotonic() + 30
        while not desk.faults and time.monotonic() < end:
            time.sleep(0.01)

    assert desk.faults
    assert "mosquitto_sub has ended: it said b'Error: Connection refused" in desk.faults[0]


def test_job_whose_end_comes_before_the_power_cut_is_refused(tmp_path: Path) -> None:
    plane = DataPlane()
    plane.create(JOB, {}, [station.NAME])
    report = {"status": "FAILED", "statusDetails": {"reason": "no such file"}}
    plane.handle(f"$aws/things/{station.NAME}/jobs/{JOB}/update", json.dumps(report).encode())
    desk = jobs.Desk(plane=plane, port=0, place=tmp_path)
    device = cast("Workspace", SimpleNamespace(kept={"cloud": desk}))

    with pytest.raises(VerificationRefused, match=r"FAILED, .*no such file.* expected the power"):
        jobs.demand_going_on(device, JOB)


def test_plan_is_one_that_aws_and_devices_take() -> None:
    made = jobs.plan(JOB, UPDATE)

    assert plans.checked(made) == made
    assert UPDATE.url == "https://updates.bootseal.test/2.raucb"
    document = plans.request(made)["document"]
    assert isinstance(document, str)
    assert DIGEST in document
    with pytest.raises(UsageError, match="version"):
        jobs.plan(JOB, dataclasses.replace(UPDATE, version="two"))


@pytest.fixture
def bench(tmp_path: Path) -> tuple[Authority, servers.Own]:
    authority = Authority.made(tmp_path, 1_700_000_000)
    assert Authority.made(tmp_path, 1_700_000_000).pem == authority.pem
    return authority, servers.Own.issued(tmp_path, authority)


def fetch(port: int, ca: bytes, headers: dict[str, str], name: str = "file") -> tuple[int, bytes]:
    context = ssl.create_default_context(cadata=ca.decode())
    # Python 3.13's default, which devices have.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    request = urllib.request.Request(f"https://localhost:{port}/{name}?sig=1", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:  # noqa: S310 - https
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


def test_parts_of_bundles_are_served_by_a_certified_server(
    tmp_path: Path, bench: tuple[Authority, servers.Own]
) -> None:
    authority, own = bench
    (tmp_path / "file").write_bytes(bytes(range(100)))
    with servers.bundles(tmp_path, own) as server:
        ranged = {"Range": "bytes=10-19"}
        assert fetch(server.port, authority.pem, ranged) == (206, bytes(range(10, 20)))
        beyond = {"Range": "bytes=95-200"}
        assert fetch(server.port, authority.pem, beyond) == (206, bytes(range(95, 100)))
        assert fetch(server.port, authority.pem, {}) == (416, b"")
        assert fetch(server.port, authority.pem, ranged, "other")[0] == 404
        assert fetch(server.port, authority.pem, ranged, "../file")[0] == 206
        stranger = Authority.made(tmp_path / "bench", 1_700_000_000)
        with pytest.raises(urllib.error.URLError, match="certificate verify failed"):
            fetch(server.port, stranger.pem, ranged)
        assert server.log.read_text().splitlines()[:2] == ["10 10", "95 5"]


def test_build_without_an_authority_has_no_servers_for_jobs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no authority for the servers of scenarios"):
        Authority.read(tmp_path)


def test_name_of_the_one_thing_is_that_of_the_station() -> None:
    (target,) = jobs.plan(JOB, UPDATE).targets
    assert target.rpartition("/")[2] == station.NAME
