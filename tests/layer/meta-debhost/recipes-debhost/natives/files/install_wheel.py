# SPDX-License-Identifier: MIT
"""`python3 -m installer` as OE-Core calls it: Debian 12's is older and knows no --interpreter."""

import argparse
from pathlib import Path

import installer
import installer.scripts
from installer.destinations import SchemeDictionaryDestination
from installer.sources import WheelFile

parser = argparse.ArgumentParser()
parser.add_argument("--compile-bytecode")
parser.add_argument("--interpreter", required=True)
parser.add_argument("--prefix", required=True, type=Path)
parser.add_argument("--destdir", required=True)
parser.add_argument("wheel")
arguments = parser.parse_args()

# "/usr/bin/env nativepython3" is one argument with a blank in it, and meant that way.
installer.scripts._build_shebang = lambda executable, **_: b"#!" + executable.encode()

packages = arguments.prefix / "lib/python3.11/site-packages"
with WheelFile.open(arguments.wheel) as source:
    destination = SchemeDictionaryDestination(
        {
            "purelib": str(packages),
            "platlib": str(packages),
            "scripts": str(arguments.prefix / "bin"),
            "headers": str(arguments.prefix / "include"),
            "data": str(arguments.prefix),
        },
        interpreter=arguments.interpreter,
        script_kind="posix",
        destdir=arguments.destdir,
    )
    installer.install(source, destination, {})
