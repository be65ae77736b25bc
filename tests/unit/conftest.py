"""What unit tests share."""

import pytest


@pytest.fixture(params=["ast", "group", "layer"])
def kind(request, tiny_ast, tiny_wav2vec2):
    """Each kind of backbone."""
    from test_methods import Kind

    folders = {"ast": tiny_ast, **tiny_wav2vec2}
    return Kind(request.param, folders[request.param])
