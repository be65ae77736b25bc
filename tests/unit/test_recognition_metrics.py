"""Error rates of recognition, and the file of alignments."""

import multiprocessing
import os
import random
import re
from functools import lru_cache

import pytest
import torch

from petl_modules.recognition import (
    RecognitionMetrics,
    Units,
    write_alignments,
)

CHARACTERS = Units("characters", ["<blank>", " ", *"ABC"])
PHONES = Units("phones", ["<blank>", "AH1", "N", "T"])


class Said:
    """A decoder that returns what it is told, in place of logits."""

    def __call__(self, logits, mask=None):
        return logits


def errors(one, other):
    """The fewest edits from one sequence to another, by definition."""

    @lru_cache(None)
    def fewest(i, j):
        if not i or not j:
            return i + j
        same = one[i - 1] == other[j - 1]
        return min(
            fewest(i - 1, j) + 1,
            fewest(i, j - 1) + 1,
            fewest(i - 1, j - 1) + (not same),
        )

    return fewest(len(one), len(other))


def drawn(words, count, seed, least=1):
    draw = random.Random(seed)
    return [
        " ".join(draw.choices(words, k=draw.randint(least, 7)))
        for _ in range(count)
    ]


def passed(units, texts, said, losses=None, sizes=(3, 1, 8, 8)):
    """The metrics of clips, in batches of these sizes."""
    metrics = RecognitionMetrics(units, Said())
    losses = torch.ones(len(texts)) if losses is None else losses
    start = 0
    for size in sizes:
        part = slice(start, start + size)
        ids = [str(i) for i in range(len(texts))[part]]
        metrics.append(ids, said[part], None, texts[part], losses[part])
        start += size
    return metrics


def test_error_rates_are_those_of_the_corpus():
    words = ["A", "AB", "ABC", "CAB", "B"]
    texts, said = drawn(words, 20, 1), drawn(words, 20, 2, least=0)
    assert "" in said and max(map(errors, texts, said))
    losses = torch.rand(20, generator=torch.Generator().manual_seed(0))
    found = passed(CHARACTERS, texts, said, losses).summarize()
    expected = {"loss": losses.mean().item()}
    for name, split in (("wer", str.split), ("cer", list)):
        refs, hyps = ([tuple(split(x)) for x in xs] for xs in (texts, said))
        expected[name] = sum(map(errors, refs, hyps)) / sum(map(len, refs))
    assert found == pytest.approx(expected)
    assert [*found] == RecognitionMetrics(CHARACTERS, Said()).names


def test_phone_error_rate():
    names = PHONES.names[1:]
    texts, said = drawn(names, 20, 3), drawn(names, 20, 4, least=0)
    found = passed(PHONES, texts, said).summarize()
    edits = sum(
        errors(tuple(a.split()), tuple(b.split())) for a, b in zip(texts, said)
    )
    assert found == {
        "loss": 1.0,
        "per": pytest.approx(edits / sum(len(x.split()) for x in texts)),
    }


def test_predictions_have_the_errors_that_are_counted():
    texts, said = ["A B", "C", "A"], ["A", "C", "B C A"]
    metrics = passed(CHARACTERS, texts, said, sizes=(2, 1))
    rows = metrics.predictions()
    assert [(r["id"], r["text"], r["predicted"]) for r in rows] == [
        (str(i), *pair) for i, pair in enumerate(zip(texts, said))
    ]
    assert [row["wer_errors"] for row in rows] == [1, 0, 2]
    assert [row["cer_errors"] for row in rows] == [2, 0, 4]
    metrics.clear()
    assert metrics.predictions() == []


def test_nothing_recognised_is_all_deleted():
    found = passed(CHARACTERS, ["A B", "C"], ["", ""], sizes=(2,)).summarize()
    assert (found["wer"], found["cer"]) == (1.0, 1.0)


def test_clips_without_a_finite_loss_are_named():
    losses = torch.tensor([1.0, torch.inf, torch.nan])
    metrics = passed(CHARACTERS, ["A"] * 3, ["A"] * 3, losses, sizes=(1, 2))
    assert metrics.nonfinite_clips() == ["1", "2"]


def test_a_resumed_epoch_has_the_same_training_loss(tmp_path):
    torch.manual_seed(0)
    losses, metrics = torch.rand(9), RecognitionMetrics(PHONES, Said())
    metrics.append_losses(losses[:4])
    metrics._save(tmp_path / "metrics")
    metrics.append_losses(losses[4:])
    expected = metrics.summarize(gather=True)
    assert expected == {"loss": pytest.approx(losses.mean().item())}
    resumed = RecognitionMetrics(PHONES, Said())
    resumed._load(tmp_path / "metrics", False)
    resumed.append_losses(losses[4:])
    assert resumed.summarize(gather=True) == expected
    resumed._load(tmp_path / "metrics", True)  # of an epoch's end
    resumed.append_losses(losses[4:])
    assert resumed.summarize()["loss"] != expected["loss"]


def _work(rank, folder, queue):
    """One of two processes; the second has no clip that counts at first."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2
    )
    texts, said = [["A B", "C"], ["B"]][rank], [["A", "C"], ["A"]][rank]
    metrics = passed(
        CHARACTERS, texts, said, torch.tensor([1.0, 2.0])[: len(texts)], (2,)
    )
    training = RecognitionMetrics(CHARACTERS, Said())
    training.append_losses(torch.tensor([[3.0], []][rank]))
    training._save(folder / "metrics")
    torch.distributed.barrier()
    training._load(folder / "metrics", False)
    training.append_losses(torch.tensor([5.0]))
    found = metrics.summarize(gather=True), training.summarize(gather=True)
    queue.put((rank, *found))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_two_processes_sum_up(tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [
        context.Process(target=_work, args=(rank, tmp_path, queue))
        for rank in range(2)
    ]
    for worker in workers:
        worker.start()
    results = [queue.get(timeout=20) for _ in workers]
    for worker in workers:
        worker.join()
    for _, tested, trained in results:
        expected = {"loss": 4 / 3, "wer": 2 / 4, "cer": 3 / 5}
        assert tested == pytest.approx(expected)
        assert trained == {"loss": pytest.approx(13 / 3)}


def test_alignments(tmp_path):
    rows = [
        {"id": "one", "text": "A B C", "predicted": "A C C C"},
        {"id": "two", "text": "B", "predicted": ""},
        {"id": "one", "text": "A", "predicted": "A"},  # of another fold
    ]
    write_alignments(tmp_path / "alignments.txt", rows)
    text = (tmp_path / "alignments.txt").read_text()
    edits, words = 3, 5
    assert f"%WER 60.00 [ {edits} / {words}, 1 ins, 1 del, 1 sub ]" in text
    assert "%SER 66.67 [ 2 / 3 ]" in text
    lines = text.splitlines()
    place = lines.index("two, %WER 100.00 [ 1 / 1, 0 ins, 1 del, 0 sub ]")
    assert [x.strip() for x in lines[place + 1 : place + 4]] == [
        "B",
        "D",
        "<eps>",
    ]
    assert len(re.findall(r"^one, %WER", text, re.MULTILINE)) == 2
