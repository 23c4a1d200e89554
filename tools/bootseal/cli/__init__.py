# SPDX-License-Identifier: MIT
"""The command line. Nothing below it prints or exits."""

import gc

# A start makes many objects that stay: to look among them for garbage takes a twentieth of it.
gc.set_threshold(100_000, 50, 50)
