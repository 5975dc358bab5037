"""How requests share batches, without a clock: a batch that waits for more waits for ever."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from images_server import NoiseGenerator

from rldf_gym.serving.metrics import Metrics
from rldf_gym.serving.queue import ImageQueue

PATIENCE = 300


@dataclass
class EndlessWait:
    """Like `QueueSettings`, without the limit of `max_wait`."""

    max_batch: int = 16
    max_wait: float | None = None
    max_queue: int = 256


def run(generator, clients):
    """Let clients, coroutines of the queue, generate; fail instead of hanging."""

    async def generate() -> None:
        queue = ImageQueue(generator, ThreadPoolExecutor(1), EndlessWait(), Metrics())
        async with queue.running():
            await asyncio.wait_for(clients(queue), PATIENCE)

    asyncio.run(generate())
    return [len(batch) for batch in generator.batches]


async def take_turns(queue, n_images):
    """Request one image after the other, as a client does."""
    for seed in range(n_images):
        await queue.generate(["a dog"], [seed])


def test_a_lone_client_does_not_wait_for_others():
    assert run(NoiseGenerator(), lambda queue: take_turns(queue, 5)) == [1] * 5


def test_clients_that_take_turns_come_to_share_batches():
    generator = NoiseGenerator()

    async def clients(queue):
        generator.may_draw.clear()
        first = asyncio.create_task(take_turns(queue, 6))
        while len(queue) or not generator.begun.is_set():
            await asyncio.sleep(0)
        others = [asyncio.create_task(take_turns(queue, 5)) for _ in range(3)]
        while len(queue) < 3:
            await asyncio.sleep(0)
        generator.may_draw.set()
        await asyncio.gather(first, *others)

    assert run(generator, clients) == [1, 4, 4, 4, 4, 4]


def test_64_clients_fill_every_batch():
    async def clients(queue):
        await asyncio.gather(*(take_turns(queue, 10) for _ in range(64)))

    assert run(NoiseGenerator(), clients) == [16] * 40
