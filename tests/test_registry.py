import pytest

from rldf_gym.errors import RLDFError
from rldf_gym.registry import resolve

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
