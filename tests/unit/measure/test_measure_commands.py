# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from bootseal import device
from bootseal.cli.measure import app
from bootseal.errors import FormatError, UsageError
from bootseal.formats import fdt
from bootseal.measure import policy
from bootseal.measure.predict import predict

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.keys.signer import Signer


@pytest.fixture
def fit(tree: fdt.Node, tmp_path: Path) -> Path:
    path = tmp_path / "fit.itb"
    path.write_bytes(fdt.emit(tree))
    return path


@pytest.fixture
def built(fit: Path) -> Path:
    """The directory of a built device, as far as measuring looks at it."""
    slots = [
        device.Slot(
            name=name,
            configuration=f"conf-{name}",
            boot=f"boot-{name}",
            root=f"root-{name}",
            verity=f"root-{name}-verity",
            root_hash="",
            pcrs={},
        )
        for name in ("b", "a")
    ]
    device.save(
        device.Device(
            name="test",
            profile="dev",
            login=True,
            epoch=0,
            qemu=device.Qemu(system="aarch64", machine="virt", cpu="max", cpus=1, memory=1),
            artefacts={"fit": device.describe(fit.parent, fit)},
            partitions=(),
            slots=tuple(slots),
            keys={},
        ),
        fit.parent,
    )
    return fit.parent


def measure(*args: str | Path) -> tuple[str, str]:
    """Return stdout and stderr; errors come out as they are raised."""
    result = CliRunner().invoke(app, list(map(str, args)), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout, result.stderr


def test_predict_prints_whole_digests_of_every_configuration(
    fit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    stdout, stderr = measure("predict", fit)

    for name in ("conf-a", "conf-b"):
        prediction = predict(fit.read_bytes(), name)
        assert f"configuration {name}\n" in stdout
        assert all(value.hex() in stdout for value in prediction.pcrs.values())
        assert policy.policy_digest(prediction).hex() in stdout
    assert not stderr


def test_predict_of_a_device_names_its_slots_in_their_order(built: Path) -> None:
    document = json.loads(measure("predict", built, "--json")[0])

    assert document["schema"] == "bootseal.prediction/1"
    found = [(one["slot"], one["configuration"]) for one in document["predictions"]]
    assert found == [("b", "conf-b"), ("a", "conf-a")]
    pcrs = predict((built / "fit.itb").read_bytes(), "conf-b").pcrs
    assert document["predictions"][0]["pcrs"] == {str(k): v.hex() for k, v in pcrs.items()}
    assert len(document["predictions"][0]["events"]) == 5


def test_predict_of_one_configuration_prints_it_alone(fit: Path) -> None:
    stdout, _ = measure("predict", fit, "--configuration", "conf-b")

    assert "conf-b" in stdout
    assert "conf-a" not in stdout


@pytest.mark.parametrize("from_device", [False, True], ids=["fit", "device"])
def test_sign_writes_a_policy_for_every_configuration(
    built: Path, keys: Path, signer: Signer, *, from_device: bool
) -> None:
    source, output = built if from_device else built / "fit.itb", built / policy.FILE_NAME

    _, stderr = measure("sign", source, "--key", keys / "ours" / "DEV-policy.key", "-o", output)

    data = (built / "fit.itb").read_bytes()
    predictions = [predict(data, name) for name in ("conf-a", "conf-b")]
    policy.verify(output.read_bytes(), signer.public_key, predictions)
    assert stderr.startswith("OK: ")
    assert signer.public_key.fingerprint() in stderr


def test_sign_to_standard_output_writes_the_document_alone(
    fit: Path, keys: Path, signer: Signer
) -> None:
    stdout, _ = measure("sign", fit, "--key", keys / "ours" / "DEV-policy.key", "-o", "-")

    predictions = [predict(fit.read_bytes(), name) for name in ("conf-a", "conf-b")]
    policy.verify(stdout.encode(), signer.public_key, predictions)


def test_sign_that_fails_leaves_the_old_policy_and_nothing_else(
    fit: Path, keys: Path, tmp_path: Path
) -> None:
    output = tmp_path / "policy.json"
    output.write_text("old")
    before = sorted(tmp_path.iterdir())

    with pytest.raises(UsageError, match="is rsa4096"):
        measure("sign", fit, "--key", keys / "ours" / "DEV-root.key", "-o", output)
    fit.write_bytes(b"broken")
    with pytest.raises(FormatError):
        measure("sign", fit, "--key", keys / "ours" / "DEV-policy.key", "-o", output)

    assert output.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == before


def test_missing_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no FIT"):
        measure("predict", tmp_path / "none.itb")
    with pytest.raises(UsageError, match="not a built device"):
        measure("predict", tmp_path)
