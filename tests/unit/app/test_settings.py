"""Where a setting's value comes from, and how a wrong one is refused."""

from pathlib import Path

import pytest

from isocenter.app import setting_values as values
from isocenter.app.settings import Settings
from isocenter.app.settings_reader import (
    SettingsError,
    as_environment,
    declared_settings,
    read,
    resolve,
)

FILE = Path("/etc/isocenter/isocenter.toml")


def test_defaults_bind_to_this_machine_only():
    settings = resolve({}, {}, None).settings
    assert settings.bind == "127.0.0.1"
    assert (settings.http_port, settings.dicom_port, settings.hl7_port) == (8080, 11112, 2575)
    assert settings.ae_title == "ISOCENTER"


def test_the_environment_goes_before_the_file_and_the_file_before_the_default():
    document = {"http_port": 8081, "dicom_port": 11113}
    found = resolve({"ISOCENTER_HTTP_PORT": "8082"}, document, FILE)
    assert found.settings.http_port == 8082
    assert found.settings.dicom_port == 11113
    assert found.settings.hl7_port == 2575
    places = [found.origins[name].place for name in ("http_port", "dicom_port", "hl7_port")]
    assert places == ["environment ISOCENTER_HTTP_PORT", str(FILE), "default"]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("HTTP_PORT", "eighty"),
        ("HTTP_PORT", "0"),
        ("HTTP_PORT", "65536"),
        ("HTTP_PORT", ""),
        ("AE_TITLE", "TITLE\\WITH\\SLASH"),
        ("AE_TITLE", "SEVENTEEN_LETTERS"),
        ("AE_TITLE", "TÜR"),
        ("STUDY_QUIET_S", "-1"),
        ("STUDY_QUIET_S", "nan"),
        ("LOG_LEVEL", "loud"),
        ("ACCESSION_NUMBER_FORMAT", "I"),
        ("ACCESSION_NUMBER_FORMAT", "I%08d%08d"),
        ("ACCESSION_NUMBER_FORMAT", "TOOLONGPREFIX%08d"),
        ("EXPECTATIONS_S", "sent=soon"),
        ("EXPECTATIONS_S", "sent"),
        ("HOME", ""),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_origin(name: str, written: str):
    with pytest.raises(SettingsError) as refusal:
        resolve({f"ISOCENTER_{name}": written}, {}, None)
    assert name.lower() in refusal.value.message
    assert f"environment ISOCENTER_{name}" in refusal.value.message


def test_a_wrong_secret_is_not_repeated():
    with pytest.raises(SettingsError) as refusal:
        resolve({}, {"database_url": 5_551_234}, FILE)
    assert "5551234" not in refusal.value.message


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"http_port": 2575}, "port"),
        ({"dicom_tls_key": "key.pem"}, "together"),
        ({"http_tls_certificate": "chain.pem"}, "together"),
        ({"pack_stores": "main,elsewhere"}, "pack_stores names the store elsewhere"),
    ],
)
def test_values_that_contradict_each_other_are_refused(document: dict[str, object], told: str):
    with pytest.raises(SettingsError, match=told):
        resolve({}, document, FILE)


def test_an_unknown_setting_is_told_with_the_name_that_was_meant():
    found = resolve({"ISOCENTER_HTP_PORT": "1", "PATH": "/bin"}, {"dicom_prot": 1}, FILE)
    assert len(found.warnings) == 2
    assert any("dicom_port" in warning for warning in found.warnings)
    assert any("ISOCENTER_HTTP_PORT" in warning for warning in found.warnings)


def test_a_path_in_a_file_is_meant_from_that_file():
    assert resolve({}, {"home": "state"}, FILE).settings.home == Path("/etc/isocenter/state")
    assert resolve({"ISOCENTER_HOME": "state"}, {}, None).settings.home == Path("state")


def test_durations_of_hops_come_from_a_table_or_from_text():
    table = resolve({}, {"expectations_s": {"sent": 60, "signed": 7200.5}}, FILE)
    text = resolve({"ISOCENTER_EXPECTATIONS_S": "sent=60, signed=7200.5"}, {}, None)
    assert table.settings.expectations_s == {"sent": 60, "signed": 7200.5}
    assert text.settings.expectations_s == table.settings.expectations_s


def test_another_process_reads_the_same_settings_from_the_environment_given_to_it():
    document = {
        "http_port": 9000,
        "home": "state",
        "expectations_s": {"sent": 60},
        "http_tls_certificate": "a.pem",
        "http_tls_key": "b.pem",
        "database_url": "postgresql://x",
        "study_quiet_s": 2.5,
    }
    settings = resolve({}, document, FILE).settings
    assert resolve(as_environment(settings), {}, None).settings == settings


def test_the_settings_file_is_read_from_where_the_environment_says(tmp_path: Path):
    file = tmp_path / "site.toml"
    file.write_text('ae_title = "SITE"\n')
    assert read({"ISOCENTER_CONFIG": str(file)}).settings.ae_title == "SITE"
    with pytest.raises(SettingsError, match="not a file"):
        read({"ISOCENTER_CONFIG": str(tmp_path / "absent.toml")})
    file.write_text("ae_title = \n")
    with pytest.raises(SettingsError, match="cannot be read"):
        read({"ISOCENTER_CONFIG": str(file)})


@pytest.mark.parametrize(
    ("bind", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::1", "http://[::1]:8080"),
        ("10.1.2.3", "http://10.1.2.3:8080"),
    ],
)
def test_the_address_for_browsers_follows_from_what_is_bound(bind: str, url: str):
    assert resolve({"ISOCENTER_BIND": bind}, {}, None).settings.base_url == url


def test_every_setting_has_a_meaning_and_a_readable_default():
    defaults = Settings()
    for name, about in declared_settings().items():
        assert about.meaning
        default = getattr(defaults, name)
        if default is not None:
            about.read(str(default) if not isinstance(default, dict) else default)


def test_origins_are_origins():
    assert values.origins("https://ehr.example, http://10.0.0.9:8080") == (
        "https://ehr.example http://10.0.0.9:8080"
    )
    assert values.origins("") == ""
    for text in ("ehr.example", "https://ehr.example/", "https://ehr.example/page", "*"):
        with pytest.raises(ValueError, match="origins"):
            values.origins(text)
