"""Workers and processes that are dead, stopped or short of something."""

import multiprocessing
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from multiprocessing import synchronize
from multiprocessing.reduction import ForkingPickler

import pytest
import torch
from speechbrain.dataio.batch import PaddedBatch
from torch.utils.data import DataLoader, Dataset

from petl_modules.runs import plain_errors
from petl_modules.runs.failures import failure_text
from petl_modules.runs.watch import Watch, processes
from petl_modules.training import loaders, prepare_workers
from petl_modules.utils import AudioError, HparamsError


class Clips(Dataset):
    """Twelve clips; the worker sends itself a signal at the fourth."""

    def __init__(self, sent=None):
        self.sent = sent

    def __len__(self):
        return 12

    def __getitem__(self, index):
        if index == 3 and self.sent is not None:
            os.kill(os.getpid(), self.sent)
        return {"id": str(index), "features": torch.full((5, 2), index)}


def batches(sent=None, workers=1):
    return DataLoader(
        Clips(sent), batch_size=2, num_workers=workers, collate_fn=PaddedBatch
    )


@pytest.fixture
def reducers():
    """Leave multiprocessing as it was."""
    before = dict(ForkingPickler._extra_reducers)
    yield
    ForkingPickler._extra_reducers.clear()
    ForkingPickler._extra_reducers.update(before)


@pytest.mark.parametrize("sent", [signal.SIGSTOP, signal.SIGKILL])
def test_worker_that_is_stopped_or_dead_ends_the_run(sent):
    watch = Watch(period=0.1)
    watch.start()
    start = time.monotonic()
    with pytest.raises(SystemExit, match="^error: a worker of the loader has"):
        with plain_errors():
            list(batches(sent))
    assert time.monotonic() - start < 30


def test_a_stopped_process_that_goes_on_is_left_alone():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1)
    watch = Watch()
    for sent, looks in [(signal.SIGSTOP, 5), (signal.SIGCONT, 1)] * 2:
        child.send_signal(sent)
        state = "T" if sent == signal.SIGSTOP else "RS"
        while processes()[child.pid][0] not in state:
            time.sleep(0.01)
        for _ in range(looks):
            watch.look()
    child.communicate(b"\n")
    assert child.returncode == 0


def test_name_of_a_process_may_hold_any_byte(tmp_path):
    program = tmp_path / os.fsdecode(b"\xff) T 1")
    program.symlink_to(shutil.which("cat"))
    child = subprocess.Popen([program], stdin=-1)
    try:
        assert processes()[child.pid][1] == os.getpid()
    finally:
        child.communicate(b"")


@pytest.mark.parametrize("files", [20, 10_000])
@pytest.mark.parametrize("full", [False, True])
def test_batches_arrive_unchanged(files, full, reducers, monkeypatch):
    """By shared memory, or without where it is full or few files are open."""
    limits = {resource.RLIMIT_NOFILE: (files, files)}
    monkeypatch.setattr(resource, "getrlimit", limits.get)
    sharing = []

    def share(tensor):
        sharing.append(1)
        if full:
            raise RuntimeError("unable to allocate shared memory(shm)")

    prepare_workers(1)
    if full or files == 20:
        monkeypatch.setattr(torch.Tensor, "share_memory_", share)
    found = [batch.features.data for batch in batches()]
    expected = [batch.features.data for batch in batches(workers=0)]
    assert all(map(torch.equal, found, expected)) and len(found) == 6


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(3),
        torch.zeros(0, 4),
        torch.randn(3, 4).T,
        torch.randn(4)[::2],
        torch.tensor([True, False]),
        torch.randn(3).bfloat16(),
    ],
)
def test_any_tensor_goes_by_value(tensor):
    make, arguments = loaders._by_value(tensor)
    assert torch.equal(make(*arguments), tensor)
    assert make(*arguments).dtype == tensor.dtype


def test_no_semaphores_are_named(monkeypatch):
    def refuse():
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(multiprocessing, "Lock", refuse)
    with pytest.raises(HparamsError, match="/dev/shm.*--num_workers 0"):
        prepare_workers(2)
    prepare_workers(0)


def test_room_for_the_semaphores_of_two_loaders(monkeypatch, reducers):
    """Those of training and evaluation, which are there at a time."""
    made = []
    usual = synchronize.SemLock.__init__

    def counted(self, *arguments, **options):
        made.append(self)
        usual(self, *arguments, **options)

    monkeypatch.setattr(synchronize.SemLock, "__init__", counted)
    alive = [iter(batches(workers=2)) for _ in range(2)]
    needed = len(made)
    made.clear()
    del alive
    prepare_workers(2)
    assert 0 < needed <= len(made)


def test_semaphore_that_the_system_refuses_is_named():
    """Its error names no file."""
    text = "raise OSError(28, 'No space left on device')"
    with pytest.raises(OSError) as error:
        exec(compile(text, synchronize.__file__, "exec"))
    assert "/dev/shm is too small" in failure_text(error.value)
    with pytest.raises(OSError) as error:
        exec(text)
    assert "/dev/shm" not in failure_text(error.value)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "memory is full .*--batch_size"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "CUDA out of"),
        (
            RuntimeError(
                "[enforce] DefaultCPUAllocator: can't allocate memory"
            ),
            "memory is full",
        ),
        (RuntimeError("can't start new thread"), "limit of processes"),
        (OSError(24, "Too many open files"), "ulimit -n"),
        (RuntimeError("unable to open shared memory object"), "--shm-size"),
        (AudioError("a.wav: empty"), "^error: a.wav: empty$"),
    ],
)
def test_failures_of_the_machine_are_one_line(error, words):
    with pytest.raises(SystemExit, match=words) as end:
        with plain_errors():
            raise error
    assert "\n" not in str(end.value)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "(pid 7) is killed by signal: Killed. ",
            "is killed by signal: Killed",
        ),
        ("(pid(s) 7, 8) exited unexpectedly", "exited unexpectedly"),
    ],
)
def test_worker_that_ended_is_said_plainly(said, reason):
    text = failure_text(RuntimeError(f"DataLoader worker {said}"))
    assert text.startswith(f"a worker of the loader has ended ({reason}). If")


def test_bugs_are_no_failures_of_the_machine():
    assert failure_text(RuntimeError("mat1 and mat2 shapes")) is None


# Two processes that train together; another one stands for torchrun


def rank(number, port, errors):
    """Sum with the other process for ever, watched."""
    os.dup2(os.open(errors, os.O_WRONLY | os.O_APPEND), 2)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"tcp://127.0.0.1:{port}",
        rank=number,
        world_size=2,
    )
    try:
        with plain_errors():
            Watch(period=0.1).start()
            while True:
                torch.distributed.all_reduce(torch.ones(1))
                print("summed", file=sys.stderr)
    except SystemExit as end:
        print(end, file=sys.stderr)
    os._exit(1)


def launch(port, errors, pids):
    """Start two processes; when the first has ended, kill the other."""
    fork = multiprocessing.get_context("fork")
    ranks = [fork.Process(target=rank, args=(i, port, errors)) for i in (0, 1)]
    for process in ranks:
        process.start()
    pids.send([process.pid for process in ranks])
    ranks[0].join()
    ranks[1].kill()


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.mark.parametrize(
    ("victim", "sent", "words"),
    [
        (None, signal.SIGKILL, "error: torchrun has ended"),
        (1, signal.SIGSTOP, "of this run has been stopped"),
        (1, signal.SIGKILL, "error: another process of this run"),
    ],
)
def test_no_process_is_left_behind(victim, sent, words, tmp_path):
    errors = tmp_path / "errors.txt"
    errors.touch()
    fork = multiprocessing.get_context("fork")
    end, other_end = fork.Pipe()
    launcher = fork.Process(
        target=launch, args=(free_port(), errors, other_end)
    )
    launcher.start()
    pids = end.recv()
    while errors.read_text().count("summed") < 4:
        time.sleep(0.05)
    os.kill(launcher.pid if victim is None else pids[victim], sent)
    launcher.join()
    while any(pid in processes() for pid in pids):
        time.sleep(0.05)
    said = errors.read_text()
    assert words in said and "Traceback" not in said
