# SPDX-License-Identifier: MIT
SUMMARY = "Sign, check, boot and attack images that run only what their maker signed"
DESCRIPTION = "The command line that this layer's tasks call: it assembles, signs and verifies \
FITs, predicts measurements and describes the built device. Built from the checkout that the layer \
itself is in, so that both are always of one version."
HOMEPAGE = "https://github.com/bootseal/bootseal"
SECTION = "devel/python"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://LICENSE;md5=945ce7397a8d93fd11f5b731742079ea"

# The content of every file is part of the task hash; __pycache__ is left out by
# BB_SIGNATURE_LOCAL_DIRS_EXCLUDE.
# nooelint: oelint.vars.outofcontext,oelint.vars.fileextrapaths - the sources are the layer's own repository
FILESEXTRAPATHS:prepend := "${BOOTSEAL_SOURCE}:"
SRC_URI = "\
    file://LICENSE \
    file://README.md \
    file://keys-template \
    file://pyproject.toml \
    file://tools/bootseal \
"

S = "${UNPACKDIR}"

inherit python_hatchling features_check

# Native recipes do not see features of the target.
REQUIRED_DISTRO_FEATURES:class-target = "bootseal"

PACKAGECONFIG ??= ""
# Keys in tokens and in AWS KMS: python-pkcs11 0.10 and boto3 1.40 or newer, which wrynose's layers
# do not have; a layer that brings them names them here.
PACKAGECONFIG[hsm] = ",,,python3-pkcs11"
PACKAGECONFIG[aws] = ",,,python3-boto3"

# What typer needs and its recipe does not name is listed as well.
RDEPENDS:${PN} += "\
    python3-annotated-doc \
    python3-cryptography \
    python3-jinja2 \
    python3-pyelftools \
    python3-rich \
    python3-shellingham \
    python3-typer \
"

# What it needs has native variants only with the feature (the bbappends next to this).
BBCLASSEXTEND = "${@bb.utils.contains('DISTRO_FEATURES', 'bootseal', 'native', '', d)}"
