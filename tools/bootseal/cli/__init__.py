# SPDX-License-Identifier: MIT
"""The command line. Nothing below it prints or exits.

A noun is a package with a table of its verbs, a verb is a module, and a run loads the one verb that
it needs (`bootseal.cli.lazy`). What is heavy is imported inside functions, so that `--help` stays
quick; typer reads annotations when it builds the command line, so what they name is imported.
"""

import gc

# A start makes many objects that stay: to look among them for garbage takes a twentieth of it.
gc.set_threshold(100_000, 50, 50)
