# SPDX-License-Identifier: MIT
"""The command `bootseal-agent`: reads its configuration and the device, then works.

The configuration is part of the verified root; the document in docs/jobs.md describes it.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
import threading
import tomllib
from pathlib import Path
from typing import Final, cast

from bootseal_agent import __version__, rauc, strict
from bootseal_agent.agent import Agent, Host
from bootseal_agent.apps import Apps
from bootseal_agent.document import COMPATIBLE, VERSION
from bootseal_agent.errors import AgentError, Refusal
from bootseal_agent.events import Device
from bootseal_agent.mqtt import Connection, Endpoint
from bootseal_agent.wire import THING, Thing

_CONFIGURATION: Final = Path("/etc/bootseal/agent.toml")
_FILES: Final = ("thing", "ca", "certificate", "key", "record", "restart", "downloads", "apps")
_KEYS: Final = frozenset({"host", "port", "compatible", "version", *_FILES})
_COMMAND_LINE: Final = Path("/proc/cmdline")
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_log: Final = logging.getLogger(__name__)
# Labels of 1 to 63 characters: others raise in the connection's thread, where names are resolved.
_HOST: Final = r"(?=.{1,253}$)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*"
_SLOT: Final = re.compile(r"(?<!\S)bootseal\.slot=(\S*)", re.ASCII)


def main() -> None:
    """Run the agent until it has asked for a restart; ends with 1 after a failure."""
    parser = argparse.ArgumentParser(
        prog="bootseal-agent", description="Installs what jobs of AWS IoT ask for."
    )
    parser.add_argument("--config", type=Path, default=_CONFIGURATION, help="its configuration")
    parser.add_argument("--version", action="version", version=__version__)
    given = parser.parse_args()
    # To the journal, which adds the time.
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    threading.excepthook = _end
    try:
        run(given.config)
    except (AgentError, OSError) as error:
        sys.exit(f"bootseal-agent: {error}")


def run(configuration: Path) -> None:
    """Run the agent until it has asked for a restart.

    Args:
        configuration: The file.

    Raises:
        Refusal: The configuration or the command line of the kernel is not usable.
        OSError: A file cannot be read or written, or OpenSSL does not take the key.
    """
    given = _settings(configuration)
    what = str(configuration)
    device = Device(
        slot=_slot(),
        version=strict.text(given, "version", what, VERSION),
        compatible=strict.text(given, "compatible", what, COMPATIBLE),
        good=rauc.is_good(),
        boot=_BOOT.read_text().strip(),
    )
    paths = {key: Path(strict.text(given, key, what, r"/[!-~]{1,255}")) for key in _FILES}
    thing = Thing(name=_name(paths["thing"]))
    host = Host(
        device=device,
        installer=rauc.Rauc(ca=paths["ca"]),
        applications=Apps(ca=paths["ca"], downloads=paths["downloads"], request=paths["apps"]),
        record=paths["record"],
        restart=paths["restart"].touch,
        is_good=rauc.is_good,
    )
    agent = Agent(thing, host)
    endpoint = Endpoint(
        host=strict.text(given, "host", what, _HOST),
        port=strict.number(given, "port", what, 1, 65535),
        ca=paths["ca"],
        certificate=paths["certificate"],
        key=paths["key"],
    )
    link = Connection(endpoint, thing, agent)
    link.open()
    try:
        agent.run(link)
    finally:
        link.close()


def _end(args: threading.ExceptHookArgs) -> None:
    """End the process when one of its threads has ended: the others would wait for ever."""
    _log.critical("a thread has ended: %s: %s", args.exc_type.__name__, args.exc_value)
    os._exit(1)


def _settings(path: Path) -> dict[str, object]:
    try:
        found = cast("dict[str, object]", tomllib.loads(path.read_text()))
    except (ValueError, RecursionError) as error:
        raise Refusal(f"{path} is not TOML: {error}") from error
    if found.keys() != _KEYS:
        wrong = strict.shown(", ".join(sorted(found.keys() ^ _KEYS)))
        raise Refusal(f"{path} has missing or unknown keys: {wrong}")
    return found


def _name(path: Path) -> str:
    found = path.read_text(errors="replace").strip()
    return strict.text({"name": found}, "name", str(path), THING)


def _slot() -> str:
    found = _SLOT.findall(_COMMAND_LINE.read_text(errors="replace"))
    if found not in (["a"], ["b"]):
        raise Refusal("the command line of the kernel does not name one slot: bootseal.slot=a or b")
    return str(found[0])


if __name__ == "__main__":
    main()
