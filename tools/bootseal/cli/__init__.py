# SPDX-License-Identifier: MIT
"""The command line. Nothing below it prints or exits."""
