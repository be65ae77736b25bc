"""The readers of files and command lines, and valid inputs of each."""

import json
import shutil
import zipfile
from pathlib import Path
from unittest import mock

import numpy as np
import soundfile
import torch

from petl_modules.backbones import AST, write_tiny_ast
from petl_modules.comparison.groups import group_results
from petl_modules.comparison.predictions import read_tested
from petl_modules.comparison.results import read_results
from petl_modules.data import check_audio
from petl_modules.data.cache.shards import Rows, ShardWriter
from petl_modules.data.prepare import (
    read_lexicon,
    read_manifest,
    read_table,
    unpack,
    write_manifest,
)
from petl_modules.inference.run_fold import FORM, find_fold, read_recipe
from petl_modules.models import (
    MeanPooling,
    TunedEncoder,
    TunedModel,
    read_trained,
    save_trained,
    weights_file,
)
from petl_modules.models.weights_file import digest, write_trained
from petl_modules.runs import RecipeFile, compose
from petl_modules.runs.checks import check_values
from petl_modules.runs.fold_files import require_intact
from petl_modules.runs.run_data import claim_data
from petl_modules.runs.run_folder import claim_folder
from petl_modules.runs.yaml_text import one_line_values
from petl_modules.utils import (
    SEAL,
    UserError,
    find_damage,
    seal,
    write_csv,
    write_json,
)
from petl_modules.verification import read_trials
from tests.fuzz.engine import Reader
from tests.fuzz.sweep_readers import sweep_readers

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "ESC50"
WEIGHTS = {"head.weight": torch.ones(2)}
# What a recipe file makes, but for what writes files
OBJECTS = [
    *("__set_seed", "plan", "features", "augment", "loss", "metrics"),
    *("encoder", "pool", "opt_class", "lr_schedule", "epoch_counter"),
    *("train_batches", "train_loader", "test_loader", "cache"),
]
BOMB = b"a0: &a0 [1,1,1,1,1,1,1,1,1]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 9))
    for i in range(1, 12)
)


def readers(folder):
    """Return all readers by name, with valid inputs in a folder."""
    return {
        **_recipe_readers(folder),
        **_run_readers(folder),
        **_binary_readers(folder),
        **sweep_readers(folder),
    }


def _recipe_readers(folder):
    """Return the readers of recipe files and command lines."""
    short = (RECIPE / "hparams" / "soft_moa.yaml").read_bytes()
    base = (RECIPE / "hparams" / "ast.yaml").read_bytes()
    place = folder / "own.yaml"
    options = [
        ["--seed", "3", "--lr=1e-3", "--folds", "[1,3]", "--debug"],
        ["--backbone", "a/b", "--experts", "15", "--base", "ast.yaml"],
        ["--data_folder", "d", "--max_grad_norm", "1", "--device", "cpu"],
        ["--fixed_epochs", "True", "--augment", "!new:torch.nn.Identity"],
    ]

    def file(content):
        place.write_bytes(content)
        recipe, _ = compose([str(place)], RECIPE)
        check_values(recipe.settings)

    def command(content):
        words = content.decode("utf-8", "replace").split("\0")
        recipe, _ = compose(["hparams/soft_moa.yaml", *words], RECIPE)
        check_values(recipe.settings)

    recipe = RecipeFile.read(RECIPE / "hparams" / "lora.yaml")
    write_tiny_ast(folder / "encoder")
    recipe.update({"backbone": str(folder / "encoder"), "labels": ["a", "b"]})

    def objects(content):
        recipe = RecipeFile.parse(content.decode("utf-8", "replace"))
        check_values(recipe.settings)
        recipe.make([key for key in OBJECTS if key in recipe.settings])

    lines = ["\0".join(words).encode() for words in options]
    return {
        "recipe file": Reader([short, base, BOMB], file),
        "command line": Reader(lines, command),
        "objects of a recipe file": Reader([recipe.text.encode()], objects),
    }


def _run_readers(folder):
    """Return the readers of JSON, CSV and YAML files of a run."""
    trials, lexicon = folder / "trials.txt", folder / "lexicon.txt"
    speakers = {f"{s}/{i}": {"speaker": s} for s in "ab" for i in range(3)}
    manifest, run, fold = folder / "m.json", folder / "run", folder / "fold1"
    records = {
        f"clip {i}": {
            "wav": f"{{data_root}}/{i}.wav",
            "duration": 0.5 * (i + 1),
            "digest": f"{i:032x}",
            "label": "abc"[i % 3],
            "fold": i % 2 + 1,
        }
        for i in range(6)
    }
    write_manifest(manifest, records)
    _write_fold(fold)
    bare = shutil.copytree(fold, folder / "bare" / "fold1")
    (bare / SEAL).unlink()
    _write_earlier_weights(bare)
    bare_manifest = folder / "bare.json"
    shutil.copy(manifest, bare_manifest)
    run.mkdir()
    claim_data(run, records, processes=1)
    (run / "fold1" / "save" / "CKPT+1").mkdir(parents=True)
    text = RecipeFile.read(RECIPE / "hparams" / "lora.yaml").text

    def written(path, read):
        def reading(content):
            path.write_bytes(content)
            return read()

        return reading

    def part(name):
        return Reader(
            [(fold / name).read_bytes()],
            _restoring(
                fold / name, lambda: require_intact(fold, "accuracy", "abc")
            ),
            sealed=True,
        )

    def bare_part(name):
        def read():
            require_intact(bare, "accuracy", "abc")
            read_recipe(find_fold(bare.parent), FORM)

        return Reader(
            [(bare / name).read_bytes()], _restoring(bare / name, read)
        )

    def listed(content):
        rows, problems = read_table(content, ["name", "fold"])
        if problems:
            raise UserError(problems)

    def claimed(content):
        (run / "hyperparams.yaml").write_bytes(content)
        claim_folder(run / "hyperparams.yaml", text)
        ours = one_line_values(text, "ours")
        theirs = one_line_values(content.decode(), "theirs")
        free = {"output_folder", "data_folder"}
        return {k: v for k, v in theirs.items() if k not in free} and bool(ours)

    compared = _write_compared(folder / "compared")

    def grouped():
        group_results(read_results([compared]))

    table = "name,fold\n" + "".join(f"{i}.wav,{i % 5}\n" for i in range(9))
    data = (run / "data.json").read_bytes()
    return {
        "manifest": Reader(
            [manifest.read_bytes()],
            written(manifest, lambda: read_manifest(manifest)),
            sealed=True,
            share=40,
        ),
        "result.json": part("result.json"),
        "predictions.csv": part("predictions.csv"),
        "a fold's hyperparams.yaml": part("hyperparams.yaml"),
        "a fold's checksums": part(SEAL),
        "manifest without checksum": Reader(
            [manifest.read_bytes()],
            written(bare_manifest, lambda: read_manifest(bare_manifest)),
            share=40,
        ),
        "result.json without checksum": bare_part("result.json"),
        "predictions.csv without": bare_part("predictions.csv"),
        "hyperparams.yaml without": bare_part("hyperparams.yaml"),
        "data.json": Reader(
            [data],
            written(run / "data.json", lambda: claim_data(run, records, 1)),
            sealed=True,
            share=40,
        ),
        "summary.json": Reader(
            [(compared / "summary.json").read_bytes()],
            _restoring(compared / "summary.json", grouped),
        ),
        "hyperparams.yaml of a comparison": Reader(
            [text.encode()], _restoring(compared / "hyperparams.yaml", grouped)
        ),
        "predictions.csv of a comparison": Reader(
            [(bare / "predictions.csv").read_bytes()],
            _restoring(
                compared / "fold1" / "predictions.csv",
                lambda: read_tested(compared / "fold1", "accuracy"),
            ),
        ),
        "a run's hyperparams.yaml": Reader([text.encode()], claimed),
        "lists": Reader([table.encode()], listed, share=40),
        "trials": Reader(
            [b"1 a/1.wav a/2.wav\n0 a/1.wav b/1.wav\n" * 5],
            written(trials, lambda: read_trials(trials, speakers.get)),
            share=40,
        ),
        "lexicon": Reader(
            [b"NO\tN OW1\nON  AA1 N\n\nON AO1 N\n" * 3],
            written(lexicon, lambda: read_lexicon([lexicon])),
            share=40,
        ),
    }


def _write_compared(folder):
    """Write a finished run of one fold, and return its folder."""
    folder.mkdir()
    _write_fold(folder / "fold1")
    (folder / "fold1" / SEAL).unlink()
    shutil.copy(folder / "fold1" / "hyperparams.yaml", folder)
    about = {
        **{"dataset": "birds", "protocol": "5 folds", "backbone": "a/b"},
        **{"method": "lora", "seed": 1},
        "metric": {"name": "accuracy", "mode": "max"},
    }
    write_json(folder / "summary.json", about)
    return folder


def _restoring(path, read):
    """Return a reader of a file that is put back after each reading."""
    whole = path.read_bytes()

    def reading(content):
        path.write_bytes(content)
        try:
            read()
            # Blanks between the entries of a table of checksums are free
            return json.loads(content) if path.name == SEAL else content
        finally:
            path.write_bytes(whole)

    return reading


def _write_earlier_weights(folder):
    """Write weights as versions did whose folds have no checksums."""
    about = {"encoder": {"backbone": {}, "methods": []}}
    with mock.patch.object(weights_file, "FORMAT", 2):
        write_trained(WEIGHTS, about, folder / "model.safetensors")


def _write_fold(folder):
    """Write the files of a finished fold."""
    folder.mkdir()
    parts = ("train", "valid", "test", "last_epoch_test")
    fold = {
        "fold": 1,
        "epochs": 2,
        "best_epoch": 1,
        **{f"{part}_accuracy": 0.25 for part in parts},
        "weights_sha256": digest(WEIGHTS),
        "seconds": 1.5,
    }
    counts = ("total_parameters", "trainable_parameters", "petl_parameters")
    write_json(
        folder / "result.json", {"fold": fold, **dict.fromkeys(counts, 7)}
    )
    row = {"label": "dog", "predicted": "cat", "probability": 0.5}
    write_csv(folder / "predictions.csv", [{"id": c, **row} for c in "abc"])
    recipe = RecipeFile.read(RECIPE / "hparams" / "lora.yaml")
    (folder / "hyperparams.yaml").write_text(recipe.text)
    about = {"encoder": {"backbone": {}, "methods": []}}
    write_trained(WEIGHTS, about, folder / "model.safetensors")
    seal(folder, {file.name for file in folder.iterdir()})


def _binary_readers(folder):
    """Return the readers of weights, checkpoints, shards, zips and audio."""
    backbone = folder / "tiny-ast"
    write_tiny_ast(backbone)
    model = TunedModel(
        encoder=TunedEncoder(AST(str(backbone), frames=100)),
        head=lambda width: torch.nn.Linear(width, 2),
        pooling=MeanPooling(),
    )
    weights, checkpoint = folder / "w.safetensors", folder / "checkpoint"
    save_trained(model, weights)
    checkpoint.mkdir()
    (checkpoint / "model.ckpt").write_bytes(weights.read_bytes()[:3000])
    (checkpoint / "CKPT.yaml").write_text("epoch: 3\n")
    names = ["model.ckpt", "CKPT.yaml"]
    seal(checkpoint, names)
    shards, key = folder / "shards", b"0" * 16
    shards.mkdir()
    writer = ShardWriter(shards)
    writer.add(key, np.arange(40, dtype=np.float32))
    writer.finish()
    (shard,) = shards.glob("*.safetensors")
    archive, sound = folder / "a.zip", folder / "a.wav"
    with zipfile.ZipFile(archive, "w") as stream:
        for name in ("top/a.txt", "top/b/c.txt"):
            stream.writestr(name, "content " * 9)
    audio = []
    for kind in ("wav", "flac", "ogg", "aiff", "mp3"):
        soundfile.write(folder / f"a.{kind}", np.zeros(2000), 16000)
        audio.append((folder / f"a.{kind}").read_bytes())

    def trained(content):
        weights.write_bytes(content)
        state, about = read_trained(weights)
        sums = {k: v.numpy().tobytes() for k, v in state.items()}
        return sums, json.dumps(about, sort_keys=True)

    def intact(content):
        if reason := find_damage(checkpoint, names):
            raise UserError(reason)

    def cached(content):
        shard.write_bytes(content)
        if (row := Rows(shards).read(key)) is None:
            raise UserError("damaged: the features are computed again")
        return bytes(row)

    def unpacked(content):
        archive.write_bytes(content)
        shutil.rmtree(folder / "data", ignore_errors=True)
        unpack(archive, folder / "data", largest=10_000)
        assert not (folder / ".data.unpacking").exists()

    def heard(content):
        sound.write_bytes(content)
        check_audio([sound])

    def configured(content):
        (backbone / "config.json").write_bytes(content)
        AST(str(backbone), frames=100)

    config = (backbone / "config.json").read_bytes()
    return {
        "trained weights": Reader([weights.read_bytes()], trained, sealed=True),
        "checkpoint": Reader(
            [(checkpoint / SEAL).read_bytes()],
            _restoring(checkpoint / SEAL, lambda: intact(None)),
            sealed=True,
        ),
        "feature cache": Reader([shard.read_bytes()], cached, sealed=True),
        "zip archive": Reader([archive.read_bytes()], unpacked, share=20),
        "audio": Reader(audio, heard, share=20),
        "config.json": Reader([config], configured, share=1),
    }
