# SPDX-License-Identifier: MIT
"""Scenarios about updates and applications that a job asks for, from the cloud to the report."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from bootseal.boot.attacks import bundles, release
from bootseal.boot.catalogue.bench import app_jobs, jobs, station
from bootseal.boot.catalogue.steps import came_up
from bootseal.boot.machine.events import Ending
from bootseal.boot.scenario.model import Action, Do, Expectation, Scenario, Step
from bootseal.formats.update import manifest as manifests
from bootseal.jobs.plan import Update

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.boot.scenario.workspace import Workspace
    from bootseal.formats.update.manifest import Manifest

_GROUP: Final = "update"
_APP: Final = "app"
_CERTIFIED: Final = "^key, certificate [0-9a-f]+, token$"
_TIMEOUT: Final = 1500.0
_GOOD: Final = "release-2"
_SPOILT: Final = "release-2-spoilt"
_MAKER: Final = "bundles"
_START: Final = f"{station.COMMANDS}; systemctl start bootseal-agent.service"
_BUS: Final = "de.pengutronix.rauc / de.pengutronix.rauc.Installer"
_WATCH: Final = (
    f"until busctl get-property {_BUS} Progress | grep -q 'image to root'; do sleep 1; done; "
    "echo 'bootseal: bench: the root is ''being written'"
)
_CUT_AFTER: Final = 4.0
# The status that was sent when the device came up is sent again, once the job is over.
_WAIT: Final = f"exec 3<>{station.PATH}; read -r d <&3; systemctl restart bootseal-status.service\r"


def _prepared(workspace: Workspace) -> None:
    """Start the servers, and push a job for a bundle with the other release."""
    jobs.serve(workspace)
    _push_good(workspace, bundles.Maker(workspace, jobs.desk(workspace).place))


def _prepared_for_two(workspace: Workspace) -> None:
    """Start the servers, and push a job for a bundle whose release does not start."""
    jobs.serve(workspace)
    maker = bundles.Maker(workspace, jobs.desk(workspace).place)
    workspace.kept[_MAKER] = maker
    _push(workspace, _SPOILT, maker.small(_SPOILT, spoilt=True))


def _push_good(workspace: Workspace, maker: bundles.Maker) -> None:
    made, manifest = maker.good(_GOOD)
    release.expect(workspace, made)
    _push(workspace, _GOOD, manifest)


def _push(workspace: Workspace, name: str, manifest: Manifest) -> None:
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


def _demand(workspace: Workspace, name: str, status: str, reason: str) -> None:
    """See how a job ends, and let the device send its status again."""
    with station.opened(workspace) as port:
        try:
            jobs.demand(jobs.desk(workspace).ended(name), status, reason)
        finally:
            port.send(b"\n")


def _succeeded(workspace: Workspace) -> None:
    _demand(workspace, _GOOD, "SUCCEEDED", re.escape(f"version {bundles.VERSION} runs"))


def _reverted(workspace: Workspace) -> None:
    """See the job for the bad release fail, and push the one for the good release."""
    _demand(workspace, _SPOILT, "FAILED", "reverted to last known good")
    _push_good(workspace, cast("bundles.Maker", workspace.kept[_MAKER]))


def _waited(when: str, call: Callable[[Workspace], None]) -> tuple[Action, ...]:
    """Wait for the device to restart, then for the end of its job."""
    return (
        Action(do=Do.TYPE, when=when),
        Action(do=Do.TYPE, when="shell", text=_WAIT, call=call),
    )


_CERTIFY: Final = Action(do=Do.TYPE, when="shell", text=f"{_START}\r", call=station.certify)


JOBS: Final = (
    Scenario(
        id="update-job",
        title="Updates by jobs of AWS IoT: one that does not start, then one that does "
        "(development image)",
        group=_GROUP,
        about="A device that was just certified takes jobs from a real broker by mutual TLS with "
        "its key in the TPM, behind which is a double of AWS IoT Jobs. The first bundle is validly "
        "signed, but the signature of its FIT is not: RAUC installs it, U-Boot refuses the slot, "
        "and release 1 starts again with its data, reports FAILED from there and has the slot "
        "marked bad. The next job brings a good one. RAUC streams it by HTTPS and installs it; the "
        "device restarts into release 2, opens its data, and reports SUCCEEDED.",
        prepare=_prepared_for_two,
        steps=(
            came_up(
                *("root-verified:a", "shell", "identity-token:with"),
                *("slot-tried:b", "slot-refused:b", "slot-tried:a", "root-verified:a"),
                *("slot-tried:b", "root-verified:b", "data-opened"),
                slot="b",
                identity=_CERTIFIED,
                actions=(
                    _CERTIFY,
                    *_waited("slot-refused:b", _reverted),
                    *_waited("root-verified:b", _succeeded),
                ),
                timeout=_TIMEOUT,
            ),
        ),
    ),
    Scenario(
        id="update-job-cut",
        title="Power cut while a job's update is written (development image)",
        group=_GROUP,
        about="The power is cut while RAUC writes the root of the other slot. The device comes up "
        "in release 1, and AWS gives it the same job again, which is then installed and "
        "reported as SUCCEEDED.",
        prepare=_prepared,
        steps=(
            Step(
                title="cut off",
                expect=Expectation(ending=Ending.CUT, console=("root-verified:a", "root-written")),
                actions=(
                    replace(_CERTIFY, text=f"{_START}; {_WATCH}\r"),
                    Action(do=Do.CUT, when="root-written", delay=_CUT_AFTER),
                ),
                timeout=_TIMEOUT,
            ),
            came_up(
                *("slot-tried:a", "root-verified:a", "identity-token:with"),
                *("slot-tried:b", "root-verified:b", "data-opened"),
                slot="b",
                title="resumed",
                identity=_CERTIFIED,
                actions=_waited("root-verified:b", _succeeded),
                timeout=_TIMEOUT,
            ),
        ),
    ),
    Scenario(
        id="app-job",
        title="Application by jobs of AWS IoT (development image)",
        group=_APP,
        about="One job after the other asks the running device for an application that its release "
        "allows. Version 1.1.0 is installed and runs. A version 1.2.0 whose program ends a second "
        "after each start is removed within its health time: version 1.1.0 runs again, and the job "
        "is FAILED with the reason. Another 1.2.0 takes its place. Refused are 1.1.0 again, a "
        "newer version that another maker signed, and one with a changed block, each for its "
        "reason, while 1.2.0 runs on. The last job removes it.",
        prepare=app_jobs.prepare,
        steps=(
            came_up(
                *("root-verified:a", "shell", "identity-token:with"),
                identity=_CERTIFIED,
                actions=(
                    Action(
                        do=Do.TYPE,
                        when="shell",
                        text=f"{_START}; {app_jobs.ANSWER}\r",
                        call=app_jobs.live,
                    ),
                ),
                timeout=_TIMEOUT,
            ),
        ),
    ),
    Scenario(
        id="app-job-cut",
        title="Power cuts while a job's application is installed (development image)",
        group=_APP,
        about="The power is cut three times at moments that the seed chooses: while the installer "
        "works, and twice while the next boots finish its work. Each time the old version is there "
        "or the new one, the job is given again, and it ends SUCCEEDED with the new one running.",
        prepare=app_jobs.prepare,
        steps=(
            Step(
                title="cut off",
                expect=Expectation(
                    ending=Ending.CUT, console=("root-verified:a", "app-installing")
                ),
                actions=(
                    replace(
                        _CERTIFY,
                        text=f"{_START}; {app_jobs.WATCH}\r",
                        call=app_jobs.begin,
                    ),
                    Action(do=Do.CUT, when="app-installing", delay=app_jobs.CUTS[0]),
                ),
                timeout=_TIMEOUT,
            ),
            *(
                Step(
                    title="cut off again",
                    expect=Expectation(ending=Ending.CUT, console=("root-verified:a", "shell")),
                    actions=(Action(do=Do.CUT, when="shell", delay=delay),),
                    timeout=_TIMEOUT,
                )
                for delay in app_jobs.CUTS[1:]
            ),
            came_up(
                *("root-verified:a", "identity-token:with", "shell"),
                title="resumed",
                identity=_CERTIFIED,
                actions=(
                    Action(
                        do=Do.TYPE,
                        when="shell",
                        text=f"exec 3<>{station.PATH}; {app_jobs.ANSWER}\r",
                        call=app_jobs.finish,
                    ),
                ),
                timeout=_TIMEOUT,
            ),
        ),
    ),
)
