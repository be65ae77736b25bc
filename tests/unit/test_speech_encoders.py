"""Encoders of speech against Hugging Face's own, and what they refuse."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils import parametrize
from transformers import (
    AutoModel,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2BertModel,
    WavLMModel,
    WhisperFeatureExtractor,
    WhisperModel,
)

from petl_modules.backbones import (
    W2vBert,
    Wav2Vec2,
    Whisper,
    input_facts,
    write_tiny,
)
from petl_modules.backbones.wavlm import distance_buckets
from petl_modules.backbones.whisper import follow_by_silence
from petl_modules.blocks import Bottleneck
from petl_modules.data import StackedFilterBank, WhisperLogMel
from petl_modules.methods import Adapted, Insert, LoRA, PrefixTuning
from petl_modules.methods.prefix_tuning import Prefix
from petl_modules.training import require_gradients
from tests.models import classifier

LABELS = list("abcd")
PROJECTIONS = ["query", "key", "value", "output"]
WAVEFORMS = [
    *("wavlm", "wavlm-large", "hubert", "unispeech", "unispeech-sat"),
    *("data2vec-audio", "mms"),
]


# Encoders of waveforms


@pytest.mark.parametrize("name", WAVEFORMS)
def test_a_clip_gives_what_it_gives_hugging_face_alone(name, tiny_encoders):
    """Whatever is in its batch."""
    encoder = tiny_encoders[name]
    inputs, lengths = encoder.batch()
    stock = AutoModel.from_pretrained(encoder.folder).eval()
    backbone = encoder.backbone().eval()
    with torch.no_grad():
        hidden = backbone(inputs, lengths)[backbone.mask(inputs, lengths)]
        clips = (encoder.alone()[0], inputs[1:])
        expected = [stock(clip).last_hidden_state[0] for clip in clips]
    torch.testing.assert_close(
        hidden, torch.cat(expected), rtol=1e-4, atol=2e-5
    )


def test_adapters_for_a_language_stay_frozen(tiny_encoders):
    model = classifier(tiny_encoders["mms"].backbone(), LABELS)
    theirs = [n for n, _ in model.named_parameters() if "adapter_layer" in n]
    assert theirs
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == (
            name.startswith("head") or ".encoder.layer_norm." in name
        )


def test_a_token_of_spec_augment_is_no_weight(tiny_encoders):
    """UniSpeech-SAT makes one even where SpecAugment is off."""
    backbone = tiny_encoders["unispeech-sat"].backbone()
    names = [name for name, _ in backbone.named_parameters()]
    assert not [name for name in names if "masked_spec_embed" in name]


# WavLM


def test_distances_fall_into_the_buckets_of_hugging_face(tiny_encoders):
    stock = WavLMModel.from_pretrained(tiny_encoders["wavlm"].folder)
    attention = stock.encoder.layers[0].attention
    distances = torch.arange(-2_000, 2_001)
    expected = attention._relative_positions_bucket(distances)
    assert torch.equal(distance_buckets(distances, 320, 800), expected)


class Merged(nn.Module):
    """A weight with LoRA's update, as a parametrisation."""

    def __init__(self, block):
        super().__init__()
        self.a = nn.Parameter(block.lora_a.weight.detach().clone())
        self.b = nn.Parameter(block.lora_b.weight.detach().clone())
        self.scaling = block.scaling

    def forward(self, weight):
        return weight + self.scaling * self.b @ self.a


@pytest.mark.parametrize("name", ["wavlm", "wavlm-large"])
def test_lora_on_wavlm_learns_as_in_the_weights_of_hugging_faces(
    name, tiny_encoders
):
    """Outputs and gradients equal those of an update in the weights."""
    encoder = tiny_encoders[name]
    method = LoRA(at=PROJECTIONS, rank=2)
    model = classifier(encoder.backbone(), LABELS, [method]).eval()
    stock = WavLMModel.from_pretrained(encoder.folder).eval()
    torch.manual_seed(2)
    pairs = []
    for place, path in model.encoder.inserted.items():
        block = model.encoder.get_submodule(path)
        nn.init.normal_(block.lora_b.weight, std=0.05)
        _, _, layer, site = place.split(".")
        attention = stock.encoder.layers[int(layer)].attention
        linear = getattr(attention, dict(zip(PROJECTIONS, NAMES))[site])
        merged = Merged(block)
        parametrize.register_parametrization(linear, "weight", merged)
        pairs += [(block.lora_a.weight, merged.a)]
        pairs += [(block.lora_b.weight, merged.b)]
    assert len(pairs) == 2 * 2 * len(PROJECTIONS)
    inputs, _ = encoder.batch()
    mine = model.encoder.backbone(inputs)
    theirs = stock(inputs).last_hidden_state
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    weight = torch.randn_like(mine)
    (mine * weight).sum().backward()
    (theirs * weight).sum().backward()
    for ours, other in pairs:
        assert other.grad.abs().max() > 1e-4
        torch.testing.assert_close(ours.grad, other.grad, rtol=1e-3, atol=1e-4)


NAMES = ["q_proj", "k_proj", "v_proj", "out_proj"]


def test_a_prefix_on_wavlm_is_seen_from_everywhere(tiny_encoders):
    """Written out: its keys and values are in front, its bias is 0."""
    folder = tiny_encoders["wavlm"].folder
    backbone = Wav2Vec2(folder).eval()
    attention = backbone.model.encoder.layers[0].attention
    stock = WavLMModel.from_pretrained(folder).encoder.layers[0].attention
    torch.manual_seed(3)
    x, prefix = torch.randn(2, 7, 128), Prefix(6, 128, bound=0.5)
    mask = torch.arange(7) < torch.tensor([[7], [4]])
    attention.prefix = prefix
    with torch.no_grad():
        found = attention(x, attention_mask=mask)[0]
        gates = stock.gru_rel_pos_linear(x.view(2, 7, 4, 32).transpose(1, 2))
        gates = gates.view(2, 4, 7, 2, 4).sum(-1).sigmoid()
        gate = gates[..., :1] * (gates[..., 1:] * stock.gru_rel_pos_const - 1.0)
        bias = (gate + 2.0) * stock.compute_bias(7, 7)
        for clip in range(2):
            q, k, v = (
                getattr(stock, name)(x[clip]).view(7, 4, 32)
                for name in NAMES[:3]
            )
            k = torch.cat([prefix.key.view(3, 4, 32), k])
            v = torch.cat([prefix.value.view(3, 4, 32), v])
            scores = torch.einsum("qhd,khd->hqk", q, k) / 32**0.5
            scores[..., 3:] += bias[clip]
            scores[..., 3:][..., ~mask[clip]] = -torch.inf
            out = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v)
            expected = stock.out_proj(out.flatten(1))
            torch.testing.assert_close(
                found[clip], expected, rtol=1e-4, atol=1e-5
            )


def test_blocks_that_an_encoder_passes_by_end_a_training(
    tiny_encoders, monkeypatch
):
    """As the library's own attention of WavLM does."""
    own = property(lambda adapted: adapted.base.weight)
    monkeypatch.setattr(Adapted, "weight", own)
    folder = tiny_encoders["wavlm"].folder
    backbone = tiny_encoders["wavlm"].backbone()
    stock = WavLMModel.from_pretrained(folder, attn_implementation="eager")
    for mine, theirs in zip(
        backbone.model.encoder.layers, stock.encoder.layers
    ):
        mine.attention = theirs.attention
    block = partial(Bottleneck, reduction=16)
    insert = Insert(at=["query"], block=block, placement="sequential")
    model = classifier(backbone, LABELS, [insert])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    require_gradients(nn.ModuleDict({"model": model}), optimizer)
    model(torch.randn(2, 2_900)).sum().backward()
    words = r"up_proj.weight \(Insert at layers.0.query of a wavlm\)"
    with pytest.raises(RuntimeError, match=f"no gradient reaches .*{words}"):
        optimizer.step()


# Whisper


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(
    "samples", [1, 100, 399, 400, 15_040, 16_000, 479_750, 480_000, 500_000]
)
def test_whispers_features_are_those_of_hugging_face(samples, normalize):
    torch.manual_seed(0)
    clip = 0.1 * torch.randn(samples) + 0.02
    theirs = WhisperFeatureExtractor()(
        clip.numpy(), sampling_rate=16_000, do_normalize=normalize
    )
    expected = torch.from_numpy(theirs["input_features"][0]).T
    mine = WhisperLogMel(seconds=None, normalize=normalize)(clip)
    real = torch.arange(3_000) < len(mine)
    filled = follow_by_silence(mine[None], real[None, :, None])[0]
    torch.testing.assert_close(filled, expected, rtol=1e-4, atol=1e-4)


def test_silence_for_whisper_is_finite():
    features = WhisperLogMel(seconds=1.0)(torch.zeros(4_000))
    assert features.eq(-1.5).all()


def test_whisper_at_its_own_length_equals_hugging_face(tiny_encoders):
    """From the waveform on, and the decoder is not loaded."""
    folder = tiny_encoders["whisper"].folder
    clip = 0.1 * torch.randn(30_000)
    theirs = WhisperFeatureExtractor()(
        clip.numpy(), sampling_rate=16_000, return_tensors="pt"
    )
    stock = WhisperModel.from_pretrained(folder).encoder.eval()
    backbone = Whisper(folder).eval()
    with torch.no_grad():
        expected = stock(theirs["input_features"]).last_hidden_state
        found = backbone(WhisperLogMel(seconds=None)(clip)[None])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    count = sum(p.numel() for p in stock.parameters())
    assert sum(p.numel() for p in backbone.parameters()) == count


def test_a_shorter_whisper_takes_the_first_positions(tiny_encoders):
    folder = tiny_encoders["whisper"].folder
    whole, short = Whisper(folder), Whisper(folder, seconds=2.0)
    positions = [b.model.embed_positions.weight for b in (whole, short)]
    assert torch.equal(positions[1], positions[0][:100])
    assert short(torch.randn(1, 200, 80)).shape[1] == 100
    assert whole.settings != short.settings


def test_the_mask_of_whisper_tells_the_clips_own_frames(tiny_encoders):
    backbone = Whisper(tiny_encoders["whisper"].folder, seconds=1.0)
    inputs = torch.zeros(3, 80, 80)
    real = backbone.mask(inputs, torch.tensor([0.5, 1.0, 0.0125]))
    assert real.shape == (3, 50)
    assert real.sum(1).tolist() == [20, 40, 1] and real[:, 0].all()
    assert backbone.mask(inputs).sum(1).tolist() == [40] * 3


def changed(folder, tmp_path, change=None, **config):
    """A copy with other weights, or another configuration."""
    for name in ("config.json", "preprocessor_config.json"):
        content = json.loads((Path(folder) / name).read_text())
        if name == "config.json":
            content |= config
        (tmp_path / name).write_text(json.dumps(content))
    state = load_file(f"{folder}/model.safetensors")
    if change:
        change(state)
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    return str(tmp_path)


def test_a_whisper_without_a_decoder_loads_and_without_a_weight_does_not(
    tiny_encoders, tmp_path
):
    folder = tiny_encoders["whisper"].folder

    def cut(state):
        for name in [n for n in state if n.startswith("model.decoder.")]:
            del state[name]

    alone = Whisper(changed(folder, tmp_path, cut), seconds=1.0)
    whole = Whisper(folder, seconds=1.0)
    assert alone.settings["weights"] == whole.settings["weights"]
    name = "model.encoder.layers.1.fc2.weight"
    folder = changed(folder, tmp_path, lambda state: state.pop(name))
    with pytest.raises(ValueError, match="lacks 1 of its weights.*fc2"):
        Whisper(folder)


@pytest.mark.parametrize("seconds", [0, -1, 0.001, 31])
def test_seconds_that_whisper_does_not_take(seconds, tiny_encoders):
    with pytest.raises(ValueError, match=f"seconds is {seconds}: "):
        Whisper(tiny_encoders["whisper"].folder, seconds)
    if seconds < 1:
        with pytest.raises(ValueError, match=f"seconds is {seconds}: "):
            WhisperLogMel(seconds)


def test_inputs_that_whisper_does_not_take(tiny_encoders):
    backbone = Whisper(tiny_encoders["whisper"].folder, seconds=1.0)
    with pytest.raises(ValueError, match="takes 80 mel bins"):
        backbone(torch.zeros(1, 100, 128))
    with pytest.raises(ValueError, match="is 1.01 s long.*takes 1.0 s"):
        backbone(torch.zeros(1, 101, 80))
    with pytest.raises(ValueError, match="sample_rate is 8000: Whisper"):
        WhisperLogMel(seconds=1.0, sample_rate=8_000)


# w2v-BERT 2.0


@pytest.mark.parametrize("samples", [560, 700, 720, 5_000, 16_000, 20_123])
def test_w2v_berts_input_and_output_are_those_of_hugging_face(
    samples, tiny_encoders
):
    folder = tiny_encoders["w2v-bert"].folder
    torch.manual_seed(0)
    clip = 0.1 * torch.randn(samples) + 0.02
    theirs = SeamlessM4TFeatureExtractor()(
        clip.numpy(), sampling_rate=16_000, return_tensors="pt"
    )
    real = theirs["attention_mask"][0].bool()
    mine = StackedFilterBank(seconds=None)(clip)
    torch.testing.assert_close(
        mine, theirs["input_features"][0, real], rtol=1e-3, atol=1e-3
    )
    stock = Wav2Vec2BertModel.from_pretrained(folder).eval()
    backbone = W2vBert(folder).eval()
    with torch.no_grad():
        expected = stock(**theirs).last_hidden_state[0, real]
        found = backbone(mine[None])[0]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_a_clip_too_short_for_w2v_bert_is_padded():
    assert StackedFilterBank(seconds=1.0)(torch.randn(10)).shape == (1, 160)
    raw = StackedFilterBank(seconds=1.0, normalize=False)(torch.randn(4_000))
    assert raw.mean() > 5  # logarithms of 16-bit energies
    with pytest.raises(ValueError, match="seconds is 0.01: at least 0.035"):
        StackedFilterBank(seconds=0.01)


def test_positions_that_w2v_bert_does_not_take(tiny_encoders, tmp_path):
    write_tiny("w2v-bert", tmp_path / "tiny")
    file = tmp_path / "tiny" / "config.json"
    config = json.loads(file.read_text())
    config["position_embeddings_type"] = None
    file.write_text(json.dumps(config))
    state = load_file(tmp_path / "tiny" / "model.safetensors")
    state = {n: v for n, v in state.items() if "distance_emb" not in n}
    save_file(state, tmp_path / "tiny" / "model.safetensors")
    with pytest.raises(ValueError, match="take one with 'relative_key'"):
        W2vBert(str(tmp_path / "tiny"))
    backbone = tiny_encoders["w2v-bert"].backbone()
    with pytest.raises(ValueError, match="takes 160 for each frame"):
        backbone(torch.zeros(1, 10, 80))


def test_the_final_norm_of_w2v_bert_is_that_of_the_last_layer(tiny_encoders):
    backbone = tiny_encoders["w2v-bert"].backbone()
    layers = backbone.model.encoder.layers
    assert backbone.sites.module("final_norm") is layers[1].final_layer_norm


# Preprocessors


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("wavlm", {"do_normalize": True}),
        ("data2vec-audio", {"do_normalize": True}),
        ("w2v-bert", {"do_normalize": True, "mel_bins": 80}),
        ("whisper", {"do_normalize": False, "mel_bins": 80}),
    ],
)
def test_what_a_checkpoint_says_of_its_input(
    name, facts, tiny_encoders, tmp_path
):
    folder = tiny_encoders[name].folder
    found = input_facts(folder)
    assert found.stated and found.values == {"sample_rate": 16_000, **facts}
    copy = Path(changed(folder, tmp_path))
    (copy / "preprocessor_config.json").unlink()
    found = input_facts(str(copy))
    assert not found.stated and found.values["sample_rate"] == 16_000


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [("whisper", "hop_length", 320), ("w2v-bert", "stride", 4)],
)
def test_features_that_are_not_known(name, key, value, tiny_encoders, tmp_path):
    copy = Path(changed(tiny_encoders[name].folder, tmp_path))
    file = copy / "preprocessor_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
    with pytest.raises(ValueError, match=f"{key} is {value}, and the features"):
        input_facts(str(copy))


def test_a_whisper_of_other_mel_bins_than_its_preprocessor(
    tiny_encoders, tmp_path
):
    copy = Path(changed(tiny_encoders["whisper"].folder, tmp_path))
    file = copy / "preprocessor_config.json"
    content = {**json.loads(file.read_text()), "feature_size": 128}
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="says 128 mel bins, and config.json"):
        input_facts(str(copy))


# Counts in closed form

D, INNER, LAYERS, RANK, R = 128, 256, 2, 6, 8
LORA = 2 * LAYERS * 2 * D * RANK
PREFIX = LAYERS * 4 * D
LINEAR = LAYERS * (4 * D + INNER + D)  # biases of linear layers
NORMS = LAYERS * 2 * D + D  # biases of norms, the last one among them
BIASES = {
    "hubert": LINEAR + NORMS,
    "data2vec-audio": LINEAR + NORMS,
    "wavlm": LINEAR + NORMS + LAYERS * 8,  # of the gate
    "wavlm-large": LINEAR + NORMS + LAYERS * 8,
    # Two feed-forwards; six norms, two of them in the convolution
    "w2v-bert": LAYERS * (4 * D + 2 * (INNER + D) + 6 * D),
    "whisper": LINEAR + NORMS - LAYERS * D,  # keys have none
}


@pytest.mark.parametrize("name", BIASES)
def test_counts(name, tiny_encoders):
    encoder = tiny_encoders[name]

    def count(methods=(), **settings):
        model = classifier(
            encoder.backbone(), LABELS, methods, train_norms=False, **settings
        )
        return model.count_parameters()["petl_parameters"]

    assert count([LoRA(at=["query", "value"], rank=RANK)]) == LORA
    assert count([PrefixTuning(tokens=4)]) == PREFIX
    assert count(train_backbone="biases") == BIASES[name]
    assert count() == 0
