"""The feature cache: right values, never stale, safe to kill."""

import errno
import json
import os
import pickle
import resource
import shutil
import signal
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from speechbrain.dataio.batch import PaddedBatch

from petl_modules.data import (
    FilterBank,
    Waveform,
    check_audio,
    load_features,
    make_datasets,
)
from petl_modules.data.cache import (
    FeatureCache,
    feature_cache,
    shards,
    store,
)
from petl_modules.utils import AudioError

BANK = FilterBank(frames=20)
ROW_BYTES = 20 * 128 * 4
FORMATS = {
    "fold1/a.wav": (44100, 1, "PCM_16"),
    "fold1/b.ogg": (44100, 2, "VORBIS"),
    "fold2/a.wav": (16000, 2, "FLOAT"),
    "fold2/c.flac": (22050, 1, "PCM_24"),
    "d.flac": (16000, 2, "PCM_16"),
}


def write_clip(
    path, seed, rate=16000, channels=1, subtype="PCM_16", length=0.2
):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(
        size=(int(length * rate), channels)
    )
    soundfile.write(path, 0.1 * noise, rate, subtype=subtype)


def records_of(data, names=FORMATS):
    """Records as preparation makes them, by ids that may hold slashes."""
    facts = check_audio([Path(data, name) for name in names])
    return {
        name: {"wav": f"{{data_root}}/{name}", "label": "cat", **each._asdict()}
        for name, each in zip(names, facts, strict=True)
    }


def fill(cache, data, names=FORMATS):
    """Fills a cache with clips."""
    return cache.fill(records_of(data, [*names]), data)


@pytest.fixture
def data(tmp_path):
    """A folder of clips."""
    for seed, (name, kind) in enumerate(FORMATS.items()):
        write_clip(tmp_path / "data" / name, seed, *kind)
    return tmp_path / "data"


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path / "cache", BANK)


@pytest.fixture
def computed(monkeypatch):
    """The clips that are computed from now on, in this process."""
    wavs = []

    def load(features, data_folder, wav, digest):
        wavs.append(wav)
        return load_features(features, data_folder, wav, digest)

    monkeypatch.setattr(feature_cache, "load_features", load)
    return wavs


def all_of(load, names=FORMATS):
    records = records_of(Path(load.data_folder), [*names])
    return {k: load(r["wav"], r["digest"]) for k, r in records.items()}


def plain(features, data, names=FORMATS):
    return {
        name: load_features(features, data, f"{{data_root}}/{name}")
        for name in names
    }


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for key in expected:
        assert torch.equal(found[key], expected[key]), key


# Values


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(
    "features", [BANK, Waveform(0.15)], ids=["bank", "wave"]
)
def test_float32_is_bit_equal(features, num_workers, data, tmp_path, computed):
    cache = FeatureCache(tmp_path, features, num_workers=num_workers)
    found = all_of(fill(cache, data))
    assert len(computed) == (0 if num_workers else len(FORMATS))
    computed.clear()
    assert_same(found, plain(features, data))
    assert not computed, "the values came from elsewhere"


def test_rows_of_different_lengths(data, cache, tmp_path):
    lengths = [0.01, 0.2, 0.07, 0.03]
    for seed, length in enumerate(lengths):
        write_clip(data / f"{seed}.wav", seed, length=length)
    names = [f"{seed}.wav" for seed in range(len(lengths))]
    wave = Waveform(seconds=1.0)
    found = all_of(fill(FeatureCache(tmp_path, wave), data, names), names)
    assert_same(found, plain(wave, data, names))
    assert [len(x) for x in found.values()] == [400, 3200, 1120, 480]


def test_float16_is_rounded_once(data, tmp_path):
    load = fill(FeatureCache(tmp_path, BANK, "float16"), data)
    expected = plain(BANK, data)
    rounded = {key: value.half().float() for key, value in expected.items()}
    found = all_of(load)
    assert_same(found, rounded)
    assert not torch.equal(found["d.flac"], expected["d.flac"])


def test_float16_takes_half_the_space(data, tmp_path):
    for dtype, size in (("float32", ROW_BYTES), ("float16", ROW_BYTES // 2)):
        cache = FeatureCache(tmp_path, BANK, dtype)
        fill(cache, data)
        (path,) = cache.folder.glob("*.safetensors")
        assert 5 * size < path.stat().st_size < 5 * size + 1000


class Loud(Waveform):
    """Values that float16 cannot hold."""

    def __call__(self, samples):
        return super().__call__(samples) * 1e5


def test_values_beyond_float16_are_an_error(data, tmp_path):
    cache = FeatureCache(tmp_path, Loud(1.0), "float16")
    with pytest.raises(ValueError, match="a.wav: .*float16 cannot.*float32"):
        fill(cache, data)
    found = all_of(fill(FeatureCache(tmp_path, Loud(1.0)), data))
    assert_same(found, plain(Loud(1.0), data))


def test_unknown_dtype(tmp_path):
    with pytest.raises(ValueError, match="'fp16'.*float32, float16"):
        FeatureCache(tmp_path, BANK, "fp16")


def test_tensor_can_be_changed_without_changing_the_cache(data, cache):
    load = fill(cache, data)
    for _ in range(2):
        (found,) = all_of(load, ["d.flac"]).values()
        assert torch.equal(found, plain(BANK, data)["d.flac"])
        found.fill_(7.0)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_filling_draws_no_random_numbers(num_workers, data, tmp_path):
    before = torch.get_rng_state()
    fill(FeatureCache(tmp_path, BANK, num_workers=num_workers), data)
    assert torch.equal(torch.get_rng_state(), before)


# What is computed again, and what is not


def refuse(*_):
    raise AssertionError("the cache has everything")


def assert_looks_only(cache, data):
    """Fills a cache that has all: no file is read, nothing is locked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_cache, "load_features", refuse)
        patch.setattr(store, "alone_in", refuse)
        found = all_of(fill(cache, data))
    assert_same(found, plain(BANK, data))


def test_second_run_only_looks_at_the_files(data, cache):
    fill(cache, data)
    assert_looks_only(FeatureCache(cache.folder.parent, BANK), data)


def test_folder_by_another_name_is_the_same(data, cache, monkeypatch):
    fill(cache, data)
    monkeypatch.chdir(data)
    assert_looks_only(cache, ".")


def test_more_clips_are_added(data, cache, computed):
    fill(cache, data, ["d.flac"])
    assert_same(all_of(fill(cache, data)), plain(BANK, data))
    assert len(computed) == 5 == len(set(computed))


def test_same_content_is_computed_once(data, cache, computed):
    fill(cache, data)
    shutil.copy(data / "d.flac", data / "e.flac")
    names = ["d.flac", "e.flac"]
    found = all_of(fill(cache, data, names), names)
    assert len(computed) == 5
    assert_same(found, plain(BANK, data, names))


def test_same_content_twice_at_once(data, cache):
    shutil.copy(data / "d.flac", data / "e.flac")
    names = ["d.flac", "e.flac"]
    found = all_of(fill(cache, data, names), names)
    assert_same(found, plain(BANK, data, names))
    assert len(shards.Rows(cache.folder).index) == 1


def test_moved_data_is_known_by_its_content(data, cache, computed):
    fill(cache, data)
    expected = plain(BANK, data)
    elsewhere = data.rename(data.with_name("elsewhere"))
    assert_same(all_of(fill(cache, elsewhere)), expected)
    assert len(computed) == 5


def test_changed_file_is_noticed(data, cache, computed):
    path = data / "fold2/a.wav"
    fill(cache, data)
    old = plain(BANK, data)
    write_clip(path, 99, *FORMATS["fold2/a.wav"])
    found = all_of(fill(cache, data))
    assert_same(found, plain(BANK, data))
    assert not torch.equal(found["fold2/a.wav"], old["fold2/a.wav"])
    assert len(computed) == 6


def test_swapped_folders_are_noticed(data, cache, computed):
    """Their files have the same name, size and times."""
    names = ["one/a.wav", "two/a.wav"]
    for seed, name in enumerate(names):
        write_clip(data / name, seed)
        os.utime(data / name, ns=(0, 0))
    before = all_of(fill(cache, data, names), names)
    (data / "one").rename(data / "three")
    (data / "two").rename(data / "one")
    (data / "three").rename(data / "two")
    found = all_of(fill(cache, data, names), names)
    assert torch.equal(found["one/a.wav"], before["two/a.wav"])
    assert torch.equal(found["two/a.wav"], before["one/a.wav"])
    assert len(computed) == 2


@pytest.mark.parametrize("num_workers", [0, 1])
def test_file_that_changes_after_preparation(num_workers, data, tmp_path):
    cache = FeatureCache(tmp_path / "cache", BANK, num_workers=num_workers)
    records = records_of(data)
    write_clip(data / "fold2/a.wav", 99, *FORMATS["fold2/a.wav"])
    with pytest.raises(AudioError, match="fold2/a.wav: changed since"):
        cache.fill(records, data)
    assert_same(all_of(fill(cache, data)), plain(BANK, data))


def test_file_that_changes_in_mid_run(data, cache):
    records = records_of(data)
    load = cache.fill(records, data)
    before = plain(BANK, data)
    write_clip(data / "d.flac", 99, *FORMATS["d.flac"])
    given = "{data_root}/d.flac", records["d.flac"]["digest"]
    assert torch.equal(load(*given), before["d.flac"])
    shutil.rmtree(cache.folder)
    load = pickle.loads(pickle.dumps(load))
    with pytest.raises(AudioError, match="d.flac: changed since"):
        load(*given)


class Other(FilterBank):
    """Another class with the same attributes."""


CHANGES = {
    "frames": lambda: (FilterBank(frames=21), "float32"),
    "mean": lambda: (FilterBank(frames=20, mean=0.0), "float32"),
    "class": lambda: (Other(frames=20), "float32"),
    "dtype": lambda: (BANK, "float16"),
    "kind": lambda: (Waveform(1.0), "float32"),
    "seconds": lambda: (Waveform(1.5), "float32"),
    "normalize": lambda: (Waveform(1.5, normalize=False), "float32"),
}


def test_other_parameters_get_another_folder(tmp_path, cache):
    others = [FeatureCache(tmp_path / "cache", *x()) for x in CHANGES.values()]
    assert len({cache.folder, *(x.folder for x in others)}) == 8
    same = FeatureCache(tmp_path / "cache", FilterBank(frames=20))
    assert same.folder == cache.folder


@pytest.mark.parametrize(
    "place, value",
    [
        ("FORMAT", 99),
        ("version", lambda name: "99"),
        ("soundfile.__libsndfile_version__", "99"),
        ("_sha256", lambda part: "of another source"),
        ("torch.get_float32_matmul_precision", lambda: "medium"),
    ],
)
def test_other_code_gets_another_folder(place, value, cache, monkeypatch):
    monkeypatch.setattr(f"petl_modules.data.cache.fingerprint.{place}", value)
    assert FeatureCache(cache.folder.parent, BANK).folder != cache.folder


def test_folder_tells_what_it_holds(data, cache):
    fill(cache, data)
    about = json.loads((cache.folder / "about.json").read_text())
    assert about == json.loads(json.dumps(cache.facts))
    assert about["settings"]["frames"] == 20
    assert cache.folder.name.startswith("FilterBank-")


def test_features_whose_parameters_are_hidden_are_refused(tmp_path):
    weighted = FilterBank(frames=20)
    weighted.weights = torch.ones(3)
    for features in (weighted, lambda samples: samples):
        with pytest.raises(ValueError, match="cannot be cached"):
            FeatureCache(tmp_path, features)


# Kills, faults and damage

FORK = get_context("fork")
SIZES = [2, 2, 1]  # rows of the shards


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "FULL", 2 * ROW_BYTES)


def interrupt(patch, after, act):
    """Calls ``act`` at one of the moments before and after file operations.

    Returns
    -------
    list
        What is left to wait for; negative once ``act`` was called.
    """
    left = [after]

    def moment():
        left[0] -= 1
        if left[0] == -1:
            act()

    def counted(function):
        def wrapped(*args, **kwargs):
            moment()
            result = function(*args, **kwargs)
            moment()
            return result

        return wrapped

    patch.setattr(os, "replace", counted(os.replace))
    patch.setattr(os, "fsync", counted(os.fsync))
    add = shards.ShardWriter.add
    patch.setattr(shards.ShardWriter, "add", counted(add))
    return left


def run(target, *args):
    """Starts a real process."""
    process = FORK.Process(target=target, args=args)
    process.start()
    return process


def ended(process):
    process.join(60)
    return process.exitcode


def kill_self():
    os.kill(os.getpid(), signal.SIGKILL)


def assert_fills_up(cache, data, computed):
    """Fills the cache: right values, and nothing whole is made again."""
    whole = {
        path: path.read_bytes() for path in cache.folder.glob("*.safetensors")
    }
    kept = len(shards.Rows(cache.folder).index)
    computed.clear()
    load = fill(cache, data)
    assert len(computed) == 5 - kept
    found = all_of(load)
    assert len(computed) == 5 - kept
    assert_same(found, plain(BANK, data))
    assert all(path.read_bytes() == whole[path] for path in whole)
    assert not list(cache.folder.glob(".*.tmp"))
    return kept


def test_killed_at_any_moment(data, tmp_path, small_shards, computed):
    def killed(cache, after):
        with pytest.MonkeyPatch.context() as patch:
            interrupt(patch, after, kill_self)
            fill(cache, data)

    kept, strays, after = [], 0, 0
    while True:
        cache = FeatureCache(tmp_path / str(after), BANK)
        code = ended(run(killed, cache, after))
        if code == 0:
            break
        assert code == -signal.SIGKILL
        strays += len(list(cache.folder.glob(".*.tmp")))
        kept.append(assert_fills_up(cache, data, computed))
        after += 1
    assert len(kept) > 30 and strays > 10
    assert set(kept) == {0, 2, 4, 5} and kept == sorted(kept)


def test_killed_with_loader_workers(data, tmp_path, small_shards, computed):
    """They outlive it by a while, and hold nothing up."""

    def killed(cache):
        with pytest.MonkeyPatch.context() as patch:
            interrupt(patch, 20, kill_self)
            fill(cache, data)

    cache = FeatureCache(tmp_path / "cache", BANK, num_workers=2)
    process = run(killed, cache)
    process.join()  # with a time limit, it would wait for the workers too
    assert process.exitcode == -signal.SIGKILL
    cache.num_workers = 0
    assert assert_fills_up(cache, data, computed) == 2


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_at_any_moment(
    number, data, tmp_path, small_shards, computed
):
    def fail():
        raise OSError(number, os.strerror(number))

    kept, after = [], 0
    while True:
        cache = FeatureCache(tmp_path / str(after), BANK)
        with pytest.MonkeyPatch.context() as patch:
            left = interrupt(patch, after, fail)
            try:
                fill(cache, data)
            except ValueError as error:
                assert str(cache.folder) in str(error)
                assert os.strerror(number) in str(error)
                assert "make room" in str(error)
                assert left[0] < 0
            else:
                break
        assert not list(cache.folder.glob(".*.tmp"))
        kept.append(assert_fills_up(cache, data, computed))
        after += 1
    assert left[0] >= 0 and len(kept) > 30
    assert {0, 2, 4, 5} <= set(kept)


def test_write_that_fails_in_its_middle(data, cache, computed):
    """A real one: files are allowed half a row."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = ROW_BYTES // 2
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, usual[1]))
    try:
        with pytest.raises(ValueError, match="File too large.*make room"):
            fill(cache, data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert not [*cache.folder.glob("*.safetensors")]
    assert assert_fills_up(cache, data, computed) == 0


def test_folder_that_cannot_be_made(data, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="Not a directory.*feature_cache"):
        fill(FeatureCache(tmp_path / "file", BANK), data)


def test_interrupt_keeps_what_is_done(data, cache, computed):
    def stop():
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, 10, stop)  # before the third row
        with pytest.raises(KeyboardInterrupt):
            fill(cache, data)
    assert assert_fills_up(cache, data, computed) == 2


@pytest.fixture
def filled(data, cache, small_shards, computed):
    fill(cache, data)
    computed.clear()
    return cache


def shards_by_size(cache):
    paths = cache.folder.glob("*.safetensors")
    return sorted(paths, key=lambda path: path.stat().st_size)


@pytest.mark.parametrize("share", range(0, 20, 3))
def test_cut_shard_is_made_again(share, filled, data, computed, caplog):
    path = shards_by_size(filled)[-1]
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * share // 20])
    assert_same(all_of(fill(filled, data)), plain(BANK, data))
    assert len(computed) == 2
    assert f"{path} is cut or damaged" in caplog.text
    assert path.read_bytes() == content  # its name tells its content


@pytest.mark.parametrize("less", [1, 8, ROW_BYTES])
def test_shard_that_lacks_its_end(less, filled, data, computed):
    path = shards_by_size(filled)[0]
    path.write_bytes(path.read_bytes()[:-less])
    assert_same(all_of(fill(filled, data)), plain(BANK, data))
    assert len(computed) == 1


def test_shard_that_lacks_rows(filled, data, computed):
    path = shards_by_size(filled)[-1]
    content = path.read_bytes()
    path.write_bytes(content[ROW_BYTES:])
    assert_same(all_of(fill(filled, data)), plain(BANK, data))
    assert len(computed) == 2 and path.read_bytes() == content


def test_what_is_no_shard_is_removed(data, cache):
    fill(cache, data, ["d.flac"])
    (cache.folder / "junk.safetensors").write_text("hello")
    fill(cache, data)
    assert not (cache.folder / "junk.safetensors").exists()


def test_missing_shard_is_made_again(filled, data, computed):
    shards_by_size(filled)[-1].unlink()
    assert_same(all_of(fill(filled, data)), plain(BANK, data))
    assert len(computed) == 2


def test_any_flipped_byte_is_found(filled, data, computed):
    path = shards_by_size(filled)[-1]
    content = path.read_bytes()
    end = len(content) - 2 * 16  # where the keys are
    start = end - 2 * ROW_BYTES
    places = [*range(0, start, 5), *range(start, end, ROW_BYTES // 9)]
    places += range(end, len(content), 5)
    expected = plain(BANK, data)
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 0x10
        path.write_bytes(changed)
        computed.clear()
        assert_same(all_of(fill(filled, data)), expected)
        # A row costs itself, an index its shard
        assert len(computed) == (1 if start <= place < end else 2), place
        path.write_bytes(content)


def test_row_damaged_in_mid_run_is_told(filled, data, computed, caplog):
    load = fill(filled, data)
    path = shards_by_size(filled)[0]
    content = path.read_bytes()
    path.write_bytes(
        content[: -ROW_BYTES - 16] + bytes(ROW_BYTES) + content[-16:]
    )
    for _ in range(2):
        assert_same(all_of(load), plain(BANK, data))
    assert len(computed) == 2
    assert caplog.text.count(f"{path} is damaged: delete it") == 1


def test_cache_deleted_in_mid_run(data, tmp_path):
    cache = FeatureCache(tmp_path / "cache", BANK, "float16")
    load = fill(cache, data)
    expected = all_of(fill(cache, data))
    shutil.rmtree(tmp_path / "cache")
    assert_same(all_of(load), expected)


# Several processes


def logged(path):
    """Computes features and writes down of what."""

    def load(features, data_folder, wav, digest):
        with open(path, "a") as stream:
            stream.write(f"{wav}\n")
        return load_features(features, data_folder, wav, digest)

    return load


def test_two_runs_at_once_share_the_work(data, cache, tmp_path, monkeypatch):
    log, told = tmp_path / "log", tmp_path / "told"
    begun, waiting = FORK.Event(), FORK.Event()
    usual = logged(log)

    class Logger:
        def warning(self, text):
            told.write_text(text)
            waiting.set()

    def first(*clip):
        begun.set()
        assert waiting.wait(60)
        return usual(*clip)

    def filled():
        assert_same(all_of(fill(cache, data)), plain(BANK, data))

    monkeypatch.setattr(feature_cache, "load_features", first)
    one = run(filled)
    assert begun.wait(60)
    monkeypatch.setattr(feature_cache, "load_features", usual)
    monkeypatch.setattr("petl_modules.utils.lock.logger", Logger())
    two = run(filled)
    assert ended(one) == ended(two) == 0
    assert sorted(log.read_text().split()) == sorted(
        f"{{data_root}}/{name}" for name in FORMATS
    )
    text = told.read_text()
    assert f"waiting for process {one.pid} on " in text
    assert str(cache.folder) in text


def test_folder_is_free_after_filling(data, cache, monkeypatch):
    def fill_more():
        monkeypatch.setattr("petl_modules.utils.lock.logger.warning", kill_self)
        fill(cache, data)

    fill(cache, data, ["d.flac"])
    assert ended(run(fill_more)) == 0


def test_processes_that_train_together(data, cache, tmp_path, monkeypatch):
    log = tmp_path / "log"
    monkeypatch.setattr(feature_cache, "load_features", logged(log))

    def train(rank):
        os.environ["RANK"] = str(rank)
        torch.distributed.init_process_group(
            "gloo", f"file://{tmp_path}/init", rank=rank, world_size=2
        )
        if rank:
            monkeypatch.setattr(cache, "_fill", refuse)
        load = fill(cache, data)
        assert_same(all_of(load), plain(BANK, data))
        assert len(log.read_text().split()) == 5

    processes = [run(train, rank) for rank in range(2)]
    assert [ended(process) for process in processes] == [0, 0]


# Bad audio and datasets


@pytest.mark.parametrize("name", ["text.wav", "missing.wav"])
def test_bad_clip_ends_the_run_as_without_a_cache(name, data, cache, computed):
    (data / "text.wav").write_text("hello, world " * 9)
    with pytest.raises(AudioError) as expected:
        load_features(BANK, data, f"{{data_root}}/{name}")
    bad = {"wav": f"{{data_root}}/{name}", "digest": "0" * 32}
    with pytest.raises(AudioError) as error:
        cache.fill({**records_of(data), name: bad}, data)
    assert str(error.value) == str(expected.value)
    assert assert_fills_up(cache, data, computed) == 5


def test_datasets_are_the_same(data, cache):
    names = list(FORMATS)
    parts = {
        "train": records_of(data, names[:3]),
        "test": records_of(data, names[3:]),
    }
    given = parts, data, BANK, ["dog", "cat"]
    batches = [
        PaddedBatch(list(dataset))
        for cached in (None, cache)
        for dataset in make_datasets(*given, cache=cached).values()
    ]
    for one, other in zip(batches[:2], batches[2:], strict=True):
        assert one.id == other.id
        assert torch.equal(one.features.data, other.features.data)
        assert torch.equal(one.features.lengths, other.features.lengths)
        assert torch.equal(one.target.data, other.target.data)


def test_datasets_read_from_the_cache(data, cache):
    given = {"train": records_of(data)}, data, BANK, ["cat"]
    make_datasets(*given, cache=cache)
    expected = plain(BANK, data)
    shutil.rmtree(data)
    dataset = make_datasets(*given, cache)["train"]
    assert_same({x["id"]: x["features"] for x in dataset}, expected)


def test_cache_of_other_features_is_refused(data, cache):
    with pytest.raises(ValueError, match="other features"):
        make_datasets(
            {"train": records_of(data)},
            data,
            Waveform(1.0),
            ["cat"],
            cache=cache,
        )


def test_datasets_pickle_without_open_maps(data, cache):
    given = {"train": records_of(data)}, data, BANK, ["cat"]
    dataset = make_datasets(*given, cache=cache)["train"]
    before = [item["features"] for item in dataset]
    copy = pickle.loads(pickle.dumps(dataset))
    for one, other in zip(before, copy, strict=True):
        assert torch.equal(one, other["features"])


def test_progress_bar_only_while_something_is_done(data, cache, capsys):
    records = records_of(data)
    cache.fill(records, data)
    assert "Caching features" in capsys.readouterr().err
    cache.fill(records, data)
    assert not capsys.readouterr().err


def test_empty_part(cache, data):
    assert not len(cache.fill({}, data).rows.index)
