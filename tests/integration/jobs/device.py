# SPDX-License-Identifier: MIT
"""A device that is simulated: a genuine agent, a double of RAUC, and a boot that is a function."""

from __future__ import annotations

import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests import agent_samples as samples

from bootseal_agent.agent import Agent, Host, Times
from bootseal_agent.apps import Apps
from bootseal_agent.events import Device
from bootseal_agent.mqtt import Connection
from bootseal_agent.rauc import Rauc
from bootseal_agent.wire import Thing

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.jobs.site import Site

    from bootseal.boot.catalogue.bench.dataplane import Execution
    from bootseal_agent.mqtt import Endpoint

TIMES: Final = Times(answer=20, retry=0.2, good=0.1)
CA: Final = Path("/etc/bootseal/cloud-ca.pem")
SCRIPT: Final = """\
#!/bin/sh
# A double of rauc and busctl, for tests: it installs nothing.
cd "${0%/*}"
echo "$*" >>calls
case "$*" in
*get-property*) cat operation ;;
--json=short*) cat answer ;;
--version) echo 'rauc 1.13' ;;
install*)
	printf '  0%% Installing\\n 40%% Copying image to root.1\\n'
	while [ -e hold ]; do sleep 0.05; done
	if [ -s fail ]; then
		head -n 1 fail
		sed -i 1d fail
		echo "Installing \\`$3\\` failed" >&2
		exit 1
	fi
	printf '100%% Installing done.\\n'
	;;
esac
"""


@dataclass(slots=True, kw_only=True)
class Simulated:
    """A device, between one power-on and the next."""

    root: Path
    endpoint: Endpoint
    name: str = "dev-1"
    slot: str = "a"
    version: str = "1.0"
    good: bool = True
    agent: Agent | None = None
    restarted: bool = False
    token: str = ""
    _off: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        self.root.mkdir(exist_ok=True)
        script = self.root / "rauc"
        script.write_text(SCRIPT)
        script.chmod(0o755)
        (self.root / "answer").write_text(samples.INSPECTED)
        self.busy("idle")
        (self.root / "calls").touch()

    @property
    def calls(self) -> list[str]:
        """The command lines that the double of RAUC was given."""
        return (self.root / "calls").read_text().splitlines()

    def busy(self, operation: str) -> None:
        """Set what RAUC says that it does; it may be asked at any time."""
        new = self.root / "operation.new"
        new.write_text(json.dumps({"type": "s", "data": operation}))
        new.replace(self.root / "operation")

    def on(self) -> None:
        """Power on: a boot of the slot that is set."""
        device = Device(
            slot=self.slot,
            version=self.version,
            compatible=samples.DEVICE.compatible,
            good=self.good,
            boot=str(uuid.uuid4()),
        )
        script = (str(self.root / "rauc"),)
        self._off.clear()
        self.restarted = False
        host = Host(
            device=device,
            installer=Rauc(ca=CA, client=script, bus=script, pause=0.1),
            applications=Apps(
                ca=self.endpoint.ca,
                downloads=self.root / "downloads",
                request=self.root / "request",
                result=self.root / "result",
                patience=120,
                pause=0.05,
            ),
            record=self.root / "record",
            restart=self._restart,
            is_good=lambda: self.good,
            times=TIMES,
        )
        thing = Thing(name=self.name)
        agent = Agent(thing, host)
        self.agent = agent
        link = Connection(self.endpoint, thing, agent)
        link.open()

        def work() -> None:
            try:
                agent.run(link, until=self._off.is_set)
            finally:
                link.close()

        self._thread = threading.Thread(target=work)
        self._thread.start()

    def off(self) -> None:
        """Power off, without notice: nothing is left but the record."""
        self._off.set()
        assert self._thread is not None
        self._thread.join(60)
        assert not self._thread.is_alive()
        # A download would go on in its thread.
        assert self.agent is not None
        self.agent._unwanted.set()

    def boot(self, slot: str, version: str, *, good: bool = True) -> None:
        """Power off, and on in another slot."""
        self.off()
        self.slot, self.version, self.good = slot, version, good
        self.on()

    def _restart(self) -> None:
        self.restarted = True


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something to be so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def create(site: Site, document: object = samples.DOCUMENT, name: str = "job-1") -> None:
    """Give a job to the device."""
    site.push(site.plane.create(name, document, ["dev-1"]))


def job(site: Site, name: str = "job-1") -> Execution:
    """Return how a job is on the device."""
    return site.plane.execution("dev-1", name)


def installs(device: Simulated) -> list[str]:
    """Return the command lines by which something was installed."""
    return [call for call in device.calls if call.startswith("install")]
