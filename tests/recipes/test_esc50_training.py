"""How the ESC50 recipe optimises, and how it goes on where it stopped."""

import copy
import gc
import json
import math
import re
import shutil
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from speechbrain import Stage
from speechbrain.dataio.batch import PaddedBatch

from petl_modules.models import read_trained
from petl_modules.runs import folder_files, open_run
from petl_modules.runs.plan import Fold
from petl_modules.training import epoch_meta, make_train_loader
from tests.sampling import sample

SCALE = 1e6  # of the loss, so that any clipping would show
SGD = """\
base: bottleneck.yaml
lr: 0.01
opt_class: !name:torch.optim.SGD
    lr: !ref <lr>
"""


@pytest.fixture
def updated(esc50, words, tmp_path, monkeypatch):
    """Makes one training step under a huge loss."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hparams").mkdir()
    (tmp_path / "hparams" / "sgd.yaml").write_text(SGD)

    class HugeLoss(esc50.ESC50Brain):
        def compute_objectives(self, *args):
            return SCALE * super().compute_objectives(*args)

    def step(file, **changes):
        labels = ["cat", "dog"]
        experiment = open_run(words(file, **changes), esc50.__file__)
        hparams = experiment.load(Fold(1, 1, {}), labels=labels)
        brain = HugeLoss(
            modules=hparams["modules"],
            opt_class=hparams["opt_class"],
            hparams={**hparams, "augment": torch.nn.Identity()},
            run_opts=experiment.run_opts,
            checkpointer=hparams["checkpointer"],
        )
        torch.manual_seed(0)
        clips = [
            {
                "id": str(target),
                "features": torch.randn(hparams["frames"], 128),
                "target": torch.tensor([target]),
            }
            for target in (0, 1)
        ]
        make_train_loader(brain, clips, hparams["train_batches"], {})
        batch = PaddedBatch(clips)
        brain.on_fit_start()
        brain.modules.train()
        brain.on_stage_start(Stage.TRAIN, 1)
        brain.step = 1  # as fit does
        before = copy.deepcopy(brain.modules.model)
        brain.fit_batch(batch)
        return SimpleNamespace(
            brain=brain, batch=batch, before=before, hparams=hparams
        )

    return step


def trained(model):
    return [p for p in model.parameters() if p.requires_grad]


def expected_update(made):
    """The parameters after a step of the plain optimiser, nothing clipped."""
    model = made.before
    logits = model(made.batch.features.data)
    targets = made.batch.target.data.squeeze(1)
    optimizer = made.hparams["opt_class"](trained(model))
    (SCALE * torch.nn.functional.cross_entropy(logits, targets)).backward()
    optimizer.step()
    return trained(model)


@pytest.mark.parametrize("file", ["sgd", "bottleneck", "lora"])
def test_nothing_is_clipped(updated, file):
    made = updated(file)
    pairs = zip(trained(made.brain.modules.model), expected_update(made))
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in pairs)


def norm_of_update(made):
    pairs = zip(trained(made.brain.modules.model), trained(made.before))
    return torch.stack([(a - b).norm() for a, b in pairs]).norm().item()


def test_an_unclipped_step_is_huge(updated):
    assert norm_of_update(updated("sgd")) > 100


def test_a_limit_can_be_asked_for(updated):
    made = updated("sgd", max_grad_norm=2)
    assert norm_of_update(made) == pytest.approx(2 * 0.01, rel=1e-3)


def test_a_short_file_changes_the_optimizer(updated):
    assert type(updated("sgd").brain.optimizer) is torch.optim.SGD


HPARAMS = Path(__file__).parents[2] / "recipes" / "ESC50" / "hparams"
OF_SPEECH = ("w2v_bert", "wav2vec2", "whisper")
FILES = sorted(path.stem for path in HPARAMS.glob("*.yaml"))
METHODS = [stem for stem in FILES if not stem.endswith(OF_SPEECH)]
METHODS.remove("lora_plus")  # which has two groups


@pytest.mark.parametrize(
    "file", sample(METHODS, lambda file: METHODS.index(file) % 4 == 0)
)
def test_optimizer_holds_what_is_trained_in_one_group(updated, file):
    brain = updated(file).brain
    (group,) = brain.optimizer.param_groups
    held = {id(parameter) for parameter in group["params"]}
    assert held == set(map(id, trained(brain.modules.model)))


def learning_rates(esc50, words, monkeypatch, **changes):
    """The learning rate of each update, and the one behind the last."""
    rates = []

    class Watched(esc50.ESC50Brain):
        def optimizers_step(self):
            rates.append(self.optimizer.param_groups[0]["lr"])
            super().optimizers_step()

    evaluate = esc50.evaluate_last_and_best

    def behind_the_last(brain, test_set):
        rates.append(brain.optimizer.param_groups[0]["lr"])
        return evaluate(brain, test_set)

    with monkeypatch.context() as patch:
        patch.setattr(esc50, "ESC50Brain", Watched)
        patch.setattr(esc50, "evaluate_last_and_best", behind_the_last)
        esc50.main(words("linear", number_of_epochs=2, lr=0.5, **changes))
    return rates


@pytest.mark.parametrize("factor, updates", [(1, 8), (3, 2)])
def test_rate_falls_as_a_cosine_over_all_updates(
    esc50, words, tmp_path, monkeypatch, factor, updates
):
    rates = learning_rates(
        esc50,
        words,
        monkeypatch,
        output_folder=tmp_path,
        grad_accumulation_factor=factor,
    )
    cosine = [
        0.25 * (1 + math.cos(math.pi * step / updates))
        for step in range(updates + 1)
    ]
    assert rates == pytest.approx(cosine)


ACCURACIES = [((0.1, 0.9, 0.3), 2), ((0.5, 0.5, 0.5), 1), ((0.1, 0.2, 0.3), 3)]


@pytest.fixture(scope="module", params=ACCURACIES, ids=lambda case: case[0])
def selected(request, esc50, words, tmp_path_factory):
    """A run whose validation accuracies are made up."""
    accuracies, epoch = request.param
    folder = tmp_path_factory.mktemp("selected")

    def made_up(brain, epoch, valid_stats, best_metric):
        stats = {**valid_stats, "accuracy": accuracies[epoch - 1]}
        return epoch_meta(brain, epoch, stats, best_metric)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(esc50, "epoch_meta", made_up)
        esc50.main(words("linear", output_folder=folder, number_of_epochs=3))
    fold = folder / "fold1"
    result = json.loads((fold / "result.json").read_text())["fold"]
    return SimpleNamespace(epoch=epoch, fold=fold, result=result)


def test_best_epoch_in_validation_is_selected(selected):
    assert selected.result["best_epoch"] == selected.epoch


def test_stored_weights_are_those_of_the_selected_epoch(selected):
    stored, _ = read_trained(selected.fold / "model.safetensors")
    checkpoint = next(
        path.parent
        for path in selected.fold.glob("save/CKPT+*/CKPT.yaml")
        if f"epoch: {selected.epoch}\n" in path.read_text()
    )
    saved, _ = read_trained(checkpoint / "model.ckpt")
    assert all(torch.equal(stored[name], saved[name]) for name in saved)


def test_last_epoch_is_tested_too(selected):
    log = (selected.fold / "train_log.txt").read_text()
    tested = re.findall(r"epoch: (\d+), selected: (\w+) - test loss", log)
    last = [("3", "False")] if selected.epoch != 3 else []
    assert tested == [*last, (str(selected.epoch), "True")]


def test_all_files_that_a_run_writes_are_known(selected):
    """A folder or a pipe in the place of one is refused before training."""
    for folder, known in (
        (selected.fold.parent, folder_files.FILES),
        (selected.fold, folder_files.FOLD_FILES),
    ):
        written = {path.name for path in folder.iterdir() if path.is_file()}
        assert written <= {*known}


def test_debug_leaves_nothing(esc50, words, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path)
    esc50.main([*words("linear"), "--debug"])
    gc.collect()
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")] == [
        "temporary"
    ]


def test_debug_leaves_a_finished_run_alone(esc50, words, tmp_path):
    line = words("linear", output_folder=tmp_path)
    (tmp_path / "summary.json").write_text("mine")
    esc50.main([*line, "--debug"])
    assert [p.name for p in tmp_path.iterdir()] == ["summary.json"]


def epochs_logged(fold):
    text = (fold / "train_log.txt").read_text()
    return [int(n) for n in re.findall(r"^epoch: (\d+), lr", text, re.M)]


@pytest.fixture(scope="module")
def interrupted(esc50, words, start, tmp_path_factory):
    """Killed behind its first checkpoint, then run again to its end."""
    folder = tmp_path_factory.mktemp("interrupted") / "out"
    line = words("soft_moa", output_folder=folder, number_of_epochs=5)
    process = start("recipes/ESC50/train.py", *line)
    deadline = time.monotonic() + 600
    while not any(folder.glob("fold1/save/CKPT+*")):
        assert time.monotonic() < deadline, "no checkpoint appeared"
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(process.stderr.read())
    process.kill()
    process.communicate()
    fold = folder / "fold1"
    found = SimpleNamespace(
        folder=folder,
        finished=(fold / "result.json").exists(),
        before=epochs_logged(fold),
    )
    whole = next(fold.glob("save/CKPT+*"))
    half = whole.with_name("unfinished-CKPT+2099-01-01+00-00-00+00")
    shutil.copytree(whole, half)
    (half / "CKPT.yaml").write_text("unixtime: 9999999999\nepoch: 99")
    esc50.main(line)
    found.after = epochs_logged(fold)
    found.result = json.loads((fold / "result.json").read_text())["fold"]
    return found


def test_it_was_interrupted(interrupted):
    assert interrupted.before[0] == 1 and not interrupted.finished


def test_interrupted_run_goes_on(interrupted):
    assert interrupted.after.count(1) == 1


def test_interrupted_run_keeps_its_log(interrupted):
    done = len(interrupted.before)
    assert interrupted.after[:done] == interrupted.before


def test_interrupted_run_comes_to_its_end(interrupted):
    assert set(interrupted.after) == {1, 2, 3, 4, 5}


def test_interrupted_run_has_its_result(interrupted):
    assert interrupted.result["epochs"] == 5


def test_interrupted_run_ends_as_one_that_was_not(
    interrupted, esc50, words, tmp_path
):
    line = words("soft_moa", output_folder=tmp_path, number_of_epochs=5)
    esc50.main(line)
    whole = json.loads((tmp_path / "fold1" / "result.json").read_text())["fold"]
    del whole["seconds"], interrupted.result["seconds"]
    assert interrupted.result == whole


def test_interrupted_run_removes_half_written_checkpoints(interrupted):
    assert not any(interrupted.folder.rglob("unfinished-*"))


def test_trained_fold_without_result_is_only_tested(
    esc50, words, tmp_path, monkeypatch
):
    """Killed between the last epoch and the result."""
    line = words("soft_moa", output_folder=tmp_path, number_of_epochs=2)
    esc50.main(line)
    file = tmp_path / "fold1" / "result.json"
    before = json.loads(file.read_text())
    file.unlink()
    monkeypatch.setattr(esc50.ESC50Brain, "fit_batch", None)
    esc50.main(line)
    assert json.loads(file.read_text()) == before


def test_persistent_debug_run_stays_apart(esc50, words, tmp_path):
    line = words("linear", number_of_epochs=3, output_folder=tmp_path)
    esc50.main([*line, "--debug", "--debug_persistently"])
    assert (tmp_path / "debug" / "summary.json").exists()
    esc50.main(line)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [fold["epochs"] for fold in summary["folds"]] == [3]


def test_checkpoints_within_an_epoch(esc50, words, tmp_path):
    line = words("linear", number_of_epochs=2, output_folder=tmp_path)
    esc50.main([*line, "--ckpt_interval_steps", "1"])
    assert (tmp_path / "summary.json").exists()


def test_what_gets_no_gradient_is_named(updated, monkeypatch):
    def detached(model, inputs, lengths=None):
        return model.head(model.embed(inputs).detach())

    monkeypatch.setattr("petl_modules.models.TunedModel.forward", detached)
    with pytest.raises(
        RuntimeError, match="no gradient reaches .*block.down_proj"
    ):
        updated("bottleneck")


def test_a_loss_that_is_not_finite_ends_the_run(esc50, words, tmp_path):
    line = words("lora", number_of_epochs=2, lr="1e30", output_folder=tmp_path)
    with pytest.raises(
        SystemExit, match="loss is nan in step 2 of epoch 1; its"
    ):
        esc50.main(line)
    assert not any(tmp_path.rglob("result.json"))
    log = (tmp_path / "fold1" / "log.txt").read_text()
    assert "Traceback" in log and "check_losses" in log


def test_interruption_by_hand_is_shown_in_a_line(
    esc50, words, tmp_path, monkeypatch, capsys
):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(esc50.ESC50Brain, "fit_batch", interrupt)
    with pytest.raises(SystemExit) as end:
        esc50.main(words("linear", output_folder=tmp_path))
    assert end.value.code == 130
    assert "the same command resumes" in capsys.readouterr().err


def test_a_first_step_that_is_skipped_is_no_missing_gradient(
    updated, monkeypatch
):
    monkeypatch.setattr(
        torch.nn.functional,
        "cross_entropy",
        lambda logits, *_, reduction: logits.sum(1) * float("nan"),
    )
    made = updated("sgd", nonfinite_patience=1)
    pairs = zip(trained(made.brain.modules.model), trained(made.before))
    assert all(torch.equal(a, b) for a, b in pairs)
