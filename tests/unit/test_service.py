"""The example of an HTTP service, by a client over a socket."""

import http.client
import importlib.util
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile

from petl_modules.inference import TaskBank
from tests.tasks import read_parts, write_task
from tests.trained import ROOT

uvicorn = pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
RATE = 16_000


def load_example():
    path = ROOT / "examples" / "service.py"
    spec = importlib.util.spec_from_file_location("service", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


service = load_example()


def sound(seed, seconds=1.0):
    """Return the bytes of a WAV file of noise."""
    draw = np.random.default_rng(seed)
    file = io.BytesIO()
    noise = 0.1 * draw.standard_normal(int(seconds * RATE))
    soundfile.write(file, noise, RATE, format="WAV")
    return file.getvalue()


@pytest.fixture(scope="module")
def bank(tmp_path_factory, tiny_ast):
    folder = tmp_path_factory.mktemp("tasks")
    parts = read_parts("ast", tiny_ast)
    bank = TaskBank(tiny_ast)
    for seed, (name, labels) in enumerate(
        {"one": ["a", "b"], "two": ["c", "d", "e"], "linear": "fg"}.items()
    ):
        method = "linear" if name == "linear" else "lora"
        arguments = {"labels": [*labels], "seed": seed}
        bank.add(
            name,
            write_task(folder / name, parts, tiny_ast, method, **arguments),
        )
    return bank


class Running:
    """The service on a free port of this machine."""

    def __init__(self, bank, **limits):
        app = service.make_app(bank, service.Limits(**limits))
        config = uvicorn.Config(app, port=0, log_level="error")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)

    def __enter__(self):
        self.thread.start()
        while not self.server.started and self.thread.is_alive():
            self.thread.join(0.01)
        ((socket, *_),) = (s.sockets for s in self.server.servers)
        self.port = socket.getsockname()[1]
        return self

    def __exit__(self, *error):
        self.server.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()

    def ask(self, path, body=None):
        """Return status and content of an answer."""
        method = "GET" if body is None else "POST"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, 30)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def running(bank):
    limits = {"wait": 0.5, "body": 100_000, "longest": 2.0}
    with Running(bank, **limits) as started:
        yield started


def require_same(found, wanted):
    assert found == pytest.approx(dict(wanted), abs=1e-6)
    assert [*found] == [label for label, _ in wanted]


def test_concurrent_requests_are_answered_right_in_few_batches(running, bank):
    before = running.ask("/health")[1]["batches"]
    names = ["one", "two", "linear"] * 4
    sounds = [sound(seed) for seed in range(len(names))]
    with ThreadPoolExecutor(len(names)) as pool:
        paths = [f"/classify/{name}" for name in names]
        answers = [*pool.map(running.ask, paths, sounds)]
    for (status, content), one, name in zip(answers, sounds, names):
        assert status == 200
        require_same(content["labels"], bank(one, name))
    status, health = running.ask("/health")
    assert status == 200 and health["status"] == "ok"
    assert 1 <= health["batches"] - before < len(names) / 2


def test_tasks_are_listed(running, bank):
    status, content = running.ask("/tasks")
    assert status == 200
    assert content == {"one": ["a", "b"], "two": [*"cde"], "linear": [*"fg"]}


@pytest.mark.parametrize(
    "path, body, status, text",
    [
        ("/classify/three", sound(0), 404, "no task 'three'"),
        ("/classify/one", b"no sound at all", 400, "not audio"),
        ("/classify/one", b"", 400, "the sound"),
        ("/classify/one", sound(0)[:2_000], 400, "the sound"),
        ("/classify/one", sound(0, 2.5), 413, "longer than 2.0 s"),
        ("/classify/one", bytes(200_000), 413, "more than 100000 bytes"),
        ("/classify/one", None, 405, "Method Not Allowed"),
        ("/nothing", None, 404, "Not Found"),
    ],
)
def test_errors_say_what_is_wrong(running, path, body, status, text):
    found, content = running.ask(path, body)
    assert found == status
    assert text in content["error"]


def test_a_request_has_its_time_and_the_rest_go_on(bank, monkeypatch):
    wait, logits = threading.Event(), bank.logits

    def slow(*batch):
        wait.wait(20)
        return logits(*batch)

    monkeypatch.setattr(bank, "logits", slow)
    with Running(bank, time=0.3) as running:
        status, content = running.ask("/classify/one", sound(0))
        assert status == 503 and "no answer in 0.3 s" in content["error"]
        wait.set()
        status, content = running.ask("/classify/one", sound(0))
        assert status == 200


def test_a_failure_ends_its_batch_alone(bank, monkeypatch):
    calls, logits = [], bank.logits

    def failing(*batch):
        calls.append(batch)
        if len(calls) == 1:
            raise RuntimeError("out of memory")
        return logits(*batch)

    monkeypatch.setattr(bank, "logits", failing)
    with Running(bank) as running:
        connection = http.client.HTTPConnection("127.0.0.1", running.port)
        connection.request("POST", "/classify/one", sound(0))
        assert connection.getresponse().status == 500
        connection.close()
        status, content = running.ask("/classify/one", sound(0))
        assert status == 200
    require_same(content["labels"], bank(sound(0), "one"))


def test_few_bytes_that_hold_much_take_no_longer_than_a_request(bank):
    file = io.BytesIO()
    kind = {"format": "FLAC", "subtype": "PCM_16"}
    with soundfile.SoundFile(file, "w", 655_350, 8, **kind) as flac:
        for _ in range(20):
            flac.write(np.zeros((655_350, 8), "int16"))
    with Running(bank, time=0.2) as started:
        status, content = started.ask("/classify/one", file.getvalue())
    assert status == 503 or "to read" in content["error"]


def test_a_client_may_go_away(running, caplog):
    connection = http.client.HTTPConnection("127.0.0.1", running.port)
    connection.putrequest("POST", "/classify/one")
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"the beginning")
    connection.close()
    assert running.ask("/health")[0] == 200
    assert "Traceback" not in caplog.text


def test_the_example_is_short():
    lines = (ROOT / "examples" / "service.py").read_text("utf-8").splitlines()
    assert len(lines) <= 150
