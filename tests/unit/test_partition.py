"""Feature partition and fusion: sizes, identities, symmetries."""

import copy
import pickle
import re
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
from speechbrain.lobes.models.ResNet import ResNet
from torch import nn

from petl_modules.speaker_models import (
    EcapaPartition,
    PartitionFusion,
    ResNetPartition,
    TacFusion,
)
from petl_modules.speaker_models.fusion import local_mean
from petl_modules.speaker_models.stage import WEIGHTS, PartitionStage
from petl_modules.utils import HparamsError

Ecapa = partial(EcapaPartition, channels=64, embedding_size=16)
Small = partial(
    ResNetPartition, channels=(16, 16, 32, 32), block_sizes=(2, 1, 1, 1)
)
MODELS = {"ecapa": Ecapa, "resnet": Small}


def draw(model):
    """Draw all norms as if the model were trained; keep it in eval mode."""
    torch.manual_seed(1)
    for name, tensor in model.state_dict().items():
        if "norm" in name or "bn" in name:
            if "var" in name:
                nn.init.uniform_(tensor, 0.5, 2)
            elif tensor.is_floating_point():
                nn.init.normal_(tensor, mean=float("weight" in name), std=0.3)
    return model.eval()


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_one_subset_is_speechbrains_model(name, training):
    torch.manual_seed(0)
    if name == "ecapa":
        theirs = ECAPA_TDNN(80, channels=[64] * 4 + [192], lin_neurons=16)
        ours = Ecapa()
    else:
        theirs = ResNet(channels=[16, 16, 32, 32], block_sizes=[2, 1, 1, 1])
        ours = Small()
    draw(theirs)
    # SpeechBrain's ResNet lists its norms in front of the attention
    copy_weights(theirs, ours, name)
    theirs.train(training), ours.train(training)
    features = torch.randn(3, 60, 80)
    expected = theirs(features).reshape(3, -1)
    assert count(ours) == count(theirs)
    # Batch norms enlarge what rounding leaves
    torch.testing.assert_close(ours(features), expected, rtol=1e-4, atol=1e-4)


def copy_weights(theirs, ours, name):
    order = theirs.state_dict()
    if name == "resnet":
        late = [key for key in order if key.startswith("norm_stats")]
        attention = [key for key in order if key.startswith("attention")]
        early = [k for k in order if k.startswith(("conv1", "bn1", "layer"))]
        rest = [k for k in order if k.startswith(("fc_embed", "norm_embed"))]
        order = {key: order[key] for key in early + attention + late + rest}
    values = zip(ours.state_dict().items(), order.values(), strict=True)
    ours.load_state_dict(
        {key: value.reshape(own.shape) for (key, own), value in values}
    )


@pytest.mark.parametrize("make", [PartitionFusion, TacFusion])
@pytest.mark.parametrize("dims", [1, 2])
def test_fusion_without_norm_weight_is_the_identity(make, dims):
    fuse = make(8, dims)
    nn.init.zeros_(fuse.norm.weight)
    x = torch.randn(2, 4, 8, *[9] * dims)
    assert torch.equal(fuse(x), x)


def test_pooling_behind_the_mean_equals_in_front_of_it():
    fuse = PartitionFusion(8, 1).eval()
    nn.init.normal_(fuse.norm.bias)
    x = torch.randn(2, 4, 8, 20)
    own = [fuse.reduce(x[:, k]) for k in range(4)]
    pooled = [F.avg_pool1d(z, 3, 1, 1, count_include_pad=False) for z in own]
    mean = torch.stack(pooled).mean(0)
    expected = [
        x[:, k] + fuse.norm(torch.cat([z, mean], 1)) for k, z in enumerate(own)
    ]
    torch.testing.assert_close(fuse(x), torch.stack(expected, 1))


def test_local_mean_in_two_dimensions_leaves_padding_and_edges_out():
    torch.manual_seed(0)
    x, mask = (
        torch.randn(2, 3, 6, 5),
        torch.arange(6) < torch.tensor([[4], [6]]),
    )
    found = local_mean(x, mask)
    torch.testing.assert_close(found[0, :, :4], local_mean(x[:1, :, :4])[0])
    torch.testing.assert_close(found[1], local_mean(x[1:])[0])
    by_hand = x[1, 0, 0:2, 0:2].mean()
    torch.testing.assert_close(found[1, 0, 0, 0], by_hand)


@pytest.mark.parametrize("make_fusion", [PartitionFusion, TacFusion])
def test_permuted_subsets_permute_the_outputs_of_a_shared_stage(make_fusion):
    torch.manual_seed(0)
    block = partial(nn.Conv1d, 8, 8, 3, padding=1)
    stage = PartitionStage(block, partial(make_fusion, 8, 1), 4, "shared")
    x, order = torch.randn(2, 4, 8, 20), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(stage(x[:, order]), stage(x)[:, order])


@pytest.mark.parametrize("name", MODELS)
def test_separate_with_equal_weights_is_shared(name):
    stems = [{"stem": w} if name == "ecapa" else {} for w in WEIGHTS]
    shared = draw(MODELS[name](subsets=2, **stems[0])).double()
    separate = MODELS[name](subsets=2, weights="separate", **stems[1])
    state = shared.state_dict()
    second = re.compile(r"^((stem|stages\.\d|aggregation)\.blocks)\.1\.")
    separate.double().eval().load_state_dict(
        {key: state[second.sub(r"\1.0.", key)] for key in separate.state_dict()}
    )
    features = torch.randn(2, 50, 80, dtype=torch.float64)
    torch.testing.assert_close(separate(features), shared(features))


CASES = [
    (name, {"subsets": subsets, "weights": weights, **options})
    for name in MODELS
    for subsets in (1, 2)
    for weights in WEIGHTS
    for options in ({}, {"fusion": TacFusion})
]
CASES += [
    ("ecapa", {"subsets": 4, "stem": stem}) for stem in ("shared", "dense")
]


@pytest.mark.parametrize("name, options", CASES)
def test_all_parameters_have_gradients(name, options):
    torch.manual_seed(0)
    model = MODELS[name](**options)
    model(torch.randn(3, 30, 80)).square().sum().backward()
    # A bias in front of a batch norm has a gradient of rounding errors only,
    # a weight must not be zero
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        if parameter.dim() > 1:
            assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", MODELS)
def test_copies_are_independent(name):
    model = draw(MODELS[name](subsets=2))
    features, lengths = torch.randn(2, 40, 80), torch.tensor([0.5, 1.0])
    expected = model(features, lengths)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.padding is not model.padding
        torch.testing.assert_close(other(features, lengths), expected)
        nn.init.zeros_(other.embedding.weight)
    torch.testing.assert_close(model(features, lengths), expected)


@pytest.mark.parametrize(
    "make, options, named",
    [
        (Ecapa, {"subsets": 3}, "'subsets' is 3: 64 channels"),
        (Ecapa, {"subsets": 0}, "'subsets' is 0"),
        (Ecapa, {"subsets": 4, "channels": 48}, "multiple of 8"),
        (Ecapa, {"subsets": 8, "input_size": 40}, "40 mels"),
        (Ecapa, {"subsets": 8, "se_channels": 100}, "100 se channels"),
        (Ecapa, {"weights": "tied"}, "'weights' is 'tied'; choices: shared"),
        (Ecapa, {"stem": None}, "'stem' is None; choices: shared"),
        (Small, {"subsets": 3}, "16 channels"),
        (Small, {"subsets": 16}, "multiple of 2"),
        (Small, {"channels": [16, 16]}, "'channels' has 2 values; it needs"),
        (Small, {"weights": "tied"}, "choices: shared, separate"),
    ],
)
def test_sizes_that_do_not_divide_are_named(make, options, named):
    with pytest.raises(HparamsError, match=named):
        make(**options)
