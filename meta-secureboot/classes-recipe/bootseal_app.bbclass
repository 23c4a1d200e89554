# SPDX-License-Identifier: MIT
#
# An application as a signed disk image, NAME_VERSION_arm64.raw. Of an image recipe, everything that it
# installs. Of any other, the files of its main package alone: for a program that needs none of others.

inherit bootseal_keys

BOOTSEAL_APP_NAME ?= "${BPN}"
BOOTSEAL_APP_NAME[doc] = "Name of the application, as BOOTSEAL_APPS has it"
BOOTSEAL_APP_VERSION ?= "${PV}"
BOOTSEAL_APP_VERSION[doc] = "Version of the application"
BOOTSEAL_APP_ENTRY ?= "${bindir}/${BOOTSEAL_APP_NAME}"
BOOTSEAL_APP_ENTRY[doc] = "The program that a device starts"
BOOTSEAL_APP_DEPLOYDIR = "${WORKDIR}/bootseal-app-deploy"
BOOTSEAL_APP_DEPLOYDIR[doc] = "Where the image is before it is deployed"

# Of image recipes. Without what only a whole system has use for.
IMAGE_FSTYPES = "tar"
IMAGE_LINGUAS = ""
FORCE_RO_REMOVE = "1"
NO_RECOMMENDATIONS = "1"

# Owners and permissions are true only for what runs under pseudo: the tool takes them from an archive.
BOOTSEAL_APP_FILES = "${WORKDIR}/bootseal-app.tar"
BOOTSEAL_APP_FILES[doc] = "Archive with the files of the application"

fakeroot do_bootseal_app_files() {
    tar --sort=name --numeric-owner -cf ${BOOTSEAL_APP_FILES} -C ${PKGDEST}/${PN} .
}
do_bootseal_app_files[doc] = "Collect the files of the application"
do_bootseal_app_files[depends] += "virtual/fakeroot-native:do_populate_sysroot"

do_bootseal_app() {
    image=${BOOTSEAL_APP_DEPLOYDIR}/${BOOTSEAL_APP_NAME}_${BOOTSEAL_APP_VERSION}_arm64.raw
    # Equal files give an equal image, whatever the time of the sources.
    SOURCE_DATE_EPOCH=${REPRODUCIBLE_TIMESTAMP_ROOTFS} bootseal app build ${BOOTSEAL_APP_FILES} \
        --name ${BOOTSEAL_APP_NAME} --version ${BOOTSEAL_APP_VERSION} --entry ${BOOTSEAL_APP_ENTRY} \
        --keys ${BOOTSEAL_KEYS} -o "$image"
    # As who installs it would.
    bootseal app check "$image" --keys ${BOOTSEAL_KEYS} --name ${BOOTSEAL_APP_NAME}
}
do_bootseal_app[doc] = "Make, sign and check the image of the application"
do_bootseal_app[cleandirs] = "${BOOTSEAL_APP_DEPLOYDIR}"
do_bootseal_app[file-checksums] += "${BOOTSEAL_APP_KEY_CHECKSUMS}"
do_bootseal_app[depends] += "\
    erofs-utils-native:do_populate_sysroot \
    python3-bootseal-native:do_populate_sysroot \
"
do_bootseal_app[sstate-inputdirs] = "${BOOTSEAL_APP_DEPLOYDIR}"
do_bootseal_app[sstate-outputdirs] = "${DEPLOY_DIR_IMAGE}"
do_bootseal_app[stamp-extra-info] = "${MACHINE_ARCH}"
SSTATETASKS += "do_bootseal_app"

python do_bootseal_app_setscene() {
    sstate_setscene(d)
}
do_bootseal_app_setscene[doc] = "Take the image of the application from the shared state"
addtask do_bootseal_app_setscene

# nooelint: oelint.task.noanonpython - what a recipe is, and whether it is wanted, is known when it is parsed
python __anonymous() {
    # Keys without the role for applications are as good where there are none.
    if "apps" not in (d.getVar("BOOTSEAL_REQUESTS") or "").split():
        raise bb.parse.SkipRecipe("apps was not requested: fragment bootseal/bootseal/apps")
    if bb.data.inherits_class("image", d):
        d.setVar("BOOTSEAL_APP_FILES", "${IMGDEPLOYDIR}/${IMAGE_LINK_NAME}.tar")
        bb.build.addtask("do_bootseal_app", "do_image_complete", "do_image_tar", d)
        return
    # Some of these put files of their own next to the package's while they run.
    writers = [f"do_{each.replace('package_', 'package_write_')}" for each in d.getVar("PACKAGE_CLASSES").split()]
    bb.build.addtask("do_bootseal_app_files", None, " ".join(["do_package", *writers]), d)
    bb.build.addtask("do_bootseal_app", "do_build", "do_bootseal_app_files", d)
}
