# SPDX-License-Identifier: MIT
SUMMARY = "A vendor's kernel, to which nothing of the layer was appended"
LICENSE = "GPL-2.0-only"

require linux-reference.bb

deltask do_bootseal_config_check
