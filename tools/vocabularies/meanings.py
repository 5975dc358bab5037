"""Which meaning of WordNet a word of a list has."""

import re
from collections.abc import Mapping, Sequence

from rldf_gym.grammar.builders import WordNet
from rldf_gym.grammar.builders.wordnet import Synset

_ANIMAL, _ARTIFACT, _FOOD, _PLACE, _OBJECT, _PLANT = 5, 6, 13, 15, 17, 20
THINGS = ((_ANIMAL, _ARTIFACT, _FOOD), (_PLANT, _OBJECT))
SCENES = ((_ARTIFACT, _PLACE, _OBJECT),)
"""Categories of WordNet, those to try first in front."""

HINTS: Mapping[str, str] = {
    "alcohol": "liquor brew fermentation",
    "anklet": "ornament worn round the ankle",
    "arena": "structure sports",
    "balcony": "platform projecting wall building",
    "banquet hall": "large room gathering",
    "barrel": "cylindrical container liquids",
    "barrow": "cart handles wheels",
    "bazaar": "street small shops",
    "binder": "holds loose papers",
    "bob": "float fishing",
    "bolt": "screw nut",
    "bracelet": "jewelry worn around wrist",
    "bulletin board": "hangs wall displays announcements",
    "cabin": "small house wooden",
    "cake": "baked flour sugar eggs",
    "canal": "long narrow strip water boats irrigation",
    "canister": "metal container dry foods",
    "cape": "sleeveless garment cloak shoulders",
    "chap": "leather leggings",
    "christmas tree": "ornamented evergreen",
    "clip": "fasteners hold together paper",
    "clippers": "shears cutting",
    "crown": "jeweled headdress sovereign",
    "crumb": "very small fragment bread",
    "cushion": "soft bag filled",
    "delicatessen": "shop selling",
    "diner": "restaurant",
    "dining hall": "large room",
    "dolphin": "toothed whales",
    "drone": "aircraft pilot",
    "drumstick": "poultry leg",
    "duckling": "bird",
    "earplug": "plug ear canal noise",
    "eel": "voracious snakelike fishes",
    "eggbeater": "mixer whipping eggs",
    "ferret": "domesticated albino polecat",
    "flagpole": "staff flag flown",
    "globe": "sphere map earth represented",
    "glove": "handwear covers hand fingers",
    "grill": "framework metal bars cooking",
    "hammer": "hand tool heavy rigid head",
    "hammock": "hanging bed canvas",
    "hamper": "basket cover",
    "hog": "domestic swine",
    "horse carriage": "vehicle wheels drawn horses",
    "hose": "flexible pipe conveying liquid",
    "iron": "home appliance press clothes",
    "jersey": "close-fitting pullover shirt",
    "lime": "green acid fruit",
    "liquor": "distilled",
    "mansion": "large imposing house",
    "mouse": "electronic device computer",
    "needle": "sharp pointed implement sewing",
    "pinwheel": "toy spins wind",
    "pin": "small slender pointed wood metal",
    "plate": "dish food served",
    "playground": "yard outdoor children",
    "poster": "sign posted public advertisement",
    "ring": "jewelry circlet finger",
    "runway": "strip level paved surface planes",
    "puffer": "fishes inflate bodies",
    "saddle": "seat rider horse",
    "sandbox": "plaything children sand",
    "seahorse": "small fish horse-like heads",
    "slide": "plaything sloping chute children",
    "sombrero": "straw hat wide brim",
    "sparkler": "firework sparks",
    "straw": "tube drinking suck liquids",
    "tag": "label identification",
    "trunk": "luggage large strong case",
    "turtle": "aquatic land reptiles bony shell",
    "volcano": "mountain formed",
    "wave": "ridges water moves surface",
}
"""Words of the gloss of the meaning that is wanted, where the most frequent one is another."""

SYNONYMS: Mapping[str, str] = {
    "jacuzzi": "hot tub",
    "potted plant": "houseplant",
    "shower head": "shower",
    "skatepark": "playground",
    "videostore": "shop",
}
"""For words that WordNet does not have, or whose last word means something else."""


def meaning_of(
    wordnet: WordNet, phrase: str, remark: str = "", categories: Sequence[Sequence[int]] = THINGS
) -> Synset | None:
    """Return what a phrase means, else what its last words mean; None if WordNet has neither.

    Of several meanings, the one whose gloss and hypernyms share most words with the remark; else
    the most frequent one in the first categories that have any.
    """
    words = SYNONYMS.get(phrase, phrase).lower().replace("'s", "").split()
    for start in range(len(words)):
        senses = _senses(wordnet, " ".join(words[start:]))
        if senses:
            hint = HINTS.get(" ".join(words), remark if start == 0 else "")
            return _best(wordnet, senses, hint, categories)
    return None


def meanings_of_parts(wordnet: WordNet, phrase: str) -> list[int]:
    """Return the offsets of what each word of a phrase means as a noun: ``riding a bike``."""
    found = (_senses(wordnet, word) for word in phrase.split() if len(word) > 2)
    return [senses[0].offset for senses in found if senses]


def common_offsets(wordnet: WordNet) -> frozenset[int]:
    """Return the meanings that WordNet's makers met in texts: the last counts of its index."""
    common: set[int] = set()
    for line in (wordnet.folder / "index.noun").read_text(encoding="utf-8").splitlines():
        if not line.startswith(" "):
            fields = line.split()
            senses, tagged = int(fields[2]), int(fields[-int(fields[2]) - 1])
            common.update(map(int, fields[-senses:][:tagged]))
    return frozenset(common)


def _senses(wordnet: WordNet, word: str) -> list[Synset]:
    forms = [word, word.removesuffix("s"), word.removesuffix("es"), re.sub("ies$", "y", word)]
    return next((senses for form in forms if (senses := wordnet.senses(form))), [])


def _best(
    wordnet: WordNet, senses: list[Synset], hint: str, categories: Sequence[Sequence[int]]
) -> Synset:
    kinds = [*categories, {sense.category for sense in senses}]
    likely = [sense for kind in kinds for sense in senses if sense.category in kind]
    words = set(re.findall(r"[a-z]{3,}", hint.lower()))

    def shared(sense: Synset) -> int:
        above = [wordnet.at(each) for each in wordnet.taxonomy.ancestors(sense.offset)]
        lemmas = " ".join(lemma for each in above for lemma in each.lemmas)
        return len(words.intersection(re.findall(r"[a-z]+", f"{sense.gloss} {lemmas}".lower())))

    return max(likely, key=shared)
