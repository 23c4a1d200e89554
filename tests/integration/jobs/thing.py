# SPDX-License-Identifier: MIT
"""One simulated thing in a process of its own: a genuine agent, and no device.

Agent, connection, TLS and record are those of `bootseal_agent`, with the device's own time limits.
What RAUC, the boot loader and the restart would do is simulated here.

Imports nothing but the agent, so that a process is as large as the agent makes it.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from bootseal_agent.agent import Agent, Host
from bootseal_agent.apps import Apps
from bootseal_agent.errors import InstallError
from bootseal_agent.events import Device
from bootseal_agent.mqtt import Connection, Endpoint
from bootseal_agent.wire import Thing

if TYPE_CHECKING:
    from bootseal_agent.document import Update


class Fate(Enum):
    """What becomes of a release on a thing."""

    RUNS = "it starts, and is good"
    REFUSED = "RAUC refuses it"
    REVERTS = "it does not start, and the device comes up from the slot before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a process needs to be a thing.

    Attributes:
        endpoint: The broker, and the thing's key.
        name: The thing's name.
        root: A directory of its own, which has to be there.
        compatible: The board that it is.
        fates: What becomes of each release, by its version.
        seconds: How long an install takes.
    """

    endpoint: Endpoint
    name: str
    root: Path
    compatible: str
    fates: Mapping[str, Fate]
    seconds: float


@dataclass(slots=True)
class Installer:
    """Takes RAUC's place: it installs nothing, tells of each tenth, and knows how it ends."""

    orders: Orders
    installed: str = ""

    def install(self, update: Update, progress: Callable[[int, str], None]) -> None:
        """Take as long as it takes, and end as it has to."""
        with (self.orders.root / "installs").open("a") as log:
            log.write(f"{update.version}\n")
        for percent in range(0, 100, 10):
            progress(percent, "Copying image to root.1")
            time.sleep(self.orders.seconds / 10)
        if self.orders.fates[update.version] is Fate.REFUSED:
            raise InstallError("signature verification failed: unable to get issuer certificate")
        self.installed = update.version

    def mark_bad(self) -> None:
        """Note that the other slot is bad."""
        (self.orders.root / "bad").touch()


def live(orders: Orders) -> None:
    """Be a thing until the process is ended: boot, work, restart, and again.

    Nothing but the record and the slots outlive a restart.
    """
    logging.disable()
    slot, version = "a", "1.0"
    while True:
        installer = Installer(orders)
        _boot(orders, slot, version, installer)
        if orders.fates[installer.installed] is Fate.RUNS:
            slot, version = {"a": "b", "b": "a"}[slot], installer.installed


def _boot(orders: Orders, slot: str, version: str, installer: Installer) -> None:
    restart = threading.Event()
    host = Host(
        device=Device(
            slot=slot,
            version=version,
            compatible=orders.compatible,
            good=True,
            boot=str(uuid.uuid4()),
        ),
        installer=installer,
        applications=Apps(
            ca=orders.endpoint.ca,
            downloads=orders.root / "downloads",
            request=orders.root / "request",
        ),
        record=orders.root / "record",
        restart=restart.set,
        is_good=lambda: True,
    )
    thing = Thing(name=orders.name)
    agent = Agent(thing, host)
    link = Connection(orders.endpoint, thing, agent)
    link.open()
    try:
        agent.run(link)
    finally:
        link.close()
    if not restart.is_set():
        raise RuntimeError("the agent ended without a restart")
