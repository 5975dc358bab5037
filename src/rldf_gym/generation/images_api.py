"""Generate images on any server of OpenAI's Images API, through the `openai` client.

OpenAI's own, local servers, `rldf serve`. The key is read from the environment when a request needs
it, and is stored nowhere.
"""

import functools
import hashlib
import json
import os
import re
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from rldf_gym.addresses import is_loopback
from rldf_gym.failed_images import FailedImage, Image
from rldf_gym.generation.images_api_settings import ImagesApiSettings, is_openai
from rldf_gym.generation.openai_responses import (
    BLACK,
    describe_failure,
    filter_reason,
    find_model,
    read_image,
)
from rldf_gym.generation.protocols import FailedImagesError, GenerationError
from rldf_gym.model_loading import state_without

if TYPE_CHECKING:
    from openai import OpenAI

OPENAI = "openai:"
"""What the name of a model behind an Images API begins with: `openai:<model>`."""

KEY_VARIABLE = "OPENAI_API_KEY"

_CONNECT_SECONDS = 5.0

_NO_KEY = "none"
"""Sent to a server of this machine when no key is set: the client needs some word."""

_SENDABLE = re.compile(r"[!-~]*")
"""What a header can carry of a key: visible ASCII."""

# GPT image models always give base64 and reject response_format; all others take it.
_WITHOUT_RESPONSE_FORMAT = ("gpt-image", "chatgpt-image")


class ImagesApiGenerator:
    """Generates images on a server; meets the `Generator` and `LimitedVocabulary` protocols.

    The first image for a prompt is stored and not requested again. A seed is sent to servers
    that take one.

    Args:
        settings: the model, the server, and how images are requested.

    Raises:
        GenerationError: OPENAI_BASE_URL is no address.
    """

    def __init__(self, settings: ImagesApiSettings) -> None:
        self.settings = settings
        self.name = f"{OPENAI}{settings.model}"
        self.generations = 0
        self._url = settings.url()
        self._is_openai = is_openai(self._url)
        # Images of a call that failed: they should not be paid for twice.
        self._kept: dict[tuple[str, int], Image | FailedImage] = {}
        self._shape: tuple[int, ...] = settings.shape() or (1, 1, 3)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the connection: a copy opens its own."""
        return state_without(self, "_client")

    @functools.cached_property
    def fingerprint(self) -> str:
        """Sha256 hex of everything that is known to decide pixels.

        Of `rldf serve`, the fingerprint of the generator behind it: images are the same as if it
        ran on this machine, and share the store's entries. Of any other server, only its address
        and the model's name are known.

        Raises:
            GenerationError: the server does not answer.
        """
        if self._served:
            return str(self._served["fingerprint"])
        recipe = {
            "images_api": self._url,
            "model": self.settings.model,
            "size": self._size,
            "quality": self.settings.quality,
            "seed": self._sends_seed,
        }
        return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()

    @property
    def known_words(self) -> frozenset[str] | None:
        """Words that the model behind `rldf serve` was trained on; None where all are understood.

        Raises:
            GenerationError: the server does not answer.
        """
        words = self._served.get("known_words")
        return frozenset(map(str, words)) if isinstance(words, list) else None

    @property
    def perception(self) -> str:
        """Name of the perception for these images."""
        return str(self._served.get("perception", "photos"))

    @property
    def batch_size(self) -> int:
        """Number of images requested at once."""
        return self.settings.concurrency

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine, so that nobody is paid."""
        return is_loopback(urlsplit(self._url).hostname or "")

    def __call__(self, prompts: Sequence[str], seeds: Sequence[int]) -> NDArray[np.uint8]:
        """Request one image for every prompt with its seed.

        Images from before a failure are kept in memory: the same call again continues from there.

        Args:
            prompts: `[n]` sentences.
            seeds: `[n]` whole numbers; they mean something only where the server takes them.

        Returns:
            uint8 `[n, H, W, 3]`, RGB.

        Raises:
            FailedImagesError: a safety filter rejected some of them, or an image is black; it
                carries the others.
            GenerationError: the server cannot be reached, rejects the key or the request, or its
                reply is no image; or `max_generations` would be exceeded.
        """
        pairs = [(prompt, int(seed)) for prompt, seed in zip(prompts, seeds, strict=True)]
        if missing := [pair for pair in dict.fromkeys(pairs) if pair not in self._kept]:
            client = self._client
            self._spend(len(missing))
            self._request_all(client, missing)
        results = [self._kept[pair] for pair in pairs]
        images = self._stack(results)
        for pair in pairs:
            self._kept.pop(pair, None)
        reasons = {n: r.reason for n, r in enumerate(results) if isinstance(r, FailedImage)}
        if reasons:
            raise FailedImagesError(self.name, prompts, reasons, images)
        return images

    def _spend(self, n_images: int) -> None:
        limit = self.settings.max_generations
        if limit is not None and self.generations + n_images > limit:
            raise GenerationError(
                f"{self.generations} images were requested from {self.name!r}, and {n_images} more"
                f" would exceed max_generations={limit}; what was generated is in the store: give"
                " a higher limit to continue"
            )
        # Counted before they are requested: an image that never arrives may have to be paid.
        self.generations += n_images

    def _request_all(self, client: "OpenAI", pairs: Sequence[tuple[str, int]]) -> None:
        """Request in parallel into `_kept`; the first failure cancels what has not started."""
        with ThreadPoolExecutor(min(self.settings.concurrency, len(pairs))) as threads:
            futures = [threads.submit(self._request_one, client, *pair) for pair in pairs]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                threads.shutdown(cancel_futures=True)
                self.generations -= sum(future.cancelled() for future in futures)
        for future in futures:
            if not future.cancelled():
                future.result()

    def _request_one(self, client: "OpenAI", prompt: str, seed: int) -> None:
        import openai

        model = self.settings.model
        is_png = model.startswith(_WITHOUT_RESPONSE_FORMAT)
        options: dict[str, Any] = {
            **({"output_format": "png"} if is_png else {"response_format": "b64_json"}),
            "size": self._size or openai.omit,
            "quality": self.settings.quality or openai.omit,
            "extra_body": {"seed": seed} if self._sends_seed else None,
        }
        try:
            reply = client.images.generate(prompt=prompt, n=1, model=model, **options)
        except (openai.OpenAIError, ValueError) as error:
            reason = filter_reason(error)
            if reason is None:
                raise self._failure(error) from None
            self._kept[prompt, seed] = FailedImage(self._without_key(reason), self._shape)
            return
        made_by = (getattr(reply, "model_extra", None) or {}).get("fingerprint")
        if self._served and made_by != self.fingerprint:
            raise GenerationError(
                f"the server at {self._url} has another model than when this run began; start anew,"
                " so that their images are not mixed"
            )
        image = read_image(reply, self.name, self._size)
        self._kept[prompt, seed] = image if image.any() else FailedImage(BLACK, image.shape)

    def _stack(self, results: Sequence[Image | FailedImage]) -> NDArray[np.uint8]:
        shapes = {result.shape for result in results if not isinstance(result, FailedImage)}
        if len(shapes) > 1:
            sizes = ", ".join(sorted(f"{width}x{height}" for height, width, _ in shapes))
            raise GenerationError(
                f"{self.name!r} sent images of several sizes ({sizes}); request one: size='...'"
            )
        self._shape = next(iter(shapes), self._shape)
        blank = np.zeros(self._shape, np.uint8)
        return np.array(
            [blank if isinstance(result, FailedImage) else result for result in results], np.uint8
        ).reshape(-1, *self._shape)

    @property
    def _size(self) -> str | None:
        """The requested size; None leaves it to the server."""
        return self.settings.size or ("1024x1024" if self._is_openai else None)

    @property
    def _sends_seed(self) -> bool:
        chosen = self.settings.sends_seed
        return not self._is_openai if chosen is None else chosen

    @functools.cached_property
    def _served(self) -> dict[str, Any]:
        """The entry of `rldf serve` for its model; empty for any other server."""
        if self._is_openai:
            return {}
        client = self._client
        import openai

        try:
            return find_model(client.models.list(), self.settings.model)
        except (openai.OpenAIError, ValueError) as error:
            # Many servers generate images and list nothing.
            if isinstance(error, openai.APIStatusError) and error.status_code in (404, 405, 501):
                return {}
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> GenerationError:
        """Return what to raise in place of an error, whose text may repeat the key."""
        message = describe_failure(error, self._url, self.settings)
        return GenerationError(f"{self.name!r}: {self._without_key(message)}")

    def _without_key(self, text: str) -> str:
        key = os.environ.get(KEY_VARIABLE, "").strip()
        return text.replace(key, "[the key]") if key else text

    @functools.cached_property
    def _client(self) -> "OpenAI":
        try:
            from openai import OpenAI, Timeout
        except ImportError as absent:
            raise GenerationError(
                f"{self.name!r} needs the openai package: pip install 'rldf-gym[openai]'"
            ) from absent
        self._key()
        return OpenAI(
            api_key=self._key,
            base_url=self._url,
            max_retries=self.settings.max_retries,
            # A server that is there accepts at once, however long it then computes.
            timeout=Timeout(self.settings.timeout, connect=_CONNECT_SECONDS),
        )

    def _key(self) -> str:
        key = os.environ.get(KEY_VARIABLE, "").strip()
        if not key and not self.is_local:
            raise GenerationError(
                f"{self.name!r}: {KEY_VARIABLE} is not set, and {self._url} is not on this"
                " machine; set it to your key (to any word if the server asks for none)"
            )
        if not _SENDABLE.fullmatch(key):
            # Checked here: the HTTP library's own error would repeat the key, escaped.
            raise GenerationError(
                f"{self.name!r}: {KEY_VARIABLE} has blanks, line breaks or letters beyond ASCII in"
                " it, which no key has; set it to the key alone"
            )
        return key or _NO_KEY
