# SPDX-License-Identifier: MIT
"""Nothing listens on the device: its own tables of sockets, and a scan of its TCP ports.

The same is asked again while something listens, which both have to find.
"""

from __future__ import annotations

import base64
import re
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from bootseal.boot.catalogue.bench import station
from bootseal.boot.machine.qemu import Cable
from bootseal.boot.machine.wire import Wire
from bootseal.errors import VerificationRefused

if TYPE_CHECKING:
    from bootseal.boot.catalogue.bench.station import Port
    from bootseal.boot.scenario.workspace import Workspace

_TABLES: Final = (
    *("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6"),
    "packet",
)
_LISTENS: Final = "0A"
_PORT: Final = 4433
_STARTED: Final = [f"tcp6 [::]:{_PORT}", f"udp6 [::]:{_PORT}"]

COMMANDS: Final = "; ".join(
    (
        f"exec 3<>{station.PATH}",
        f"l() {{ (cd /proc/net; grep -H . {' '.join(_TABLES)}) | base64 -w 0 >&3; echo >&3; }}",
        "l",
        "read -r d <&3",
        f"{{ systemd-socket-activate -l {_PORT} cat & }}",
        f"{{ systemd-socket-activate -d -l {_PORT} cat & }}",
        f"until [ $(grep -c ':{_PORT:04X} ' /proc/net/tcp6 /proc/net/udp6 | grep -c ':1$') = 2 ]",
        "do sleep 1",
        "done",
        "l",
        "read -r d <&3",
        "systemctl restart bootseal-status.service",
    )
)
"""What is typed on the device, for `looked_for` at the other end."""


def plug(workspace: Workspace) -> None:
    """Connect the device with a cable whose other end is here, and with the station."""
    station.plug(workspace)
    # The path of a UNIX socket has at most 107 bytes.
    scratch = Path(workspace.held.enter_context(tempfile.TemporaryDirectory(prefix="bootseal-")))
    workspace.network = Cable(machine=scratch / "machine", other=scratch / "other")


def looked_for(workspace: Workspace) -> None:
    """Look for sockets that listen, from inside and outside: there are none, then the started ones.

    Raises:
        VerificationRefused: Something else listens, or what was started is not found.
        Inconclusive: The device does not answer.
    """
    with Wire(cast("Cable", workspace.network)) as wire, station.opened(workspace) as port:
        for inside, outside in (([], ()), (_STARTED, (_PORT,))):
            try:
                found = _inside(port)
                if found != inside:
                    raise VerificationRefused(
                        f"the device's tables have {found}: expected {inside}"
                    )
                if (ports := wire.open_ports()) != outside:
                    raise VerificationRefused(f"TCP ports {ports} are open: expected {outside}")
            finally:
                port.send(b"\n")


def _inside(port: Port) -> list[str]:
    try:
        return listening(base64.b64decode(port.line()).decode())
    except ValueError as error:
        raise VerificationRefused(f"the device's tables are malformed: {error}") from error


def listening(tables: str) -> list[str]:
    r"""Return the sockets that take something from a network.

    Every socket of a protocol without connections counts, also one that only waits for answers.

    Args:
        tables: Those of /proc/net, each line behind the table's name and a colon.

    Raises:
        ValueError: A table is missing, or a line is not one of a table.

    >>> header = "".join(f"{name}:  sl  local_address\n" for name in _TABLES)
    >>> listening(header + "tcp:   0: 0F02000A:0016 00000000:0000 0A 00000000:00000000\n")
    ['tcp 10.0.2.15:22']
    """
    rows = [line.partition(":")[::2] for line in tables.splitlines()]
    if missing := set(_TABLES) - {name for name, _ in rows}:
        raise ValueError(f"no table {', '.join(sorted(missing))}")
    return sorted(
        f"{name} {_address(row)}"
        for name, row in rows
        if not re.match(" *s[lk] ", row)
        if not name.startswith("tcp") or row.split()[3] == _LISTENS
    )


def _address(row: str) -> str:
    """Return the local address in a row; of a packet socket, the row."""
    if (found := re.match(r" *\d+: ([0-9A-F]{8}(?:[0-9A-F]{24})?):([0-9A-F]{4}) ", row)) is None:
        return row
    # The kernel prints words in native byte order.
    words = re.findall("[0-9A-F]{8}", found[1])
    raw = b"".join(bytes.fromhex(word)[::-1] for word in words)
    if len(words) == 1:
        return f"{socket.inet_ntop(socket.AF_INET, raw)}:{int(found[2], 16)}"
    return f"[{socket.inet_ntop(socket.AF_INET6, raw)}]:{int(found[2], 16)}"
