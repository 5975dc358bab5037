import pytest

from rldf_gym.errors import RLDFError
from rldf_gym.registry import make_named, resolve

KNOWN = {"first": 1, "second": 2}


def test_a_registered_name_gives_its_object():
    assert resolve("number", "second", KNOWN) == 2


def test_a_module_and_object_are_imported():
    assert resolve("function", "math:sqrt", KNOWN)(9) == 3
    assert resolve("class", "collections:OrderedDict.fromkeys", KNOWN)("a") == {"a": None}


def test_an_unknown_name_lists_the_known_ones_and_the_nearest():
    with pytest.raises(RLDFError, match=r"'secnd' \(did you mean 'second'\?\); known: first, "):
        resolve("number", "secnd", KNOWN)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_such_package.module:thing", "No module named 'no_such_package'"),
        ("math:no_such_thing", "has no attribute 'no_such_thing'"),
    ],
)
def test_a_failing_import_gives_its_reason_in_one_line(name, reason):
    with pytest.raises(RLDFError, match=reason) as raised:
        resolve("number", name, KNOWN)
    assert "\n" not in str(raised.value)


def test_a_class_or_function_makes_the_object():
    assert make_named("text", "builtins:str", lambda found: isinstance(found, str), "a str") == ""
    assert make_named("place", "os:getcwd", lambda found: isinstance(found, str), "a str")


def test_a_call_that_fails_gives_its_reason():
    with pytest.raises(RLDFError, match="cannot make the number 'math:sqrt': TypeError: "):
        make_named("number", "math:sqrt", lambda found: isinstance(found, int), "an int")


def test_an_object_of_another_kind_is_rejected():
    with pytest.raises(
        RLDFError, match=r"'math:pi' gives .* type float, which is not a text: a text is a str"
    ):
        make_named("text", "math:pi", lambda found: isinstance(found, str), "a str")
