"""Every use case that takes an actor refuses one that may do nothing before it looks further."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest

import isocenter.domain
from isocenter.domain.access.model import Actor, ActorKind, NotAuthorized

NOBODY = Actor(ActorKind.USER, "nobody", frozenset(), "192.0.2.1")
NOW = datetime(2026, 3, 2, tzinfo=UTC)


class Untouchable:
    """A transaction, or any other argument, of which nothing may be used."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was used before the actor was authorized")


def services() -> Iterator[ModuleType]:
    """Each stage's ``service``, or the modules of its ``service`` package."""
    for stage in pkgutil.iter_modules(isocenter.domain.__path__):
        name = f"isocenter.domain.{stage.name}.service"
        try:
            service = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            continue
        yield service
        for part in pkgutil.iter_modules(getattr(service, "__path__", ())):
            yield importlib.import_module(f"{name}.{part.name}")


def verbs() -> list[Callable[..., Any]]:
    """The public functions of the services that take an actor."""
    found = {
        function
        for module in services()
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if not name.startswith("_")
        and function.__module__ == module.__name__
        and "actor" in inspect.signature(function).parameters
    }
    return sorted(found, key=lambda each: (each.__module__, each.__name__))


VERBS = verbs()


def test_the_walk_finds_the_stages():
    stages = {each.__module__.split(".")[2] for each in VERBS}
    assert {"access", "identity", "orders", "peers", "scheduling", "worklist"} <= stages
    assert len(VERBS) > 30


@pytest.mark.parametrize(
    "verb", VERBS, ids=lambda each: f"{each.__module__.split('.')[2]}.{each.__name__}"
)
def test_an_actor_without_permission_is_refused_first(verb):
    arguments: dict[str, Any] = {}
    for name, parameter in inspect.signature(verb).parameters.items():
        match name:
            case "actor":
                arguments[name] = NOBODY
            case "now":
                arguments[name] = NOW
            case "user_name":
                arguments[name] = "somebody"
            case _ if parameter.default is inspect.Parameter.empty:
                arguments[name] = Untouchable()
    with pytest.raises(NotAuthorized):
        verb(**arguments)
