# SPDX-License-Identifier: MIT
"""`bootseal firmware predict`."""

from __future__ import annotations

from bootseal.cli import console
from bootseal.cli.inputs import opened
from bootseal.cli.options import FipFile, Json


def predict(fip: FipFile, *, as_json: Json = False) -> None:
    """Print what a boot ROM and the boot loaders in a FIP measure, and PCR 0 after U-Boot.

    This is only SHA-256, and only PCR 0: U-Boot's measurements into other PCRs depend on the FIT
    (`bootseal measure predict`). Nothing is verified.

    Example: bootseal firmware predict fip.bin
    """
    from bootseal.formats import fip as fips
    from bootseal.formats.kinds.kind import FIP
    from bootseal.formats.tpm import eventlog
    from bootseal.formats.uboot.binary import version_string
    from bootseal.measure import firmware
    from bootseal.measure.approved import from_event
    from bootseal.measure.explain import explain

    with opened(fip, FIP) as data:
        images = firmware.images(fips.parse(data))
    version = version_string(images["bios"])
    events = (*firmware.events(images), *eventlog.version_events(version))
    value = eventlog.replay(events)[eventlog.PCR_FIRMWARE].hex()
    if as_json:
        listed = [
            {"pcr": each.pcr, "type": each.type, "digests": each.digests, "data": each.data}
            for each in map(from_event, events)
        ]
        console.emit_json(
            {"schema": "bootseal.firmware-prediction/1", "pcr0": value, "events": listed}
        )
        return
    console.say("  sha256  PCR 0   {}", value)
    for number, event in enumerate(events):
        digest = event.digests["sha256"].hex()
        console.say("  event {:2}  PCR {}  {}  {}", number, event.pcr, digest, explain(event))
