# SPDX-License-Identifier: MIT
"""Runs one function of `fuzz_contents.py` under libFuzzer.

pip install atheris
python tests/fuzz/run_contents.py luks2|erofs|elf|certificate|fip|keys CORPUS -max_total_time=600
"""

from __future__ import annotations

import importlib
import sys

import atheris

with atheris.instrument_imports(include=["bootseal", "elftools"]):
    TARGETS = importlib.import_module("fuzz_contents").TARGETS

target = TARGETS[sys.argv.pop(1)]
atheris.Setup(sys.argv, target)
atheris.Fuzz()
