# SPDX-License-Identifier: MIT
"""`bootseal measure`."""
