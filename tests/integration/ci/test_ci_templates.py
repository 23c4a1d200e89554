# SPDX-License-Identifier: MIT
"""The templates for CI are what their vendors' schemas want, pinned, and thin over ci/release."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parents[3]
GITHUB: Final = ROOT / "ci/templates/github/release.yml"
GITLAB: Final = ROOT / "ci/templates/gitlab/release.yml"
SCHEMAS: Final = {GITHUB: "vendor.github-workflows", GITLAB: "vendor.gitlab-ci"}
SCRIPTS: Final = ROOT / "ci/release"


def said(*command: str | Path) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def changed(template: Path, directory: Path, old: str, new: str) -> Path:
    text = template.read_text()
    assert old in text
    # zizmor takes a file for a workflow by where it is.
    path = directory / ".github/workflows" / template.name
    path.parent.mkdir(parents=True)
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.tool("check-jsonschema")
@pytest.mark.parametrize("template", SCHEMAS, ids=lambda path: path.parent.name)
def test_template_has_the_form_of_its_vendor(template: Path, tmp_path: Path) -> None:
    command = ("check-jsonschema", "--builtin-schema", SCHEMAS[template])
    assert said(*command, template)[0] == 0
    wrong = changed(template, tmp_path, "needs:", "neds:")
    code, text = said(*command, wrong)
    assert code != 0
    assert "neds" in text


@pytest.mark.tool("zizmor")
def test_workflow_has_no_known_weakness() -> None:
    code, text = said("zizmor", "--offline", GITHUB)
    assert code == 0, text


@pytest.mark.tool("zizmor")
@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2", "@v6", "unpinned-uses"),
        ("persist-credentials: false", "fetch-depth: 1", "artipacked"),
        (
            "    permissions:\n      contents: read\n    steps:",
            "    permissions: write-all\n    steps:",
            "excessive-permissions",
        ),
        ('"$KAS_FILES"', "${{ github.head_ref }}", "template-injection"),
    ],
)
def test_weakness_of_a_workflow_is_found(tmp_path: Path, old: str, new: str, rule: str) -> None:
    code, text = said("zizmor", "--offline", changed(GITHUB, tmp_path, old, new))
    assert code != 0
    assert rule in text


def lines(template: Path) -> list[str]:
    """Return the command lines of all jobs."""
    document: dict[str, Any] = yaml.safe_load(template.read_text())
    if template == GITHUB:
        steps = [s for job in document["jobs"].values() for s in job["steps"]]
        return [step["run"] for step in steps if "run" in step]
    return [line for job in document.values() if "script" in job for line in job["script"]]


@pytest.mark.parametrize("template", SCHEMAS, ids=lambda path: path.parent.name)
def test_every_line_is_one_script_that_is_there(template: Path) -> None:
    found = lines(template)
    assert len(found) >= 9
    for line in found:
        assert re.fullmatch(r'ci/release/[a-z]+( ("\$\w+"|[a-z.]+))*', line), line
        assert os.access(ROOT / line.split()[0], os.X_OK), line


def test_both_templates_run_the_same_scripts() -> None:
    names = [{line.split()[0] for line in lines(template)} for template in SCHEMAS]
    assert names[1] - names[0] == {"ci/release/token"}
    assert names[0] - names[1] == set()
    used = {name.rpartition("/")[2] for name in names[0] | names[1]}
    assert used == {path.name for path in SCRIPTS.iterdir()}


def test_only_the_signing_job_can_have_keys() -> None:
    jobs = yaml.safe_load(GITHUB.read_text())["jobs"]
    assert jobs["build"]["permissions"] == {"contents": "read"}
    assert "environment" not in jobs["build"]
    assert jobs["sign"]["environment"] == "release"
    gitlab = yaml.safe_load(GITLAB.read_text())
    assert "id_tokens" not in gitlab["build"]
    assert "environment" not in gitlab["build"]
    assert gitlab["sign"]["environment"] == {"name": "release"}
    for job, needed in ((jobs["sign"]["needs"], jobs), (gitlab["sign"]["needs"][0], gitlab)):
        assert job in needed


@pytest.mark.tool("shellcheck")
def test_shellcheck_finds_nothing_in_the_scripts() -> None:
    code, text = said("shellcheck", *sorted(SCRIPTS.iterdir()))
    assert code == 0, text


@pytest.mark.parametrize("name", sorted(path.name for path in SCRIPTS.iterdir()))
def test_script_without_arguments_says_how_it_is_used(name: str) -> None:
    if name == "install":
        pytest.skip("it takes none")
    code, text = said(SCRIPTS / name)
    assert code == 2
    assert f"usage: ci/release/{name} " in text


@pytest.mark.parametrize("image", ["", "kas/kas:5.5", "kas/kas@sha256"])
def test_build_wants_an_image_by_its_digest(image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAS_CONTAINER_IMAGE", image)
    code, text = said(SCRIPTS / "build", "kas.yml", "machine", "out")
    assert code == 2
    assert "expected an image with its digest" in text


def archive(directory: Path, *names: str) -> Path:
    command: list[str | Path] = ["tar", "-C", directory, "-cf", directory / "a.tar", *names]
    subprocess.run(command, check=True)
    return directory / "a.tar"


def test_archive_of_another_job_holds_a_device_alone(tmp_path: Path) -> None:
    for name in ("from/device", "from/ci", "to"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "from/device/disk.img").write_text("x")
    (tmp_path / "from/ci/evil").write_text("x")
    unpack: list[str | Path] = [
        "sh",
        "-c",
        f'cd "{tmp_path}/to" && exec "$0" "$@"',
        SCRIPTS / "unpack",
    ]
    assert said(*unpack, archive(tmp_path / "from", "device"))[0] == 0
    assert (tmp_path / "to/device/disk.img").read_text() == "x"
    code, text = said(*unpack, archive(tmp_path / "from", "device", "ci"))
    assert code == 3
    assert "ci/evil" in text
    (tmp_path / "from/device/link").symlink_to("/etc/passwd")
    code, text = said(*unpack, archive(tmp_path / "from", "device"))
    assert code == 3
    assert "holds links" in text
    assert not (tmp_path / "to/ci").exists()
