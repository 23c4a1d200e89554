# SPDX-License-Identifier: MIT
"""Jobs of AWS IoT that update devices: a plan that can be read, and what runs and follows it."""
