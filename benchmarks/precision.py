"""Effect of bf16 and float16 on the logits.

    python benchmarks/precision.py --frames 500

Against float32 throughout: the frozen backbone in bfloat16 and in NF4, and
features that were cached in float16. Generated sounds, an AST of the published size with
random weights, also in the inserted blocks and the head.
"""

import argparse
import tempfile

import common  # isort: skip, first: it prepares the path
import torch

from petl_modules.data import FilterBank, read_audio
from petl_modules.miniatures.corpus import write_miniature

COLUMNS = {
    "method": "{method}",
    "instead of float32": "{what}",
    "largest difference / std of the logits": "{largest:.1e}",
    "mean difference / std": "{mean:.1e}",
    "same first class": "{same:.0%}",
}

DTYPES = {"bfloat16": "bf16 backbone", "nf4": "NF4 backbone"}


def make_model(method, backbone, frames, **changes):
    """Build a model with the same weights in each call, but for the changes."""
    torch.manual_seed(0)
    model = common.make_model("ast", method, backbone, frames, **changes)
    common.draw_blocks(model)
    return model.eval()


def compare(method, what, found, expected):
    """Return one row of the table."""
    difference = (found - expected).abs() / expected.std()
    same = found.argmax(-1) == expected.argmax(-1)
    return {
        "method": method,
        "what": what,
        "largest": difference.max().item(),
        "mean": difference.mean().item(),
        "same": same.float().mean().item(),
    }


def main():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", default="linear,lora,soft_moa")
    parser.add_argument("--frames", type=int, default=500, help="of 10 ms")
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--json", metavar="FILE", help="write the rows there")
    chosen = parser.parse_args()
    rows, bank = [], FilterBank(chosen.frames)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        corpus = write_miniature("ESC50", f"{folder}/ESC-50-master", takes=1)
        wavs = sorted(corpus.rglob("*.wav"))[: chosen.clips]
        inputs = torch.stack([bank(read_audio(wav)) for wav in wavs])
        common.write_backbone("ast", f"{folder}/ast")
        for method in chosen.methods.split(","):
            args = (method, f"{folder}/ast", chosen.frames)
            model = make_model(*args)
            expected = model(inputs)
            halved = model(inputs.half().float())
            rows.append(compare(method, "fp16 cache", halved, expected))
            for dtype, what in DTYPES.items():
                rounded = make_model(*args, backbone_dtype=dtype)(inputs)
                rows.append(compare(method, what, rounded, expected))
    print(common.table(rows, COLUMNS))
    common.write_report(chosen.json, rows, frames=chosen.frames)


if __name__ == "__main__":
    main()
