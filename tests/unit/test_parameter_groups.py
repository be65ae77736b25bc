"""Learning rates by part: the groups hold what their names say."""

import re
from functools import partial

import pytest
import torch
from test_methods import Kind
from torch import nn

from petl_modules.models import (
    PARTS,
    MeanPooling,
    Probe,
    ScratchEncoder,
    TunedModel,
    trained_parts,
)
from petl_modules.training import (
    learning_rates,
    parameter_groups,
    require_gradients,
)
from petl_modules.utils import HparamsError

# By part, what the names of its parameters in a TunedModel look like
NAMES = {
    "head": r"head\.|pooling\.|embedding\.",
    "layers": r"encoder\.layer_sum\.",
    "adapters": r"encoder\.backbone\..*\.(block|prefix)\.",
    "norms": r"encoder\.backbone\.model\.encoder\..*layer_norm(\.base)?\.\w+$",
    "backbone": r"encoder\.backbone\.",
}


@pytest.fixture
def group(tiny_wav2vec2):
    return Kind("group", tiny_wav2vec2["group"])


def expected_part(name, norms):
    parts = [p for p in NAMES if norms or p != "norms"]
    return next(part for part in parts if re.match(NAMES[part], name))


RATES = {part: 10.0 ** -(2 + i) for i, part in enumerate(PARTS)}
MODELS = [
    ("el_adapters", {}),
    ("el_adapters", {"train_backbone": "biases"}),
    ("e_adapter", {"train_backbone": "last_1"}),
    ("lora", {"train_norms": True}),
    ("bitfit", {}),
    ("full_finetuning", {}),
    ("full_finetuning", {"train_norms": True, "hidden_states": "weighted"}),
    ("prefix", {"hidden_states": "weighted"}),
    ("ladder", {}),
    ("ipet_wav2vec2", {"recompute": "feed_forward"}),
    ("linear", {}),
]


@pytest.mark.parametrize(("stem", "changes"), MODELS)
def test_a_step_moves_each_part_by_its_rate(stem, changes, group):
    """SGD with gradients of 1 moves every parameter by its rate."""
    model = group.from_yaml(stem, **changes)
    norms = changes.get("train_norms", stem in ("el_adapters", "e_adapter"))
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    part_of = {name: expected_part(name, norms) for name in trained}
    rates = {part: RATES[part] for part in {*part_of.values()}}
    optimizer = torch.optim.SGD(parameter_groups(model, rates), lr=1.0)
    before = {name: p.detach().clone() for name, p in trained.items()}
    for parameter in trained.values():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    for name, parameter in trained.items():
        moved = before[name].double() - parameter.detach().double()
        rate = torch.full_like(moved, RATES[part_of[name]])
        torch.testing.assert_close(moved, rate, rtol=1e-2, atol=1e-6)
    assert learning_rates(optimizer) == {
        f"lr_{part}": RATES[part] for part in PARTS if part in rates
    }


def test_the_parts_of_el_adapters_are_all_four(group):
    parts = trained_parts(group.from_yaml("el_adapters"))
    assert [k for k, v in parts.items() if v] == [
        *("head", "layers", "adapters", "norms")
    ]
    sizes = {k: sum(p.numel() for p in v) for k, v in parts.items()}
    assert sizes["norms"] == 2 * 2 * 2 * 128


def test_without_rates_there_is_the_list_of_what_is_trained(group):
    model = group.from_yaml("el_adapters")
    found = parameter_groups(model, {})
    expected = [p for p in model.parameters() if p.requires_grad]
    assert len(found) == len(expected)
    assert all(a is b for a, b in zip(found, expected))
    optimizer = torch.optim.SGD(found, lr=0.5)
    assert learning_rates(optimizer) == {"lr": 0.5}


def test_a_part_without_a_rate_has_the_optimisers(group):
    groups = parameter_groups(group.from_yaml("lora"), {"head": 0.25})
    optimizer = torch.optim.SGD(groups, lr=0.5)
    assert learning_rates(optimizer) == {"lr_head": 0.25, "lr_adapters": 0.5}


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ({"heads": 0.1}, "no part 'heads'; parts: head, layers, adapters"),
        ({"layers": 0.1}, "part 'layers' is trained here; .*: head, adapters"),
        ({"norms": 0.1, "head": 0.1}, "part 'norms' is trained here"),
        ({"head": 0}, "rate of 'head' is 0: it must be above 0"),
        ({"head": float("nan")}, "rate of 'head' is nan"),
    ],
)
def test_what_cannot_work_is_refused(rates, words, group):
    with pytest.raises(HparamsError, match=words):
        parameter_groups(group.from_yaml("lora"), rates)


def test_a_schedule_moves_all_rates_alike(group):
    groups = parameter_groups(group.from_yaml("lora"), {"head": 0.25})
    optimizer = torch.optim.SGD(groups, lr=0.5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    for _ in range(2):
        optimizer.step()
        schedule.step()
    assert learning_rates(optimizer) == pytest.approx(
        {"lr_head": 0.125, "lr_adapters": 0.25}
    )


def test_a_pooled_probe_has_the_parts_of_its_model(tiny_ast):
    """With modules around it, as in a Brain."""
    model = Kind("ast", tiny_ast).from_yaml("linear")
    modules = nn.ModuleDict({"model": Probe(model)})
    head, norms = parameter_groups(modules, {"head": 0.1, "norms": 0.2})
    assert [*map(id, head["params"])] == [*map(id, model.head.parameters())]
    final = model.encoder.backbone.sites.module("final_norm")
    assert [*map(id, norms["params"])] == [*map(id, final.parameters())]


def test_a_pooled_probe_of_all_layers_has_their_sum_as_a_part(tiny_ast):
    model = Kind("ast", tiny_ast).from_yaml("linear", hidden_states="weighted")
    parts = {k: len(v) for k, v in trained_parts(Probe(model)).items() if v}
    assert parts == {"head": 2, "layers": 1, "norms": 2}


class Network(nn.Module):
    """A network that maps features to one vector."""

    embedding_size = 4

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)


def test_a_network_without_a_checkpoint_is_the_backbone():
    head = partial(nn.Linear, out_features=2)
    model = TunedModel(ScratchEncoder(Network), head, MeanPooling())
    parts = trained_parts(model)
    found = {k: len(v) for k, v in parts.items() if v}
    assert found == {"head": 2, "backbone": 2}


def test_a_dead_weight_of_a_network_without_a_checkpoint_is_named():
    head = partial(nn.Linear, out_features=2)
    model = TunedModel(ScratchEncoder(Network), head, MeanPooling())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    require_gradients(model, optimizer)
    model.head(torch.ones(1, 4)).sum().backward()
    with pytest.raises(RuntimeError, match="network.linear.weight"):
        optimizer.step()
