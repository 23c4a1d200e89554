# SPDX-License-Identifier: MIT
SUMMARY = "An application made of packages: the layer's example in a later version"
LICENSE = "MIT"

inherit image bootseal_app

IMAGE_INSTALL = "bootseal-hello"

BOOTSEAL_APP_NAME = "hello"
BOOTSEAL_APP_VERSION = "1.3.0"
