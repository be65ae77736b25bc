"""What unit tests share."""

import pytest


@pytest.fixture(params=["ast", "group", "layer"])
def kind(request, tiny_ast, tiny_wav2vec2):
    """Each kind of backbone."""
    from test_methods import Kind

    folders = {"ast": tiny_ast, **tiny_wav2vec2}
    return Kind(request.param, folders[request.param])


@pytest.fixture(scope="session")
def door_runs(tmp_path_factory, tiny_ast, tiny_wav2vec2, tiny_encoders):
    """Writes folds of small runs; see ``tests.exported.Runs``."""
    from tests.exported import Runs

    folder = tmp_path_factory.mktemp("runs")
    return Runs(folder, tiny_ast, tiny_wav2vec2, tiny_encoders)
