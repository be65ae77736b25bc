"""wav2vec 2.0 and HuBERT: loading, frames, padding."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_methods import LABELS, Kind
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    HubertConfig,
    HubertModel,
    Wav2Vec2ForCTC,
    Wav2Vec2Model,
)

from petl_modules.backbones import AST, Wav2Vec2, write_tiny_wav2vec2
from petl_modules.backbones.__main__ import main
from petl_modules.data import Waveform
from tests.models import classifier

SHORT, LONG = 3_300, 5_000


@pytest.fixture(params=["group", "layer"])
def folder(request, tiny_wav2vec2):
    return tiny_wav2vec2[request.param]


@pytest.fixture
def padded():
    """A short clip and a long one, and their relative lengths."""
    torch.manual_seed(0)
    waveforms = torch.randn(2, LONG)
    waveforms[0, SHORT:] = 0
    return waveforms, torch.tensor([SHORT / LONG, 1.0])


# Padding


def test_group_norm_model_pools_what_hugging_face_gives_for_a_clip_alone(
    tiny_wav2vec2, padded
):
    folder = tiny_wav2vec2["group"]
    model = classifier(Wav2Vec2(folder), LABELS).train()
    stock = Wav2Vec2Model.from_pretrained(folder, attn_implementation="sdpa")
    stock, (waveforms, lengths) = stock.eval(), padded
    with torch.no_grad():
        means = [
            stock(clip.unsqueeze(0)).last_hidden_state[0].mean(0)
            for clip in (waveforms[0, :SHORT], waveforms[1])
        ]
        expected = model.head(torch.stack(means))
        out = model(waveforms, lengths)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-6)


def test_layer_norm_model_equals_hugging_face_with_its_mask(
    tiny_wav2vec2, padded
):
    folder = tiny_wav2vec2["layer"]
    stock = Wav2Vec2Model.from_pretrained(folder, attn_implementation="sdpa")
    waveforms, lengths = padded
    mask = torch.ones(2, LONG, dtype=torch.long)
    mask[0, SHORT:] = 0
    backbone = Wav2Vec2(folder).eval()
    with torch.no_grad():
        expected = stock.eval()(waveforms, attention_mask=mask)
        hidden = backbone(waveforms, lengths)
    real = backbone.mask(waveforms, lengths)
    torch.testing.assert_close(
        hidden[real], expected.last_hidden_state[real], rtol=1e-5, atol=1e-6
    )


def test_frames_are_those_of_hugging_face(folder):
    backbone = Wav2Vec2(folder)
    samples = torch.arange(400, 20_000, 37)
    theirs = backbone.model._get_feat_extract_output_lengths(samples)
    assert torch.equal(backbone.frames(samples), theirs)


def test_a_clip_below_one_frame_counts_as_one(folder):
    """It is padded to what the convolutions need, and no further."""
    model = classifier(Wav2Vec2(folder), LABELS).eval()
    torch.manual_seed(0)
    waveforms = torch.zeros(2, LONG)
    waveforms[0, :50], waveforms[1] = torch.randn(50), torch.randn(LONG)
    shortest = next(
        n for n in range(LONG) if model.encoder.backbone.frames(n) > 0
    )
    with torch.no_grad():
        together = model(waveforms, torch.tensor([50 / LONG, 1.0]))
        alone = model(waveforms[:1, :shortest])
    torch.testing.assert_close(together[:1], alone, rtol=1e-5, atol=1e-5)


def test_the_mask_counts_the_frames_of_each_clip(folder):
    backbone = Wav2Vec2(folder)
    lengths = torch.tensor([0.5, 1.0, 0.001])
    real = backbone.mask(torch.zeros(3, 8_000), lengths)
    frames = [backbone.frames(n) for n in (4_000, 8_000)]
    assert real.sum(1).tolist() == [*frames, 1]
    assert real[:, 0].all()
    assert backbone.mask(torch.zeros(3, 8_000)) is None


def test_relative_lengths_are_rounded_to_samples(folder):
    """Float32 lengths of any clip give back its number of samples."""
    backbone = Wav2Vec2(folder)
    total = 160_000
    samples = torch.arange(400, total + 1, 97)
    lengths = samples / total
    frames = backbone.frames(samples)
    real = backbone.mask(torch.zeros(1, total), lengths)
    assert torch.equal(real.sum(1), frames)


def test_too_short_waveforms_are_an_error(folder):
    with pytest.raises(ValueError, match="too short for one frame"):
        Wav2Vec2(folder)(torch.zeros(2, 100))


def test_waveforms_of_another_shape_are_an_error(folder):
    with pytest.raises(ValueError, match="of another shape"):
        Wav2Vec2(folder)(torch.zeros(2, 500, 128))


# Loading


def test_a_checkpoint_of_a_recogniser_loads(tiny_wav2vec2, tmp_path):
    """As base-960h: a CTC model, no mask embedding, old weight norm names."""
    source = Wav2Vec2ForCTC.from_pretrained(tiny_wav2vec2["group"])
    source.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    del state["wav2vec2.masked_spec_embed"]
    conv = "wav2vec2.encoder.pos_conv_embed.conv."
    for place, name in enumerate(("weight_g", "weight_v")):
        old = f"{conv}parametrizations.weight.original{place}"
        state[conv + name] = state.pop(old)
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    x = torch.randn(1, LONG)
    expected = Wav2Vec2(tiny_wav2vec2["group"]).eval()(x)
    assert torch.equal(Wav2Vec2(str(tmp_path)).eval()(x), expected)


def test_its_own_masking_and_layer_dropping_are_off(folder):
    config = Wav2Vec2(folder).model.config
    assert config.layerdrop == 0 and not config.apply_spec_augment
    assert not hasattr(Wav2Vec2(folder).model, "masked_spec_embed")


def test_full_fine_tuning_trains_every_weight(folder):
    model = classifier(Wav2Vec2(folder), LABELS, train_backbone="all").train()
    model(torch.randn(2, LONG)).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_a_missing_weight_is_an_error(tiny_wav2vec2, tmp_path):
    model = Wav2Vec2Model.from_pretrained(tiny_wav2vec2["group"])
    model.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    state.pop("encoder.layers.1.attention.q_proj.weight")
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="lacks 1 of its weights.*q_proj"):
        Wav2Vec2(str(tmp_path))


def test_a_weight_that_is_not_finite_is_an_error(tiny_wav2vec2, tmp_path):
    model = Wav2Vec2Model.from_pretrained(tiny_wav2vec2["group"])
    model.encoder.layers[1].attention.q_proj.weight.data[3, 2] = torch.nan
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="is damaged: .*q_proj.weight has"):
        Wav2Vec2(str(tmp_path))


def test_backbones_of_another_kind_are_refused(tiny_ast, folder):
    with pytest.raises(ValueError, match="is a 'audio-spec.*takes 'wav2vec2'"):
        Wav2Vec2(tiny_ast)
    with pytest.raises(ValueError, match="is a 'wav2vec2'.*takes 'audio-spec"):
        AST(folder, frames=100)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_hubert_has_the_same_layout(pre_norm, tmp_path):
    torch.manual_seed(0)
    config = HubertConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        conv_dim=(16, 16, 16, 16),
        conv_kernel=(10, 4, 4, 4),
        conv_stride=(5, 4, 4, 4),
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
        do_stable_layer_norm=pre_norm,
        feat_extract_norm="layer" if pre_norm else "group",
    )
    HubertModel(config).save_pretrained(tmp_path)
    kind = Kind("hubert", str(tmp_path))
    inputs = kind.inputs()
    stock = HubertModel.from_pretrained(tmp_path, attn_implementation="sdpa")
    model = kind.build("linear").eval()
    sites = model.encoder.backbone.sites
    for site, path in sites.layout.sites.items():
        assert sites.module(f"layers.1.{site}") is not None, path
    with torch.no_grad():
        hidden = stock.eval()(inputs).last_hidden_state
        torch.testing.assert_close(
            model(inputs), model.head(hidden.mean(1)), rtol=1e-5, atol=1e-6
        )
        padded = torch.stack([inputs[0], inputs[1].clone()])
        padded[1, SHORT:] = 0
        lengths = torch.tensor([1.0, SHORT / inputs.shape[1]])
        alone = model(inputs[1:2, :SHORT])
        torch.testing.assert_close(
            model(padded, lengths)[1:], alone, rtol=1e-5, atol=1e-5
        )
    changes = {"reduction": 8}
    for case in ("soft_moa", "conformer", "lora", "prefix", "prompt_deep"):
        sizes = changes if case in ("soft_moa", "conformer") else {}
        model = kind.from_yaml(case, **sizes).train()
        model(inputs).square().sum().backward()
        for name, parameter in model.named_parameters():
            assert (parameter.grad is not None) == parameter.requires_grad, name


def test_hubert_that_makes_sounds_of_padding_is_refused(tmp_path):
    config = HubertConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_pos_batch_norm=True,
    )
    HubertModel(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has conv_pos_batch_norm"):
        Wav2Vec2(str(tmp_path))


# Last layers


@pytest.mark.parametrize(("count", "layers"), [(1, {1}), (2, {0, 1})])
def test_the_last_layers_are_trained(folder, count, layers):
    model = classifier(
        Wav2Vec2(folder),
        LABELS,
        train_backbone=f"last_{count}",
        train_norms=False,
    )
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    prefixes = tuple(
        f"encoder.backbone.model.encoder.layers.{i}." for i in layers
    )
    expected = {
        n for n, _ in model.named_parameters() if n.startswith(prefixes)
    }
    assert trained == expected | {"head.weight", "head.bias"}


@pytest.mark.parametrize("choice", ["last_0", "last_3", "last_", "last_x", "2"])
def test_layers_that_are_not_there(folder, choice):
    with pytest.raises(ValueError, match=f"train_backbone '{choice}'"):
        classifier(Wav2Vec2(folder), LABELS, train_backbone=choice)


def test_there_is_no_cls_token(folder):
    with pytest.raises(ValueError, match="has no CLS token"):
        classifier(Wav2Vec2(folder), LABELS, pooling="cls")


# Input


def test_waveform_is_normalised_as_hugging_face_does():
    from transformers import Wav2Vec2FeatureExtractor

    samples = 0.1 * torch.randn(12_345) + 0.02
    theirs = Wav2Vec2FeatureExtractor(do_normalize=True)(
        samples.numpy(), sampling_rate=16_000, return_tensors="pt"
    )
    torch.testing.assert_close(
        Waveform(seconds=1)(samples),
        theirs.input_values[0],
        rtol=1e-4,
        atol=1e-5,
    )


def test_waveform_is_cut_and_padded():
    wave = Waveform(seconds=0.5, normalize=False)
    samples = torch.arange(10_000.0)
    assert torch.equal(wave(samples), samples[:8_000])
    assert wave(samples[:100]).tolist() == [*range(100), *[0] * 300]


def test_silence_stays_finite():
    assert Waveform(seconds=1)(torch.zeros(500)).eq(0).all()


# The command line


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_command_line_writes_a_tiny_one(norm, tmp_path, capsys):
    main(["tiny-wav2vec2", str(tmp_path / "new"), "--norm", norm])
    config = json.loads((tmp_path / "new" / "config.json").read_text())
    assert config["feat_extract_norm"] == norm
    assert str(tmp_path / "new") in capsys.readouterr().out
    with pytest.raises(SystemExit, match="not empty"):
        main(["tiny-wav2vec2", str(tmp_path / "new")])


def test_tiny_one_is_the_same_every_time(tiny_wav2vec2, tmp_path):
    write_tiny_wav2vec2(tmp_path / "again")
    states = [
        load_file(f"{folder}/model.safetensors")
        for folder in (tiny_wav2vec2["group"], tmp_path / "again")
    ]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


@pytest.mark.parametrize("seconds", [0, -1, 0.01])
def test_seconds_that_make_no_frame(seconds):
    with pytest.raises(ValueError, match=f"seconds is {seconds}: at least"):
        Waveform(seconds=seconds)


class Reads(TorchDispatchMode):
    """Notes what makes a program wait for its device."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func == torch.ops.aten._local_scalar_dense.default:
            self.found.append(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("case", ["soft_moa", "prefix", "prompt_deep"])
def test_no_look_at_the_mask(case, folder, padded):
    norm = "layer" if folder.endswith("layer") else "group"
    model = Kind(norm, folder).build(case)
    with Reads() as reads:
        model(*padded)
    assert reads.found == []
