# SPDX-License-Identifier: MIT
"""A device that is asked, at its shell, about application images, and what it says of each.

The images lie on a second disk. Every request is a line of the station's; the device answers with
the exit code and what was printed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.boot.catalogue.bench import exchange, images, station
from bootseal.boot.catalogue.bench.images import NAME
from bootseal.errors import VerificationRefused

if TYPE_CHECKING:
    from bootseal.boot.catalogue.bench.station import Port
    from bootseal.boot.scenario.workspace import Workspace

_PLACE: Final = "/tmp/images"  # noqa: S108 - on the device
_INSTALLED: Final = f"/data/apps/{NAME}.raw.v"
_RULES: Final = "/usr/lib/bootseal/apps.d"
_TOKEN: Final = "0123456789abcdef"  # noqa: S105 - what an answer is recognised by
_UNIT: Final = f"bootseal-app@{NAME}.service"
_LISTEN: Final = "; ".join(
    (
        f"exec 3<>{station.PATH}",
        f"mkdir {_PLACE}",
        f"mount -o ro UUID={images.UUID} {_PLACE}",
        'while read -r c <&3 && [ "$c" != end ]',
        'do sh -c "$c" >/tmp/o 2>&1',
        "echo $? >&3",
        "tail -c 6000 /tmp/o | base64 -w 0 >&3",
        "echo >&3",
        "done",
    )
)
STAY: Final = f"{_LISTEN}; systemctl restart bootseal-status.service\r"
"""What is typed on the device, with a function of `asking` at the other end."""

GOOD, OLDER, NEWER, PROBE = "1.2.0", "1.0.0", "1.3.0", "1.4.0"
_NEWEST: Final = f"{_INSTALLED}/{NAME}_{NEWER}_arm64.raw"
# TPM2_PCR_Extend of PCR 16 with an empty password, by 32 bytes for SHA-256; part 3, section 22.2.
_EXTEND: Final = "".join(
    f"\\\\x{byte:02x}"
    for byte in bytes.fromhex("80020000004100000182000000100000000940000009")
    + bytes.fromhex("000000000000000001000b")
    + bytes(range(32))
)
_TRIES: Final = {
    "own": ("sh -c 'echo kept >own; cat own'", r"DONE kept"),
    "root": ("touch /usr/bin/x", "Read-only file system"),
    "node": ("mknod node b 254 0", "Operation not permitted"),
    "disk": ("cat /dev/vda", "No such file or directory"),
    "tpm": ("cat /dev/tpmrm0", "No such file or directory"),
    # A number of its own would lead to the TPM, or be sent to it as a command that extends PCR 16.
    "tpm-node": ("mknod tpm c 10 224", "Operation not permitted"),
    "extend": (
        f"sh -c 'printf {_EXTEND} >/dev/tpm0'",
        "Permission denied|Read-only file system|No such file or directory",
    ),
    "data": ("ls /data", "No such file or directory"),
    "others": ("ls /var/lib/bootseal", rf"DONE {NAME}"),
    "setuid": ("chmod 4755 copy", "Operation not permitted"),
    "network": ("wget -q -O - http://10.0.2.100/", "Address family not supported by protocol"),
    "mount": ("mount -t tmpfs x /tmp", "permission denied"),
    "namespace": ("unshare -r /usr/bin/busybox true", "Operation not permitted"),
    "processes": ("ls /proc/1", "No such file or directory"),
}
"""What an application tries by its name: a command of busybox, and what comes of it."""
_LEAVE: Final = "".join(
    (
        "b=/usr/bin/busybox\n",
        'try() { n=$1; shift; if m=$("$@" 2>&1); then r=DONE; else r=refused:; fi\n',
        'echo "probe $n $r $(echo "$m" | $b tail -n 1)"; }\n',
        'cd "$STATE_DIRECTORY" && $b cp $b copy && $b cp $b /tmp/copy\n',
        *(f"try {name} $b {command}\n" for name, (command, _) in _TRIES.items()),
        "try run-state ./copy true\ntry run-tmp /tmp/copy true\n",
        "echo probe end\nwhile :; do $b sleep 3600; done\n",
    )
)
_ANSWERS: Final = (
    *(
        f"^probe {name} {'' if said.startswith('DONE') else 'refused: .*'}({said})"
        for name, (_, said) in _TRIES.items()
    ),
    "^probe run-(state) refused: .*Permission denied",
    "^probe run-(tmp) refused: .*Permission denied",
    "^probe (end)$",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A command on the device, and what has to come of it.

    Attributes:
        command: The command, for its shell.
        accepted: Whether it has to succeed.
        said: Regular expressions that what it printed must match, each somewhere.
    """

    command: str
    accepted: bool = False
    said: tuple[str, ...] = ()


def _verify(file: str, said: str, *, name: str = NAME, accepted: bool = False) -> Request:
    command = f"bootseal-app verify {name} {_PLACE}/{file}.raw"
    return Request(command=command, accepted=accepted, said=(said,))


def _put(file: str, version: str) -> Request:
    """Put an image where root has the installed ones, whatever it is."""
    command = (
        f"mkdir -p -m 0700 /data/apps {_INSTALLED} && "
        f"cp {_PLACE}/{file}.raw {_INSTALLED}/{NAME}_{version}_arm64.raw && sync"
    )
    return Request(command=command, accepted=True)


def _started(version: str, said: str) -> Request:
    """Start the newest image, and see that it runs, or why it does not; then take it away."""
    running = said == "running"
    command = (
        f"systemctl reset-failed {_UNIT}; systemctl start {_UNIT}; bootseal-app status; "
        f"systemctl is-active -q {_UNIT}; r=$?; systemctl stop {_UNIT}; "
        f"rm -f {_INSTALLED}/{NAME}_{version}_arm64.raw; exit $r"
    )
    how = rf"{version} [0-9a-f]{{64}} running$" if running else f"- - refused: {said}"
    return Request(command=command, accepted=running, said=(f"^{NAME} {how}",))


_FULL: Final = Request(
    command=f"f={_PLACE}/newer.raw; d=$(sha256sum <$f); d=${{d%% *}}; n=$(stat -c %s $f); "
    "mkdir -p /data/agent/downloads /run/bootseal-agent; cp $f /data/agent/downloads/$d; "
    "set -- $(stat -f -c '%a %S' /data); fallocate -l $(($1 * $2 - n)) /data/full; "
    f'echo "{_TOKEN} install {NAME} {NEWER} $d $n" >/run/bootseal-agent/app-request; '
    "systemctl start bootseal-app-install; cat /run/bootseal-app-install/result; "
    f"rm /data/full /data/agent/downloads/$d; ls -A /data/apps/.install {_INSTALLED}; "
    "bootseal-app status",
    accepted=True,
    said=(
        rf"^{_TOKEN} failed /data is full: \d+ bytes are free$",
        rf"^/data/apps/\.install:\n\n{_INSTALLED}:\n{NAME}_{GOOD}_arm64\.raw$",
        rf"^{NAME} {GOOD} [0-9a-f]{{64}} running$",
    ),
)
"""An installation that /data has no room for, while the version before runs."""

VERIFIED: Final = (
    _verify("good", rf"^version={GOOD}\nroot-hash=[0-9a-f]{{64}}$", accepted=True),
    _verify("good", "the release has no application other", name="other"),
    _verify("other-name", "the image is the application other, not hello"),
    _verify("older", f"version {OLDER} is below 1.1.0"),
    _verify("other-key", "no certificate in /etc/verity.d signed the image"),
    _verify("unsigned", "the image is not signed"),
    _verify("other-signature", "the root of the image is not the one that was signed"),
    _verify("first", "the root of the image is not the one that was signed"),
    _verify("middle", "a block of the image is not the one that was signed"),
    _verify("more", "more partitions than a root"),
    Request(
        command=f"ln -s {_PLACE}/good.raw /tmp/link.raw; bootseal-app verify {NAME} /tmp/link.raw",
        said=("the image is not a regular file",),
    ),
)
"""Images before they are installed: one is taken, the others are refused, each for its reason."""

CHECKED: Final = (
    _put("other-key", NEWER),
    _started(NEWER, "no certificate in /etc/verity.d signed the image"),
    _put("unsigned", NEWER),
    _started(NEWER, "the image is not signed"),
    _put("older", NEWER),
    _started(NEWER, f"version {OLDER} is below 1.1.0"),
    _put("good", NEWER),
    _started(NEWER, f".* holds version {GOOD}"),
    Request(command=f"mknod {_NEWEST} c 1 5", accepted=True),
    _started(NEWER, "the image is not a regular file"),
    *(
        Request(
            command=f"{put} {_NEWEST}; bootseal-app start-check {NAME}; r=$?; "
            f"{take} {_NEWEST}; exit $r",
            said=("the image is not a regular file|none of the images of hello can be taken",),
        )
        for put, take in (
            ("mkdir", "rmdir"),
            ("mkfifo", "rm"),
            (f"ln -s {_PLACE}/good.raw", "rm"),
        )
    ),
    Request(
        command="systemctl start bootseal-app@other; r=$?; "
        "journalctl --sync; journalctl -b -q -o cat -u bootseal-app@other; exit $r",
        said=("refused: the release has no application other",),
    ),
    # As a later release would: the image that is there was good before.
    _put("good", GOOD),
    Request(
        command="mkdir /tmp/apps.d && printf 'MINIMUM=1.3.0\\nHEALTH=5\\n' "
        f">/tmp/apps.d/{NAME}.conf && mount --bind /tmp/apps.d {_RULES}",
        accepted=True,
    ),
    _started(GOOD, f"version {GOOD} is below 1.3.0"),
    Request(command=f"umount {_RULES}", accepted=True),
    _put("good", GOOD),
    _started(GOOD, "running"),
    _put("good", GOOD),
    Request(command=f"systemctl start {_UNIT}", accepted=True),
    _FULL,
    # The image is left for the next boot.
    Request(command=f"systemctl stop {_UNIT}", accepted=True),
)
"""Installed images before each start, and what is not an image."""

CONFINED: Final = (
    # What the boot before has left runs by itself.
    Request(
        command="bootseal-app status",
        accepted=True,
        said=(rf"^{NAME} {GOOD} [0-9a-f]{{64}} running$",),
    ),
    _put("probe", PROBE),
    Request(
        command=f"systemctl restart {_UNIT} && for i in $(seq 60); do "
        f"journalctl -b -q -o cat -u {_UNIT} | grep -q '^probe end' && break; sleep 2; done; "
        f"journalctl -b -q -o cat -u {_UNIT} | grep '^probe'",
        accepted=True,
        said=_ANSWERS,
    ),
    Request(command="cat /sys/class/tpm/tpm0/pcr-sha256/16", accepted=True, said=("^0{64}$",)),
    Request(command=f"cat /data/app-state/{NAME}/own", accepted=True, said=("^kept$",)),
    Request(
        command=f"systemctl show -p MemoryMax -p TasksMax -p User {_UNIT}",
        accepted=True,
        said=("^MemoryMax=33554432$", "^TasksMax=16$", f"^User=app-{NAME}$"),
    ),
    # The next boot finds another maker's image in its place.
    Request(command=f"systemctl stop {_UNIT}", accepted=True),
    _put("other-key", PROBE),
)
"""An application that tries to do more than it may; then an attacker replaces its image."""


def plug(workspace: Workspace) -> None:
    """Make the images, put them onto a second disk, and connect the station.

    Raises:
        BootsealError: An image cannot be made.
    """
    station.plug(workspace)
    maker = images.Maker(workspace)
    maker.image("good", GOOD)
    maker.image("newer", NEWER)
    maker.image("older", OLDER)
    maker.image("other-name", GOOD, name="other")
    maker.image("other-key", PROBE, keys=maker.other_keys())
    maker.image("probe", PROBE, script=_LEAVE)
    maker.unsigned("unsigned", "good")
    maker.signature_of("other-signature", "newer", "good")
    maker.first_block("first", "good")
    maker.middle("middle", "good")
    maker.more_partitions("more", "good")
    maker.plug()


def asking(*requests: Request) -> Callable[[Workspace], None]:
    """Return what sends requests to a device, and checks what comes of each."""
    return exchange.in_turn(ask, requests)


def ask(port: Port, request: Request) -> None:
    """Send a request, and check what comes of it.

    Raises:
        VerificationRefused: Something else than what has to.
        Inconclusive: The device does not answer.
    """
    code, (said,) = exchange.answers(port, request.command, 1, errors="replace")
    text = f"{request.command}: exit code {code}, it said {said[-600:]!r}"
    exchange.check_code(code, text, accepted=request.accepted)
    for wanted in request.said:
        if not re.search(wanted, said, re.MULTILINE):
            raise VerificationRefused(f"{text}: expected {wanted!r}")
