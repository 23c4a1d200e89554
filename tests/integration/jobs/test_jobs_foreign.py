# SPDX-License-Identifier: MIT
"""The library below AWS's own SDKs against the same double, and a fleet on the same broker.

awscrt keeps the double and the agent from agreeing on an error that they have in common.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests.agent_samples import DOCUMENT
from tests.integration.jobs import fleet as fleets
from tests.integration.jobs.thing import Fate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.jobs.site import Site

pytestmark = [pytest.mark.tool("mosquitto"), pytest.mark.slow]
CLIENT: Final = Path(__file__).with_name("awscrt_client.py")
FLEET: Final = 12


@contextmanager
def client(site: Site, name: str) -> Iterator[Callable[..., tuple[str, dict[str, object]]]]:
    """Give what publishes for a thing with awscrt, and returns the topic and body of the answer."""
    endpoint = site.endpoint(name)
    files = (endpoint.certificate, endpoint.key, endpoint.ca)
    with subprocess.Popen(
        [sys.executable, CLIENT, *files, str(site.port), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        asked, answers = running.stdin, running.stdout
        assert asked is not None
        assert answers is not None

        def ask(topic: str, **body: object) -> tuple[str, dict[str, object]]:
            print(json.dumps([topic, body | {"clientToken": "t"}]), file=asked, flush=True)
            said, found = json.loads(answers.readline())
            assert found["clientToken"] == "t"
            return said, found

        yield ask
    assert running.returncode == 0


def test_awscrt_is_answered_as_aws_documents(site: Site) -> None:
    with client(site, "dev-9") as ask:
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


def test_fleet_in_batches_is_aborted_where_the_threshold_says(site: Site, tmp_path: Path) -> None:
    """Each thing is a process. 2.0 runs on all; a third of the things has no luck with 3.0."""
    third = {0: Fate.REFUSED, 3: Fate.REVERTS}
    fates = {"2.0": lambda _: Fate.RUNS, "3.0": lambda number: third.get(number % 6, Fate.RUNS)}
    rule = {"per_minute": 6, "percent": 30, "minimum": 6}
    with fleets.on(site, tmp_path / "things", fates, FLEET, 0.2) as fleet:
        good = fleets.staged(fleet, fleets.plan("job-1", "2.0", **rule), 1)
        bad = fleets.staged(fleet, fleets.plan("job-2", "3.0", **rule), 60)

        assert (good, site.plane.jobs["job-1"].status) == ({"SUCCEEDED": FLEET}, "IN_PROGRESS")
        assert (bad, site.plane.jobs["job-2"].status) == ({"SUCCEEDED": 4, "FAILED": 2}, "CANCELED")
        found = fleets.told(fleet, "job-2")
        assert found["dev-0"].details["reason"].startswith("signature verification failed")
        assert found["dev-3"].details == {"reason": "reverted to last known good"}
        installs = [fleet.installs(name) for name in fleet.things]
        assert installs == [["2.0", "3.0"]] * 6 + [["2.0"]] * 6
        assert (fleet.root / "dev-3" / "bad").exists()
