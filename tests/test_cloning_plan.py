"""The plan of a clone: names of folders, exact splits, exact shares, pictures one by one."""

from collections import Counter
from fractions import Fraction
from pathlib import PurePosixPath, PureWindowsPath

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from painted_world import load_grammar

from rldf_agents.cloning.names import folder_name, same_name
from rldf_agents.cloning.plan import ClonedClass, Layout, Plan, check_attempts, read_splits
from rldf_agents.cloning.sampling import all_marginals, permute, read_marginals, sample
from rldf_agents.errors import AgentError
from rldf_gym.store import image_key

GRAMMAR = load_grammar("base")
NOUN = GRAMMAR.axis_index("noun")
SCENE = GRAMMAR.axis_index("scene")


def plan(n_classes=3, splits=None, shard_size=4, seed=0, marginals=()) -> Plan:
    varying = [axis for axis in range(GRAMMAR.n_axes) if axis != NOUN]
    return Plan(
        layout=Layout(n_classes, splits or {"train": 5, "val": 2}, shard_size),
        grammar=GRAMMAR,
        classes=tuple(ClonedClass(str(n), str(n), (n % 10,)) for n in range(n_classes)),
        class_axes=(NOUN,),
        marginals=all_marginals(GRAMMAR, varying, read_marginals(GRAMMAR, marginals)),
        seed=seed,
        fingerprint="f",
    )


class TestTheFolderOfAClass:
    @given(st.text())
    @example("..")
    @example(".")
    @example("")
    @example("a/../../b")
    @example("C:\\x")
    @example("-rf")
    @example("~")
    @example("con.txt")
    @example("x" * 300)
    @example("é" * 300)
    @example("犬")
    @example("a\nb\0c")
    def test_is_one_plain_name_whatever_the_class_is_called(self, name):
        folder = folder_name(name)
        for path in (PurePosixPath, PureWindowsPath):
            assert path("out", folder).parts == ("out", folder)
        assert folder
        assert folder[0] not in ".-~ " or folder == "~"
        assert folder[-1] not in ". "
        assert folder.isprintable() or not folder.isascii()
        assert len(folder.encode()) <= 100

    @given(st.lists(st.text(max_size=150), max_size=20, unique_by=same_name))
    def test_differs_from_the_folders_of_other_classes(self, names):
        assert len({folder_name(name) for name in names}) == len(names)

    @pytest.mark.parametrize("name", ["dog", "polar bear", "Hündin", "犬", "trainer", "contest"])
    def test_is_the_name_itself_where_that_is_safe(self, name):
        assert folder_name(name) == name

    @pytest.mark.parametrize("name", ["train", "bullet train", "test_tube", "dev.5", "val"])
    def test_is_not_taken_for_a_split(self, name):
        assert "~" in folder_name(name)

    def test_compares_names_as_file_systems_do(self):
        assert same_name("E\u0301") == same_name("é")


class TestSplits:
    @given(st.integers(100, 5000), st.lists(st.integers(1, 20), min_size=1, max_size=4))
    def test_are_exact_and_as_near_to_their_shares_as_whole_numbers_can_be(self, n, weights):
        shares = [Fraction(weight, 100) for weight in weights]
        shares.append(1 - sum(shares))
        text = ",".join(f"s{i}={float(share)}" for i, share in enumerate(shares))
        counts = read_splits(text, n)
        assert sum(counts.values()) == n
        for count, share in zip(counts.values(), shares, strict=True):
            assert abs(count - n * share) < 1

    def test_may_be_given_as_numbers_of_pictures(self):
        counts = read_splits("train=1508,val=56,test=100", 1664)
        assert counts == {"train": 1508, "val": 56, "test": 100}

    def test_are_one_by_default(self):
        assert read_splits(None, 7) == {"train": 7}

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("train", "give NAME=SHARE"),
            ("train=x", "give NAME=SHARE"),
            ("train=-1,val=2", "give NAME=SHARE"),
            ("train=nan", "give NAME=SHARE"),
            ("../x=1", "is no name for a split"),
            ("shards=1", "is no name for a split"),
            ("train=0.5,train=0.5", "is given twice"),
            ("train=0.5,val=0.4", "sum to 0.9"),
            ("train=0.99,val=0.01", "val gets no picture of 10"),
        ],
    )
    def test_say_what_is_wrong(self, text, reason):
        with pytest.raises(AgentError, match=reason.replace(".", r"\.")):
            read_splits(text, 10)


class TestSampling:
    @given(st.integers(1, 3000), st.integers(0, 2**64 - 1))
    def test_permutes(self, size, key):
        places = np.arange(size, dtype=np.uint64)
        found = permute(places, size, np.full(size, key, np.uint64))
        assert sorted(found.tolist()) == list(range(size))

    def test_permutes_otherwise_with_another_key(self):
        places = np.arange(100, dtype=np.uint64)
        orders = {tuple(permute(places, 100, np.full(100, k, np.uint64))) for k in range(20)}
        assert len(orders) == 20

    @given(
        st.integers(1, 500),
        st.lists(st.integers(0, 20), min_size=1, max_size=8).filter(any),
        st.integers(0, 2**64 - 1),
    )
    def test_gives_every_label_its_share_rounded_up_or_down(self, size, weights, key):
        shares = [weight / sum(weights) for weight in weights]
        places = np.arange(size, dtype=np.uint64)
        labels = sample(shares, places, size, np.full(size, key, np.uint64))
        for count, share in zip(np.bincount(labels, minlength=len(shares)), shares, strict=True):
            assert abs(count - share * size) < 1 + 1e-6

    def test_favours_no_label_where_shares_need_rounding(self):
        places = np.arange(10, dtype=np.uint64)
        counts = sum(
            np.bincount(sample([1 / 8] * 8, places, 10, np.full(10, k, np.uint64)), minlength=8)
            for k in range(400)
        )
        assert counts.min() > 0.85 * counts.max()

    def test_samples_two_axes_independently(self):
        states = np.array([p.state for p in plan(1, {"train": 6000}).numbered(range(6000))])
        pairs = Counter(map(tuple, states[:, [0, SCENE]].tolist()))
        assert len(pairs) == 16
        assert all(abs(count - 375) < 100 for count in pairs.values())


class TestMarginals:
    def test_of_values_that_are_not_named_share_the_rest(self):
        shares = read_marginals(GRAMMAR, ["scene:park=0.5,beach=0.2"])[SCENE]
        assert shares == pytest.approx((0.5, 0.05, 0.05, 0.2, *[0.05] * 4))

    def test_are_reached_for_every_class(self):
        planned = plan(3, {"train": 90, "val": 10}, marginals=["scene:park=0.5,beach=0.2"])
        scenes = Counter((p.class_number, p.state[SCENE]) for p in planned.numbered(range(300)))
        for number in range(3):
            assert scenes[number, 0] == pytest.approx(50, abs=1)
            assert scenes[number, 3] == pytest.approx(20, abs=1)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("mood:happy=1", "no axis 'mood'"),
            ("scene", "give axis:value=share"),
            ("scene:park", "give axis:value=share"),
            ("scene:park=2", "give axis:value=share"),
            ("scene:moon=0.5", "'moon' is no value of that axis"),
            ("scene:park=0.5,park=0.5", "'park' is given twice"),
            ("scene:park=0.7,beach=0.7", r"the shares sum to 1\.4"),
            ("density:no=0.1,one=0.1,many=0.1", r"the shares sum to 0\.3"),
            ("noun:dog=1", "fixed by the class"),
        ],
    )
    def test_say_what_is_wrong(self, text, reason):
        with pytest.raises(ValueError, match=reason):
            plan(marginals=[text])


class TestAPlan:
    @settings(max_examples=25)
    @given(
        st.integers(1, 5),
        st.dictionaries(st.sampled_from("abc"), st.integers(1, 12), min_size=1),
        st.integers(3, 9),
    )
    def test_has_every_picture_in_one_shard(self, n_classes, splits, shard_size):
        planned = plan(n_classes, splits, shard_size)
        shards = [planned.pictures(shard) for shard in planned.layout.shards()]
        assert all(1 <= len(pictures) <= shard_size for pictures in shards)
        numbers = [picture.number for pictures in shards for picture in pictures]
        assert numbers == list(range(n_classes * sum(splits.values())))
        counts = Counter(
            (shard.split, picture.class_number)
            for shard in planned.layout.shards()
            for picture in planned.pictures(shard)
        )
        assert counts == {(s, c): n for s, n in splits.items() for c in range(n_classes)}

    @settings(max_examples=25)
    @given(st.integers(0, 20), st.integers(1, 30))
    def test_is_a_function_of_the_number(self, number, shard_size):
        everything = plan().numbered(range(21))
        assert plan().numbered([number]) == [everything[number]]
        again = plan().with_shard_size(shard_size)
        pictures = [p for shard in again.layout.shards() for p in again.pictures(shard)]
        assert pictures == everything

    def test_keeps_the_class_and_varies_the_rest(self):
        pictures = plan().numbered(range(21))
        assert all(picture.state[NOUN] == picture.class_number for picture in pictures)
        assert len({picture.state[SCENE] for picture in pictures}) > 3
        for picture in pictures:
            assert picture.prompt == GRAMMAR.decode(picture.state)
            assert picture.id == image_key("f", picture.prompt, picture.seed)

    def test_has_a_seed_for_every_picture_and_every_attempt(self):
        pictures = plan(seed=1).numbered(range(21)) + plan(seed=2).numbered(range(21))
        for picture in list(pictures):
            seed = 1 if picture in pictures[:21] else 2
            pictures += [plan(seed=seed).retry(picture, attempt) for attempt in (1, 2)]
        assert len({picture.seed for picture in pictures}) == len(pictures) == 42 * 3
        with pytest.raises(AgentError, match="give at most 3"):
            check_attempts(2**30, 5)

    def test_of_a_billion_pictures_gives_any_of_them(self):
        planned = plan(1000, {"train": 10**6}, 256)
        assert planned.layout.n_shards == 3_906_250
        [picture] = planned.numbered([987_654_321])
        assert (picture.class_number, picture.state[NOUN]) == (321, 1)

    def test_does_not_take_more_than_there_are_seeds_for(self):
        with pytest.raises(AgentError, match=r"at most 2\^32"):
            plan(3, {"train": 2**31})
        with pytest.raises(AgentError, match="--seed is -1"):
            plan(seed=-1)
