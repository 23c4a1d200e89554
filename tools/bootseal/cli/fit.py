# SPDX-License-Identifier: MIT
"""`bootseal fit`: assemble, sign, verify and show FITs."""

# Heavy modules are imported inside commands, and typer reads annotations at run time.

from __future__ import annotations

import dataclasses
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import fit_text, ui
from bootseal.errors import FormatError, UsageError, VerificationRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(no_args_is_help=True, help="Assemble, sign, verify and show FITs.")

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_Fit = Annotated[Path, typer.Argument(metavar="FIT", help="The FIT; - reads standard input.")]


@app.command()
def build(
    *,
    kernel: Annotated[
        Path, typer.Option(help="Kernel as stored, for example Image.gz; compression is detected.")
    ],
    fdt: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=FILE", help="Device tree of configuration conf-NAME; may be repeated."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The FIT to write.")],
    hint: Annotated[str, typer.Option(help="Name hint of the key that will sign.")],
    ramdisk: Annotated[Path | None, typer.Option(help="Initial RAM file system.")] = None,
    algorithm: Annotated[
        str, typer.Option(help="Signature algorithm, as U-Boot names it.")
    ] = "sha256,rsa4096",
    load: Annotated[
        str, typer.Option(help="Load address; on arm64 a multiple of 2 MiB.")
    ] = "0x40400000",
    entry: Annotated[
        str | None, typer.Option(help="Entry point; the load address if left out.")
    ] = None,
    description: Annotated[str, typer.Option(help="One line of text.")] = "Signed by bootseal",
) -> None:
    """Assemble a FIT that waits for its signature.

    Every configuration gets the kernel, its device tree and the ramdisk, and a signature node that
    covers all three. The first --fdt makes the default configuration.

    Example: bootseal fit build --kernel Image.gz --ramdisk initramfs.cpio --fdt a=a.dtb
    --fdt b=b.dtb --hint DEV-fit-1 -o fit.itb
    """
    from bootseal.fit import assemble

    address = _address(load)
    spec = assemble.FitSpec(
        description=description,
        kernel=kernel,
        compression=assemble.detect_compression(kernel),
        load=address,
        entry=address if entry is None else _address(entry),
        fdts=_named_files(fdt),
        ramdisk=ramdisk,
        hint=hint,
        algorithm=algorithm,
    )
    with ui.TerminalProgress().step(f"Assemble {output}"):
        assemble.build(spec, output, epoch=_now())
    ui.status(f"Next: bootseal fit sign {ui.untrusted(str(output))} --key KEY.pem --hint {hint}")


@app.command()
def sign(
    fit: Annotated[Path, typer.Argument(metavar="FIT", help="The FIT to sign.")],
    *,
    key: Annotated[Path, typer.Option(help="Private key, PEM.")],
    hint: Annotated[str, typer.Option(help="Name hint of the signature nodes to fill.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write here instead of over FIT.")
    ] = None,
    dtb: Annotated[
        Path | None,
        typer.Option(help="Control device tree, or u-boot.bin, that shall require this key."),
    ] = None,
    dtb_output: Annotated[
        Path | None, typer.Option(help="Write that here instead of over the --dtb file.")
    ] = None,
) -> None:
    """Sign every configuration of a FIT, and verify the result before it is written.

    The time of signing is SOURCE_DATE_EPOCH when that is set.

    Example: bootseal fit sign fit.itb --key fit-1.pem --hint DEV-fit-1 --dtb u-boot.bin
    """
    from bootseal.fit import control_dtb
    from bootseal.fit.files import write_file
    from bootseal.fit.sign import sign as sign_fit
    from bootseal.formats import fit as fit_format
    from bootseal.keys.signer import FileSigner

    if dtb is None and dtb_output is not None:
        raise UsageError("--dtb-output without --dtb: there is no device tree to put the key into")
    signer = FileSigner.load(key)
    with _naming(fit):
        signed = sign_fit(fit.read_bytes(), signer, hint, timestamp=_now())
    target = output or fit
    if dtb is not None:
        first = fit_format.parse(signed).configurations[0].signatures
        algorithm = next(s.algorithm for s in first if s.hint == hint)
        with _naming(dtb):
            trust = control_dtb.add_key(
                dtb.read_bytes(), signer.public_key, hint=hint, algorithm=algorithm
            )
        write_file(dtb_output or dtb, trust)
    write_file(target, signed)
    fingerprint = signer.public_key.fingerprint()
    ui.status(f"OK: {ui.untrusted(str(target))} is signed by {fingerprint} ({hint})")


@app.command()
def verify(
    fit: _Fit,
    *,
    dtb: Annotated[
        Path, typer.Option(help="U-Boot's control device tree, or u-boot.bin with it at its end.")
    ],
    configuration: Annotated[
        str | None, typer.Option(help="Check the signatures of this configuration only.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Check a FIT against the keys U-Boot requires, more strictly than U-Boot does.

    Ends with exit code 0 when every configuration is signed by every required key, every image has
    the data its hash says, and nothing unsigned is left; with 3 when the FIT must not boot.

    Example: bootseal fit verify fit.itb --dtb u-boot.bin
    """
    from bootseal.fit.control_dtb import read_trust
    from bootseal.fit.verify import inspect, refuse

    control = dtb.read_bytes()
    with _naming(dtb):
        read_trust(control)
    with _naming(fit):
        verdict = inspect(_read(fit), control, configuration)
    if as_json:
        document = dataclasses.asdict(verdict)
        ui.emit_json(
            {"schema": "bootseal.fit-verdict/1", "accepted": not verdict.errors} | document
        )
    else:
        fit_text.print_verdict(verdict)
    refuse(verdict.errors, f"{fit} is refused")
    ui.status(f"OK: {ui.untrusted(str(fit))} is verified")


@app.command()
def show(fit: _Fit, *, as_json: _Json = False) -> None:
    """Show what a FIT holds, without judging it.

    Hashes are compared with the data; signatures are not checked: `bootseal fit verify` does that.

    Example: bootseal fit show fit.itb
    """
    from bootseal.fit.show import describe

    with _naming(fit):
        view = describe(_read(fit))
    if as_json:
        ui.emit_json({"schema": "bootseal.fit/1"} | dataclasses.asdict(view))
    else:
        fit_text.print_view(view)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file's name in front of what is wrong with its bytes."""
    try:
        yield
    except (FormatError, VerificationRefused) as error:
        raise type(error)(f"{path}: {error.message}", hint=error.hint) from error


def _read(path: Path) -> bytes:
    return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()


def _named_files(values: list[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for value in values:
        name, separator, file = value.partition("=")
        if not separator or not name or not file:
            raise UsageError(f"--fdt {value!r}: expected NAME=FILE", hint=f"--fdt a={value}")
        if name in files:
            raise UsageError(f"--fdt {value!r}: {name!r} was given before")
        files[name] = Path(file)
    return files


def _address(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise UsageError(f"address {text!r}: expected a number such as 0x40400000") from None


def _now() -> int:
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if text is None:
        return int(time.time())
    if not text.isdecimal():
        raise UsageError(f"SOURCE_DATE_EPOCH is {text!r}: expected seconds since 1970")
    return int(text)
