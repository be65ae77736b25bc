"""Size and speed of the partitioned speaker models, against the whole ones.

    python benchmarks/partition.py
    python benchmarks/partition.py --models ecapa-512 --stem dense --batch 8

Forward passes of random weights in evaluation, on generated features. The
variants of a model are timed in turn, in one process. On a CPU the time is that
of the process on all cores, which other processes disturb less than the clock
on the wall. A multiply-add is one MAC; norms, activations and averages are not
counted.
"""

import argparse
import statistics
import time

import common  # isort: skip, first: it prepares the path
import torch
from torch.utils.flop_counter import FlopCounterMode

from petl_modules.speaker_models import EcapaPartition, ResNetPartition

MODELS = {
    "ecapa-512": (EcapaPartition, {"channels": 512}),
    "ecapa-1024": (EcapaPartition, {"channels": 1024}),
    "resnet34-128": (ResNetPartition, {"channels": (128, 128, 256, 256)}),
    "resnet34-32": (ResNetPartition, {"channels": (32, 64, 128, 256)}),
}
SUBSETS = (1, 2, 4, 8)
# What every variant has whole
DENSE = ("attention", "pooling", "pooled_norm", "embedding", "embedding_norm")
COLUMNS = {
    "model": "{model}",
    "K": "{subsets}",
    "weights": "{weights}",
    "parameters": "{parameters:,}",
    "ratio": "{parameter_ratio:.2f}",
    "trunk": "{trunk:,}",
    "pooling + FC": "{dense:,}",
    "MMACs": "{mmacs:,.1f}",
    "ratio ": "{mac_ratio:.3f}",
    "ms": "{ms:.0f}",
    "ratio  ": "{time_ratio:.2f}",
}


def variants(name, stem):
    """Return the variants of a model, from number of subsets and weights."""
    make, options = MODELS[name]
    if make is EcapaPartition:
        options = {**options, "stem": stem}
    made = {(1, "-"): make(**options).eval()}
    for subsets in SUBSETS[1:]:
        for weights in ("shared", "separate"):
            model = make(subsets=subsets, weights=weights, **options)
            made[subsets, weights] = model.eval()
    return made


def size(model, features):
    """Return parameters and MACs of a model.

    Arguments
    ---------
    model : torch.nn.Module
        The model.
    features : torch.Tensor
        ``[batch, frames, mels]``; MACs are those of one clip.

    Returns
    -------
    dict
    """
    dense = total = 0
    for key, parameter in model.named_parameters():
        total += parameter.numel()
        if key.partition(".")[0] in DENSE:
            dense += parameter.numel()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(features[:1])
    return {
        "parameters": total,
        "trunk": total - dense,
        "dense": dense,
        "mmacs": counter.get_total_flops() / 2e6,
    }


def measure(name, stem, features, repeats):
    """Return the rows of a model, in ratios to the whole model."""
    made = variants(name, stem)
    runs = {key: lambda m=model: m(features) for key, model in made.items()}
    device = features.device
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    with torch.inference_mode():
        times = common.interleaved(runs, repeats, str(device), clock)
    rows = []
    for (subsets, weights), model in made.items():
        row = {"model": name, "subsets": subsets, "weights": weights}
        row.update(size(model, features))
        whole = rows[0] if rows else row
        row["parameter_ratio"] = row["parameters"] / whole["parameters"]
        row["mac_ratio"] = row["mmacs"] / whole["mmacs"]
        row["ms"] = 1e3 * statistics.median(times[subsets, weights])
        row["time_ratio"] = common.ratio(times, (subsets, weights), (1, "-"))
        rows.append(row)
    return rows


def main(arguments=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument(
        "--stem",
        default="separate",
        choices=("shared", "separate", "dense"),
        help="of ECAPA-TDNN",
    )
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", help="where to write all values")
    chosen = parser.parse_args(arguments)
    unknown = [n for n in chosen.models.split(",") if n not in MODELS]
    if unknown:
        parser.error(f"no model {unknown[0]!r}; models: {', '.join(MODELS)}")
    torch.manual_seed(0)
    features = torch.randn(chosen.batch, chosen.frames, 80).to(chosen.device)
    rows = []
    with torch.device(chosen.device):
        for name in chosen.models.split(","):
            rows += measure(name, chosen.stem, features, chosen.repeats)
    print(common.table(rows, COLUMNS))
    facts = {key: getattr(chosen, key) for key in ("stem", "frames", "batch")}
    common.write_report(chosen.json, rows, chosen.device, **facts)


if __name__ == "__main__":
    main()
