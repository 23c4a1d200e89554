# SPDX-License-Identifier: MIT
"""A power cut on a device that is connected with its identity key, and what comes after.

One connection with the broker stays open, others come and go, and meanwhile the certificate is
installed and a second key is made, over and over. In the next boot the same broker has to see the
device again, this time over the address that DHCP has given it.
"""

from __future__ import annotations

import base64
import re
import time
from typing import TYPE_CHECKING, Final

from bootseal.boot.catalogue.bench import cloud, servers, station
from bootseal.boot.catalogue.bench.cloud import MQTT_PORT, SERVERS, TOKEN, Said
from bootseal.boot.catalogue.bench.station import NAME
from bootseal.boot.machine.qemu import GIVEN
from bootseal.errors import VerificationRefused

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.boot.catalogue.bench.station import Port
    from bootseal.boot.scenario.workspace import Workspace

CUT_AFTER: Final = 9.0
"""Seconds from the first loop to the power cut."""
_HELD: Final = "held"
_FIXED: Final = "10.0.2.15"
_FOLLOWED: Final = "followed"
_PATIENCE: Final = 20.0
_BETWEEN: Final = 0.2
# A second key, next to the one that is in use.
_OTHER: Final = "KEY_DIR=/data/other TOKEN_DIR=/run/bootseal/other bootseal-identity"
_GUESSES: Final = "tpm2_getcap properties-variable | grep LOCKOUT_COUNTER"
_WAIT: Final = "do sleep 1; i=$((i + 1)); done"

CONNECTED: Final = "; ".join(
    (
        "sed '/^-----END/q' <&3 >/tmp/ca",
        *cloud.FUNCTIONS,
        "mkfifo /tmp/h",
        "exec 4<>/tmp/h",
        # CONNECT with a name of its own and without an end by itself, then nothing.
        rf"printf '\020\020\0\004MQTT\004\002\0\0\0\004{_HELD}' >&4",
        (
            "{ openssl s_client -quiet -verify_return_error -CAfile /tmp/ca "
            f"-connect {servers.BROKER}:{MQTT_PORT} {TOKEN} <&4 >/tmp/held 2>/tmp/why & }}"
        ),
        f"i=0; until [ -s /tmp/held ] || [ $i = 120 ]; {_WAIT}",
        "r sh -c 'cat /tmp/held; cat /tmp/why >&2'",
        "read -r d <&3",
        _GUESSES,
        f"{{ while :; do rm -rf /data/other; {_OTHER} create; {_OTHER} token; done & }}",
        "{ (unset OPENSSL_CONF; while :; do bootseal-identity install /tmp/c; done) & }",
        f"while :; do m {TOKEN} 3>/dev/null; done",
    )
)
"""What is typed behind `station.COMMANDS`, for `stays_connected` at the other end."""

AGAIN: Final = "; ".join(
    (
        f"exec 3<>{station.PATH}",
        "sed '/^-----END/q' <&3 >/tmp/ca",
        f"{_OTHER} create",
        f"{_OTHER} token",
        "a() { base64 -w 0 /proc/net/fib_trie >&3; echo >&3; }",
        "a",
        # The first profile that matches counts: without this one it is that of DHCP.
        "mkdir -p /run/systemd/network",
        "ln -s /dev/null /run/systemd/network/10-bench.network",
        "systemctl restart systemd-networkd",
        f"i=0; until grep -q ' {GIVEN}$' /proc/net/fib_trie || [ $i = 120 ]; {_WAIT}",
        "a",
        "set -a",
        ". /usr/lib/bootseal/identity.env",
        *cloud.FUNCTIONS,
        f"m {TOKEN}",
        _GUESSES,
        *cloud.END,
    )
)
"""What is typed after the power cut, for `is_back` at the other end."""


def stays_connected(workspace: Workspace) -> None:
    """Do the verifier's part of `station.COMMANDS`, then see a connection that stays.

    Raises:
        VerificationRefused: The connection fails, or the broker sees another name.
        BootsealError: The verifier cannot do its part, or the device does not answer.
    """
    station.certify(workspace)
    place = workspace.work / SERVERS
    with cloud.asked(workspace, place) as port:
        said = Said.by(port)
        cloud.demand(said.output == cloud.ACCEPTED, "the broker does not accept the device", said)
        found = re.search(rf" as {_HELD} .*u'{NAME}'", cloud.log(place, "broker"))
        cloud.demand(found is not None, "the broker does not see the device", said)
        workspace.kept[_FOLLOWED] = time.time()


def was_connected(workspace: Workspace) -> None:
    """See that the connection lasted as long as the device had power.

    Raises:
        VerificationRefused: It ended before, or is still there.
    """
    ended, since = _ended(workspace.work / SERVERS), workspace.kept[_FOLLOWED]
    # The broker tells whole seconds.
    if not ended or ended < float(str(since)) + CUT_AFTER - 1:
        raise VerificationRefused(
            f"the device was connected at {since} and its connection ended at {ended or 'no time'}:"
            f" expected is the power cut, {CUT_AFTER:g} s later at the earliest"
        )


def _ended(place: Path) -> int:
    """Return when the broker saw the end of the connection, in seconds since 1970; 0 for never."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        found = re.search(rf"^(\d+): Client {_HELD} ", cloud.log(place, "broker"), re.MULTILINE)
        if found is not None:
            return int(found[1])
        time.sleep(_BETWEEN)
    return 0


def is_back(workspace: Workspace) -> None:
    """See the device get another address by DHCP, and connect by that.

    Raises:
        VerificationRefused: It has other addresses, or does not connect.
        BootsealError: The device does not answer.
    """
    place = workspace.work / SERVERS
    before = len(cloud.connected(place))
    with cloud.asked(workspace, place) as port:
        for expected in (_FIXED, GIVEN):
            found = _addresses(port)
            if found != [expected]:
                raise VerificationRefused(f"the device has the addresses {found}: not {expected}")
        said = Said.by(port)
        cloud.demand(said.output == cloud.ACCEPTED, "the broker does not accept the device", said)
        names = cloud.connected(place)[before:]
        cloud.demand(names == [NAME], f"the broker saw {names}", said)


def _addresses(port: Port) -> list[str]:
    try:
        return addresses(base64.b64decode(port.line().strip(), validate=True).decode())
    except ValueError as error:
        raise VerificationRefused(f"the device's addresses are malformed: {error}") from error


def addresses(table: str) -> list[str]:
    r"""Return a device's own IPv4 addresses, those of the loopback left out.

    Args:
        table: Its /proc/net/fib_trie, which has each address once or twice.

    >>> addresses("  |-- 10.0.2.15\n   /32 host LOCAL\n  |-- 10.0.2.255\n   /32 link BROADCAST\n")
    ['10.0.2.15']
    """
    found = re.findall(r"\|-- ([0-9.]+)\n +/32 host LOCAL$", table, re.MULTILINE)
    return sorted({each for each in found if not each.startswith("127.")})
