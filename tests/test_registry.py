"""The registry: ours first, then what installed distributions and the user's own code bring."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.distributions import install

from clrobot.errors import UserError
from clrobot.registry import Registry, UnknownName, coming_from

GROUP = "clrobot.numbers"


def number_name(thing: object) -> str:
    if not isinstance(thing, type) or not hasattr(thing, "name"):
        raise UserError(f"{thing!r} has no name")
    return str(thing.name)


class One:
    name = "one"


class Two:
    name = "two"


def registry() -> Registry[type]:
    return Registry("number", GROUP, {"one": One}, number_name)


def module(*names: str) -> str:
    return "".join(f"class {name.title()}:\n    name = {name!r}\n" for name in names)


def test_ours_come_first_and_then_a_users_in_the_order_they_came() -> None:
    numbers = registry()
    numbers.register(Two)
    assert list(numbers.items()) == [("one", One), ("two", Two)]
    assert (numbers.source("one"), numbers.source("two")) == ("clrobot", __name__)
    assert len(numbers) == 2
    assert "two" in numbers
    assert numbers.get("three") is None


def test_an_unknown_name_is_a_users_mistake_and_a_key_error() -> None:
    with pytest.raises(UnknownName) as caught:
        registry()["won"]
    assert str(caught.value) == "unknown number 'won'; did you mean one?"
    assert isinstance(caught.value, UserError)
    assert isinstance(caught.value, KeyError)


def test_an_installed_one_is_imported_when_it_is_asked_for(site: Path) -> None:
    install(site, "far-away", {GROUP: {"three": "far_three:Three"}}, {"far_three": module("three")})
    numbers = registry()
    assert numbers["one"] is One
    assert list(numbers.installed()) == ["three"]
    assert "far_three" not in sys.modules
    assert numbers["three"] is sys.modules["far_three"].Three
    assert numbers.source("three") == "far-away"
    assert list(numbers) == ["one", "three"]


def test_a_module_may_use_by_name_what_it_has_just_defined(site: Path) -> None:
    numbers = registry()
    text = module("three") + "import support.distributions\nseen = support.distributions.numbers['three']\n"
    install(site, "far-away", {GROUP: {"three": "far_circle:Three"}}, {"far_circle": text})
    import support.distributions

    support.distributions.numbers = numbers  # type: ignore[attr-defined]
    try:
        assert numbers["three"] is sys.modules["far_circle"].seen
    finally:
        del support.distributions.numbers  # type: ignore[attr-defined]


def test_a_broken_one_is_warned_of_once_and_the_others_work(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = {"three": "far_broken:Three", "four": "far_four:Four"}
    install(site, "far-away", {GROUP: entries}, {"far_broken": "1 / 0\n", "far_four": module("four")})
    numbers = registry()
    assert list(numbers) == list(numbers) == ["one", "four"]
    assert "three" not in numbers
    assert capsys.readouterr().err == (
        "clrobot: warning: number three is left out: far-away is broken (ZeroDivisionError: division by zero); "
        "mend or uninstall it\n"
    )
    with pytest.raises(UnknownName, match=r"number 'three' cannot be used: far-away is broken \(ZeroDivisionError"):
        numbers["three"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Three = 3\n", "3 has no name"),
        (module("three").replace("'three'", "'drei'"), "its entry point 'three' leads to the number 'drei'"),
        ("import sys\nsys.exit(1)\n", "SystemExit: 1"),
        ("", "AttributeError: module 'far_wrong' has no attribute 'Three'"),
    ],
)
def test_what_cannot_be_used_is_left_out(
    site: Path, capsys: pytest.CaptureFixture[str], text: str, reason: str
) -> None:
    install(site, "far-away", {GROUP: {"three": "far_wrong:Three"}}, {"far_wrong": text})
    assert list(registry()) == ["one"]
    assert f"far-away is broken ({reason})" in capsys.readouterr().err


def test_two_distributions_of_one_name_are_refused(site: Path) -> None:
    install(site, "far-away", {GROUP: {"three": "far_three:Three"}}, {})
    install(site, "nearby", {GROUP: {"three": "near_three:Three"}}, {})
    with pytest.raises(UserError, match=r"both bring a number 'three'; uninstall one of them$"):
        list(registry())


def test_a_distribution_with_a_name_of_ours_is_refused(site: Path) -> None:
    install(site, "far-away", {GROUP: {"one": "far_one:One"}}, {})
    with pytest.raises(UserError, match=r"^far-away brings a number 'one', which is one of clrobot's own"):
        registry()["one"]


def test_a_registered_one_may_have_no_taken_name(site: Path) -> None:
    install(site, "far-away", {GROUP: {"two": "far_two:Two"}}, {"far_two": module("two")})
    numbers = registry()
    with pytest.raises(UserError, match=r"'one' is one of clrobot's own; give yours another name$"):
        numbers.register(type("Other", (), {"name": "one"}))
    with pytest.raises(UserError, match=r"already is a number 'two', from far-away; give yours another name$"):
        numbers.register(Two)
    assert list(numbers) == ["one", "two"]


def test_two_registered_ones_of_one_name_are_refused() -> None:
    numbers = registry()
    with coming_from("./a.py"):
        numbers.register(Two)
    with coming_from("./b.py"), pytest.raises(UserError, match=r"already is a number 'two', from \./a\.py"):
        numbers.register(type("Other", (), {"name": "two"}))
    with pytest.raises(UserError, match="already is a number 'two'"), coming_from("./a.py"):
        numbers.register(type("Other", (), {"name": "two"}))
    assert numbers["two"] is Two


def test_what_is_defined_anew_takes_the_old_ones_place() -> None:
    numbers = registry()
    numbers.register(Two)
    again = type("Two", (), {"name": "two", "__module__": __name__})
    numbers.register(again)
    assert numbers["two"] is again


def test_an_installed_one_may_register_itself_as_well(site: Path) -> None:
    install(site, "far-away", {GROUP: {"three": "far_both:Three"}}, {"far_both": module("three")})
    numbers = registry()
    import far_both  # type: ignore[import-not-found]

    numbers.register(far_both.Three)
    assert numbers.source("three") == "far-away"
    assert numbers["three"] is far_both.Three
