"""The CTC loss: that of each clip alone, per unit."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from petl_modules.data import DurationBatches, duration_batches
from petl_modules.recognition import ctc_losses
from petl_modules.utils import DataError

FRAMES, COUNTS, UNITS = (9, 6, 14, 3), (3, 2, 6, 3), 5


@pytest.fixture
def clips():
    """Logits and targets of clips of different lengths."""
    torch.manual_seed(0)
    targets = [torch.randint(1, UNITS, (count,)) for count in COUNTS]
    targets[3] = torch.tensor([1, 2, 1])  # three frames just suffice
    targets[2] = torch.tensor([1, 2, 4, 4, 3, 1])  # a blank between two 4
    return [torch.randn(n, UNITS) for n in FRAMES], targets


def padded(clips, chosen, noise=1e4):
    """The arguments of the loss for some clips; padding is not zero."""
    logits, targets = ([part[i] for i in chosen] for part in clips)
    pad = torch.nn.utils.rnn.pad_sequence
    frames = torch.tensor([len(x) for x in logits])
    mask = torch.arange(frames.max()) < frames[:, None]
    return (
        pad(logits, True, noise),
        mask,
        pad(targets, True, 3),
        torch.tensor([len(x) for x in targets]),
    )


def alone(logits, target):
    """PyTorch's loss of one clip, per unit."""
    return F.ctc_loss(
        logits.log_softmax(-1).unsqueeze(1),
        target.unsqueeze(0),
        [len(logits)],
        [len(target)],
        reduction="sum",
    ) / len(target)


def naive(logits, target):
    """The sum over all paths, by enumeration."""
    probabilities, total = logits.softmax(-1), 0.0
    for path in itertools.product(range(UNITS), repeat=len(logits)):
        merged = [unit for unit, _ in itertools.groupby(path)]
        if [unit for unit in merged if unit] == target.tolist():
            steps = [probabilities[t, unit] for t, unit in enumerate(path)]
            total += torch.stack(steps).prod()
    return -total.log() / len(target)


@pytest.mark.parametrize("chosen", [(0,), (1, 0), (2, 3, 1, 0), (3, 3, 2)])
def test_loss_and_gradient_are_those_of_the_clip_alone(clips, chosen):
    logits, *others = padded(clips, chosen)
    logits.requires_grad_()
    losses = ctc_losses(logits, *others)
    losses.sum().backward()
    for row, clip in enumerate(chosen):
        own = clips[0][clip].clone().requires_grad_()
        expected = alone(own, clips[1][clip])
        expected.backward()
        torch.testing.assert_close(losses[row], expected)
        grad = logits.grad[row]
        torch.testing.assert_close(grad[: len(own)], own.grad)
        assert not grad[len(own) :].any()


@pytest.mark.parametrize("clip", [1, 3])
def test_loss_is_the_sum_over_all_paths(clips, clip):
    expected = naive(clips[0][clip], clips[1][clip])
    found = ctc_losses(*padded(clips, [clip]))
    torch.testing.assert_close(found[0], expected)


def test_without_a_mask_all_frames_count(clips):
    logits, _, *others = padded(clips, [0])
    torch.testing.assert_close(
        ctc_losses(logits, None, *others)[0], alone(logits[0], clips[1][0])
    )


def test_loss_is_in_float32(clips):
    logits, *others = padded(clips, (0, 2), noise=0.0)
    losses = ctc_losses(logits.bfloat16(), *others)
    expected = ctc_losses(logits.bfloat16().float(), *others)
    assert losses.dtype == torch.float32
    assert torch.equal(losses, expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ctc_losses(logits.bfloat16(), *others), expected)


def test_frames_are_those_of_the_mask():
    """A relative length, rounded, would take one frame of padding."""
    torch.manual_seed(1)
    logits, target = torch.randn(1, 50, UNITS), torch.tensor([[1, 2]])
    mask = torch.arange(50)[None] < 30
    count = torch.tensor([2])
    found = ctc_losses(logits, mask, target, count)[0]
    torch.testing.assert_close(found, alone(logits[0, :30], target[0]))
    longer = alone(logits[0, :31], target[0])
    assert not torch.isclose(found, longer)


def test_clips_that_are_too_short_are_named(clips):
    clips[0][2] = clips[0][2][:6]  # six units, and one repeated
    clips[1][1] = torch.tensor([2, 2])  # three frames needed, six there
    arguments = padded(clips, (1, 2, 3))
    with pytest.raises(DataError) as error:
        ctc_losses(*arguments, ids=["b", "c", "d"])
    assert "c: 6 units need 7 frames, and it has 6" in str(error.value)
    assert "b:" not in str(error.value) and "d:" not in str(error.value)
    with pytest.raises(DataError, match="clip 2 of the batch"):
        ctc_losses(*arguments)
    clips[0][2] = torch.randn(7, UNITS)  # just enough
    assert ctc_losses(*padded(clips, (1, 2, 3))).isfinite().all()


def test_a_clip_without_units_is_named(clips):
    logits, mask, targets, counts = padded(clips, (0, 1))
    counts[1] = 0
    with pytest.raises(DataError, match="b: 0 units"):
        ctc_losses(logits, mask, targets, counts, ["a", "b"])


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_an_update_is_the_mean_over_its_clips(
    processes, accumulation, monkeypatch
):
    """Whatever the batches, as SpeechBrain and DDP divide."""
    torch.manual_seed(2)
    durations = [1.0 + 0.1 * i for i in range(11)]
    inputs = [torch.randn(10 + i, 4) for i in range(11)]
    targets = [torch.randint(1, UNITS, (1 + i % 4,)) for i in range(11)]
    weight = torch.randn(4, UNITS, requires_grad=True)
    samplers = []
    for rank in range(processes):
        monkeypatch.setattr(duration_batches, "get_rank", lambda r=rank: r)
        monkeypatch.setattr(duration_batches, "n_processes", lambda: processes)
        samplers.append(DurationBatches(durations, 7.0, 1, accumulation))
    steps = [list(sampler) for sampler in samplers]
    clips, total = [], torch.zeros_like(weight)
    for step in range(accumulation):
        for sampler, own in zip(samplers, steps):
            logits = [x @ weight for x in inputs]
            losses = ctc_losses(*padded((logits, targets), own[step]))
            count, factor = sampler.loss_weight(step + 1)
            clips += own[step][:count]
            (losses[:count].sum() * factor / accumulation).backward()
            total += weight.grad / processes  # as DDP averages
            weight.grad = None
    assert len(clips) == len({*clips}) > processes
    mean = torch.stack([alone(inputs[i] @ weight, targets[i]) for i in clips])
    mean.mean().backward()
    torch.testing.assert_close(total, weight.grad)
