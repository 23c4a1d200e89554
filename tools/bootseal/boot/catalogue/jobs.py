# SPDX-License-Identifier: MIT
"""Scenarios about updates and applications that a job asks for, from the cloud to the report."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from bootseal.boot.attacks import release, state
from bootseal.boot.catalogue.bench import after, app_jobs, jobs, station, update_jobs
from bootseal.boot.catalogue.steps import came_up
from bootseal.boot.machine.events import Ending
from bootseal.boot.scenario.model import Action, Do, Expectation, Scenario, Step

if TYPE_CHECKING:
    from bootseal.boot.scenario.workspace import Workspace

_GROUP: Final = "update"
_APP: Final = "app"
_CERTIFIED: Final = "^key, certificate [0-9a-f]+, token$"
_TIMEOUT: Final = 900.0
_GOOD: Final = "release-2"
_SPOILT: Final = "release-2-spoilt"
_CUT_AFTER: Final = 4.0
_STATUS: Final = "systemctl restart bootseal-status.service"
# The status that was sent when the device came up is sent again, once the job is over.
_WAIT: Final = f"exec 3<>{station.PATH}; read -r d <&3; {_STATUS}"
# Each release that comes up and is left again, and what the console shows of that.
_LEFT: Final = {
    "release-2-hangs": ((release.HANGS,), ("data-opened", "watchdog")),
    "release-2-closed": ((release.KEEPS_CLOSED, release.SOON), ("data-closed", "not-good:b")),
    "release-2-never-good": ((release.NEVER_GOOD, release.SOON), ("data-opened", "not-good:b")),
}


def _prepared(workspace: Workspace) -> None:
    """Start the servers, and push a job for a bundle with the other release."""
    update_jobs.prepare(workspace)
    update_jobs.push_whole(workspace, _GOOD)


def _prepared_for_two(workspace: Workspace) -> None:
    """Start the servers, and push a job for a bundle whose release does not start."""
    update_jobs.prepare(workspace)
    manifest = update_jobs.maker(workspace).small(_SPOILT, spoilt=True)
    update_jobs.push(workspace, _SPOILT, manifest)


def _prepared_for_more(workspace: Workspace) -> None:
    """Start the servers, and push a job for the first release that comes up and is left again."""
    update_jobs.prepare(workspace)
    name, (edits, _) = next(iter(_LEFT.items()))
    update_jobs.push_whole(workspace, name, *edits)


def _two(workspace: Workspace) -> None:
    """Certify the device, see the job for the spoilt release fail, and the next one end well."""
    station.certify(workspace)
    update_jobs.demand_reverted(workspace, _SPOILT)
    update_jobs.push_whole(workspace, _GOOD)
    update_jobs.demand_success(workspace, _GOOD)


def _each_reverted(workspace: Workspace) -> None:
    """Certify the device, and see the job for each release of `_LEFT` fail."""
    station.certify(workspace)
    first, *rest = _LEFT
    update_jobs.demand_reverted(workspace, first)
    for name in rest:
        update_jobs.push_whole(workspace, name, *_LEFT[name][0])
        update_jobs.demand_reverted(workspace, name)


def _cut_off(workspace: Workspace) -> None:
    """Certify the device, and see that the power is cut before the job has ended."""
    station.certify(workspace)
    jobs.demand_going_on(workspace, _GOOD)


def _waited(*when: str, name: str, then: str = "") -> tuple[Action, ...]:
    """Wait for the device to restart, then for the end of its job, then type more."""
    go_on = partial(update_jobs.then_status, name=name)
    return (
        *(Action(do=Do.TYPE, when=each) for each in when),
        Action(do=Do.TYPE, when="shell", text=f"{_WAIT}{then}\r", call=go_on),
    )


def _each_left() -> tuple[Action, ...]:
    """Wait for each release of `_LEFT` to be left, and type what those but the last one need."""
    *others, last = _LEFT
    then = f"; {update_jobs.ONE_ATTEMPT}"
    seen = ("root-verified:b", "root-verified:a")
    actions = (each for name in others for each in _waited(*seen, name=name, then=then))
    return (*actions, *_waited(*seen, name=last))


_CERTIFY: Final = Action(do=Do.TYPE, when="shell", text=f"{jobs.START}\r", call=station.certify)


JOBS: Final = (
    Scenario(
        id="update-job",
        title="Updates through AWS IoT Jobs: one that does not start, then one that does "
        "(development image)",
        group=_GROUP,
        about="A device that was just certified takes jobs from a real broker by mutual TLS with "
        "its key in the TPM, behind which is a double of AWS IoT Jobs. The first bundle is validly "
        "signed, but the signature of its FIT is not: RAUC installs it, U-Boot refuses the slot, "
        "and release 1 starts again with its data, reports FAILED from there and has the slot "
        "marked bad. The next job brings a good one. RAUC streams it by HTTPS and installs it; the "
        "device restarts into release 2, opens its data, raises the rollback index, and reports "
        "SUCCEEDED.",
        prepare=_prepared_for_two,
        steps=(
            came_up(
                *("root-verified:a", "shell", "identity-token:with"),
                *("slot-tried:b", "bad-signature:conf-b", "slot-refused:b"),
                *("slot-tried:a", "root-verified:a", "slot-tried:b", "root-verified:b"),
                *("data-opened", f"rollback-raised:{release.INDEX}"),
                slot="b",
                identity=_CERTIFIED,
                actions=(
                    replace(_CERTIFY, call=_two),
                    *_waited("slot-refused:b", name=_SPOILT),
                    *_waited("root-verified:b", name=_GOOD),
                ),
                timeout=_TIMEOUT,
            ),
        ),
    ),
    Scenario(
        id="update-job-reverted",
        title="Updates through AWS IoT Jobs: releases that come up but are abandoned "
        "(development image)",
        group=_GROUP,
        about="Three bundles in a row, which the maker signed and the device accepts. In the first "
        "release systemd itself is stopped before the slot is found good: it starts nothing "
        "more, and the kernel's watchdog restarts the device. The second one closes the TPM's "
        "policy before it opens the data, so the TPM does not release the key. In the third "
        "one the test that decides on a good start fails. Both are up and not good, and "
        "restarted for that. Each time release 1 starts again with its data, and reports "
        "FAILED, reverted to last known good, with slot b marked bad. To save restarts, each "
        "bad release has one attempt and not three, and the last two are left after one "
        "minute and not after 30.",
        prepare=_prepared_for_more,
        steps=(
            came_up(
                *("root-verified:a", "shell", "identity-token:with"),
                *(
                    seen
                    for _, why in _LEFT.values()
                    for seen in ("slot-tried:b", "root-verified:b", *why, "slot-tried:a")
                ),
                "root-verified:a",
                identity=_CERTIFIED,
                actions=(
                    replace(
                        _CERTIFY,
                        text=f"{jobs.START}; {update_jobs.ONE_ATTEMPT}\r",
                        call=_each_reverted,
                    ),
                    *_each_left(),
                ),
                check=after.slot_state_is("A B", a=3, b=0),
                timeout=2 * _TIMEOUT,
            ),
        ),
    ),
    Scenario(
        id="update-job-cut",
        title="Power cut while a job's update is written (development image)",
        group=_GROUP,
        about="The power is cut while RAUC writes the root of the other slot, and a write of the "
        "slot state is torn. The device comes up in release 1 by the second copy, and "
        "AWS gives it the same job again, which is then installed and reported as SUCCEEDED.",
        prepare=_prepared,
        steps=(
            Step(
                title="cut off",
                expect=Expectation(
                    ending=Ending.CUT, console=("root-verified:a", "update-step:root")
                ),
                actions=(
                    replace(_CERTIFY, text=f"{jobs.START}; {update_jobs.WATCH}\r", call=_cut_off),
                    Action(do=Do.CUT, when="update-step:root", delay=_CUT_AFTER),
                ),
                timeout=_TIMEOUT,
            ),
            came_up(
                *("state-copy", "slot-tried:a", "root-verified:a", "identity-token:with"),
                *("slot-tried:b", "root-verified:b", "data-opened"),
                slot="b",
                title="resumed",
                identity=_CERTIFIED,
                prepare=state.tear,
                actions=(
                    Action(
                        do=Do.TYPE,
                        call=partial(update_jobs.demand_success, name=_GOOD, cut=True),
                    ),
                    *_waited("root-verified:b", name=_GOOD),
                ),
                timeout=_TIMEOUT,
            ),
        ),
    ),
    Scenario(
        id="app-job",
        title="Application installed by AWS IoT jobs (development image)",
        group=_APP,
        about="Jobs ask the running device, one after the other, for an application that its "
        "release allows. Version 1.1.0 is installed and runs. A 1.2.0 whose program exits a second "
        "after each start is removed within its health time: version 1.1.0 runs again, and "
        "the job is FAILED with the reason. A working 1.2.0 replaces it. 1.1.0 again, a newer "
        "version signed by another maker, and one with a changed block are each refused for that "
        "reason, while 1.2.0 keeps running. The last job removes it.",
        prepare=app_jobs.prepare,
        steps=(
            came_up(
                *("root-verified:a", "shell", "identity-token:with"),
                identity=_CERTIFIED,
                actions=(
                    Action(
                        do=Do.TYPE,
                        when="shell",
                        text=f"{jobs.START}; {app_jobs.ANSWER}\r",
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
        "or the new one, the job is sent again, and it ends SUCCEEDED with the new one running.",
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
                        text=f"{jobs.START}; {app_jobs.WATCH}\r",
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
