"""Scores and error rates against the released functions of IPET."""

import numpy as np
import pytest

from petl_modules.verification import (
    error_curve,
    score_trials,
    unit_vectors,
)
from tests.parity import ipet

SETS = next(
    c for c in ipet.INDEX["cases"] if c["file"] == "metrics.safetensors"
)


@pytest.mark.parametrize("name", SETS["settings"]["sets"])
def test_error_rates_equal_the_released_ones(name):
    tensors = ipet.load_file(ipet.FOLDER / "metrics.safetensors")
    found = {
        key: tensors[f"{name}.{key}"].numpy()
        for key in ("scores", "labels", "eer_mindcf1_mindcf10")
    }
    curve = error_curve(found["scores"], found["labels"])
    ours = [curve.eer()[0], curve.min_dcf(), curve.min_dcf(c_miss=10)]
    assert ours == pytest.approx(found["eer_mindcf1_mindcf10"], abs=1e-10)


def test_segment_distance_is_what_the_released_function_means():
    """It means all pairs of segments; on new versions of torch it is another."""
    tensors = ipet.load_file(ipet.FOLDER / "scores.safetensors")
    clips = np.concatenate([tensors["first"], tensors["second"]])
    units = unit_vectors([str(place) for place in range(len(clips))], clips)
    first, second = np.arange(len(clips)).reshape(2, -1)
    scores = score_trials(units, first, second, "segment_distance")
    assert scores == pytest.approx(tensors["scores"].numpy(), abs=1e-5)
    released = tensors["scores_release_new_torch"].numpy()
    assert np.abs(scores - released).min() > 0.5
