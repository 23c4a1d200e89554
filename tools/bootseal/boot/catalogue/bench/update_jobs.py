# SPDX-License-Identifier: MIT
"""Jobs about releases next to a device: their bundles, their ends, and what they are writing."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final, cast

from bootseal.boot.attacks import bundles, release
from bootseal.boot.catalogue.bench import jobs, station
from bootseal.formats.update import manifest as manifests
from bootseal.jobs.plan import Update

if TYPE_CHECKING:
    from bootseal.boot.attacks.release import Edit
    from bootseal.boot.scenario.workspace import Workspace
    from bootseal.formats.update.manifest import Manifest

REVERTED: Final = "reverted to last known good"
_MAKER: Final = "bundles"
_BUS: Final = "de.pengutronix.rauc / de.pengutronix.rauc.Installer"
_OTHER: Final = r"sed -n 's/.*bootseal\.slot=\([ab]\).*/\1/p' /proc/cmdline | tr ab ba"

WATCH: Final = "; ".join(
    (
        "s() { echo 'bootseal: bench: the update is ''at' $1; }",
        "n() { read -r k k k k k more </sys/class/block/$q/stat; }",
        f"t=$({_OTHER})",
        "s download",
        "w=",
        "for i in root-$t-verity boot-$t bootstate",
        'do q=$(readlink -f /dev/disk/by-partlabel/$i); q=${q##*/}; n; w="$w $i/$q/$k"; done',
        f"until busctl get-property {_BUS} Progress | grep -q 'image to root'; do sleep 0.2; done",
        "s root",
        # What reaches the disk: RAUC writes these faster than it could be asked about them.
        "for o in $w",
        "do i=${o%%/*}; q=${o#*/}; o=${q#*/}; q=${q%/*}; n",
        "while [ $k = $o ]; do sleep 0.1; n; done",
        "i=${i#root-$t-}; s ${i%-$t}",
        "done",
    )
)
"""What is typed on a device that gets a job: it says when the download begins, and when the root,
the hash tree, the boot partition and then the slot state are written."""
ONE_ATTEMPT: Final = (
    "systemctl stop bootseal-agent-restart.path; "
    "until [ \"$(fw_printenv -n BOOT_ORDER)\" = 'B A' ]; do sleep 1; done; "
    "(. /usr/lib/bootseal/slot-state; state_lock; state_load; attempts B 1; state_store); "
    "systemctl start bootseal-agent-restart.path"
)
"""What is typed on a device in slot a: its next release is tried once, and not three times. The
restart that the agent asks for comes after that."""


def prepare(workspace: Workspace) -> None:
    """Start the servers, and get ready to make bundles for them.

    Raises:
        BootsealError: The servers do not start.
    """
    jobs.serve(workspace)
    workspace.kept[_MAKER] = bundles.Maker(workspace, jobs.desk(workspace).place)


def maker(workspace: Workspace) -> bundles.Maker:
    """Return what makes bundles in a scenario that `prepare` prepared."""
    return cast("bundles.Maker", workspace.kept[_MAKER])


def push_whole(
    workspace: Workspace,
    name: str,
    *edits: Edit,
    version: str = bundles.VERSION,
    slot: str = release.SLOT,
) -> None:
    """Make a bundle that starts, and give the device a job of its name.

    Args:
        workspace: The device.
        name: Of both.
        edits: What is wrong with the release; nothing, and it is expected in the slot from now on.
        version: Of the release.
        slot: Where the device will install it.

    Raises:
        BootsealError: It cannot be made.
    """
    made, manifest = maker(workspace).whole(name, *edits, version=version)
    if not edits:
        release.expect(workspace, made, slot)
    push(workspace, name, manifest)


def push(workspace: Workspace, name: str, manifest: Manifest) -> None:
    """Give the device a job for a bundle, both of this name."""
    desk = jobs.desk(workspace)
    file = f"{name}.raucb"
    document = Update(
        url=jobs.url(file),
        version=manifest.version,
        compatible=manifest.compatible,
        manifest_sha256=hashlib.sha256(manifests.emit(manifest)).hexdigest(),
        size=(desk.place / file).stat().st_size,
    )
    desk.push(jobs.plan(name, document))


def demand_success(
    workspace: Workspace, name: str, version: str = bundles.VERSION, *, cut: bool = False
) -> None:
    """Wait for the end of a job, and demand that its release runs.

    Args:
        workspace: The device.
        name: Of the job.
        version: Of the release.
        cut: The power was cut meanwhile. A device that lost its record by that gets the job again
            when the release runs already, and may say so.

    Raises:
        VerificationRefused: The job ended otherwise.
        Inconclusive: It did not end in time.
    """
    said = f"version {re.escape(version)} runs{'( already)?' if cut else ''}"
    jobs.demand(jobs.desk(workspace).ended(name), "SUCCEEDED", said)


def demand_reverted(workspace: Workspace, name: str) -> None:
    """Wait for the end of a job, and demand that the release before it runs.

    Raises:
        VerificationRefused: The job ended otherwise.
        Inconclusive: It did not end in time.
    """
    jobs.demand(jobs.desk(workspace).ended(name), "FAILED", re.escape(REVERTED))


def then_status(workspace: Workspace, name: str) -> None:
    """Let a device go on that waits for a line of the station, once a job has ended.

    Raises:
        Inconclusive: It did not end in time.
    """
    jobs.desk(workspace).ended(name)
    with station.opened(workspace) as port:
        port.send(b"\n")
