"""The upper layers on states of the lower ones are the whole model."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from petl_modules.backbones import AST, Wav2Vec2, stages
from petl_modules.blocks import Bottleneck, Conformer
from petl_modules.methods import Insert, LoRA, PrefixTuning, PromptTuning
from petl_modules.models import Ladder, LayerSum, UpperLayers
from tests.encoders import ENCODERS
from tests.models import classifier

LABELS = ["cat", "dog", "owl"]
FRAMES = 64
KINDS = ("ast", "wav2vec2", "wav2vec2-large", *ENCODERS)


def inserted(layers):
    block = partial(Bottleneck, reduction=16)
    return Insert(at=["attention", "ffn"], block=block, layers=layers)


LADDER = partial(Ladder, reduction=8)
# By name: methods, settings, the layer of two that the states enter
CASES = {
    "adapter": ([inserted("last_1")], {}, 1),
    "lora": ([LoRA(at=["query"], rank=2, alpha=2.0, layers=[1])], {}, 1),
    "prefix": ([PrefixTuning(tokens=4, layers="last_1")], {}, 1),
    "prompts": ([PromptTuning(tokens=3, deep=True, layers="last_1")], {}, 1),
    "ipet": (
        [PromptTuning(tokens=3, deep=True, layers=[1]), inserted("last_1")],
        {"pooling": "prompts+speech"},
        1,
    ),
    "convolution": (
        [
            Insert(
                at=["ffn"],
                block=partial(Conformer, reduction=16, kernel_size=3),
                layers="last_1",
            )
        ],
        {},
        1,
    ),
    "last layer": ([], {"train_backbone": "last_1"}, 1),
    "recomputed": ([inserted("last_1")], {"recompute": "layer"}, 1),
    "all layers": ([inserted("all")], {}, 0),
    "all prompts": ([PromptTuning(tokens=3, deep=True)], {}, 0),
    "biases": ([], {"train_backbone": "biases"}, 0),
    "nothing": ([], {}, 2),
    "last sum": (
        [],
        {
            "hidden_states": partial(
                LayerSum, layers="last_1", first_input=False
            )
        },
        2,
    ),
    "sum of all": ([], {"hidden_states": "weighted"}, 2),
    "ladder": ([], {"hidden_states": LADDER}, 2),
    "ladder and adapter": ([inserted("last_1")], {"hidden_states": LADDER}, 1),
    "sum and adapter": (
        [inserted("last_1")],
        {"hidden_states": partial(LayerSum, layers="all", first_input=False)},
        1,
    ),
}


class Encoder:
    """A small encoder and a batch of a short clip and a long one."""

    def __init__(self, name, folder, tiny):
        self.name, self.folder, self.tiny = name, folder, tiny

    def backbone(self):
        if self.name == "ast":
            return AST(self.folder, FRAMES)
        if self.tiny:
            return self.tiny.backbone()
        return Wav2Vec2(self.folder)

    def clips(self):
        """Features of two clips, each of its own length."""
        if self.name == "ast":
            torch.manual_seed(1)
            return list(torch.randn(2, FRAMES, 128))
        if not self.tiny:
            torch.manual_seed(1)
            return [torch.randn(1_700), torch.randn(2_900)]
        inputs, lengths = self.tiny.batch()
        return [
            x[: round(n * len(x))] for x, n in zip(inputs, lengths.tolist())
        ]

    def model(self, case):
        methods, settings, _ = CASES[case]
        norms = {"train_norms": self.name == "ast"}
        settings = {"pooling": "speech", **norms, **settings}
        torch.manual_seed(0)
        model = classifier(self.backbone(), LABELS, methods, **settings)
        for path in model.encoder.inserted.values():  # as if it were trained
            for p in model.encoder.get_submodule(path).parameters():
                nn.init.normal_(p, std=0.1)
        if isinstance(model.encoder.layer_sum, Ladder):
            nn.init.normal_(model.encoder.layer_sum.up.weight, std=0.1)
        return model


@pytest.fixture
def encoder(request, folder_of, tiny_encoders):
    name = request.param
    return Encoder(name, folder_of[name], tiny_encoders.get(name))


def padded(clips):
    """A batch and relative lengths, as SpeechBrain pads it."""
    lengths = torch.tensor([len(clip) for clip in clips])
    batch = pad_sequence(clips, batch_first=True)
    return batch, lengths / batch.shape[1]


def stored(upper, clips):
    """The states of each clip alone, padded; of equal clips, those of a batch.

    How libraries multiply matrices may depend on the batch, in the last bits.
    """
    upper.model.eval()
    if len({len(clip) for clip in clips}) == 1:
        return upper.enter(*padded(clips)), None
    return padded([upper.enter(c[None], torch.ones(1))[0] for c in clips])


def answer(module, inputs, trained, train):
    module.train(train)
    torch.manual_seed(7)
    found = module(*inputs)
    return found, torch.autograd.grad(found.square().sum(), trained)


def compare(encoder, case, train):
    model, clips = encoder.model(case), encoder.clips()
    if case == "biases" and not model.encoder.backbone.sites.layout.pre_norm:
        with pytest.raises(ValueError, match="in front of the layers"):
            UpperLayers(model)
        return
    upper = UpperLayers(model)
    assert upper.start == CASES[case][2]
    states = stored(upper, clips)
    assert not states[0].requires_grad
    trained = [p for p in model.parameters() if p.requires_grad]
    assert {*map(id, trained)} == {
        id(p) for p in upper.parameters() if p.requires_grad
    }
    found = answer(upper, states, trained, train)
    expected = answer(model, padded(clips), trained, train)
    equal = states[1] is None
    near = {"rtol": 0, "atol": 0} if equal else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(found, expected, **near)


SAMPLE = ("ast", "wav2vec2", "wavlm-large", "w2v-bert", "whisper")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "encoder",
    [
        pytest.param(k, marks=[] if k in SAMPLE else pytest.mark.whole)
        for k in KINDS
    ],
    indirect=True,
)
def test_outputs_and_gradients_are_those_of_the_model(encoder, case):
    compare(encoder, case, train=False)


@pytest.mark.parametrize("encoder", ["ast", "wav2vec2"], indirect=True)
@pytest.mark.parametrize("case", ["last layer", "adapter"])
def test_dropout_is_that_of_the_model(encoder, case):
    one = encoder.clips()[1]
    encoder.clips = lambda: [one, one.flip(0)]
    compare(encoder, case, train=True)


@pytest.mark.parametrize("encoder", SAMPLE, indirect=True)
def test_nothing_is_recorded_below(encoder):
    """Without a store, too: the backward pass ends at the lowest layer."""
    model, entered = encoder.model("adapter").train(), []
    sites = model.encoder.backbone.sites
    for name in sites.layers:
        sites.module(name).register_forward_pre_hook(
            lambda layer, args: entered.append(args[0].requires_grad)
        )
    out = model(*padded(encoder.clips()))
    assert out.requires_grad and entered == [False, False]


@pytest.mark.parametrize("encoder", ["ast", "wavlm"], indirect=True)
def test_upper_layers_compile_to_one_graph(encoder):
    upper = UpperLayers(encoder.model("ipet"))
    states, _ = stored(upper, encoder.clips())
    torch._dynamo.reset()
    compiled = torch.compile(upper, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(states), upper(states))


@pytest.mark.parametrize("encoder", ["w2v-bert"], indirect=True)
def test_a_norm_in_a_wrapped_layer_is_found(encoder):
    """Its final norm is the last layer's, and prompts are around that."""
    sites = encoder.model("prompts").encoder.backbone.sites
    assert len(stages(sites)) == 3
