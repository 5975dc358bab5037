"""Word lists without a tree of their own, put into groups."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from scipy.cluster import hierarchy
from scipy.spatial.distance import pdist

from rldf_gym.grammar.builders import Vocabulary, WordNet

_MOST_IN_A_GROUP = 16

MEDIUMS: Mapping[str, str] = {
    "photograph": r"photo(?!realistic)|polaroid|picture|portrait$",
    "drawing": r"draw|sketch|crayon|chalk|lineart|ink|stipple|pastel|diagram|illustration|tattoo",
    "painting": r"paint|gouache|flemish|watercolor|canvas|still life",
    "print": r"print|engraving|etching|woodcut|silk|poster|cover|panel|cartoon|photocopy",
    "sculpture": r"sculpt|statue|mosaic|stitch|puzzle",
    "computer_art": r".",
}
"""Patterns of the mediums of each group; the first that fits counts."""

MOVEMENTS: Mapping[str, str] = {
    "old_masters": r"romanesque|gothic|^renaissance|mannerism|baroque|rococo|classic|academic|"
    r"vanitas|qajar|figurativism|fine art|pre-raphael",
    "nineteenth_century": r"romantic|school|naturalism|tonalism|plein air|symbolism|nabis|nouveau|"
    r"aesthetic|arts and crafts|secession|cloisonn|synthetism|american scene|american barbizon",
    "impressionist": r"impressionism|pointillism",
    "east_and_south": r"ukiyo|hanga|mingei|gutai|bengal|ink painting|hurufiyya|samikshavad|"
    r"sumatra|arabesque",
    "expressionist": r"expressionism|fauvism|brut$|tachisme|informel|cobra|abstract|action|lyrical|"
    r"figurat|automatistes|color field|actionism|primitivism|naive|folk",
    "constructive": r"cub|orphism|purism|futurism|vorticism|suprematism|construct|rayonism|stijl|"
    r"neoplastic|bauhaus|synchromism|precisionism|deco|concrete|objective|geo|op art|optical|"
    r"brutalism|minimalism|plasticien",
    "surreal": r"surreal|dada|metaphysical|magic|fantas|psychedelic|space art",
    "realist": r"realism|photo|regionalism|objectivity|ashcan",
    "popular": r"pop|graffiti|street|lowbrow|funk|comix|kitsch|superflat|toyism|furry|stuckism",
    "digital": r"pixel|ascii|digital|computer|net art|video|generative|interactive|hologra",
    "conceptual": r".",
}
"""Patterns of the art movements of each group; the first that fits counts."""

_CHECKED = """
rooster, newt, peafowl, duck, Dobermann, Bullmastiff, Leonberger, clownfish, bottle cap, clogs,
coffeemaker, infant bed, hoop skirt, carved pumpkin, jeans, slip-on shoe, messenger bag, tights,
graduation cap, vespa, baby pacifier, bullock cart, pajamas, pan flute, payphone, sneaker,
motorboat, scarf, sunglasses, toy store, vaulted or arched ceiling, sink, shipwreck, sailboat,
baguette, pot pie, mountain, beach, earth star fungus, corn cob
"""
CHECKED = frozenset(name.strip() for name in _CHECKED.split(","))
"""Classes of ImageNet whose name was compared with the meaning by hand, as no word is the same."""


def named_classes(wordnet: WordNet, names: Sequence[str], offsets: Sequence[int]) -> dict[str, int]:
    """Return the meaning of each class name, once every name is sure to fit its meaning.

    A name that stands twice is replaced by the first word of its meaning.

    Raises:
        ValueError: A name has no word in common with its meaning and was not checked by hand, or
            is a word of another class's meaning and not of its own: the lists differ in order.
    """
    own = [_lemmas(wordnet, offset) for offset in offsets]
    everywhere = set().union(*own)
    wrong = [
        name
        for name, lemmas in zip(names, own, strict=True)
        if name.lower() not in lemmas
        and (name.lower() in everywhere or _words(name).isdisjoint(_words(" ".join(lemmas))))
        and name not in CHECKED
    ]
    if wrong:
        raise ValueError(f"names that do not fit their synset: {', '.join(wrong)}")
    twice = {name for name, count in Counter(names).items() if count > 1}
    words: dict[str, int] = {}
    for name, offset in zip(names, offsets, strict=True):
        first = wordnet.at(offset).lemmas[0].replace("_", " ")
        words[first if name in twice else name] = offset
    if len(words) < len(names):
        raise ValueError("two classes still share a name")
    return words


def by_meaning(wordnet: WordNet, name: str, meanings: Mapping[str, Sequence[int]]) -> Vocabulary:
    """Return phrases in clusters of like meaning, each named by its middle phrase.

    Average linkage over cosine distances, leaves in the optimal order. Phrases without any known
    word come last.
    """
    known = [phrase for phrase, offsets in meanings.items() if offsets]
    table = wordnet.taxonomy.embeddings([meanings[phrase] for phrase in known])
    tree = hierarchy.linkage(pdist(table, "cosine"), "average", optimal_ordering=True)
    members: list[str | Vocabulary] = []
    for labels in _clusters(hierarchy.to_tree(tree)):
        phrases = tuple(known[label] for label in labels)
        members += (
            phrases if len(phrases) == 1 else [Vocabulary(phrases[len(phrases) // 2], phrases)]
        )
    rest = tuple(phrase for phrase, offsets in meanings.items() if not offsets)
    return Vocabulary(name, (*members, Vocabulary("other", rest)) if rest else tuple(members))


def _clusters(node: hierarchy.ClusterNode) -> list[list[int]]:
    """The leaves below a node in order, in groups of at most sixteen, small neighbours joined."""
    if node.count <= _MOST_IN_A_GROUP:
        return [node.pre_order()]
    left, right = _clusters(node.get_left()), _clusters(node.get_right())
    if len(left[-1]) + len(right[0]) <= _MOST_IN_A_GROUP:
        return [*left[:-1], left[-1] + right[0], *right[1:]]
    return left + right


def mediums(phrases: Sequence[str]) -> Vocabulary:
    """Return artistic mediums in groups, from photographs to computer art."""
    first = sorted(phrases, key=lambda phrase: phrase != "a photo")
    return _by_pattern("medium", [phrase.removesuffix(" of") for phrase in first], MEDIUMS)


def movements(phrases: Sequence[str]) -> Vocabulary:
    """Return art movements in groups, from old to new and from figures to ideas."""
    return _by_pattern("style", phrases, MOVEMENTS)


def _by_pattern(name: str, phrases: Sequence[str], patterns: Mapping[str, str]) -> Vocabulary:
    groups: dict[str, list[str]] = {kind: [] for kind in patterns}
    for phrase in phrases:
        kind = next(kind for kind, pattern in patterns.items() if re.search(pattern, phrase))
        groups[kind].append(phrase)
    return Vocabulary(
        name, tuple(Vocabulary(kind, tuple(inside)) for kind, inside in groups.items())
    )


def _lemmas(wordnet: WordNet, offset: int) -> set[str]:
    return {lemma.replace("_", " ").lower() for lemma in wordnet.at(offset).lemmas}


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{3,}", text.lower()))
