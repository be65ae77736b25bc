"""What all tests share: a small backbone and a small corpus."""

import os

# Before torch is imported
if "PYTEST_XDIST_WORKER" in os.environ:  # one of several processes
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import petl_modules  # noqa: F401  before torch: how idle CPU threads wait

# isort: split
import hypothesis
import pytest
from speechbrain.utils.importutils import LazyModule

# hypothesis asks every module for its file, which would import optional
# dependencies that SpeechBrain loads on first use
LazyModule.__file__ = None
# A busy machine is no failure
hypothesis.settings.register_profile("without deadline", deadline=None)
hypothesis.settings.load_profile("without deadline")


def pytest_addoption(parser):
    """Add ``--whole``."""
    text = "also what a covering sample of the big tables leaves out"
    parser.addoption("--whole", action="store_true", help=text)


def pytest_collection_modifyitems(config, items):
    """Leave out what is not in the sample, unless ``--whole`` is given."""
    if config.getoption("whole"):
        return
    from tests.sampling import off_the_diagonals

    left_out = off_the_diagonals(items)
    left_out |= {item for item in items if item.get_closest_marker("whole")}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def tiny_ast(tmp_path_factory):
    """Folder of a small random AST."""
    from petl_modules.backbones import write_tiny_ast

    folder = tmp_path_factory.mktemp("backbones") / "tiny-ast"
    write_tiny_ast(folder)
    return str(folder)


@pytest.fixture(scope="session")
def tiny_wav2vec2(tmp_path_factory):
    """Folders of small random wav2vec 2.0 encoders, by their norm."""
    from petl_modules.backbones import NORMS, write_tiny_wav2vec2

    folder = tmp_path_factory.mktemp("wav2vec2")
    for norm in NORMS:
        write_tiny_wav2vec2(folder / norm, norm=norm)
    return {norm: str(folder / norm) for norm in NORMS}


@pytest.fixture(scope="session")
def tiny_encoders(tmp_path_factory):
    """Small random encoders of every kind but AST's, by name."""
    from tests.encoders import ENCODERS, TinyEncoder

    folder = tmp_path_factory.mktemp("encoders")
    return {name: TinyEncoder(name, folder / name) for name in ENCODERS}


@pytest.fixture(scope="session")
def folder_of(tiny_ast, tiny_wav2vec2, tiny_encoders):
    """The folder of a small encoder, by its name."""
    folders = {name: one.folder for name, one in tiny_encoders.items()}
    folders |= {"ast": tiny_ast, "wav2vec2": tiny_wav2vec2["group"]}
    return folders | {"wav2vec2-large": tiny_wav2vec2["layer"]}


@pytest.fixture(scope="session")
def tiny_of(tiny_ast, tiny_wav2vec2, tiny_encoders):
    """Gives the folder of a small encoder for a recipe file, by its stem."""
    from tools.copy_methods import SPEECH_METHODS

    def folder(stem):
        if stem in ("w2v_bert", "whisper"):
            return tiny_encoders[stem.replace("_", "-")].folder
        speech = "wav2vec2" in stem or stem in SPEECH_METHODS
        return tiny_wav2vec2["group"] if speech else tiny_ast

    return folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Folder of 50 generated clips, ten classes in five folds, as ESC-50."""
    from petl_modules.miniatures.corpus import write_miniature

    folder = tmp_path_factory.mktemp("data") / "ESC-50-master"
    return str(write_miniature("ESC50", folder, takes=1))
