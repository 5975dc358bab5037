"""`openai:<model>`: what is asked of a server, what is made of its answers, what stays secret."""

import base64
import io
import logging
import socket
import traceback

import gymnasium as gym
import numpy as np
import pytest
from images_server import Answer, scripted
from painted_world import load_grammar, paint, painted_perception
from PIL import Image

from rldf_agents.cli import main
from rldf_gym.generation import (
    PLACEHOLDER_GREY,
    FailedImagesError,
    GenerationError,
    Generator,
    make_generator,
)
from rldf_gym.generation.images_api_settings import is_openai, normalized_url

KEY = "sk-very-secret-0123456789"
PICTURE = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
BLACK = np.zeros((32, 48, 3), np.uint8)
NO_IMAGE = "does not have one image in base64"


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def encoded(picture, kind="PNG") -> str:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, kind)
    return base64.b64encode(content.getvalue()).decode()


def drawn(picture=PICTURE) -> Answer:
    return Answer(200, {"created": 0, "data": [{"b64_json": encoded(picture)}]})


def refused(status, message, code=None) -> Answer:
    return Answer(status, {"error": {"message": message, "type": "any", "code": code}})


RUDE = refused(400, "Your request was rejected by our safety system.", "content_policy_violation")


def asking(script, model="dall-e-2", **settings):
    settings = {"max_retries": 0, "base_url": script.url} | settings
    return make_generator(f"openai:{model}", **settings)


class TestRequests:
    def test_one_request_for_every_picture_with_prompt_and_seed(self):
        with scripted(drawn()) as script:
            pictures = asking(script, size="48x32", quality="low")(["a dog", "a cat"], [5, 6])
        np.testing.assert_array_equal(pictures, [PICTURE, PICTURE])
        assert sorted(script.asked, key=lambda asked: asked["seed"]) == [
            {
                "prompt": prompt,
                "seed": seed,
                "model": "dall-e-2",
                "n": 1,
                "response_format": "b64_json",
                "size": "48x32",
                "quality": "low",
            }
            for prompt, seed in (("a dog", 5), ("a cat", 6))
        ]

    def test_gpt_image_models_are_asked_for_png_and_not_for_a_response_format(self):
        with scripted(drawn()) as script:
            asking(script, "gpt-image-2")(["a dog"], [0])
        [asked] = script.asked
        assert asked["output_format"] == "png"
        assert "response_format" not in asked

    def test_a_server_that_takes_no_seed_is_sent_none(self):
        with scripted(drawn()) as script:
            asking(script, sends_seed=False)(["a dog"], [0])
        assert "seed" not in script.asked[0]

    @pytest.mark.parametrize("host", ["api.openai.com", "eu.api.openai.com", "API.OpenAI.com"])
    def test_openai_is_known_in_all_its_regions(self, host):
        assert is_openai(normalized_url(f"https://{host}/v1"))

    @pytest.mark.parametrize("host", ["127.0.0.1", "notapi.openai.com", "openai.com.example.org"])
    def test_nobody_else_is_taken_for_openai(self, host):
        assert not is_openai(normalized_url(f"https://{host}/v1"))

    def test_the_same_prompt_and_seed_twice_is_asked_for_once(self):
        with scripted(drawn()) as script:
            assert len(asking(script)(["a dog", "a dog"], [0, 0])) == 2
        assert len(script.asked) == 1

    def test_the_address_may_come_from_the_environment(self, monkeypatch):
        with scripted(drawn()) as script:
            monkeypatch.setenv("OPENAI_BASE_URL", script.url)
            make_generator("openai:dall-e-2")(["a dog"], [0])
        assert len(script.asked) == 1

    def test_it_meets_the_protocol_and_no_prompts_ask_nothing(self):
        with scripted(drawn()) as script:
            generator = asking(script, size="48x32")
            assert isinstance(generator, Generator)
            assert generator([], []).shape == (0, 32, 48, 3)
        assert script.asked == []

    def test_what_may_succeed_later_is_tried_again(self):
        busy = refused(503, "try again later")
        with scripted(busy, drawn()) as script:
            assert len(asking(script, max_retries=1)(["a dog"], [0])) == 1
        assert len(script.asked) == 2


class TestRefusals:
    def test_a_safety_filter_makes_that_picture_unavailable_and_no_other(self):
        with scripted(RUDE, drawn()) as script, pytest.raises(FailedImagesError) as raised:
            asking(script, concurrency=1)(["a rude dog", "a dog"], [0, 0])
        assert raised.value.reasons == {0: "Your request was rejected by our safety system."}
        np.testing.assert_array_equal(raised.value.pictures[1], PICTURE)
        assert (raised.value.pictures[0] == PLACEHOLDER_GREY).all()

    def test_a_black_picture_is_unavailable(self):
        with scripted(drawn(BLACK)) as script, pytest.raises(FailedImagesError) as raised:
            asking(script)(["a dog"], [0])
        assert "black" in raised.value.reasons[0]

    def test_an_environment_goes_on_where_pictures_are_rejected(self):
        grammar = load_grammar("base")
        with scripted(RUDE, drawn(paint(grammar, (0, 1, 0, 0)))) as script:
            env = gym.make(
                "RLDF-v0",
                generator=asking(script, concurrency=1),
                target=paint(grammar, (1, 5, 1, 3)),
                perception=painted_perception(grammar),
                store=None,
            )
            with pytest.warns(UserWarning, match="rejected by our safety system"):
                env.reset(seed=0)
            for action in ([0, 1], [1, 1], [1, 0]):
                env.step(np.array(action))
            env.close()
        assert len(script.asked) > 1


class TestFailures:
    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            (refused(401, "Incorrect API key provided"), "rejects the key; OPENAI_API_KEY must"),
            (refused(404, "no such model"), "has no model 'dall-e-2'"),
            (refused(429, "quota exceeded"), "credit is used up"),
            (refused(400, "unknown parameter"), "answered 400: unknown parameter"),
            (refused(500, "out of order"), "answered 500: out of order"),
            (Answer(200, {"data": []}), NO_IMAGE),
            (
                Answer(200, {"data": [{"url": "http://x/y.png"}]}),
                "does not have one image in base64",
            ),
            (Answer(200, {"data": [{"b64_json": "%%%"}]}), "image is damaged"),
            (Answer(200, {"data": [{"b64_json": "aGVsbG8="}]}), "image is damaged"),
            (Answer(200, {"data": [{"b64_json": encoded(PICTURE)[:400]}]}), "image is damaged"),
            (Answer(200, "<html>a login page</html>"), NO_IMAGE),
        ],
    )
    def test_is_one_clear_error(self, answer, message):
        with scripted(answer) as script, pytest.raises(GenerationError) as raised:
            asking(script)(["a dog"], [0])
        assert message in str(raised.value)
        assert "openai:dall-e-2" in str(raised.value)

    def test_of_the_wrong_size_is_reported(self):
        with scripted(drawn()) as script:
            generator = asking(script, size="512x512")
            with pytest.raises(GenerationError, match="requested 512x512, the server sent 48x32"):
                generator(["a dog"], [0])

    def test_of_several_sizes_where_none_was_asked_for_is_reported(self):
        several = pytest.raises(GenerationError, match="several sizes")
        with scripted(drawn(), drawn(PICTURE[:16])) as script, several:
            asking(script, concurrency=1)(["a dog", "a cat"], [0, 0])

    def test_of_an_unreachable_server_names_the_address(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            free = listener.getsockname()[1]
        generator = make_generator(
            "openai:m", base_url=f"http://127.0.0.1:{free}/v1", max_retries=0
        )
        with pytest.raises(GenerationError, match=rf"127.0.0.1:{free}/v1 cannot be reached"):
            generator(["a dog"], [0])

    def test_keeps_what_was_drawn_so_that_it_is_not_paid_for_twice(self):
        with scripted(drawn(), refused(500, "out of order"), drawn()) as script:
            generator = asking(script, concurrency=1)
            with pytest.raises(GenerationError):
                generator(["a dog", "a cat"], [0, 0])
            assert len(generator(["a dog", "a cat"], [0, 0])) == 2
        assert [asked["prompt"] for asked in script.asked] == ["a dog", "a cat", "a cat"]


class TestSpending:
    def test_stops_before_the_limit_is_exceeded(self):
        with scripted(drawn()) as script:
            generator = asking(script, max_generations=3)
            generator(["a", "b"], [0, 0])
            with pytest.raises(GenerationError, match="max_generations=3"):
                generator(["c", "d"], [0, 0])
            assert len(script.asked) == 2
            generator(["c"], [0])
        assert generator.generations == 3

    def test_a_limit_of_zero_asks_nothing(self):
        stopped = pytest.raises(GenerationError, match="max_generations=0")
        with scripted(drawn()) as script, stopped:
            asking(script, max_generations=0)(["a"], [0])
        assert script.asked == []

    def test_the_command_line_wants_a_limit_before_it_asks_a_paid_server(self, capsys, tmp_path):
        target = tmp_path / "target.png"
        Image.fromarray(PICTURE).save(target)
        with pytest.raises(SystemExit) as ended:
            main(["search", str(target), "--generator", "openai:x", "--out", str(tmp_path / "o")])
        assert ended.value.code == 2
        assert "--max-generations" in capsys.readouterr().err

    def test_the_command_line_rejects_a_limit_for_what_costs_nothing(self, capsys, tmp_path):
        target = tmp_path / "target.png"
        Image.fromarray(PICTURE).save(target)
        options = ["--max-generations", "5", "--out", str(tmp_path / "o")]
        with pytest.raises(SystemExit) as ended:
            main(["search", str(target), *options])
        assert ended.value.code == 2
        assert "embedded runs on this machine" in capsys.readouterr().err


class TestFingerprint:
    def test_needs_no_network_for_openai(self, monkeypatch):
        monkeypatch.setattr("socket.socket.connect", None)
        assert len(make_generator("openai:gpt-image-2").fingerprint) == 64

    def test_differs_by_what_decides_pixels(self):
        different = [
            make_generator(f"openai:{model}", **settings).fingerprint
            for model, settings in (
                ("gpt-image-2", {}),
                ("gpt-image-2-mini", {}),
                ("gpt-image-2", {"size": "1536x1024"}),
                ("gpt-image-2", {"quality": "low"}),
                ("gpt-image-2", {"sends_seed": True}),
            )
        ]
        assert len(set(different)) == len(different)

    def test_differs_by_server(self):
        with scripted(drawn()) as one, scripted(drawn()) as other:
            assert asking(one).fingerprint != asking(other).fingerprint

    def test_is_the_same_however_the_server_is_written_and_asked(self):
        same = {
            make_generator("openai:m", base_url=url, **settings).fingerprint
            for url, settings in (
                ("https://api.openai.com/v1", {}),
                ("https://API.openai.com:443/v1/", {"size": "1024x1024"}),
                (None, {"concurrency": 2, "max_retries": 9, "max_generations": 7, "timeout": 5}),
            )
        }
        assert len(same) == 1


class TestSecrets:
    def test_the_key_is_sent_and_is_in_no_message_log_repr_or_fingerprint(self, caplog, capfd):
        echo = refused(401, f"Incorrect API key provided: {KEY}")
        with caplog.at_level(logging.DEBUG), scripted(drawn(), echo) as script:
            generator = asking(script)
            generator(["a dog"], [0])
            assert script.headers[0]["authorization"] == f"Bearer {KEY}"
            with pytest.raises(GenerationError) as raised:
                generator(["a cat"], [0])
        shown = [
            "".join(traceback.format_exception(raised.value)),
            caplog.text,
            repr(generator),
            repr(vars(generator)),
            generator.fingerprint,
            *capfd.readouterr(),
        ]
        assert not [text for text in shown if KEY in text]

    @pytest.mark.parametrize("key", ["sk-very\nsecret", "sk-very secret", "sk-véry-secret"])
    def test_a_key_that_cannot_be_sent_is_rejected_and_not_repeated(self, monkeypatch, key):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with (
            scripted(drawn()) as script,
            pytest.raises(GenerationError, match="OPENAI_API_KEY has blanks") as raised,
        ):
            asking(script)(["a dog"], [0])
        assert "secret" not in "".join(traceback.format_exception(raised.value))

    def test_the_key_is_in_no_file_of_an_environment(self, tmp_path):
        grammar = load_grammar("base")
        with scripted(drawn(paint(grammar, (0, 1, 0, 0)))) as script:
            env = gym.make(
                "RLDF-v0",
                generator=asking(script),
                target=paint(grammar, (1, 5, 1, 3)),
                perception=painted_perception(grammar),
                store=tmp_path / "store.sqlite",
            )
            env.reset(seed=0)
            env.close()
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert files
        assert not [path for path in files if KEY.encode() in path.read_bytes()]

    @pytest.mark.parametrize("secret", ["http://me:pass@h/v1", "http://h/v1?key=pass"])
    def test_an_address_with_a_secret_is_rejected_and_not_repeated(self, secret):
        with pytest.raises(GenerationError, match="OPENAI_API_KEY") as raised:
            make_generator("openai:m", base_url=secret)
        assert "pass" not in str(raised.value)

    def test_without_a_key_no_other_machine_is_asked(self, monkeypatch):
        monkeypatch.delenv("OPENAI_API_KEY")
        monkeypatch.setattr("socket.socket.connect", None)
        with pytest.raises(GenerationError, match="OPENAI_API_KEY is not set"):
            make_generator("openai:gpt-image-2")(["a dog"], [0])

    def test_this_machine_is_asked_without_a_key(self, monkeypatch):
        monkeypatch.delenv("OPENAI_API_KEY")
        with scripted(drawn()) as script:
            assert len(asking(script)(["a dog"], [0])) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base_url": "127.0.0.1:8000"}, "base_url"),
        ({"base_url": "ftp://host/v1"}, "base_url"),
        ({"base_url": "http://host:99999999/v1"}, "base_url"),
        ({"size": "large"}, "size is 'large'"),
        ({"size": "0x512"}, "size is '0x512'"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"max_retries": -1}, "max_retries is -1"),
        ({"max_generations": -1}, "max_generations is -1"),
        ({"size": 512}, "size is 512"),
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": "long"}, "timeout is 'long'"),
        ({"timeout": float("inf")}, "timeout is inf"),
        ({"api_key": KEY}, "unknown setting api_key"),
        ({"steps": 10}, "unknown setting steps"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(GenerationError) as raised:
        make_generator("openai:m", **settings)
    assert message in str(raised.value)
    assert KEY not in str(raised.value)


def test_a_model_has_to_be_named():
    with pytest.raises(GenerationError, match="openai:<model>"):
        make_generator("openai:")
