"""Clips in a padded batch count as if each were alone."""

from functools import partial

import pytest
import soundfile
import torch
from speechbrain.dataio.batch import PaddedBatch
from test_methods import CASES, LABELS, Kind

from petl_modules.backbones import MaskedChannelNorm, Wav2Vec2, in_samples
from petl_modules.blocks import ConvPass, ForwardContext
from petl_modules.data import Waveform, longest_first, make_datasets
from petl_modules.methods import Insert, PrefixTuning, PromptTuning
from petl_modules.models import Probe, TunedEncoder

# In samples: one sample apart, twice and three times the same
LENGTHS = (3_300, 5_000, 3_301, 3_300, 4_000, 5_000, 3_300)


@pytest.fixture
def clips():
    torch.manual_seed(0)
    return [torch.randn(length) for length in LENGTHS]


def padded(clips):
    """Inputs and relative lengths as a loader gives them."""
    return tuple(PaddedBatch([{"x": clip} for clip in clips]).x)


def built(kind, case):
    """A model in eval mode with blocks that are not silent."""
    model = kind.build(case).eval()
    for block in model.encoder.inserted.values():
        for parameter in model.encoder.get_submodule(block).parameters():
            torch.nn.init.normal_(parameter, std=0.05)
    return model


@pytest.mark.covering("case", "norm")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("norm", ["group", "layer"])
def test_logits_are_those_of_the_clip_alone(case, norm, tiny_wav2vec2, clips):
    model = built(Kind(norm, tiny_wav2vec2[norm]), case)
    with torch.inference_mode():
        together = model(*padded(clips))
        alone = [model(*padded([clip])) for clip in clips]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-5)


CONVPASS = partial(ConvPass, reduction=8)
COMPOSED = {
    "sequential": [Insert(at=["ffn"], block=CONVPASS, placement="sequential")],
    "before": [Insert(at=["ffn"], block=CONVPASS, placement="before")],
    "inside": [Insert(at=["ffn_in", "ffn_out"], block=CONVPASS)],
    "prompts and prefix of some layers": [
        PromptTuning(tokens=5, deep=True, layers="last_1"),
        PrefixTuning(tokens=4, layers=[0]),
        Insert(at=["attention"], block=CONVPASS),
    ],
}


@pytest.mark.parametrize("tokens", ["all", "speech"])
@pytest.mark.parametrize("case", COMPOSED)
def test_frames_are_those_of_the_clip_alone(case, tokens, tiny_wav2vec2, clips):
    encoder = TunedEncoder(
        Wav2Vec2(tiny_wav2vec2["group"]), COMPOSED[case], tokens=tokens
    ).eval()
    for block in encoder.inserted.values():
        for parameter in encoder.get_submodule(block).parameters():
            torch.nn.init.normal_(parameter, std=0.05)
    with torch.inference_mode():
        together, mask = encoder(*padded(clips))
        assert mask.shape == together.shape[:2]
        for hidden, real, clip in zip(together, mask, clips):
            alone, _ = encoder(clip.unsqueeze(0))
            torch.testing.assert_close(
                hidden[real], alone[0], rtol=1e-5, atol=1e-5
            )


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_pooled_features_are_those_of_the_clip_alone(
    norm, tiny_wav2vec2, clips
):
    probe = Probe(built(Kind(norm, tiny_wav2vec2[norm]), "linear"))
    together = probe.pool(*padded(clips))
    alone = [probe.pool(*padded([clip])) for clip in clips]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "case", ["soft_moa", "conformer", "prefix", "lora", "full_finetuning"]
)
@pytest.mark.parametrize("norm", ["group", "layer"])
def test_gradients_are_those_of_the_clips_alone(
    case, norm, tiny_wav2vec2, clips
):
    model = built(Kind(norm, tiny_wav2vec2[norm]), case)
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    loss = model(*padded(clips)).square().sum()
    together = torch.autograd.grad(loss, trained.values())
    alone = sum(model(*padded([clip])).square().sum() for clip in clips)
    alone = torch.autograd.grad(alone, trained.values())
    for name, one, other in zip(trained, together, alone):
        error = (one - other).abs().max()
        assert error <= 1e-4 * other.abs().max() + 1e-6, name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_channel_norm_is_that_of_the_clips_alone(dtype):
    torch.manual_seed(0)
    stock = torch.nn.GroupNorm(6, 6)
    torch.nn.init.normal_(stock.weight)
    torch.nn.init.normal_(stock.bias)
    context = ForwardContext()
    norm, x = MaskedChannelNorm(stock, context), 3 + torch.randn(3, 6, 40)
    expected = stock(x.to(dtype).float()).to(dtype)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        whole = norm(x.to(dtype))
        context.lengths = torch.tensor([40, 1, 25])
        x[1, :, 1:], x[2, :, 25:] = 1e3, -1e3  # what must not count
        found = norm(x.to(dtype))
    assert whole.dtype == found.dtype == dtype
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {}
    torch.testing.assert_close(whole, expected, **close)
    torch.testing.assert_close(found[0], expected[0], **close)
    alone = stock(x[2:, :, :25].to(dtype).float()).to(dtype)
    torch.testing.assert_close(found[2:, :, :25], alone, **close)
    bias = stock.bias.detach().to(dtype)  # one frame has no variance
    torch.testing.assert_close(found[1, :, 0], bias, **close)


def test_lengths_are_those_of_the_samples():
    """Float32 lengths of any clip give back its number of samples."""
    total = 160_000
    samples = torch.arange(400, total + 1, 97)
    inputs = torch.zeros(1, total).expand(len(samples), total)
    assert torch.equal(in_samples(samples / total, inputs), samples)


# The order


def test_equal_durations_stay_in_order():
    durations = {"a": 0.5, "b": 1.0, "c": 0.25, "d": 1.0, "e": 0.5}
    records = {clip: {"duration": s} for clip, s in durations.items()}
    assert longest_first(records) == ["b", "d", "a", "e", "c"]


def test_training_clips_stay_in_order(tmp_path):
    records = {}
    for name, samples in (("a", 8_000), ("b", 9_000), ("c", 8_500)):
        soundfile.write(tmp_path / f"{name}.wav", torch.zeros(samples), 16_000)
        records[name] = {
            "wav": f"{{data_root}}/{name}.wav",
            "duration": samples / 16_000,
            "label": LABELS[0],
        }
    parts = dict.fromkeys(("train", "valid", "test"), records)
    datasets = make_datasets(parts, tmp_path, Waveform(1.0), LABELS)
    orders = {
        part: "".join(item["id"] for item in dataset)
        for part, dataset in datasets.items()
    }
    assert orders == {"train": "abc", "valid": "bca", "test": "bca"}
