"""Whether two states can share a prompt, decided exactly and without listing the states.

The prompts of a grammar are concatenations: one text from each place in the sentence. Suppose two
different states give one prompt. Write both out side by side up to the first place in which they
differ: one text must begin with the other there, and the longer one is ahead by a *rest*. From then
on only the state that is behind may go on, by a text that fits the rest, until both end together.
The search below walks over all such (place of one, place of the other, rest); rests are endings of
texts, so there are at most places² x characters in the file of them, however many states there
are. This is the test of Sardinas and Patterson (1953) for codes, with places.
"""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

Labels: TypeAlias = tuple[int, ...]
_Race: TypeAlias = tuple[Labels, Labels, str]
"""What the one behind and the one ahead have chosen so far, and by what text the latter leads."""


def find_collision(places: Sequence[Sequence[str]]) -> tuple[Labels, Labels] | None:
    """Two different choices of one text per place whose concatenations are equal, if any exist.

    Args:
        places: For each place in the sentence, the texts to choose from.

    Returns:
        Two label vectors ``[n_places]``, or None: then every prompt has exactly one state.
    """
    races = list(_first_differences(places))
    seen: set[tuple[int, int, str]] = set()
    while races:
        behind, ahead, rest = races.pop()
        key = (len(behind), len(ahead), rest)
        if key in seen:
            continue
        seen.add(key)
        if not rest and len(behind) == len(ahead):
            common_end = (0,) * (len(places) - len(behind))
            return behind + common_end, ahead + common_end
        races.extend(_continuations(places, behind, ahead, rest))
    return None


def _first_differences(places: Sequence[Sequence[str]]) -> Iterator[_Race]:
    for place, texts in enumerate(places):
        common_start = (0,) * place
        labels: dict[str, int] = {}
        for label, text in enumerate(texts):
            if text in labels:
                yield (*common_start, labels[text]), (*common_start, label), ""
            labels[text] = label
        for text, label in labels.items():
            for length in range(len(text)):
                shorter = labels.get(text[:length])
                if shorter is not None:
                    yield (*common_start, shorter), (*common_start, label), text[length:]


def _continuations(
    places: Sequence[Sequence[str]], behind: Labels, ahead: Labels, rest: str
) -> Iterator[_Race]:
    if not rest and len(ahead) < len(behind):
        behind, ahead = ahead, behind
    if len(behind) == len(places):
        return
    for label, text in enumerate(places[len(behind)]):
        longer = (*behind, label)
        if rest.startswith(text):
            yield longer, ahead, rest[len(text) :]
        elif text.startswith(rest):
            yield ahead, longer, text[len(rest) :]
