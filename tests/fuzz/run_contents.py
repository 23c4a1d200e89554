# SPDX-License-Identifier: MIT
"""Runs one function of `fuzz_contents.py` under libFuzzer.

pip install atheris
python tests/fuzz/run_contents.py TARGET CORPUS -max_total_time=600

TARGET is luks2, erofs, elf, certificate, fip, keys or job.
"""

from __future__ import annotations

import importlib
import sys

import atheris

with atheris.instrument_imports(include=["bootseal", "bootseal_agent", "elftools"]):
    TARGETS = importlib.import_module("fuzz_contents").TARGETS

target = TARGETS[sys.argv.pop(1)]
atheris.Setup(sys.argv, target)
atheris.Fuzz()
