# SPDX-License-Identifier: MIT
"""`bootseal-mkimage`: mkimage, except that keys may live in tokens and services.

A build calls it as it calls mkimage. Calls that sign nothing go to the real mkimage unchanged; of
the others only the private key operation is done here.
"""

from __future__ import annotations

import getopt
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal import proc
from bootseal.cli import console
from bootseal.cli.app import ending, log_to_stderr
from bootseal.cli.key_options import KeyOptions
from bootseal.errors import ToolError, UsageError
from bootseal.keys.signers.pin import PIN_FILE_VARIABLE

if TYPE_CHECKING:
    from bootseal.keys.algorithms import Algorithm
    from bootseal.keys.public import PublicKey

SIGNER_VARIABLE: Final = "BOOTSEAL_SIGNER"
PROGRAM_VARIABLE: Final = "BOOTSEAL_MKIMAGE"
_PROGRAMS: Final = ("uboot-mkimage", "mkimage")
_HINT: Final = "{hint}"
# Short option to long name, as of U-Boot v2026.01; a colon says that a value follows.
_OPTIONS: Final = {
    "a:": "load-address=",
    "A:": "architecture=",
    "b:": "device-tree=",
    "B:": "alignment=",
    "c:": "comment=",
    "C:": "compression=",
    "d:": "image=",
    "D:": "dtcopts=",
    "e:": "entry-point=",
    "E": "external",
    "f:": "fit=",
    "F": "update",
    "g:": "key-name-hint=",
    "G:": "key-file=",
    "i:": "initramfs=",
    "k:": "key-dir=",
    "K:": "key-dest=",
    "n:": "config=",
    "N:": "engine=",
    "o:": "algo=",
    "O:": "os=",
    "p:": "position=",
    "q": "quiet",
    "r": "key-required",
    "t": "touch",
    "T:": "type=",
    "v": "verbose",
    "y:": "tfa-bl31-file=",
    "Y:": "tfa-bl31-addr=",
}
_OURS: Final = ("-k", "-K", "-G", "-r", "-N")
_CONCERNING_KEYS: Final = (*_OURS, "--key-dir", "--key-dest", "--key-file", "--key-required")


def main() -> None:
    """Run the command line and end the process with a documented exit code."""
    ending(lambda: run(sys.argv[1:]))


def run(arguments: list[str]) -> None:
    """Sign through `bootseal.keys.signers.base`, or hand the call to mkimage.

    Args:
        arguments: Those of mkimage.

    Raises:
        UsageError: An option is unknown, or nothing names the keys.
    """
    program = _program()
    options, files = _parse(arguments)
    values = dict(options)
    if not values.keys() & set(_OURS):
        sys.exit(proc.interactive(program, arguments))
    if len(files) != 1:
        raise UsageError(f"{len(files)} file names given: expected only the FIT")
    if not values.keys() & {"-F", "-f"}:
        raise UsageError("only FITs are signed: expected -F or -f")
    if "-N" in values:
        raise UsageError(
            "-N: this program replaces the engine",
            hint=f"leave -N out and set {SIGNER_VARIABLE}=pkcs11:token=...",
        )
    if "-k" not in values and "-G" not in values and SIGNER_VARIABLE not in os.environ:
        raise UsageError(
            f"a signature is requested, but none of -k, -G and {SIGNER_VARIABLE} names a key: "
            "mkimage would leave the FIT unsigned and exit with 0"
        )
    _sign(program, options, Path(files[0]))


def _sign(program: str, options: list[tuple[str, str]], image: Path) -> None:
    from bootseal.fit import mkimage
    from bootseal.keys.signers import base as signers

    values = dict(options)
    if "-v" in values:
        log_to_stderr(logging.INFO)
    pin_file = os.environ.get(PIN_FILE_VARIABLE)
    access = KeyOptions(pin_file=Path(pin_file) if pin_file else None).access()
    opened: dict[str, signers.Signer] = {}

    def find(hint: str, algorithm: Algorithm) -> signers.Signer:
        uri = _key_uri(hint, values, is_rsa=algorithm.kind.is_rsa)
        if uri not in opened:
            opened[uri] = signers.open(uri, access)
            _warn_of_other_certificate(hint, opened[uri].public_key, _directory(values))
        return opened[uri]

    job = mkimage.Job(
        program=program,
        options=[part for pair in options if pair[0] not in _OURS for part in pair if part],
        image=image,
        update="-F" in values,
        algorithm=values.get("-o"),
        control=Path(values["-K"]) if "-K" in values else None,
        required="-r" in values,
        directory=_directory(values),
    )
    for each in mkimage.sign(job, find):
        console.status(
            "OK: {} in {} is signed by {} ({}, {})",
            each.path,
            image,
            each.fingerprint,
            each.hint,
            each.algorithm,
        )


def _directory(values: dict[str, str]) -> Path | None:
    """Return the directory that -k names, if it names one."""
    path = Path(values.get("-k", ""))
    return path if "-k" in values and path.is_dir() else None


def _warn_of_other_certificate(hint: str, signing: PublicKey, directory: Path | None) -> None:
    """Say when the certificate that mkimage would give to U-Boot is that of another key."""
    from bootseal.keys import certificate, public

    path = None if directory is None else directory / f"{hint}.crt"
    if path is None or not path.is_file():
        return
    certified = public.from_crypto(certificate.read(path).public_key())
    if certified.fingerprint() != signing.fingerprint():
        console.status(
            "WARNING: {} is the certificate of another key: it has {}, but {} signs. A U-Boot "
            "that was built with the certificate refuses this FIT",
            *(path, certified.fingerprint(), signing.fingerprint()),
        )


def _key_uri(hint: str, values: dict[str, str], *, is_rsa: bool) -> str:
    """Return the URI of the private key for a hint."""
    from bootseal.keys.signers import pkcs11_uri

    uri = os.environ.get(SIGNER_VARIABLE) or values.get("-G")
    directory = values.get("-k", "")
    if uri is None and directory.startswith(pkcs11_uri.SCHEME):
        uri = directory
    if uri is None:
        return str(Path(directory) / f"{hint}{'.key' if is_rsa else '.pem'}")
    if uri.startswith(pkcs11_uri.SCHEME):
        return pkcs11_uri.with_object(uri.replace(_HINT, hint), hint)
    return uri.replace(_HINT, hint)


def _program() -> str:
    if chosen := os.environ.get(PROGRAM_VARIABLE):
        return chosen
    for name in _PROGRAMS:
        try:
            return proc.find_tool(name)
        except ToolError:
            continue
    raise ToolError(
        f"none of {', '.join(_PROGRAMS)} is on PATH",
        hint=f"install u-boot-tools, or name the program in {PROGRAM_VARIABLE}",
    )


def _parse(arguments: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Split the arguments as mkimage does; long options get their short names.

    Options that are not known are mkimage's own business unless keys are concerned.
    """
    short = {"--" + long.rstrip("="): "-" + key[0] for key, long in _OPTIONS.items()}
    try:
        options, files = getopt.gnu_getopt(arguments, "".join(_OPTIONS), list(_OPTIONS.values()))
    except getopt.GetoptError as error:
        if not any(argument.startswith(_CONCERNING_KEYS) for argument in arguments):
            return [], []
        raise UsageError(
            f"{error.msg}: not an mkimage option that is supported when signing",
            hint="assemble with mkimage first, then sign with -F",
        ) from error
    return [(short.get(option, option), value) for option, value in options], files
