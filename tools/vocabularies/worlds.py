"""The grammars: which vocabularies each of them holds, and in which sentence."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from rldf_gym.grammar import load_grammar
from rldf_gym.grammar.builders import BuiltGrammar, Vocabulary, WordNet, vocabulary_tree
from rldf_gym.grammar.builders.lark_file import Sentence, write_grammar
from rldf_gym.grammar.builders.synsets import WORDNET_NOTICE
from tools.vocabularies import domains, grouping, sources
from tools.vocabularies.meanings import SCENES, common_offsets, meaning_of, meanings_of_parts

HOW_TO_READ = "How to read this file is said at the top of base.lark."
FREQUENCY = Vocabulary(
    "frequency", ("one", "many"), 'How many of the thing. Pictures with two or more are "many".'
)
DENSITY = Vocabulary("density", ("no", "one", "many"), "How many people are in the picture.")
WEATHER = Vocabulary(
    "weather",
    ("clear", "cloudy", "windy", "rainy", "stormy", "snowy", "foggy"),
    "From the best sight to the worst.",
)
TIME_OF_DAY = Vocabulary(
    "time_of_day",
    ("night", "dawn", "morning", "day", "afternoon", "sunset", "evening"),
    "Around the clock.",
)


@dataclass(frozen=True)
class Meanings:
    """What the words of one axis mean.

    Attributes:
        grammar: The grammar's name.
        axis: The axis's name.
        offsets: The offset in WordNet of each word.
    """

    grammar: str
    axis: str
    offsets: Mapping[str, int]


class Worlds:
    """Makes each grammar from the word lists.

    Args:
        wordnet: WordNet 3.0.
        wheels: The packages that are not installed.
    """

    def __init__(self, wordnet: WordNet, wheels: sources.Wheels) -> None:
        self._wordnet = wordnet
        self._wheels = wheels

    def grammars(self) -> dict[str, BuiltGrammar]:
        """Return every grammar by its name."""
        return {
            "imagenet": self._imagenet(),
            "coco": self._coco(),
            "world": self._world(),
            "diversity": self._diversity(),
            **{f"domains/{each.name}": self._domain(each) for each in domains.DOMAINS},
        }

    def meanings(self) -> list[Meanings]:
        """Return the axes whose words have one meaning each, those of the base world too."""
        base = load_grammar("base")
        return [
            Meanings("base", "noun", self._meant(base.axis("noun").values)),
            Meanings("base", "scene", self._meant(base.axis("scene").values, SCENES)),
            Meanings("imagenet", "noun", self._imagenet_nouns),
            Meanings("coco", "noun", self._coco_nouns),
            Meanings("world", "noun", self._lvis_nouns),
            Meanings("world", "scene", self._scenes),
            *(
                Meanings(f"domains/{each.name}", "noun", self._domain_nouns(each))
                for each in domains.DOMAINS
            ),
        ]

    @cached_property
    def _imagenet_nouns(self) -> dict[str, int]:
        return grouping.named_classes(
            self._wordnet, sources.imagenet_names().words, sources.imagenet_offsets()
        )

    @cached_property
    def _coco_nouns(self) -> dict[str, int]:
        """COCO's things but people, whom an axis of their own counts."""
        return self._meant([word for word in sources.coco_nouns().words if word != "person"])

    @cached_property
    def _lvis_nouns(self) -> dict[str, int]:
        nouns = sources.plain_nouns(sources.lvis_nouns(self._wheels).words)
        offsets: dict[str, int] = {}
        for written, shown in nouns.items():
            name, remark = sources.plain_noun(written)
            offsets[shown] = self._offset(sources.RENAMED.get(name, name), remark)
        return offsets

    @cached_property
    def _scenes(self) -> dict[str, int]:
        scenes = sources.plain_places(sources.places(self._wheels).words)
        return {
            shown: self._offset(shown, written.partition("/")[0].replace("_", " "), SCENES)
            for written, shown in scenes.items()
        }

    def _meant(self, words: Sequence[str], *categories: Sequence[Sequence[int]]) -> dict[str, int]:
        return {word: self._offset(word, "", *categories) for word in words}

    def _offset(self, phrase: str, remark: str, *categories: Sequence[Sequence[int]]) -> int:
        meaning = meaning_of(self._wordnet, phrase, remark, *categories)
        if meaning is None:
            raise ValueError(f"WordNet has no {phrase!r}: give it a synonym in meanings.py")
        return meaning.offset

    def _imagenet(self) -> BuiltGrammar:
        noun = vocabulary_tree(self._wordnet, "noun", self._imagenet_nouns)
        return _written(
            "imagenet",
            ["a photo of a ", noun],
            "ImageNet's 1000 classes in WordNet's tree; only the object is searched (paper, §3.1).",
            [sources.imagenet_names().credit, sources.imagenet_credit(), *WORDNET_NOTICE],
        )

    def _world(self) -> BuiltGrammar:
        mediums = sources.art_mediums(self._wheels)
        actions = sources.kinetics_actions()
        parts = {
            action: meanings_of_parts(self._wordnet, action)
            for action in sources.plain_nouns(actions.words).values()
        }
        action = grouping.by_meaning(self._wordnet, "action", parts)
        sentence: Sentence = [
            grouping.mediums(mediums.words),
            " of ",
            FREQUENCY,
            " ",
            vocabulary_tree(self._wordnet, "noun", self._lvis_nouns),
            " and ",
            DENSITY,
            " people ",
            Vocabulary("action", ("", *action.members), "What people do, or nothing."),
            " in ",
            vocabulary_tree(self._wordnet, "scene", self._scenes),
            " on a ",
            WEATHER,
            " ",
            TIME_OF_DAY,
        ]
        return _written(
            "world",
            sentence,
            "A large world: things, counts, people, actions, places, weather, time and medium.",
            [
                sources.lvis_nouns(self._wheels).credit,
                actions.credit,
                sources.places(self._wheels).credit,
                mediums.credit,
                *WORDNET_NOTICE,
            ],
        )

    def _diversity(self) -> BuiltGrammar:
        movements = sources.art_movements(self._wheels)
        style = grouping.movements(movements.words)
        return _written(
            "diversity",
            [*domains.DIVERSITY, WEATHER, " ", TIME_OF_DAY, " in the style of ", style],
            "Attributes of one person and one object, for balanced sets of images (paper, §3.1).",
            [movements.credit, "All other words are the project's own."],
        )

    def _coco(self) -> BuiltGrammar:
        return self._counted_nouns(
            "coco",
            "COCO's things, which detectors know, with counts, people and scenes.",
            self._coco_nouns,
            self._scenes,
            [sources.coco_nouns().credit],
        )

    def _domain(self, domain: domains.Domain) -> BuiltGrammar:
        return self._counted_nouns(
            f"domains/{domain.name}",
            f"{domain.name.capitalize()}: {domain.about} (paper, Fig. 14).",
            self._domain_nouns(domain),
            {each: self._scenes[each] for each in domain.scenes},
            [
                sources.imagenet_names().credit,
                sources.imagenet_credit(),
                sources.lvis_nouns(self._wheels).credit,
            ],
        )

    def _counted_nouns(
        self,
        name: str,
        about: str,
        nouns: Mapping[str, int],
        scenes: Mapping[str, int],
        credits: Sequence[str],
    ) -> BuiltGrammar:
        """The base world's sentence with other nouns and scenes."""
        sentence: Sentence = [
            "a photo of ",
            FREQUENCY,
            " ",
            vocabulary_tree(self._wordnet, "noun", nouns),
            " and ",
            DENSITY,
            " people in ",
            vocabulary_tree(self._wordnet, "scene", scenes),
        ]
        return _written(
            name, sentence, about, [*credits, sources.places(self._wheels).credit, *WORDNET_NOTICE]
        )

    def _domain_nouns(self, domain: domains.Domain) -> dict[str, int]:
        """Nouns below the domain's synsets: those of the lists, and common ones with pictures."""
        roots = {self._wordnet.synset(name).offset for name in domain.synsets}
        known = {**self._lvis_nouns, **self._imagenet_nouns}
        common = {
            self._wordnet.at(offset).lemmas[0].replace("_", " "): offset
            for offset in sorted(sources.pictured_offsets() & common_offsets(self._wordnet))
        }
        words: dict[str, int] = {}
        for word, offset in [*known.items(), *common.items()]:
            above = self._wordnet.taxonomy.ancestors(offset)
            taken = offset in words.values() or word in sources.LEFT_OUT
            if not roots.isdisjoint(above) and not taken:
                words.setdefault(word, offset)
        return words


def _written(name: str, sentence: Sentence, about: str, credits: Iterable[str]) -> BuiltGrammar:
    head = [about, HOW_TO_READ, "", "Made by tools/vocabularies. Sources and licences:", *credits]
    return write_grammar(sentence, head, name)
