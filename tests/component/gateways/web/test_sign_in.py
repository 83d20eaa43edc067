import pytest

from tests.hospital import PASSWORD

COOKIE = "isocenter_session"


@pytest.fixture(autouse=True)
def ada(hospital):
    hospital.user("ada")


def sign_in(browser, user="ada", password=PASSWORD, **fields):
    return browser.post("/sign-in", data={"user_name": user, "password": password, **fields})


def test_a_stranger_is_led_to_the_door_and_back(hospital):
    browser = hospital.stranger()
    answer = browser.get("/deliveries?state=refused")
    assert answer.status_code == 303
    door = answer.headers["location"]
    assert door == "/sign-in?next=/deliveries%3Fstate%3Drefused"
    assert 'value="/deliveries?state=refused"' in browser.get(door).text
    assert sign_in(browser, next="/deliveries?state=refused").headers["location"] == (
        "/deliveries?state=refused"
    )


@pytest.mark.parametrize("path", ["/api/exams", "/dicomweb/studies", "/metrics", "/api/docs"])
def test_programs_of_strangers_get_401(hospital, path):
    answer = hospital.stranger().get(path, headers={"accept": "*/*"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_cookie_is_kept_from_scripts_and_other_sites(hospital):
    cookie = sign_in(hospital.stranger()).headers["set-cookie"].lower()
    assert cookie.startswith(COOKIE)
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/" in cookie


def test_signing_in_makes_a_new_session_and_ends_the_one_that_was_brought(hospital):
    browser = hospital.browser("ada")
    before = browser.cookies[COOKIE]
    sign_in(browser)
    assert browser.cookies[COOKIE] != before
    old = hospital.stranger()
    old.cookies.set(COOKIE, before)
    assert old.get("/").status_code == 303


def test_a_session_that_an_attacker_chose_is_not_taken_over(hospital):
    browser = hospital.stranger()
    browser.cookies.set(COOKIE, "chosen", domain="testserver.local", path="/")
    answer = sign_in(browser)
    assert "chosen" not in answer.headers["set-cookie"]


def test_signing_out_ends_the_session_everywhere(hospital):
    browser = hospital.browser("ada")
    secret = browser.cookies[COOKIE]
    answer = browser.post("/sign-out")
    assert answer.headers["location"] == "/sign-in"
    other = hospital.stranger()
    other.cookies.set(COOKIE, secret)
    assert other.get("/").status_code == 303


def test_a_wrong_password_and_an_unknown_user_are_answered_alike(hospital):
    wrong = sign_in(hospital.stranger(), password="wrong")
    unknown = sign_in(hospital.stranger(), user="nobody", password="wrong")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.text.replace("ada", "") == unknown.text.replace("nobody", "")


def test_guessing_is_slowed_down(hospital):
    browser = hospital.stranger()
    answers = [sign_in(browser, password=f"guess {number}") for number in range(8)]
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) > 0
    assert sign_in(browser).status_code == 429


def test_nobody_is_signed_in_from_another_site(hospital):
    browser = hospital.stranger()
    browser.headers["origin"] = "http://elsewhere.test"
    assert sign_in(browser).status_code == 403


def test_a_session_does_not_act_for_another_site(hospital):
    browser = hospital.browser("root")
    browser.headers["origin"] = "http://elsewhere.test"
    assert browser.post("/users/ada/disable").status_code == 403
    browser.headers["origin"] = "http://testserver"
    assert browser.post("/users/ada/disable").status_code == 303


def test_a_disabled_user_is_out_at_once(hospital):
    ada = hospital.browser("ada")
    hospital.browser("root").post("/users/ada/disable")
    assert ada.get("/").status_code == 303


def test_nobody_is_sent_to_another_site_after_signing_in(hospital):
    for target in ("//elsewhere.test", "https://elsewhere.test", "/\\elsewhere.test"):
        assert sign_in(hospital.stranger(), next=target).headers["location"] == "/"


def test_the_chosen_appearance_stays(hospital):
    browser = hospital.browser("ada")
    assert "data-theme" not in browser.get("/").text
    answer = browser.post("/preferences/theme", data={"theme": "dark", "next": "/deliveries"})
    assert answer.headers["location"] == "/deliveries"
    assert '<html lang="en" data-theme="dark"' in browser.get("/").text
    browser.post("/preferences/theme", data={"theme": "'><script>"})
    assert '<html lang="en" data-theme="dark"' in browser.get("/").text


def test_health_is_open_and_tells_strangers_nothing_more(hospital):
    stranger = hospital.stranger()
    assert stranger.get("/health/live").json() == {"status": "live"}
    assert stranger.get("/health/ready").json() == {"status": "ready"}
    assert hospital.program("ada").get("/metrics").status_code == 403
    assert hospital.program("root").get("/metrics").text == "# none\n"


def test_static_files_are_kept_for_ever_under_their_digest(hospital):
    page = hospital.stranger().get("/sign-in").text
    address = page.split('rel="stylesheet" href="')[1].split('"')[0]
    assert "?v=" in address
    answer = hospital.stranger().get(address)
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/css")
