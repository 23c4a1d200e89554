# SPDX-License-Identifier: MIT
"""Print final values of one recipe: only the configuration and that recipe are parsed.

Runs inside bitbake's environment: recipe_values.py RECIPE NAME...; `name[flag]` is a flag.
"""

import fnmatch
import glob
import re
import sys
from pathlib import Path

import bb.tinfoil

recipe, *names = sys.argv[1:]
base = recipe.removesuffix("-native")
with bb.tinfoil.Tinfoil() as tinfoil:
    tinfoil.prepare(config_only=True)
    files = [
        Path(file)
        for pattern in tinfoil.config_data.getVar("BBFILES").split()
        for file in glob.glob(pattern)  # noqa: PTH207 (absolute patterns)
    ]
    found = [f for f in files if f.suffix == ".bb" and f.stem.split("_")[0] == base]
    if not found:
        sys.exit(f"no recipe {base}")
    newest = max(found)
    appends = [
        str(f)
        for f in files
        if f.suffix == ".bbappend" and fnmatch.fnmatch(newest.stem, f.stem.replace("%", "*"))
    ]
    name = f"virtual:native:{newest}" if recipe != base else str(newest)
    data = tinfoil.parse_recipe_file(name, appends=True, appendlist=appends)
    for variable in names:
        flag = re.fullmatch(r"(.+)\[(.+)\]", variable)
        value = data.getVarFlag(flag[1], flag[2]) if flag else data.getVar(variable)
        sys.stdout.write(f"{variable}={' '.join((value or '').split())}\n")
