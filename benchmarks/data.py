"""Speed and memory of data loading, from audio files to batches.

    python benchmarks/data.py --clips 1000 --seconds 5 --rate 44100
    python benchmarks/data.py --gsc       # memory with as many clips as GSC's

Noise and tones are written to a temporary folder and read from the system's
page cache: the disk is not measured. Plain and cached epochs take turns; the
tables give medians. "First" is the epoch of a run that fills the cache,
"later" the epoch of a run that finds it filled; both include the time before
the first batch.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from multiprocessing import active_children
from pathlib import Path

import common  # isort: skip, first: it prepares the path
import numpy as np
import soundfile
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataloader import make_dataloader

from petl_modules.data import (
    EpochBatches,
    FilterBank,
    check_audio,
    load_features,
    make_datasets,
    read_audio,
)
from petl_modules.data.cache import FeatureCache
from petl_modules.data.loading import one_thread
from petl_modules.data.prepare import read_manifest, write_manifest

LABELS = [f"word{i}" for i in range(35)]
GSC = dict(clips=105_829, seconds=0.1, rate=16_000)  # rows are of 100 frames
GSC.update(frames=100, batch=128, dtype="float16")
SPEED = {
    "what": "{what}",
    "clips/s": "{clips_per_second:.0f}",
    "ms a clip": "{milliseconds:.2f}",
    "times plain": "{times_plain:.1f}",
}
MEMORY = {
    "RssAnon, MiB more": "{what}",
    "main process": "{main_mib:.0f}",
    "largest worker": "{worker_mib:.0f}",
    "all together, shared pages once": "{together_mib:.0f}",
}


def write_clips(folder, clips, seconds, rate):
    """Write different clips, and a manifest like that of GSC."""
    time = np.arange(int(seconds * rate)) / rate
    records, paths = {}, []
    for i in range(clips):
        random = np.random.default_rng(i)
        tone = np.sin(2 * np.pi * random.uniform(100, 7000) * time)
        label = LABELS[i % len(LABELS)]
        name = f"{label}/{i:08x}_nohash_0"
        path = folder / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        noise = random.standard_normal(len(time))
        soundfile.write(path, 0.2 * tone + 0.1 * noise, rate)
        paths.append(path)
        records[name] = {
            "wav": f"{{data_root}}/{name}.wav",
            "label": label,
            "speaker": f"{i:08x}",
            "split": "train",
        }
    for record, facts in zip(records.values(), check_audio(paths)):
        record.update(facts._asdict())
    write_manifest(folder / "manifest.json", records)


def epoch(data, chosen, cache=None):
    """Return the seconds of an epoch, from the manifest to the last batch."""
    start = time.perf_counter()
    records = read_manifest(data / "manifest.json")
    features = cache.features if cache else FilterBank(chosen.frames)
    parts = {"train": records}
    dataset = make_datasets(parts, data, features, LABELS, cache=cache)["train"]
    loader = make_dataloader(
        dataset,
        batch_sampler=EpochBatches(dataset.durations, chosen.batch, seed=0),
        num_workers=chosen.workers,
        collate_fn=PaddedBatch,
    )
    seen = sum(len(batch.id) for batch in loader)
    assert seen == len(records)
    return time.perf_counter() - start


def open_cache(chosen, folder):
    """Return the feature cache."""
    bank = FilterBank(chosen.frames)
    return FeatureCache(folder, bank, chosen.dtype, chosen.workers)


def speed(data, chosen):
    """Measure the steps of one clip, and epochs; return rows."""
    records = read_manifest(data / "manifest.json").values()
    wavs = [record["wav"] for record in records]
    paths = [data / wav.removeprefix("{data_root}/") for wav in wavs]
    bank = FilterBank(chosen.frames)
    steps = {
        "reading, 1 process": lambda i: read_audio(paths[i], chosen.rate),
        "+ 16 kHz": lambda i: read_audio(paths[i]),
        "+ filter bank": lambda i: load_features(bank, data, wavs[i]),
    }
    times = {}
    for turn in range(chosen.repeats):
        with one_thread():
            for name, step in steps.items():
                start = time.perf_counter()
                for i in range(len(wavs)):
                    step(i)
                seconds = time.perf_counter() - start
                times.setdefault(name, []).append(seconds)
        cache = open_cache(chosen, data / f"cache{turn}")
        epochs = {"plain": None, "cached, first": cache, "cached, later": cache}
        for name, cache in epochs.items():
            name = f"epoch, {chosen.workers} workers: {name}"
            times.setdefault(name, []).append(epoch(data, chosen, cache))
    plain = times[f"epoch, {chosen.workers} workers: plain"]
    return [
        {
            "what": name,
            "seconds": statistics.median(seconds),
            "clips_per_second": len(wavs) / statistics.median(seconds),
            "milliseconds": 1e3 * statistics.median(seconds) / len(wavs),
            "times_plain": statistics.median(
                p / s for p, s in zip(plain, seconds)
            ),
        }
        for name, seconds in times.items()
    ]


def anonymous(process="self"):
    """Return the private memory of a process in bytes, and its share of it.

    A worker's private memory includes pages that it still shares with the main
    process. The shares of all processes add up to the total.
    """
    found = {}
    for name in ("status", "smaps_rollup"):
        for line in Path(f"/proc/{process}/{name}").read_text().splitlines():
            if line.startswith(("RssAnon", "Pss_Anon")):
                key, size = line.split(":")
                found[key] = int(size.split()[0]) * 1024
    return found["RssAnon"], found["Pss_Anon"]


def most_memory(work):
    """Return the peak memory of main process, worker and all processes."""
    before, done = anonymous()[0], threading.Event()
    most = {"main": before, "worker": before, "together": before}

    def watch():
        while not done.wait(0.1):
            main, together = anonymous()
            most["main"] = max(most["main"], main)
            for worker in active_children():
                with contextlib.suppress(OSError, KeyError):  # just ended
                    rss, pss = anonymous(worker.pid)
                    most["worker"] = max(most["worker"], rss)
                    together += pss
            most["together"] = max(most["together"], together)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return {f"{k}_mib": (v - before) / 2**20 for k, v in most.items()}


def memory(what, data, chosen):
    """Measure one row, in this process."""
    cache = None if what == "plain" else open_cache(chosen, data / "memory")
    found = most_memory(lambda: epoch(data, chosen, cache))
    return {"what": what, "clips": chosen.clips, **found}


def memory_apart(what, data, words):
    """Measure one row, in a new process."""
    words = [sys.executable, __file__, *words, f"--row={what}", f"--at={data}"]
    out = subprocess.run(words, stdout=subprocess.PIPE, check=True)
    return json.loads(out.stdout.splitlines()[-1])


def parse(words):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=int, default=44_100)
    parser.add_argument("--frames", type=int, help="default: all of a clip")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument(
        "--gsc", action="store_true", help=f"memory alone, with {GSC}"
    )
    parser.add_argument("--json", metavar="FILE", help="write the rows there")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--at", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(words)
    if chosen.gsc:
        vars(chosen).update(GSC)
    chosen.frames = chosen.frames or round(chosen.seconds * 100)
    return chosen


def main(words):
    """Measure, print and write the rows."""
    chosen = parse(words)
    if chosen.row:
        print(json.dumps(memory(chosen.row, chosen.at, chosen)))
        return
    with tempfile.TemporaryDirectory() as data:
        data = Path(data)
        write_clips(data, chosen.clips, chosen.seconds, chosen.rate)
        tables = []
        if not chosen.gsc:
            tables.append((speed(data, chosen), SPEED))
        kinds = ("plain", "cached, first", "cached, later")
        apart = [memory_apart(kind, data, words) for kind in kinds]
        tables.append((apart, MEMORY))
    for rows, columns in tables:
        print(f"\n{common.table(rows, columns)}")
    rows = [row for rows, _ in tables for row in rows]
    settings = {**vars(chosen), "json": None, "at": None}
    common.write_report(chosen.json, rows, settings=settings)


if __name__ == "__main__":
    main(sys.argv[1:])
