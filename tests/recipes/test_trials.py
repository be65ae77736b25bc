"""What the miniatures are there to show, in a few short runs."""

import json
import subprocess

import pytest

from petl_modules.miniatures.corpus import write_miniature
from petl_modules.miniatures.trials import MINIATURES, VERIFICATION, command


@pytest.fixture(scope="module")
def accuracy(tmp_path_factory):
    """Gives the accuracy of a method on the spoken commands."""
    folder = tmp_path_factory.mktemp("miniatures")
    write_miniature("FSC", folder / MINIATURES["FSC"].folder)

    def trained(method, backbone="ast", **changes):
        output = folder / "-".join([method, backbone, *changes.values()])
        words = command("FSC", method, folder, output, backbone, **changes)
        subprocess.run([*words, "--noprogressbar"], check=True)
        return json.loads((output / "summary.json").read_text())[
            "accuracy_mean"
        ]

    return trained


@pytest.fixture(scope="module")
def speakers(tmp_path_factory):
    """Gives the test EER of a method on a part of the generated speakers."""
    folder = tmp_path_factory.mktemp("speakers")
    place = folder / VERIFICATION["VoxCeleb1"].folder
    write_miniature("VoxCeleb1", place, takes=2)

    def error_rate(method, name, **changes):
        words = command("VoxCeleb1", method, folder, folder / name, **changes)
        subprocess.run([*words, "--noprogressbar"], check=True)
        summary = json.loads((folder / name / "summary.json").read_text())
        return summary["folds"][0]["test_eer"]

    return error_rate


@pytest.mark.slow
@pytest.mark.whole
def test_training_lowers_the_error_rate_of_other_speakers(speakers):
    """Against random weights, with steps too small to change them."""
    method = "ecapa_partition"
    untrained = speakers(method, "none", lr=1e-12, number_of_epochs=1)
    trained = speakers(method, "trained", batch_size=4)
    assert trained < untrained - 0.1


@pytest.mark.slow
@pytest.mark.whole
def test_adapters_learn_an_order_that_is_not_in_the_mean(accuracy):
    linear = accuracy("linear", "wav2vec2")
    assert accuracy("bottleneck", "wav2vec2") > linear + 0.15


@pytest.mark.slow
@pytest.mark.whole
def test_without_positions_ast_does_not_hear_the_order(accuracy):
    without = accuracy("bottleneck", positions="zeros")
    assert accuracy("bottleneck") > without + 0.05
