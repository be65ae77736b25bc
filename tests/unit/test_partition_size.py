"""Sizes of the partitioned speaker models: parameters and MACs."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from petl_modules.speaker_models import EcapaPartition, ResNetPartition
from petl_modules.speaker_models.stage import WEIGHTS


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def tdnn(i, o, taps):
    return i * o * taps + o + 2 * o


def fusion(width):
    return width * (width // 2) + width // 2 + 2 * width


def hand_ecapa(c, k, copies, stem):
    """Parameters written out from the layers' sizes, mels 80."""
    d, se = c // k, 128 // k
    block = 2 * tdnn(d, d, 1) + 7 * tdnn(d // 8, d // 8, 3)
    block += d * se + se + se * d + d
    first = {
        "shared": fusion(80 // k) + tdnn(80 // k, d, 5),
        "separate": fusion(80 // k) + k * tdnn(80 // k, d, 5),
        "dense": tdnn(80, c, 5),
    }[stem]
    total = first + 3 * (fusion(d) + copies * block)
    total += fusion(3 * d) + copies * tdnn(3 * d, 3 * d, 1)
    if k == 1:
        total -= 3 * fusion(d) + fusion(3 * d)
        total -= fusion(80) if stem != "dense" else 0
    attention = tdnn(9 * c, 128, 1) + 128 * 3 * c + 3 * c
    return total + attention + 12 * c + 6 * c * 192 + 192


@pytest.mark.parametrize("stem", ["shared", "separate", "dense"])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("subsets", [1, 2, 4, 8])
def test_ecapa_has_the_parameters_written_out(subsets, weights, stem):
    with torch.device("meta"):
        model = EcapaPartition(subsets=subsets, weights=weights, stem=stem)
    copies = 1 if weights == "shared" else subsets
    assert count(model) == hand_ecapa(512, subsets, copies, stem)


RESNET34 = {
    (128, 128, 256, 256): {
        "shared": (15_438_336, 5_366_304, 2_830_608, 2_195_208),
        "separate": (15_438_336, 8_736_032, 5_366_160, 3_683_912),
    },
    (32, 64, 128, 256): {
        "shared": (7_660_704, 3_406_720, 2_338_608, 2_070_760),
        "separate": (7_660_704, 4_829_920, 3_410_688, 2_701_600),
    },
}


@pytest.mark.parametrize("channels", RESNET34)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_resnet_has_the_parameters_of_a_prototype(channels, weights):
    counts = []
    for subsets in (1, 2, 4, 8):
        model = ResNetPartition(
            subsets=subsets, weights=weights, channels=channels
        )
        counts.append(count(model))
    assert tuple(counts) == RESNET34[channels][weights]


SMALL = [
    (EcapaPartition, {"channels": 64}),
    (ResNetPartition, {"channels": (16, 16, 32, 32)}),
]
INNER = {
    EcapaPartition: ("tdnn1", "tdnn2", "res2net_block"),
    ResNetPartition: ("conv2",),
}


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("make, options", SMALL)
def test_a_convolution_costs_one_part_in_k(make, options, weights):
    def inner(subsets):
        model = make(subsets=subsets, weights=weights, **options)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.rand(1, 40, 80))
        return sum(
            sum(flops.values())
            for place, flops in counter.get_flop_counts().items()
            if place.endswith(INNER[make])
        )

    assert 0 < inner(4) * 4 == inner(1)
