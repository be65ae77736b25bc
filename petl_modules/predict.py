"""Classify audio files with a trained run.

``python -m petl_modules.predict RUN_FOLDER file.wav ...``

Authors
 * The PETL audio recipes team 2026
"""

import argparse
import sys
from pathlib import Path

import torch

from petl_modules.data import read_audio
from petl_modules.methods import merge
from petl_modules.models import WEIGHTS, load_trained
from petl_modules.runs import RecipeFile
from petl_modules.runs.plan import find_results
from petl_modules.training import selection_value
from petl_modules.utils import read_json


def find_fold(run):
    """The folder of one trained fold.

    Arguments
    ---------
    run : str or pathlib.Path
        The folder of a fold, or that of a run: then its fold with the best
        validation score is taken, or the first if nothing validated.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    FileNotFoundError
        If no trained model is there.
    """
    run = Path(run)
    if all((run / name).is_file() for name in (WEIGHTS, "hyperparams.yaml")):
        return run
    if not run.is_dir():
        raise FileNotFoundError(f"there is no folder {run}")
    results = find_results(run)
    if not results:
        raise FileNotFoundError(
            f"no trained model in {run}: expected {WEIGHTS} and "
            "hyperparams.yaml, or finished folds (fold1/result.json, ...)"
        )

    file = results[0].with_name("hyperparams.yaml")
    recipe = RecipeFile.parse(file.read_text(encoding="utf-8"), file)
    # Older runs are classifiers without this key
    best = {"name": "accuracy", "mode": "max"}
    best = recipe.tree.get("best_metric", best)

    def importance(file):  # with fixed epochs nothing was validated
        fold = read_json(file)["fold"]
        valid = {best["name"]: fold[f"valid_{best['name']}"] or 0}
        number = -fold["fold"], -fold.get("draw", 1)
        return selection_value(best, valid), *number

    return max(results, key=importance).parent


class Classifier:
    """A trained model with its features.

    Arguments
    ---------
    run : str or pathlib.Path
        See ``find_fold``. Its ``hyperparams.yaml`` can run code: load only
        runs that you trust.
    device : str
        Where the model runs.
    backbone : str or None
        Where the backbone is, if not where it was in training.

    Raises
    ------
    FileNotFoundError
        If no trained model is there.
    ValueError
        If the backbone cannot be loaded or the weights do not fit it.
    """

    def __init__(self, run, device="cpu", backbone=None):
        self.folder = find_fold(run)
        file = self.folder / "hyperparams.yaml"
        recipe = RecipeFile.parse(file.read_text(encoding="utf-8"), file)
        if backbone is not None:
            recipe.tree["tuned_model"]["backbone"]["source"] = str(backbone)
        made = recipe.make(["features", "tuned_model"])
        self.features = made["features"]
        self.model = made["tuned_model"].to(device).eval()
        self.device = device
        load_trained(self.model, self.folder / WEIGHTS)
        merge(self.model)

    @torch.inference_mode()
    def __call__(self, path, top=5):
        """Classifies one file.

        Arguments
        ---------
        path : str or pathlib.Path
            An audio file of any rate and number of channels.
        top : int
            How many classes to return.

        Returns
        -------
        list of tuple
            Labels and their probabilities, the likeliest first.

        Raises
        ------
        petl_modules.utils.AudioError
            If the file cannot be used.
        """
        features = self.features(read_audio(path, self.features.sample_rate))
        logits = self.model(features.unsqueeze(0).to(self.device))
        best = logits[0].softmax(-1).topk(min(top, len(self.model.labels)))
        labels = [self.model.labels[i] for i in best.indices.tolist()]
        return list(zip(labels, best.values.tolist()))


def main(arguments=None):
    """The command line: ``RUN_FOLDER file.wav ... [--top N]``."""
    parser = argparse.ArgumentParser(prog="python -m petl_modules.predict")
    parser.add_argument("run", help="folder of a run or of one fold")
    parser.add_argument("files", nargs="+", help="audio files")
    parser.add_argument("--top", type=int, default=5, help="classes to print")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backbone", help="where it is now, if it was moved")
    chosen = parser.parse_args(arguments)
    if chosen.top < 1:
        parser.error(f"--top is {chosen.top}: at least 1 is needed")
    failed = False
    try:
        classifier = Classifier(chosen.run, chosen.device, chosen.backbone)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    print(f"model: {classifier.folder}")
    for path in chosen.files:
        try:
            guesses = classifier(path, chosen.top)
        except ValueError as error:
            print(f"error: {error}", file=sys.stderr)
            failed = True
            continue
        print(path)
        for label, probability in guesses:
            print(f"  {probability:7.2%}  {label}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
