"""From a picture that nobody described to the goal of the search: a state and a reading."""

import base64
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np
from numpy.typing import NDArray

from rldf_gym.errors import RLDFError
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.grammar import Grammar
from rldf_gym.perception import Reading, fill_unread

if TYPE_CHECKING:
    from PIL import Image

Picture = NDArray[np.uint8]
Target = Union[str, Path, "Image.Image", NDArray[np.uint8]]
"""A target picture: a file, a Pillow image, or uint8 ``[H, W, 3]``, ``[H, W, 4]``, ``[H, W]``."""

DEFAULT_TARGET = Path(__file__).parent / "embedded" / "target.png"
"""The target that ships with the package."""

_SURE = 0.5
_TIMES_CHANCE = 1.25


class TargetError(RLDFError):
    """A target that is no picture, or none that can be used."""


class LowConfidenceWarning(UserWarning):
    """Some axes of the target were read with low confidence."""


class LowSimilarityWarning(LowConfidenceWarning):
    """The sentence that was read does not describe the target."""


class OutsideWarning(LowConfidenceWarning):
    """The target shows nothing that the perception knows."""


@dataclass(frozen=True, eq=False)
class Goal:
    """What a target picture means in a grammar's terms.

    Attributes:
        picture: the target, uint8 ``[H, W, 3]``.
        reading: what is read in it; its values are the goal state, every axis filled.
        state: int64 ``[n_axes]``, the state that the search looks for.
        prompt: that state's sentence.
        low_confidence_axes: names of the axes that could not be read, or only with a confidence
            below `least_confidence`.
        grammar: whose state it is.
        similarity: cosine of the target and the prompt by CLIP, -1..1; None where the perception
            is not calibrated.
        described: whether the similarity is that of a picture and its own prompt; False where the
            grammar has no words for what the target shows.
        outside_score: higher the farther the target is from all that the perception knows; None
            where the perception is not calibrated.
        outside: whether the score is above 0: the target shows nothing that the perception knows,
            such as a photograph to the embedded one.
    """

    picture: Picture
    reading: Reading
    state: NDArray[np.int64]
    prompt: str
    low_confidence_axes: tuple[str, ...]
    grammar: Grammar
    similarity: float | None = None
    described: bool = True
    outside_score: float | None = None
    outside: bool = False

    @property
    def probabilities(self) -> tuple[NDArray[np.float32], ...]:
        """Return for every axis float32 ``[n_values]``, which sums to 1."""
        return self.reading.probabilities


def least_confidence(grammar: Grammar) -> NDArray[np.float64]:
    """Return the confidence from which a value counts as recognised: float64 ``[n_axes]``.

    One half; on an axis with two values, where one half is mere chance, a quarter above it.
    """
    return np.maximum(_SURE, _TIMES_CHANCE / grammar.nvec)


def infer_goal(evaluator: StateEvaluator, target: Target | None = None) -> Goal:
    """Read a target picture as the goal of a search in this world.

    Axes in which nothing could be read are filled by CLIP zero-shot, the likeliest value given
    the axes that could.

    Args:
        evaluator: reads the picture, and knows the grammar.
        target: the picture; None takes the one that ships with the package.

    Raises:
        TargetError: the target is missing, no picture, or damaged.

    Warns:
        LowConfidenceWarning: names the axes, their values and confidences.
        OutsideWarning: the target shows nothing that the perception knows.
        LowSimilarityWarning: the perception may know it, but the grammar cannot describe it.
    """
    picture = load_picture(target)
    grammar = evaluator.grammar
    seen = evaluator.read(picture)
    unsure = (seen.values < 0) | (seen.confidence < least_confidence(grammar))
    reading = fill_unread(seen, grammar, evaluator.spec)
    for array in reading.arrays():
        array.setflags(write=False)
    prompt = grammar.decode(reading.values)
    least = evaluator.perception.least_similarity
    similarity = None
    if least is not None:
        similarity = float(evaluator.spec.embed([prompt])[0] @ reading.embedding)
    outside_score = evaluator.outside_score(picture)
    goal = Goal(
        picture=picture,
        reading=reading,
        state=reading.values,
        prompt=prompt,
        low_confidence_axes=tuple(
            n for n, guess in zip(grammar.axis_names, unsure, strict=True) if guess
        ),
        grammar=grammar,
        similarity=similarity,
        described=similarity is None or least is None or similarity >= least,
        outside_score=outside_score,
        outside=outside_score is not None and outside_score > 0,
    )
    if goal.outside:
        warnings.warn(
            f"the target was read as {prompt!r}, but it is outside the world that this perception"
            f" knows (score {outside_score:.2f}, above 0). For photographs use models that know"
            " them, such as --generator sd14",
            OutsideWarning,
            stacklevel=2,
        )
    elif not goal.described:
        warnings.warn(
            f"the target was read as {prompt!r}, but their similarity is only {similarity:.2f}; of"
            f" images that this grammar can describe it is at least {least:.2f}. Use a grammar that"
            " has words for what the target shows",
            LowSimilarityWarning,
            stacklevel=2,
        )
    if goal.low_confidence_axes:
        warnings.warn(_low_confidence_message(goal, evaluator), LowConfidenceWarning, stacklevel=2)
    return goal


def _low_confidence_message(goal: Goal, evaluator: StateEvaluator) -> str:
    grammar = evaluator.grammar
    values = []
    for name in goal.low_confidence_axes:
        index = grammar.axis_index(name)
        word = grammar.axis(name).values[int(goal.state[index])]
        values.append(f"{name} = {word!r} ({goal.reading.confidence[index]:.2f})")
    return (
        f"the target was read as {goal.prompt!r}, where these are guesses (confidence):"
        f" {', '.join(values)}. The picture may show what this grammar or perception does not know."
    )


def load_picture(target: Target | None = None) -> Picture:
    """A picture as uint8 ``[H, W, 3]``, upright, over white where it was transparent.

    Args:
        target: a picture file of any kind that Pillow reads (the first frame, if it moves), the
            same as a ``data:`` URL in base 64, a
            Pillow image, or an array uint8 ``[H, W, 3]``, ``[H, W, 4]`` (alpha), ``[H, W, 1]`` or
            ``[H, W]`` (grey). None takes the picture that ships with the package.

    Raises:
        TargetError: naming the target, what is wrong with it, and how to fix it.
    """
    if target is None:
        return _from_file(DEFAULT_TARGET)
    if isinstance(target, str) and target.startswith("data:"):
        return _from_data_url(target)
    if isinstance(target, str) and "://" in target:
        raise TargetError(f"the target {target} is an address: download it and give the file")
    if isinstance(target, str | Path):
        return _from_file(Path(target).expanduser())
    if isinstance(target, np.ndarray):
        return _from_array(target)
    from PIL import Image

    if isinstance(target, Image.Image):
        with _pillow_errors("the target"):
            return _from_image(target, "the target")
    raise TargetError(
        f"the target is a {type(target).__name__}; give the path of a picture, a PIL image, or an"
        " array uint8 [H, W, 3]"
    )


def _from_data_url(url: str) -> Picture:
    from PIL import Image

    with _pillow_errors("the target (a data: URL)"):
        header, _, content = url.partition(",")
        if not header.endswith(";base64"):
            raise TargetError("the target is a data: URL without ';base64,'")
        with Image.open(io.BytesIO(base64.b64decode(content, validate=True))) as image:
            return _from_image(image, "the target (a data: URL)")


def _from_file(path: Path) -> Picture:
    from PIL import Image

    if not path.exists():
        raise TargetError(f"the target {path} does not exist")
    if not path.is_file():
        raise TargetError(f"the target {path} is not a file; give the path of one picture")
    if path.stat().st_size == 0:
        raise TargetError(f"the target {path} is empty (0 bytes)")
    with _pillow_errors(f"the target {path}"), warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as image:
            return _from_image(image, f"the target {path}")


@contextmanager
def _pillow_errors(name: str) -> Iterator[None]:
    """Turn what Pillow raises into errors about the target of that name."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except TargetError:
        raise
    except UnidentifiedImageError as error:
        fix = "; export it as JPEG" if name.lower().endswith((".heic", ".heif")) else ""
        raise TargetError(f"{name} is not a picture that Pillow can read{fix}") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise TargetError(
            f"{name} is larger than {Image.MAX_IMAGE_PIXELS:,} pixels; scale it down (the picture"
            " models look at a few hundred pixels across)"
        ) from error
    except Exception as error:  # every format's decoder raises its own kinds
        raise TargetError(f"{name} cannot be read: {error}") from error


def _from_image(image: "Image.Image", name: str) -> Picture:
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(image)
    if 0 in upright.size:
        raise TargetError(f"{name} has no pixels: its size is {upright.size}")
    if upright.mode.startswith("I"):
        # 16-bit grey: Pillow itself would clip it to 255.
        return _from_array((np.asarray(upright).clip(0, 65535) // 257).astype(np.uint8))
    if upright.mode == "F":
        raise TargetError(f"{name} holds floating-point pixels; save it as an 8-bit picture")
    if upright.has_transparency_data:
        upright = Image.alpha_composite(
            Image.new("RGBA", upright.size, "white"), upright.convert("RGBA")
        )
    return np.array(upright.convert("RGB"))


def _from_array(array: NDArray[np.uint8]) -> Picture:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise TargetError(
            f"the target is an array {array.dtype} {list(array.shape)}; give uint8 [H, W, 3] with"
            " values 0 to 255, or [H, W] for grey"
        )
    if not array.size:
        raise TargetError(f"the target is an array without pixels: {list(array.shape)}")
    if channels == 1:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    if channels == 4:
        alpha = array[..., 3:].astype(np.uint16)
        return ((array[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.array(array)
