"""An HTTP service that classifies sounds by many tasks of one encoder.

    pip install ".[service]"
    python examples/service.py pretrained/tiny-ast --task esc50=results/demo/lora
    curl --data-binary @dog.wav localhost:8000/classify/esc50

``GET /tasks`` lists the classes of each task. Sounds that arrive together run
as one batch, whatever their tasks. It has no encryption: put it behind a proxy.
"""

import argparse
import asyncio
import contextlib
from typing import NamedTuple

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.routing import Route

from petl_modules import TaskBank
from petl_modules.inference.sounds import read_bounded
from petl_modules.utils import AudioError, UserError, fail


class Limits(NamedTuple):
    """Limits of a request, and how requests are put into batches."""

    batch: int = 16  # sounds that run together
    wait: float = 0.01  # seconds that a sound waits for others
    body: int = 20_000_000  # bytes
    longest: float = 60.0  # seconds of a sound
    time: float = 30.0  # seconds from a request to its answer
    requests: int = 256  # at a time
    readers: int = 4  # sounds that are read at a time


class Service:
    """Puts the sounds of concurrent requests into batches of a bank."""

    def __init__(self, bank, limits):
        self.bank, self.limits, self.batches = bank, limits, 0

    @contextlib.asynccontextmanager
    async def running(self, app):
        """Run batches until the server, its last requests answered, stops."""
        self.queue = asyncio.Queue()
        self.readers = asyncio.Semaphore(self.limits.readers)
        worker = asyncio.create_task(self.work())
        yield
        worker.cancel()

    async def work(self):
        """Run one mixed batch after another, each in a thread."""
        while True:
            items = [await self.queue.get()]
            await asyncio.sleep(self.limits.wait)
            while len(items) < self.limits.batch and not self.queue.empty():
                items.append(self.queue.get_nowait())
            if items := [item for item in items if not item[0].done()]:
                await self.run(items)  # nobody waits for the others

    async def run(self, items):
        answers, *batch = zip(*items)
        self.batches += 1
        found = asyncio.to_thread(self.bank.logits, *batch)
        (found,) = await asyncio.gather(found, return_exceptions=True)
        for place, answer in enumerate(answers):
            if not answer.done():
                answer.set_result((found, place))

    async def classify(self, request):
        """Answer ``POST /classify/{task}`` with the body of an audio file."""
        return await asyncio.wait_for(self.answer(request), self.limits.time)

    async def answer(self, request):
        name, body = request.path_params["task"], bytearray()
        if name not in self.bank.tasks:
            raise HTTPException(404, f"no task '{name}': see /tasks")
        task = self.bank.task(name)
        async for part in request.stream():
            body += part
            if len(body) > self.limits.body:  # the rest is not read
                raise HTTPException(413, f"more than {self.limits.body} bytes")
        async with self.readers:
            features, remarks = await asyncio.to_thread(self.read, body, task)
        answer = asyncio.get_running_loop().create_future()
        self.queue.put_nowait((answer, features, task))
        found, place = await answer
        if isinstance(found, Exception):
            raise found
        labels = dict(self.bank.rank(found[place], task))
        return JSONResponse({"labels": labels, "remarks": [*remarks]})

    def read(self, body, task):
        """Return the features of a sound, and what is odd about it."""
        rate, longest = task.features.sample_rate, self.limits.longest
        samples = read_bounded(body, rate, longest, self.limits.time)
        if len(samples) > longest * rate:
            raise HTTPException(413, f"the sound is longer than {longest} s")
        return task.prepare((samples, rate))


def make_app(bank, limits=Limits()):
    """Return the application that serves a bank."""
    service = Service(bank, limits)

    async def about(request):
        if request.url.path == "/health":
            return JSONResponse({"status": "ok", "batches": service.batches})
        return JSONResponse({name: bank.labels(name) for name in bank.tasks})

    async def refuse(request, error):
        status = 400 if isinstance(error, AudioError) else 503
        text = str(error) or f"no answer in {limits.time} s"
        said = {"error": getattr(error, "detail", text)}
        return JSONResponse(said, getattr(error, "status_code", status))

    classify = "/classify/{task:path}", service.classify
    routes = [Route(*classify, methods=["POST"])]
    routes += [Route(path, about) for path in ("/tasks", "/health")]
    errors = HTTPException, AudioError, asyncio.TimeoutError, ClientDisconnect
    handlers = dict.fromkeys(errors, refuse)
    return Starlette(False, routes, None, handlers, lifespan=service.running)


def main():
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("backbone", help="folder or name of the encoder")
    parser.add_argument("--task", nargs="+", action="extend", metavar="ID=DIR")
    own = {"host": "127.0.0.1", "port": 8000, "device": "cpu"}
    for name, value in {**own, **Limits._field_defaults}.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    chosen = parser.parse_args()
    try:
        bank = TaskBank(chosen.backbone, chosen.device)
        for task in chosen.task or []:
            bank.add(*task.partition("=")[::2])
    except (UserError, OSError) as error:
        fail(error)
    limits = Limits(*(getattr(chosen, name) for name in Limits._fields))
    app, most = make_app(bank, limits), limits.requests
    uvicorn.run(app, host=chosen.host, port=chosen.port, limit_concurrency=most)


if __name__ == "__main__":
    main()
