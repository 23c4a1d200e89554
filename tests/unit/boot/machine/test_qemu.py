# SPDX-License-Identifier: MIT
"""QEMU's arguments and its machine protocol."""

from __future__ import annotations

import dataclasses
import json
import socket
from pathlib import Path

import pytest

from bootseal.boot.machine.qemu import Cable, Machine, Network, Wiring, arguments
from bootseal.boot.machine.qmp import Qmp, QmpEvent
from bootseal.device import Qemu
from bootseal.errors import ToolError

BOARD = Qemu(system="qemu", machine="virt-7.2,gic-version=3", cpu="cortex-a57", cpus=2, memory=1024)
MACHINE = Machine(qemu=BOARD, bios=Path("/b/u-boot.bin"), disk=Path("/d,isk q"), tpm=Path("/tpm"))
WIRING = Wiring(
    serial="socket,path=/s", status="null", escrow="null", qmp="socket,path=/q", tpm=Path("/t")
)


def value(args: list[str], option: str) -> str:
    return args[args.index(option) + 1]


def test_arguments_depend_on_no_default_and_start_paused() -> None:
    args = arguments(MACHINE, WIRING)
    assert {"-no-user-config", "-nodefaults", "-S"} <= set(args)
    assert value(args, "-machine") == "virt-7.2,gic-version=3"
    assert value(args, "-bios") == "/b/u-boot.bin"


def test_arguments_leave_the_accelerator_to_a_machine_that_names_one() -> None:
    board = dataclasses.replace(BOARD, machine="virt,accel=kvm")
    args = arguments(dataclasses.replace(MACHINE, qemu=board), WIRING)
    assert value(arguments(MACHINE, WIRING), "-accel").startswith("tcg,tb-size=")
    assert "-accel" not in args


def test_arguments_disk_name_is_not_parsed() -> None:
    node = json.loads(value(arguments(MACHINE, WIRING), "-blockdev"))
    assert node["file"]["filename"] == "/d,isk q"


def test_arguments_have_an_escrow_port_only_where_a_station_listens() -> None:
    port = "virtserialport,chardev=escrow,name=io.bootseal.escrow"
    assert port in arguments(MACHINE, WIRING)
    assert port not in arguments(MACHINE, dataclasses.replace(WIRING, escrow=""))


def test_arguments_have_the_status_port() -> None:
    assert "virtserialport,chardev=status,name=io.bootseal.status" in arguments(MACHINE, WIRING)


def test_arguments_without_machine_protocol_do_not_start_paused() -> None:
    assert "-S" not in arguments(MACHINE, dataclasses.replace(WIRING, qmp=""))


def test_arguments_without_tpm_and_disk_have_neither() -> None:
    args = arguments(dataclasses.replace(MACHINE, tpm=None, disk=None), WIRING)
    assert not {"-tpmdev", "-blockdev"} & set(args)


def test_arguments_have_no_network_unless_asked_for() -> None:
    assert "net" not in " ".join(arguments(MACHINE, WIRING))


def test_arguments_network_leads_to_the_named_ports_of_the_loopback_and_nowhere_else() -> None:
    network = Network(forwards={8883: 40001, 443: 40002})
    args = arguments(dataclasses.replace(MACHINE, network=network), WIRING)
    kind, identifier, *options = value(args, "-netdev").split(",")
    assert (kind, identifier) == ("user", "id=net")
    assert options[:2] == ["restrict=on", "dhcpstart=10.0.2.77"]
    forwards = [option.partition("-cmd:") for option in options[2:]]
    assert [target for target, _, _ in forwards] == [
        "guestfwd=tcp:10.0.2.100:8883",
        "guestfwd=tcp:10.0.2.100:443",
    ]
    assert [command.split()[1:] for _, _, command in forwards] == [
        ["nc", "127.0.0.1", "40001"],
        ["nc", "127.0.0.1", "40002"],
    ]
    assert "virtio-net-device,netdev=net" in args


def test_arguments_cable_has_both_its_ends() -> None:
    cable = Cable(machine=Path("/c/machine"), other=Path("/c/other"))
    args = arguments(dataclasses.replace(MACHINE, network=cable), WIRING)
    assert value(args, "-netdev") == (
        "dgram,id=net,local.type=unix,local.path=/c/machine,remote.type=unix,remote.path=/c/other"
    )


def test_arguments_extra_ones_come_last() -> None:
    assert arguments(dataclasses.replace(MACHINE, extra=("-x", "y")), WIRING)[-2:] == ["-x", "y"]


GREETING = b'{"QMP": {"version": {}, "capabilities": []}}\r\n'


def test_qmp_handshake_and_commands_are_json_lines() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(GREETING + b'{"return": {}}\r\n')
        qmp = Qmp(ours)
        qmp.handshake()
        qmp.start()
        sent = theirs.recv(4096).splitlines()
    assert [json.loads(line)["execute"] for line in sent] == ["qmp_capabilities", "cont"]


def test_qmp_other_side_gone_is_a_connection_error() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(GREETING)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionError):
            Qmp(ours).handshake()


def test_qmp_events_are_cut_from_the_stream() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        qmp = Qmp(ours)
        stream = (
            b'{"return": {}}\r\n{"event": "SHUTDOWN", "data": {"reason": "guest-shutdown"}}\r\n'
            b'{"event": "STOP"}\r\n'
        )
        found = [e for byte in stream for e in qmp.feed(bytes([byte]))]
    assert found == [
        QmpEvent(name="SHUTDOWN", reason="guest-shutdown"),
        QmpEvent(name="STOP", reason=""),
    ]


@pytest.mark.parametrize("line", [b"nonsense\n", b'{"error": {"class": "x", "desc": "no"}}\n'])
def test_qmp_error_and_nonsense_are_tool_errors(line: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(ToolError):
        Qmp(ours).feed(line)
