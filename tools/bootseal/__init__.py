# SPDX-License-Identifier: MIT
"""Sign, check, boot and attack the images of devices that must run only signed code."""

__version__ = "0.1.0"
