# SPDX-License-Identifier: MIT
"""`bootseal identity export`."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.options import DeviceName, StoreDir


class Cloud(StrEnum):
    """The cloud that a plan is for."""

    AWS = "aws"


def export(
    name: DeviceName,
    *,
    store: StoreDir,
    account: Annotated[str, typer.Option(metavar="NUMBER", help="Number of the AWS account.")],
    region: Annotated[str, typer.Option(help="AWS region, for example eu-central-1.")],
    role_alias: Annotated[
        str,
        typer.Option(metavar="NAME", help="Alias under which devices request the role of --role."),
    ],
    role: Annotated[
        str,
        typer.Option(metavar="ARN", help="Existing role for which AWS gives devices credentials."),
    ],
    policy: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the policy that all devices share.")
    ] = "bootseal-device",
    cloud: Annotated[Cloud, typer.Option("--format", help="What it is for.")] = Cloud.AWS,
    output: Annotated[
        str, typer.Option("--output", "-o", help="File for the plan; - is standard output.")
    ] = "-",
) -> None:
    """Write the plan that registers a device in a cloud, without contacting the cloud.

    It registers the newest valid certificate, and revokes those that were revoked here.

    Example: bootseal identity export dev-1 --format aws --store verifier --account 123456789012
    --region eu-central-1 --role-alias gateway --role arn:aws:iam::123456789012:role/gateway
    -o dev-1.json
    """
    from bootseal import documents
    from bootseal.attest.store import Store
    from bootseal.identity.aws import plan as plans
    from bootseal.identity.registry import Registry

    del cloud  # There is one.
    fleet = plans.Fleet(
        account=account, region=region, policy=policy, role_alias=role_alias, role=role
    )
    entries = Registry(store).entries(name)
    made = plans.make(Store(store).record(name), entries, fleet, int(time.time()))
    console.write(output, documents.dump(made))
    console.status("OK: {} steps for {}", len(made.steps), name)
    console.status("next: read it, then bootseal identity register PLAN")
