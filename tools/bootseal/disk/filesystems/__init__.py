# SPDX-License-Identifier: MIT
"""The files of root file system images, read without root and without mounting."""
