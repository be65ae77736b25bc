"""Encoder, pooling and head: hidden states of all layers, and new tasks."""

import copy
import pickle
import re
from functools import partial

import pytest
import torch
from test_methods import LABELS
from torch import nn

from petl_modules.backbones import AST, Wav2Vec2
from petl_modules.blocks import Bottleneck
from petl_modules.methods import Insert, PromptTuning
from petl_modules.models import (
    MeanPooling,
    TunedEncoder,
    TunedModel,
    load_trained,
    save_trained,
    trained_state,
)
from petl_modules.utils import CheckpointError, HparamsError
from tests.models import classifier

LENGTHS = torch.tensor([0.5, 1.0])


def prompts(deep=True):
    return PromptTuning(tokens=3, deep=deep)


def encoder(kind, methods=(), **settings):
    torch.manual_seed(0)
    made = TunedEncoder(kind.backbone(), list(methods), **settings)
    torch.manual_seed(2)
    for path in made.inserted.values():
        for parameter in made.get_submodule(path).parameters():
            nn.init.normal_(parameter, std=0.05)
    return made


# Hidden states


def states_of_hugging_face(backbone, inputs):
    """The states of a backbone without methods, layer by layer."""
    states = []
    layers = backbone.model.get_submodule(backbone.sites.layout.layers)
    hooks = [
        layers[0].register_forward_pre_hook(
            lambda layer, args: states.append(args[0])
        )
    ]
    x = backbone(inputs)
    hooks[0].remove()
    for layer in layers[:-1]:
        out = layer(states[-1])
        states.append(out[0] if isinstance(out, tuple) else out)
    return [*states, x]


def test_states_of_all_layers_are_those_of_a_loop_over_them(kind):
    made, inputs = encoder(kind).eval(), kind.inputs()
    with torch.no_grad():
        states, mask = made(inputs, all_layers=True)
        last, _ = made(inputs)
        expected = states_of_hugging_face(kind.backbone().eval(), inputs)
    assert mask is None and len(states) == 1 + made.backbone.sites.n_layers
    assert torch.equal(states[-1], last)
    for one, other in zip(states, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("tokens", ["prompts", "speech", "prompts+speech"])
def test_states_have_the_chosen_tokens_in_every_layer(tokens, deep, kind):
    chosen = encoder(kind, [prompts(deep)], tokens=tokens).eval()
    every = encoder(kind, [prompts(deep)]).eval()
    with torch.no_grad():
        states, _ = chosen(kind.inputs(), all_layers=True)
        wholes, _ = every(kind.inputs(), all_layers=True)
    start = every.backbone.sites.layout.tokens_before_prompts
    part = {
        "prompts": slice(start, start + 3),
        "speech": slice(start + 3, None),
        "prompts+speech": slice(start, None),
    }[tokens]
    for state, whole in zip(states, wholes, strict=True):
        assert torch.equal(state, whole[:, part])
    if tokens == "prompts":  # those of the method itself, in the first layer
        block = chosen.get_submodule(chosen.inserted["0.layers.0"])
        assert torch.equal(states[0][0], block.tokens)


@pytest.mark.parametrize("recompute", ["feed_forward", "layer"])
def test_states_survive_activation_checkpointing(recompute, kind):
    gradients = []
    for choice in ("none", recompute):
        made = encoder(
            kind,
            [Insert(at=["ffn"], block=Bottleneck), prompts()],
            hidden_states="weighted",
            train_norms=False,
            recompute=choice,
        ).train()
        hidden, _ = made(kind.inputs())
        hidden.square().sum().backward()
        assert made._layers.states is None
        gradients.append(
            {n: p.grad for n, p in made.named_parameters() if p.requires_grad}
        )
    plain, again = (list(found.values()) for found in gradients)
    assert len(plain) == len(again)
    torch.testing.assert_close(again, plain, rtol=1e-4, atol=1e-4)


def test_weighted_sum_starts_as_the_mean_and_is_trained(kind):
    made = encoder(kind, hidden_states="weighted", train_norms=False).train()
    states, _ = made(kind.inputs(), all_layers=True)
    hidden, _ = made(kind.inputs())
    torch.testing.assert_close(hidden, torch.stack(states).mean(0))
    hidden.square().sum().backward()
    assert made.layer_sum.weights.grad.abs().min() > 0
    with torch.no_grad():
        made.layer_sum.weights[1] = 50.0  # all of the sum
    torch.testing.assert_close(made(kind.inputs())[0], states[1])


def test_weights_of_the_layers_are_saved_and_counted(kind, tmp_path):
    model = classifier(
        kind.backbone(), LABELS, hidden_states="weighted", train_norms=False
    )
    layers = model.encoder.backbone.sites.n_layers
    assert trained_state(model)["layer_weights"].shape == (1 + layers,)
    assert model.count_parameters()["petl_parameters"] == 1 + layers
    nn.init.normal_(model.encoder.layer_sum.weights)
    save_trained(model, tmp_path / "model")
    other = classifier(
        kind.backbone(), LABELS, hidden_states="weighted", train_norms=False
    )
    load_trained(other, tmp_path / "model")
    inputs = kind.inputs()
    assert torch.equal(other.eval()(inputs), model.eval()(inputs))
    last = classifier(kind.backbone(), LABELS, train_norms=False)
    with pytest.raises(CheckpointError, match="hidden_states: 'weighted' in"):
        load_trained(last, tmp_path / "model")


@pytest.mark.parametrize(
    "clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies_record_their_own_states(clone, kind):
    made = encoder(kind, hidden_states="weighted").eval()
    twin, inputs = clone(made), kind.inputs()
    before = made(inputs)[0]
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(1.1)
    assert torch.equal(made(inputs)[0], before)
    assert not torch.equal(twin(inputs)[0], before)


def test_weighted_sum_compiles_without_a_graph_break(tiny_ast):
    made = TunedEncoder(
        AST(tiny_ast, 100), [prompts()], hidden_states="weighted"
    ).eval()
    inputs = torch.randn(2, 100, 128)
    torch._dynamo.reset()
    compiled = torch.compile(made, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        torch.testing.assert_close(
            compiled(inputs)[0], made(inputs)[0], rtol=1e-4, atol=1e-5
        )


def test_prompts_of_later_layers_alone_have_no_common_states(tiny_ast):
    late = PromptTuning(tokens=3, deep=True, layers="last_1")
    refused = pytest.raises(HparamsError, match="'layers: all'.* 'last_1'")
    with refused:
        TunedEncoder(AST(tiny_ast, 100), [late], hidden_states="weighted")
    made = TunedEncoder(AST(tiny_ast, 100), [late])
    with refused:
        made(torch.randn(1, 100, 128), all_layers=True)
    made(torch.randn(1, 100, 128))


def test_no_such_hidden_states(tiny_ast):
    with pytest.raises(HparamsError, match="hidden_states 'first' is none of"):
        TunedEncoder(AST(tiny_ast, 100), hidden_states="first")


@pytest.mark.parametrize("method", [3, {"rank": 2}, "LoRA"])
def test_no_such_method(method, tiny_ast):
    with pytest.raises(HparamsError, match="takes a list of methods.* is none"):
        TunedEncoder(AST(tiny_ast, 100), [method])


# Other tasks


def per_frame(encoder):
    return TunedModel(encoder, partial(nn.Linear, out_features=6))


def test_a_head_for_each_frame_needs_tokens_in_the_order_of_time(tiny_ast):
    encoder = TunedEncoder(AST(tiny_ast, 100), tokens="speech")
    with pytest.raises(HparamsError, match="order of time: .* Add a pooling"):
        per_frame(encoder)


@pytest.mark.parametrize("tokens", ["all", "prompts", "prompts+speech"])
def test_a_head_for_each_frame_reads_no_prompts(tokens, tiny_wav2vec2):
    backbone = Wav2Vec2(tiny_wav2vec2["group"])
    text = f"tokens '{tokens}': a head for each frame reads 'speech' alone"
    with pytest.raises(HparamsError, match=re.escape(text)):
        per_frame(TunedEncoder(backbone, [prompts()], tokens=tokens))


def test_without_prompts_all_tokens_are_frames(tiny_wav2vec2):
    model = per_frame(TunedEncoder(Wav2Vec2(tiny_wav2vec2["group"])))
    assert model(torch.randn(1, 16_000))[0].shape == (1, 49, 6)


def test_recognition_trains_frames_by_ctc(tiny_wav2vec2):
    """A head for each frame: prompts are stripped, and still trained."""
    torch.manual_seed(0)
    encoder = TunedEncoder(
        Wav2Vec2(tiny_wav2vec2["group"]),
        [PromptTuning(tokens=4, deep=True)],
        tokens="speech",
        train_norms=False,
    )
    head = partial(nn.Linear, out_features=6)
    model = TunedModel(encoder, head, must_match={"tokens": list("_abcde")})
    waveforms = torch.randn(2, 16_000)
    waveforms[0, 8_000:] = 0
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-2)
    losses = []
    for _ in range(5):
        logits, mask = model.train()(waveforms, LENGTHS)
        assert logits.shape == (2, 49, 6) and mask.shape == (2, 49)
        frames = mask.sum(1)
        assert frames.tolist() == [24, 49]
        loss = nn.functional.ctc_loss(
            logits.log_softmax(-1).transpose(0, 1),
            torch.tensor([[1, 2, 0], [3, 4, 5]]),
            frames,
            torch.tensor([2, 3]),
        )
        optimizer.zero_grad()
        loss.backward()
        for parameter in parameters:
            assert parameter.grad.abs().max() > 0
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    model.eval()
    with torch.no_grad():  # a padded clip is the clip alone
        both = model(waveforms, LENGTHS)[0][:1, :24]
        alone = model(waveforms[:1, :8_000])[0]
    torch.testing.assert_close(both, alone, rtol=1e-4, atol=1e-5)
    with pytest.raises(TypeError, match="no pooling"):
        model.embed(waveforms, LENGTHS)


class CosineHead(nn.Module):
    """Cosines between the embedding and one vector a speaker."""

    def __init__(self, width, speakers):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(speakers, width))

    def forward(self, embedding):
        return nn.functional.linear(
            nn.functional.normalize(embedding, dim=-1),
            nn.functional.normalize(self.weight, dim=-1),
        )


class StatisticsPooling(nn.Module):
    """Mean and standard deviation over real tokens, projected."""

    def __init__(self, d_model, size):
        super().__init__()
        self.project = nn.Linear(2 * d_model, size)

    def width(self, d_model):
        return self.project.out_features

    def forward(self, hidden, mask=None):
        mean = MeanPooling()(hidden, mask)
        square = MeanPooling()(hidden.square(), mask)
        std = (square - mean.square()).clamp(min=1e-6).sqrt()
        return self.project(torch.cat([mean, std], -1))


def verifier(folder):
    encoder = TunedEncoder(
        Wav2Vec2(folder),
        [Insert(at=["ffn"], block=Bottleneck)],
        tokens="speech",
        hidden_states="weighted",
    )
    return TunedModel(
        encoder,
        partial(CosineHead, speakers=5),
        StatisticsPooling(encoder.d_model, 16),
        {"speakers": [*"abcde"]},
    )


def test_verification_embeds_clips_for_trials(tiny_wav2vec2, tmp_path):
    """A trained pooling and a cosine head; trials score embeddings."""
    torch.manual_seed(0)
    model = verifier(tiny_wav2vec2["group"]).train()
    waveforms = torch.randn(2, 16_000)
    waveforms[0, 8_000:] = 0
    cosines = model(waveforms, LENGTHS)
    assert cosines.shape == (2, 5) and cosines.abs().max() <= 1 + 1e-6
    loss = nn.functional.cross_entropy(30 * cosines, torch.tensor([1, 4]))
    loss.backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    model.eval()
    with torch.no_grad():
        embeddings = model.embed(waveforms, LENGTHS)
        alone = model.embed(waveforms[:1, :8_000])
    assert embeddings.shape == (2, 16)
    torch.testing.assert_close(embeddings[:1], alone, rtol=1e-4, atol=1e-5)

    names = trained_state(model).keys()
    assert {"pooling.project.weight", "head.weight", "layer_weights"} <= names
    save_trained(model, tmp_path / "model")
    other = verifier(tiny_wav2vec2["group"]).eval()
    load_trained(other, tmp_path / "model")
    with torch.no_grad():
        assert torch.equal(other.embed(waveforms, LENGTHS), embeddings)
    counts = model.count_parameters()
    own = sum(
        p.numel()
        for part in (model.pooling, model.head)
        for p in part.parameters()
    )
    assert counts["trainable_parameters"] - counts["petl_parameters"] == own
    other.must_match = {"speakers": [*"abcdf"]}
    with pytest.raises(CheckpointError, match=r"speakers\[4\]: 'e' in the"):
        load_trained(other, tmp_path / "model")
