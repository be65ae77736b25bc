"""Many tasks on one encoder give what their own models give."""

import gc
import shutil
import threading
import weakref
from functools import partial
from pathlib import Path

import pytest
import torch

from petl_modules.backbones import ast, write_tiny_ast
from petl_modules.inference import TaskBank
from petl_modules.inference.prefetch import padded
from petl_modules.inference.trained_model import TrainedModel
from petl_modules.models import trained_state
from petl_modules.utils import CheckpointError, HparamsError
from tests.encoders import ENCODERS
from tests.tasks import read_parts, write_task
from tests.trained import write_run

# By kind of encoder: tasks as arguments of ``write_task``
FROZEN = {"train_norms": False}
AST = {
    "lora": {"method": "lora"},
    "two classes": {"method": "lora", "labels": ["a", "b"], "seed": 1},
    "longer": {"method": "lora", "frames": 120, "seed": 2},
    "linear": {},
    "last layer": {"method": "last_lora", "hidden_states": "weighted"},
    "biases": {"train_backbone": "biases"},
    "prompts": {"method": "prompts"},
    "bf16": {"method": "lora", "backbone_dtype": "bfloat16"},
}
WAVES = {
    "lora": {"method": "lora"},
    "bottleneck": {"method": "bottleneck"},
    "linear": FROZEN,
    "last layer": {"method": "last_lora", **FROZEN},
    "trained layer": {"train_backbone": "last_1"},
    "sum": {"hidden_states": "weighted", **FROZEN},
}
STEMS = {"whisper": "whisper", "w2v-bert": "w2v_bert"}


def write_tasks(folder, backbone, tasks, stem):
    """Write a folder for each task; return them by name."""
    parts = read_parts(stem, backbone)
    return {
        name: write_task(folder / name, parts, backbone, **arguments)
        for name, arguments in tasks.items()
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_ast):
    return write_tasks(tmp_path_factory.mktemp("tasks"), tiny_ast, AST, "ast")


@pytest.fixture(scope="module")
def singles(runs):
    """The models alone."""
    return {name: TrainedModel(run).model for name, run in runs.items()}


@pytest.fixture(scope="module")
def everything(runs, tiny_ast):
    bank = TaskBank(tiny_ast)
    for name, run in runs.items():
        bank.add(name, run)
    return bank


def spectrograms(names, seed=0):
    draw = torch.Generator().manual_seed(seed)
    frames = [120 if name == "longer" else 100 for name in names]
    return [torch.randn(count, 128, generator=draw) for count in frames]


@torch.inference_mode()
def alone(models, features, names):
    return [models[n](x.unsqueeze(0))[0] for x, n in zip(features, names)]


def require_equal(found, wanted, atol=1e-6):
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=atol)


def test_a_mixed_batch_equals_single_models(everything, singles):
    names = [*AST, *reversed(AST)]
    features = spectrograms(names)
    found = everything.logits(features, names)
    require_equal(found, alone(singles, features, names))
    again = everything.logits(torch.stack(features[:2]), names[:2])
    require_equal(again, found[:2])


SAMPLE = ("group", "wavlm", "whisper")


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=() if kind in SAMPLE else pytest.mark.whole)
        for kind in ("group", "layer", *ENCODERS)
    ],
)
def test_clips_of_any_length_equal_single_models(
    kind, tmp_path, tiny_wav2vec2, tiny_encoders
):
    backbone = tiny_wav2vec2.get(kind) or tiny_encoders[kind].folder
    runs = write_tasks(tmp_path, backbone, WAVES, STEMS.get(kind, "wav2vec2"))
    bank = TaskBank(backbone)
    names = [*WAVES, *WAVES]
    draw = torch.Generator().manual_seed(0)
    for name, run in runs.items():
        bank.add(name, run)
    prepare = [bank.task(name).features for name in names]
    sounds = [
        torch.randn(4_000 + 500 * i, generator=draw) for i in range(len(names))
    ]
    features = [make(sound) for make, sound in zip(prepare, sounds)]
    models = {name: TrainedModel(run).model for name, run in runs.items()}
    found = bank.logits(features, names)
    batch, lengths = padded(features)
    with torch.inference_mode():
        together = [
            models[name](batch, lengths)[row] for row, name in enumerate(names)
        ]
    require_equal(found, together)
    # A single model rounds a padded clip by as much
    require_equal(found, alone(models, features, names), atol=5e-6)
    again = bank.logits(batch, names, lengths)
    require_equal(again, found)


def counted(monkeypatch, kind):
    """Count the calls of a class of modules, by object."""
    calls, forward = [], kind.forward

    def count(self, *args, **kwargs):
        calls.append(self)
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(kind, "forward", count)
    return calls


def test_what_tasks_have_in_common_runs_once(everything, monkeypatch):
    stems = counted(monkeypatch, torch.nn.Conv2d)
    skeleton = everything.task("linear").skeleton
    encoder = skeleton.model.encoder.backbone.model
    layers = counted(monkeypatch, type(encoder.layers[0]))
    names = ["linear", "last layer", "linear"]
    everything.logits(spectrograms(names), names)
    assert len(stems) == 1
    layers_run = len(layers)
    assert layers_run == 1 + 1 + 1  # one for both, and their last ones
    stems.clear()
    everything.logits(spectrograms(AST), [*AST])
    assert len(stems) == 3  # of 100 and 120 frames, and in bfloat16


def bytes_of(bank):
    """Return the bytes of all tensors of a bank's modules, counted once."""
    found = {}
    for skeleton in bank.skeletons.values():
        model = skeleton.model
        for tensor in [*model.parameters(), *model.buffers()]:
            found[tensor.data_ptr()] = tensor.nbytes
    return sum(found.values())


def test_frozen_weights_are_in_memory_once(everything, singles):
    backbone = singles["linear"].encoder.backbone
    whole = sum(t.nbytes for t in backbone.parameters())
    own = sum(
        value.nbytes
        for task in map(everything.task, everything.tasks)
        for value in task.state.values()
    )
    positions = singles["longer"].encoder.backbone.model.embeddings
    longer = positions.position_embeddings.nbytes
    halved = whole / 2  # once for all tasks that store them in bfloat16
    assert bytes_of(everything) <= whole + own + longer + halved
    assert len(everything.skeletons) == len(AST) - 1


def test_one_file_of_the_encoder_stays_mapped(runs, tmp_path, tiny_ast):
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("the system does not tell what is mapped")
    backbone = shutil.copytree(tiny_ast, tmp_path / "copy")
    bank = TaskBank(backbone)
    for name in ("lora", "biases", "prompts", "last layer", "longer"):
        bank.add(name, runs[name])
    gc.collect()
    mapped = [x for x in maps.read_text().splitlines() if str(backbone) in x]
    assert len(mapped) <= 1


def test_a_task_of_a_known_structure_does_not_load_the_encoder(
    runs, tiny_ast, tmp_path, singles, monkeypatch
):
    run = write_run(tmp_path / "run", "lora", tiny_ast)
    other = write_run(
        tmp_path / "other", "lora", tiny_ast, seed=1, labels=["a"]
    )
    bank = TaskBank(tiny_ast).add("one", run).add("two", runs["lora"])
    models = {
        "one": TrainedModel(run).model,
        "three": TrainedModel(other).model,
    }
    models["four"] = singles["two classes"]
    monkeypatch.setattr(ast, "load_pretrained", None)
    bank.add("three", other).add("four", runs["two classes"])
    names = ["one", "three", "four"]
    features = spectrograms(names)
    found = bank.logits(features, names)
    require_equal(found, alone(models, features, names))
    assert bank.tasks == ["one", "two", "three", "four"]
    assert bank.labels("three") == ["a"]
    assert bank.labels("four") == ["a", "b"]
    assert len(bank.skeletons) == 2  # the run's rank is another


def test_removal_frees_what_no_task_needs(runs, tiny_ast):
    bank = TaskBank(tiny_ast)
    for name in ("lora", "two classes", "biases"):
        bank.add(name, runs[name])
    names = ["biases", "lora", "two classes"]
    before = bank.logits(spectrograms(names), names)
    task = bank.task("two classes")
    held = [weakref.ref(value) for value in task.state.values()]
    held.append(weakref.ref(bank.task("biases").skeleton))
    places = {value.data_ptr() for value in task.state.values()}
    del task
    bank.remove("two classes")
    bank.remove("biases")
    gc.collect()
    assert not any(ref() is not None for ref in held)
    model = bank.task("lora").skeleton.model
    state = trained_state(model)
    assert not places & {value.data_ptr() for value in state.values()}
    after = bank.logits(spectrograms(names)[1:2], "lora")
    require_equal(after, before[1:2])
    bank.remove("lora")
    assert bank.tasks == [] and bank.skeletons == {}


def test_a_task_is_swapped_or_stays(runs, tiny_ast, tmp_path, singles):
    bank = TaskBank(tiny_ast).add("it", runs["lora"])
    features = spectrograms(["lora"])
    write_tiny_ast(tmp_path / "other", seed=5)
    parts = read_parts("ast", tiny_ast)
    other = write_task(tmp_path / "run", parts, tmp_path / "other")
    weights = TrainedModel(other).model.settings()["encoder"]["backbone"]
    with pytest.raises(HparamsError) as error:
        bank.add("it", other)
    assert weights["weights"] in str(error.value)
    assert bank.base in str(error.value)
    require_equal(
        bank.logits(features, "it"), alone(singles, features, ["lora"])
    )
    bank.add("it", runs["linear"])
    assert bank.tasks == ["it"] and len(bank.skeletons) == 1
    require_equal(
        bank.logits(features, "it"), alone(singles, features, ["linear"])
    )
    with pytest.raises(CheckpointError, match="trained on the encoder"):
        TaskBank(tmp_path / "other").add("it", runs["lora"])


def test_a_call_goes_on_with_a_task_that_was_swapped(runs, tiny_ast, singles):
    bank = TaskBank(tiny_ast).add("it", runs["lora"])
    task, features = bank.task("it"), spectrograms(["lora"])
    bank.add("it", runs["two classes"])
    (logits,) = bank.logits(features, task)
    require_equal([logits], alone(singles, features, ["lora"]))
    assert len(bank.rank(logits, task)) == len(task.labels) == 4
    assert bank.labels("it") == ["a", "b"]
    bank.remove("it")
    require_equal(bank.logits(features, [task]), [logits])


def test_refusals(everything, tmp_path, tiny_ast):
    with pytest.raises(HparamsError, match="no task 'none'; tasks: lora, two"):
        everything.logits(spectrograms(["lora"]), "none")
    with pytest.raises(HparamsError, match="1 sounds and 2 tasks"):
        everything.logits(spectrograms(["lora"]), ["lora", "linear"])
    wrong = [torch.rand(100, 128), torch.rand(90, 128)]
    with pytest.raises(HparamsError, match=r"have \[90, 100\] frames"):
        everything.logits(wrong, "lora")
    with pytest.raises(HparamsError, match="no task 'x'"):
        everything.remove("x")
    sound = torch.zeros(16_000), 16_000
    for tasks in (None, [["lora"]], 5):
        with pytest.raises(HparamsError, match="the bank has no task"):
            everything(sound, tasks)
    with pytest.raises(HparamsError, match="top: expected .* found -1"):
        everything(sound, "lora", top=-1)
    with pytest.raises(HparamsError, match="name is None: give a text"):
        everything.add(None, tmp_path)
    with pytest.raises(HparamsError, match="given by 5: give the path"):
        everything.add("x", 5)
    with pytest.raises(HparamsError, match="no such folder"):
        TaskBank(tmp_path / "none")
    run = write_run(
        tmp_path / "run",
        "linear",
        tiny_ast,
        template="speaker_verification",
        seconds=1.0,
    )
    with pytest.raises(HparamsError, match="of speaker verification: a bank"):
        everything.add("x", run)


def test_sounds_are_classified_in_order(everything, runs):
    draw = torch.Generator().manual_seed(0)
    sounds = [(0.1 * torch.randn(16_000, generator=draw), 16_000)] * 5
    names = ["lora", "longer", "linear", "two classes", "lora"]
    found = everything(sounds, names, top=None, batch_size=2)
    for sound, name, ranked in zip(sounds, names, found):
        run = TrainedModel(runs[name])
        with torch.inference_mode():
            logits = run.model(run.features(sound[0]).unsqueeze(0))[0]
        wanted = dict(zip(run.labels, logits.softmax(-1).tolist()))
        assert dict(ranked) == pytest.approx(wanted, abs=1e-6)
        scores = [probability for _, probability in ranked]
        assert scores == sorted(scores, reverse=True)
    assert everything(sounds[0], "lora", top=1) == found[0][:1]


def test_threads_use_and_change_a_bank(runs, tiny_ast, singles):
    bank = TaskBank(tiny_ast)
    for name in ("lora", "two classes", "linear"):
        bank.add(name, runs[name])
    features, errors = spectrograms(["lora"] * 4), []

    def use(name):
        wanted = alone(singles, features, [name] * 4)
        try:
            for _ in range(20):
                require_equal(bank.logits(features, name), wanted)
        except Exception as error:
            errors.append(error)

    threads = [
        threading.Thread(target=partial(use, name))
        for name in ("lora", "two classes", "linear")
    ]
    for thread in threads:
        thread.start()
    bank.add("more", runs["prompts"])
    bank.remove("more")
    for thread in threads:
        thread.join()
    assert errors == []
