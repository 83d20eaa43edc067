import re
from pathlib import Path

import pytest
from jinja2 import Environment, PackageLoader, nodes

from isocenter.domain.access.model import Action, Actor, Role, actions_of
from isocenter.gateways.web import web
from isocenter.gateways.web.navigation import ITEMS, Permissions, items_for

TEMPLATES = Path(web.__file__).parent / "templates"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("/exams/I1?x=1", "/exams/I1?x=1"),
        ("//elsewhere.invalid/", "/"),
        ("/\\elsewhere.invalid", "/"),
        ("https://elsewhere.invalid/", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nSet-Cookie: x", "/"),
        ("", "/"),
    ],
)
def test_a_form_sends_nobody_to_another_site(given, used):
    assert web.local_path(given) == used


def test_no_two_pages_share_a_key():
    keys = [item.key for item in ITEMS]
    assert len(set(keys)) == len(keys)


def test_an_accession_number_may_hold_anything():
    assert web.exam_path("A/B?c#d e") == "/exams/A%2FB%3Fc%23d%20e"


def actor_of(*roles):
    return Actor.system("x") if not roles else _with(actions_of(roles))


def _with(actions):
    system = Actor.system("x")
    return type(system)(system.kind, "x", actions, "local")


@pytest.mark.parametrize(
    ("role", "labels"),
    [
        (Role.FRONT_DESK, ["Exams", "Patients", "Stations", "Deliveries"]),
        (Role.RADIOLOGIST, ["Exams", "Patients", "Reconciliation", "Stations", "Deliveries"]),
    ],
)
def test_navigation_shows_only_what_the_role_may_open(role, labels):
    assert [item.label for item in items_for(actor_of(role))] == labels


def test_an_administrator_is_shown_every_page_and_a_stranger_none():
    assert items_for(actor_of(Role.ADMINISTRATOR)) == list(ITEMS)
    assert items_for(None) == []


def test_a_misspelt_permission_in_a_template_is_an_error_and_not_a_no():
    may = Permissions(actor_of(Role.RADIOLOGIST))
    assert may.report_sign
    assert not may.user_write
    with pytest.raises(AttributeError):
        _ = may.report_singn


def test_templates_ask_only_for_permissions_that_exist():
    environment = Environment(loader=PackageLoader("isocenter.gateways.web"), autoescape=True)
    asked = set()
    for path in TEMPLATES.glob("*.html"):
        for attribute in environment.parse(path.read_text("utf-8")).find_all(nodes.Getattr):
            if isinstance(attribute.node, nodes.Name) and attribute.node.name == "may":
                asked.add(attribute.attr.upper())
    assert asked
    assert asked <= set(Action.__members__)


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_no_template_holds_a_script_a_style_or_a_foreign_address(path):
    text = path.read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|https?://|\|\s*safe", text)
    # A block of JSON is data: no browser runs it.
    assert not re.search(r"<script(?![^>]*\bsrc=)(?! type=\"application/json\")", text)
