"""`rldf serve` with its real clients: `openai:` and the `openai` package, over loopback."""

import base64
import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection

import httpx
import numpy as np
import pytest
from images_server import SIDE, NoiseGenerator, noise, served
from openai import BadRequestError, InternalServerError, OpenAI
from painted_world import PaintedGenerator, load_grammar, paint, painted_perception
from PIL import Image

from rldf_agents.applications.search import SearchSettings, search_picture
from rldf_agents.cli import main
from rldf_gym.generation import (
    FailedImagesError,
    GenerationError,
    Generator,
    LimitedVocabulary,
    check_words,
    make_generator,
)
from rldf_gym.goal import DEFAULT_TARGET
from rldf_gym.serving import access
from rldf_gym.serving.access import LARGEST_BODY
from rldf_gym.serving.app import ServedModel
from rldf_gym.serving.errors import ServingError
from rldf_gym.serving.queue import QueueSettings
from rldf_gym.serving.requests import LONGEST_PROMPT
from rldf_gym.serving.server import read_token

HALF_A_BODY = (
    b"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b'Content-Length: 100\r\n\r\n{"prompt":'
)
TOKEN = "a-token-nobody-guesses"
JSON_BODY = {"Content-Type": "application/json"}
URL = re.compile(r"http://[^;]+/v1")


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "RLDF_SERVE_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def url():
    with served(NoiseGenerator()) as address:
        yield address


def client(url, **options) -> OpenAI:
    return OpenAI(**{"base_url": url, "api_key": "none", "max_retries": 0} | options)


def post(url, **body) -> httpx.Response:
    return httpx.post(f"{url}/images/generations", json=body, timeout=300)


def from_base64(content: str) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(base64.b64decode(content))))


def metrics(url, token="none") -> dict[str, float]:
    headers = {"Authorization": f"Bearer {token}"}
    text = httpx.get(url.replace("/v1", "/metrics"), headers=headers, timeout=300).text
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def queued(url) -> float:
    return metrics(url)["rldf_queued_pictures"]


def drawing(url, token="none") -> float:
    return metrics(url, token)["rldf_drawing_pictures"]


class TestPictures:
    def test_are_those_that_the_generator_draws_for_prompt_and_seed(self, url):
        pictures = make_generator("openai:noise", base_url=url)(["a dog", "a cat"], [3, 4])
        np.testing.assert_array_equal(pictures, [noise("a dog", 3), noise("a cat", 4)])

    def test_are_kept_under_the_fingerprint_of_the_generator_itself(self, url):
        generator = make_generator("openai:noise", base_url=url)
        assert isinstance(generator, Generator)
        assert generator.fingerprint == NoiseGenerator().fingerprint

    def test_of_one_request_have_following_seeds(self, url):
        extra = {"seed": 7}
        reply = client(url).images.generate(prompt="a dog", n=3, extra_body=extra)
        for place, item in enumerate(reply.data):
            np.testing.assert_array_equal(from_base64(item.b64_json), noise("a dog", 7 + place))

    def test_come_as_a_data_url_where_the_client_asks_for_one(self, url):
        reply = client(url).images.generate(
            prompt="a dog", response_format="url", extra_body={"seed": 7}
        )
        kind, _, content = reply.data[0].url.partition(",")
        assert kind == "data:image/png;base64"
        np.testing.assert_array_equal(from_base64(content), noise("a dog", 7))

    def test_without_a_seed_differ_and_report_theirs(self, url):
        replies = [post(url, prompt="a dog").json()["data"][0] for _ in range(2)]
        assert replies[0]["seed"] != replies[1]["seed"]
        for item in replies:
            np.testing.assert_array_equal(
                from_base64(item["b64_json"]), noise("a dog", item["seed"])
            )

    def test_that_the_generator_rejects_are_unavailable_to_the_client(self, url):
        generator = make_generator("openai:noise", base_url=url)
        with pytest.raises(FailedImagesError) as raised:
            generator(["a dog", "a forbidden dog"], [0, 0])
        assert raised.value.reasons == {1: "too rude"}
        np.testing.assert_array_equal(raised.value.pictures[0], noise("a dog", 0))

    def test_that_cannot_be_drawn_spoil_no_others_and_reveal_nothing_of_the_machine(self, url):
        with ThreadPoolExecutor() as threads:
            answers = list(
                threads.map(lambda prompt: post(url, prompt=prompt), ["a dog", "a broken dog"])
            )
        assert [answer.status_code for answer in answers] == [200, 500]
        assert answers[1].json()["error"]["message"] == "the image could not be generated"
        with pytest.raises(InternalServerError):
            client(url).images.generate(prompt="a broken dog")

    def test_that_a_faulty_generator_loses_fail_and_the_server_goes_on(self):
        class Forgetful(NoiseGenerator):
            def __call__(self, prompts, seeds):
                pictures = super().__call__(prompts, seeds)
                return pictures[:0] if "a forgotten dog" in prompts else pictures

        with served(Forgetful()) as url:
            answer = httpx.post(
                f"{url}/images/generations", json={"prompt": "a forgotten dog"}, timeout=300
            )
            assert answer.status_code == 500
            assert "returned uint8 [0, " in answer.json()["error"]["message"]
            assert post(url, prompt="a dog").status_code == 200


class TestModels:
    def test_the_one_model_is_listed_and_can_be_retrieved(self, url):
        listed = client(url).models.list().data
        assert [model.id for model in listed] == ["noise"]
        assert client(url).models.retrieve("noise").id == "noise"

    def test_another_model_is_rejected_by_name(self, url):
        generator = make_generator("openai:sd14", base_url=url)
        with pytest.raises(GenerationError, match="this server has 'noise'"):
            generator(["a dog"], [0])

    def test_a_client_notices_that_the_model_was_replaced(self):
        replaced = NoiseGenerator()
        with served(replaced) as url:
            generator = make_generator("openai:noise", base_url=url)
            generator(["a dog"], [0])
            replaced.fingerprint = "cd" * 32
            with pytest.raises(GenerationError, match="another model than when"):
                generator(["a cat"], [0])

    def test_a_closed_vocabulary_and_the_perception_reach_the_client(self):
        generator = NoiseGenerator()
        generator.known_words = frozenset({"a", "dog"})
        generator.perception = "embedded"
        with served(generator) as url:
            remote = make_generator("openai:noise", base_url=url)
            assert isinstance(remote, LimitedVocabulary)
            assert remote.perception == "embedded"
            with pytest.raises(GenerationError, match="unicorn"):
                check_words(remote, ["a unicorn"])
            answer = post(url, prompt="a unicorn")
        assert answer.status_code == 400
        assert "unicorn" in answer.json()["error"]["message"]


class TestRequests:
    @pytest.mark.parametrize(
        ("body", "param", "message"),
        [
            ({}, "prompt", "required"),
            ({"prompt": ""}, "prompt", "at least 1"),
            ({"prompt": "a" * (LONGEST_PROMPT + 1)}, "prompt", f"at most {LONGEST_PROMPT}"),
            ({"prompt": "a dog", "n": 0}, "n", "greater than or equal to 1"),
            ({"prompt": "a dog", "n": 11}, "n", "less than or equal to 10"),
            ({"prompt": "a dog", "seed": -1}, "seed", "greater than or equal to 0"),
            ({"prompt": "a dog", "seed": 2**63}, "seed", "less than"),
            ({"prompt": "a dog", "size": "512x512"}, "size", f"{SIDE}x{SIDE} and no other"),
            (
                {"prompt": "a dog", "response_format": "png"},
                "response_format",
                "'b64_json' or 'url'",
            ),
            ({"prompt": "a dog", "output_format": "webp"}, "output_format", "'png'"),
            ({"prompt": "a dog", "stream": True}, "stream", "not streamed"),
            ({"prompt": "a dog", "negative_prompt": "x"}, "negative_prompt", "not permitted"),
        ],
    )
    def test_bad_ones_are_rejected_by_field_in_openais_form(self, url, body, param, message):
        answer = post(url, **body)
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert error["param"] == param
        assert error["type"] == "invalid_request_error"
        assert message in error["message"]

    def test_the_openai_client_understands_a_rejection(self, url):
        with pytest.raises(BadRequestError) as raised:
            client(url).images.generate(prompt="a dog", size="512x512")
        assert raised.value.param == "size"

    def test_fields_without_a_meaning_here_are_accepted(self, url):
        answer = post(url, prompt="a dog", user="me", quality="hd", style="vivid", size="auto")
        assert answer.status_code == 200

    @pytest.mark.parametrize("content", [b"{", b"\xff\xfe{"])
    def test_a_body_that_is_no_json_is_rejected_as_such(self, url, content):
        headers = {"Content-Type": "application/json"}
        answer = httpx.post(f"{url}/images/generations", content=content, headers=headers)
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == ("invalid_json", None)
        assert error["message"] == "the body is not JSON in UTF-8"

    def test_a_body_without_a_content_type_is_answered_with_the_one_to_send(self, url):
        answer = httpx.post(f"{url}/images/generations", content=b'{"prompt": "a dog"}')
        assert answer.status_code == 400
        assert "Content-Type: application/json" in answer.json()["error"]["message"]

    def test_another_method_is_named_as_such(self, url):
        answer = httpx.get(f"{url}/images/generations")
        assert answer.status_code == 405
        assert answer.headers["Allow"] == "POST"
        assert answer.json()["error"]["code"] == "method_not_allowed"

    def test_a_large_body_is_rejected_unread(self, url):
        answer = httpx.post(f"{url}/images/generations", content=b"x" * (LARGEST_BODY + 1))
        assert answer.status_code == 413

    def test_a_large_body_without_a_length_is_rejected_too(self, url):
        parts = (b"x" * 1024 for _ in range(LARGEST_BODY // 1024 + 1))
        answer = httpx.post(f"{url}/images/generations", content=parts)
        assert answer.status_code == 413

    def test_an_unknown_page_is_not_found_in_openais_form(self, url):
        answer = httpx.get(f"{url}/nothing")
        assert answer.status_code == 404
        assert "/v1/nothing" in answer.json()["error"]["message"]
        assert answer.json()["error"]["code"] == "not_found"

    @pytest.mark.parametrize(
        "sent",
        [
            b"",
            b"POST /v1/images/generations HTTP/1.1\r\nHost:",
            b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /hea",
        ],
        ids=["nothing", "half a head", "half a second head"],
    )
    def test_a_connection_without_a_whole_head_is_closed_in_time(self, url, monkeypatch, sent):
        monkeypatch.setattr(access, "READ_SECONDS", 0.3)
        with connected(url) as connection:
            connection.sendall(sent)
            while connection.recv(1024):
                pass

    def test_a_body_that_does_not_arrive_is_answered_in_time(self, url, monkeypatch):
        monkeypatch.setattr(access, "READ_SECONDS", 0.3)
        with connected(url) as connection:
            connection.sendall(HALF_A_BODY)
            assert b"408 Request Timeout" in connection.recv(1024)

    def test_a_server_ends_although_a_client_has_half_sent_a_body(self, monkeypatch):
        monkeypatch.setattr(access, "READ_SECONDS", 0.3)
        with served(NoiseGenerator()) as address, connected(address) as connection:
            connection.sendall(HALF_A_BODY)
            # Leaving the context asks the server to end and waits until it has.


class TestQueue:
    def test_everything_is_drawn_in_one_thread_warming_up_included(self):
        generator = NoiseGenerator()
        with served(generator) as url:
            assert len(generator.batches) == 1
            assert post(url, prompt="a dog").status_code == 200
        assert len(generator.batches) == 2
        assert len(generator.threads) == 1

    def test_requests_that_wait_together_are_drawn_together(self):
        generator = NoiseGenerator()
        with served(generator, max_batch=4) as url, held(generator), ThreadPoolExecutor(9) as pool:
            answers = [pool.submit(post, url, prompt="first")]
            until(lambda: drawing(url) == 1)
            answers += [pool.submit(post, url, prompt=f"dog {n}") for n in range(8)]
            until(lambda: queued(url) == 8)
            generator.may_draw.set()
            assert {answer.result().status_code for answer in answers} == {200}
            assert [len(batch) for batch in generator.batches[1:]] == [1, 4, 4]
            counted = metrics(url)
        assert counted["rldf_pictures_total"] == 9
        assert counted["rldf_full_batches_total"] == 2
        assert counted["rldf_batch_size_sum"] == 9

    def test_a_full_queue_turns_away_and_says_when_to_come_back(self):
        generator = NoiseGenerator()
        with served(generator, max_queue=2) as url, held(generator), ThreadPoolExecutor(2) as pool:
            first = pool.submit(post, url, prompt="first")
            until(lambda: drawing(url) == 1)
            waiting = pool.submit(post, url, prompt="second", n=2)
            until(lambda: queued(url) == 2)
            answer = post(url, prompt="third")
            generator.may_draw.set()
            assert first.result().status_code == waiting.result().status_code == 200
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"
        assert answer.json()["error"]["code"] == "queue_full"

    def test_a_full_queue_says_how_long_it_takes_to_empty(self):
        generator = NoiseGenerator(seconds=0.5)
        with served(generator, max_queue=8, max_batch=1) as url, ThreadPoolExecutor(2) as pool:
            assert post(url, prompt="first").status_code == 200
            with held(generator):
                pool.submit(post, url, prompt="second", n=8)
                until(lambda: queued(url) == 7)
                answer = post(url, prompt="third", n=5)
        # An image takes half a second at least.
        assert 4 <= int(answer.headers["Retry-After"]) <= 60

    @pytest.mark.slow
    def test_64_clients_of_10_images_are_all_served_with_six_retries(self):
        with served(NoiseGenerator(seconds=0.5), max_batch=16) as url, ThreadPoolExecutor(64) as p:

            def generate(number):
                return client(url, max_retries=6).images.generate(prompt=f"dog {number}", n=10)

            assert all(len(reply.data) == 10 for reply in p.map(generate, range(64)))

    def test_more_pictures_than_may_ever_wait_are_no_reason_to_come_back(self):
        with served(NoiseGenerator(), max_queue=2) as url:
            answer = post(url, prompt="a dog", n=3)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "n"
        assert "2" in answer.json()["error"]["message"]

    def test_what_nobody_waits_for_any_more_is_not_drawn(self):
        generator = NoiseGenerator()
        with served(generator, max_batch=1) as url, held(generator), ThreadPoolExecutor(1) as pool:
            first = pool.submit(post, url, prompt="first")
            until(lambda: drawing(url) == 1)
            leaving = HTTPConnection(httpx.URL(url).netloc.decode())
            leaving.request("POST", "/v1/images/generations", '{"prompt": "gone"}', JSON_BODY)
            until(lambda: queued(url) == 1)
            leaving.close()
            until(lambda: queued(url) == 0)
            generator.may_draw.set()
            assert first.result().status_code == 200
        assert ["gone"] not in generator.batches

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"max_batch": 0}, "max_batch is 0"),
            ({"max_wait": -1}, "max_wait is -1"),
            ({"max_queue": 0}, "max_queue is 0"),
        ],
    )
    def test_bad_settings_are_named(self, settings, message):
        with pytest.raises(ServingError, match=message):
            QueueSettings(**settings)


class TestAccess:
    def test_only_who_knows_the_token_is_served(self, monkeypatch):
        with served(NoiseGenerator(), TOKEN) as url:
            monkeypatch.setenv("OPENAI_API_KEY", TOKEN)
            assert len(make_generator("openai:noise", base_url=url)(["a dog"], [0])) == 1
            for wrong in (f"{TOKEN}x", TOKEN[:-1], "ü"):
                monkeypatch.setenv("OPENAI_API_KEY", wrong.encode("ascii", "ignore").decode())
                with pytest.raises(GenerationError, match="rejects the key"):
                    make_generator("openai:noise", base_url=url)(["a dog"], [0])

    @pytest.mark.parametrize("page", ["/v1/models", "/v1/images/generations", "/metrics", "/x"])
    def test_without_the_token_every_page_is_closed_but_health(self, page):
        with served(NoiseGenerator(), TOKEN) as url:
            root = url.removesuffix("/v1")
            answer = httpx.get(f"{root}{page}")
            assert httpx.get(f"{root}/health").json() == {"status": "ok"}
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"

    def test_other_machines_are_served_only_with_a_token(self, monkeypatch):
        with pytest.raises(ServingError, match="RLDF_SERVE_TOKEN"):
            read_token("0.0.0.0")
        monkeypatch.setenv("RLDF_SERVE_TOKEN", TOKEN)
        assert read_token("0.0.0.0") == TOKEN

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
    def test_this_machine_is_served_without(self, host):
        assert read_token(host) is None

    def test_a_short_token_is_rejected(self, monkeypatch):
        monkeypatch.setenv("RLDF_SERVE_TOKEN", "1234")
        with pytest.raises(ServingError, match="at least 16") as raised:
            read_token("127.0.0.1")
        assert "1234" not in str(raised.value)


class TestCommand:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--host", "0.0.0.0"], "RLDF_SERVE_TOKEN"),
            (["--host", "no.such.host.invalid"], "cannot listen on no.such.host.invalid"),
            (["--generator", "nothing"], "unknown generator"),
            (["--generator", "openai:x"], "served already"),
            (["--generator", "outsiders:GRAMMAR"], "which is not a generator"),
            (["--max-batch", "0"], "--max-batch"),
        ],
    )
    def test_rejects_in_one_line(self, capsys, monkeypatch, options, message):
        monkeypatch.setenv("RLDF_SERVE_TOKEN", "" if "0.0.0.0" in options else TOKEN)
        with pytest.raises(SystemExit) as ended:
            main(["serve", *options])
        error = capsys.readouterr().err
        assert ended.value.code == 2
        assert message in error
        assert error.count("\n") == 1

    def test_draws_for_other_processes_and_finishes_what_is_queued_before_it_ends(self, tmp_path):
        with running_command(tmp_path / "log", RLDF_SERVE_TOKEN=TOKEN) as (process, url):
            api = client(url, api_key=TOKEN)
            words = api.models.retrieve("embedded").model_extra["generator"]["known_words"]
            with ThreadPoolExecutor(1) as threads:
                last = threads.submit(api.images.generate, prompt=min(words), n=10)
                until(lambda: drawing(url, TOKEN) == 10)
                process.send_signal(signal.SIGINT)
                assert len(last.result().data) == 10
            assert process.wait(300) == 0
        log = (tmp_path / "log").read_text()
        assert "POST /v1/images/generations" in log
        assert TOKEN not in log
        assert "Traceback" not in log


class TestSearch:
    def test_through_the_server_is_the_same_search(self):
        grammar = load_grammar("base")
        height, width, _ = paint(grammar, (0, 0, 0, 0)).shape
        painted = ServedModel(PaintedGenerator(grammar), f"{width}x{height}", 0)
        with served(painted) as url:
            direct, remote = (
                search_picture(
                    paint(grammar, (1, 5, 1, 3)),
                    SearchSettings(
                        learner="q_learning",
                        generator=generator,
                        perception=painted_perception(grammar),
                        store=None,
                        steps=200,
                    ),
                )
                for generator in (
                    PaintedGenerator(grammar),
                    make_generator("openai:painted", base_url=url),
                )
            )
        assert remote.steps == direct.steps
        for ours, theirs in zip(remote.best, direct.best, strict=True):
            np.testing.assert_array_equal(ours.picture, theirs.picture)

    @pytest.mark.slow
    def test_of_the_embedded_world_is_the_same_through_the_server(self):
        with served(make_generator("embedded", "cpu")) as url:
            remote_generator = make_generator("openai:embedded", base_url=url)
            direct, remote = (
                search_picture(
                    DEFAULT_TARGET,
                    SearchSettings(
                        learner="q_learning",
                        generator=generator,
                        store=None,
                        steps=30,
                        device="cpu",
                    ),
                )
                for generator in ("embedded", remote_generator)
            )
        assert remote.steps == direct.steps
        assert remote.generator.fingerprint == direct.generator.fingerprint


@pytest.mark.parametrize(
    "turns", [2, pytest.param(100, marks=pytest.mark.slow)], ids=["moments", "a_minute"]
)
def test_64_clients_get_what_they_ask_for_and_memory_is_bounded(turns):
    generator = NoiseGenerator(seconds=0.01)
    with served(generator, max_batch=16) as url, ExitStack() as opened:
        # One each: a client shared by threads may close a connection that another just took.
        http = [opened.enter_context(httpx.Client(timeout=300)) for _ in range(64)]

        def draw(number: int) -> None:
            for turn in range(turns):
                prompt = f"dog {number} {turn}"
                body = {"prompt": prompt, "seed": number}
                answer = http[number].post(f"{url}/images/generations", json=body)
                picture = from_base64(answer.raise_for_status().json()["data"][0]["b64_json"])
                np.testing.assert_array_equal(picture, noise(prompt, number))

        with ThreadPoolExecutor(64) as clients:
            list(clients.map(draw, range(64)))
            before = metrics(url)
            list(clients.map(draw, range(64)))
        after = metrics(url)
    n_drawn = 2 * 64 * turns
    assert after["rldf_pictures_total"] == after["rldf_batch_size_sum"] == n_drawn
    assert after['rldf_requests_total{path="/v1/images/generations",status="200"}'] == n_drawn
    grown = after["process_resident_memory_bytes"] - before["process_resident_memory_bytes"]
    assert grown < 32 * 2**20


@contextmanager
def held(generator):
    """While the context lasts, the generator draws only when the test lets it."""
    generator.may_draw.clear()
    try:
        yield
    finally:
        generator.may_draw.set()


@contextmanager
def running_command(log, **environment):
    """``rldf serve`` of the embedded model in a process of its own, and its address."""
    command = [sys.executable, "-m", "rldf_agents", "serve", "--port", "0", "--device", "cpu"]
    with log.open("w") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env=os.environ | environment
        )
        try:
            until(lambda: URL.search(log.read_text()) or process.poll() is not None)
            url = URL.search(log.read_text())[0]
            until(lambda: is_up(url))
            yield process, url
        finally:
            process.kill()
            process.wait()


def connected(url) -> socket.socket:
    address = httpx.URL(url)
    return socket.create_connection((address.host, address.port), timeout=10)


def is_up(url) -> bool:
    try:
        return httpx.get(url.replace("/v1", "/health")).is_success
    except httpx.TransportError:
        return False


def until(condition, seconds=300.0):
    """Look again and again, until it is so."""
    end = time.perf_counter() + seconds
    pause = threading.Event()
    while not condition():
        assert time.perf_counter() < end, "it never became so"
        pause.wait(0.01)
