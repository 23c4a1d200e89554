# SPDX-License-Identifier: MIT
"""`bootseal disk`: the commands about finished disk images."""

from __future__ import annotations

import typer

from bootseal.cli import disk_check, disk_diff, disk_prove, disk_requests, disk_show, disk_sign

app = typer.Typer(
    no_args_is_help=True, help="Judge finished disk images, without root and without booting them."
)


@app.callback()
def _disk() -> None:
    """Keep every verb a verb of its own."""


app.command()(disk_check.check)
app.command()(disk_show.show)
app.command()(disk_prove.prove)
app.command()(disk_sign.sign)
app.command()(disk_diff.diff)
app.command("sign-requests")(disk_requests.sign_requests)
