"""Every setting of the product: name, meaning and default.

Units are the last word of a name. ``settings_reader`` finds the effective value of each and its
origin; nothing else in the package reads the environment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from isocenter.app import setting_values as v

_KIB = 1024
_MIB = 1024 * _KIB
_GIB = 1024 * _MIB
_HOUR_S = 3_600
_DAY_S = 24 * _HOUR_S


@dataclass(frozen=True, slots=True)
class About:
    """What the reader needs and what ``doctor`` says about one setting."""

    read: v.Reader
    meaning: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """The effective settings of one process."""

    # where things are
    home: Annotated[Path, About(v.path, "folder of an embedded installation")] = Path(".isocenter")
    database_url: Annotated[
        str | None,
        About(v.optional_text, "PostgreSQL URL; empty: embedded under the home", secret=True),
    ] = None
    database_connections_max: Annotated[
        int, About(v.whole_number(2, 200), "connections per process")
    ] = 8
    storage_url: Annotated[
        str | None,
        About(v.optional_text, "object store URL; empty: objects under the home", secret=True),
    ] = None
    storage_free_bytes_min: Annotated[
        int, About(v.whole_number(0, 1 << 60), "refuse images when less is free")
    ] = 2 * _GIB
    stores: Annotated[
        Mapping[str, str],
        About(v.urls_by_name, "further object stores: name=URL, or a table", secret=True),
    ] = field(default_factory=dict[str, str])
    store_current: Annotated[
        str, About(v.text, "store that new images go to; main is the storage_url")
    ] = "main"
    store_copy: Annotated[
        str, About(v.text, "store that gets a second copy of every complete study; empty: none")
    ] = ""
    store_encryption: Annotated[
        str,
        About(
            v.choice("off", "on", "required"),
            "encrypt new objects; required: unencrypted ones are refused when read",
        ),
    ] = "off"
    store_key_file: Annotated[
        Path | None, About(v.optional_path, "file with the key-encryption key (32 bytes, base64)")
    ] = None
    store_key: Annotated[
        str | None,
        About(v.optional_text, "the key-encryption key itself, instead of a file", secret=True),
    ] = None
    store_kms_endpoint: Annotated[
        str | None, About(v.optional_text, "URL of AWS KMS; empty: the public one of the region")
    ] = None
    scrub_pass_days: Annotated[
        int, About(v.whole_number(0, 3650), "days in which all objects are read back; 0: never")
    ] = 30
    scrub_bytes_per_s_max: Annotated[
        int, About(v.whole_number(64 * _KIB, 16 * _GIB), "pace at which objects are read back")
    ] = 16 * _MIB
    pack_stores: Annotated[
        str, About(v.text, "stores in which small objects of a series share a blob; empty: none")
    ] = ""
    pack_object_bytes_max: Annotated[
        int, About(v.whole_number(_KIB, 64 * _MIB), "largest object that is packed")
    ] = 4 * _MIB
    pack_bytes_max: Annotated[
        int, About(v.whole_number(_MIB, 64 * _GIB), "largest pack; a series may need several")
    ] = _GIB
    rendition_modalities: Annotated[
        str,
        About(v.text, "modalities whose images also get an HTJ2K rendition; empty: none"),
    ] = "CT,MR,PT,NM,DX,MG"
    rendition_processor_percent: Annotated[
        int, About(v.whole_number(1, 100), "share of one processor that makes renditions")
    ] = 25

    order_workitems: Annotated[
        str,
        About(v.choice("off", "on"), "scheduled steps of orders are also workitems (UPS)"),
    ] = "on"
    workitems_kept_days: Annotated[
        int, About(v.whole_number(1, 3650), "days that a workitem stays after it has ended")
    ] = 90

    # what listens
    bind: Annotated[str, About(v.text, "address that the listeners bind to")] = "127.0.0.1"
    http_port: Annotated[int, About(v.whole_number(1, 65_535), "pages, API and DICOMweb")] = 8080
    dicom_port: Annotated[int, About(v.whole_number(1, 65_535), "DICOM associations")] = 11_112
    hl7_port: Annotated[int, About(v.whole_number(1, 65_535), "HL7 v2 over MLLP")] = 2575
    public_url: Annotated[
        str | None,
        About(v.optional_text, "address that browsers use, when a proxy stands in front"),
    ] = None
    cross_origins: Annotated[
        str, About(v.origins, "origins whose pages may use DICOMweb and the API with a token")
    ] = ""
    search_empty_status: Annotated[
        str,
        About(v.choice("200", "204"), "DICOMweb's answer in JSON to a search without results"),
    ] = "200"
    frame_ancestors: Annotated[
        str, About(v.origins, "origins whose pages may show ours in a frame")
    ] = ""
    launch_keys: Annotated[
        Mapping[str, str],
        About(v.secrets_by_name, "keys of users who sign launch addresses: user=key", secret=True),
    ] = field(default_factory=dict[str, str])
    ae_title: Annotated[str, About(v.ae_title, "our DICOM application entity title")] = "ISOCENTER"
    hl7_application: Annotated[str, About(v.text, "our MSH-3 when sending, MSH-5 expected")] = (
        "ISOCENTER"
    )
    hl7_facility: Annotated[str, About(v.text, "our MSH-4 when sending")] = "RADIOLOGY"

    # processes
    web_processes: Annotated[int, About(v.whole_number(1, 64), "HTTP servers on the one port")] = 2
    dimse_processes: Annotated[
        int, About(v.whole_number(1, 64), "DICOM listeners on the one port")
    ] = 2
    hl7_processes: Annotated[int, About(v.whole_number(1, 64), "HL7 listeners on the one port")] = 1
    worker_processes: Annotated[int, About(v.whole_number(1, 64), "background workers")] = 1
    threads_max: Annotated[
        int, About(v.whole_number(1, 200), "threads per process for database work")
    ] = 8
    drain_timeout_s: Annotated[
        float, About(v.seconds(0, _HOUR_S), "time that work in progress has to end at shutdown")
    ] = 20.0
    restart_wait_max_s: Annotated[
        float,
        About(v.seconds(0.5, _HOUR_S), "longest wait before a role that keeps ending starts again"),
    ] = 30.0

    # limits
    associations_max: Annotated[
        int, About(v.whole_number(1, 10_000), "DICOM associations per process")
    ] = 64
    associations_per_peer_max: Annotated[
        int, About(v.whole_number(1, 10_000), "DICOM associations per process and calling AE title")
    ] = 16
    association_idle_timeout_s: Annotated[
        float, About(v.seconds(1, _DAY_S), "silence after which an association is aborted")
    ] = 300.0
    artim_timeout_s: Annotated[
        float, About(v.seconds(1, _HOUR_S), "time for an association to be requested or closed")
    ] = 30.0
    pdu_size_max_bytes: Annotated[
        int, About(v.whole_number(4 * _KIB, 16 * _MIB), "largest DICOM PDU accepted")
    ] = 128 * _KIB
    object_size_max_bytes: Annotated[
        int, About(v.whole_number(_MIB, 1 << 50), "largest DICOM object accepted")
    ] = 16 * _GIB
    hl7_connections_max: Annotated[int, About(v.whole_number(1, 10_000), "HL7 connections")] = 128
    hl7_frame_max_bytes: Annotated[
        int, About(v.whole_number(_KIB, _GIB), "largest HL7 message accepted")
    ] = 64 * _MIB
    hl7_idle_timeout_s: Annotated[
        float, About(v.seconds(1, 7 * _DAY_S), "silence after which an HL7 connection is closed")
    ] = _HOUR_S
    http_body_max_bytes: Annotated[
        int, About(v.whole_number(_KIB, _GIB), "largest request body outside DICOMweb")
    ] = 4 * _MIB

    # the work
    time_zone: Annotated[
        str, About(v.time_zone, "IANA name of the zone in which the department lives")
    ] = v.zone_of_this_machine()
    assigning_authority: Annotated[
        str, About(v.text, "authority of patient ids of HL7 peers added without one")
    ] = ""
    trusted_authorities: Annotated[
        str,
        About(v.text, "authorities whose patient ids are kept, parted by commas; empty: all"),
    ] = ""
    inverse_merges: Annotated[
        str,
        About(v.choice("accept", "refuse"), "a merge of two patients the other way than before"),
    ] = "accept"
    patient_links: Annotated[
        str,
        About(
            v.choice("automatic", "review"),
            "records of surely one person: link them, or ask a person as for the others",
        ),
    ] = "review"
    accession_number_format: Annotated[
        str, About(v.accession_number_format, "accession numbers that we issue")
    ] = "I%08d"
    study_quiet_s: Annotated[
        float,
        About(v.seconds(0.5, _DAY_S), "time without new images after which a study is complete"),
    ] = 60.0
    findings_archived_when_signed: Annotated[
        str,
        About(
            v.choice("on", "off"),
            "write measurements, key images and saved views into the archive at the signature",
        ),
    ] = "on"
    expectations_s: Annotated[
        Mapping[str, float],
        About(v.seconds_by_name, "time after which a hop of the ledger is late"),
    ] = field(default_factory=dict[str, float])
    worklist_silence_s: Annotated[
        float,
        About(
            v.seconds(600, 30 * _DAY_S), "time without a worklist query after which images alarm"
        ),
    ] = 8.0 * _HOUR_S
    reconciliation_overdue_s: Annotated[
        float,
        About(v.seconds(60, 30 * _DAY_S), "time after which a study that needs a person alarms"),
    ] = 4.0 * _HOUR_S
    destination_away_s: Annotated[
        float,
        About(v.seconds(60, 30 * _DAY_S), "time after which images waiting for a peer alarm"),
    ] = _HOUR_S
    blob_unreferenced_age_s: Annotated[
        float, About(v.seconds(60, 365 * _DAY_S), "age at which an unreferenced blob is removed")
    ] = float(_DAY_S)

    # encryption in transit
    http_tls_certificate: Annotated[Path | None, About(v.optional_path, "PEM chain for HTTPS")] = (
        None
    )
    http_tls_key: Annotated[Path | None, About(v.optional_path, "PEM key for HTTPS")] = None
    dicom_tls_certificate: Annotated[
        Path | None, About(v.optional_path, "PEM chain for DICOM TLS")
    ] = None
    dicom_tls_key: Annotated[Path | None, About(v.optional_path, "PEM key for DICOM TLS")] = None
    dicom_tls_client_ca: Annotated[
        Path | None,
        About(v.optional_path, "PEM authorities; given: DICOM peers must show a certificate"),
    ] = None
    hl7_tls_certificate: Annotated[Path | None, About(v.optional_path, "PEM chain for HL7 TLS")] = (
        None
    )
    hl7_tls_key: Annotated[Path | None, About(v.optional_path, "PEM key for HL7 TLS")] = None
    hl7_tls_client_ca: Annotated[
        Path | None,
        About(v.optional_path, "PEM authorities; given: HL7 peers must show a certificate"),
    ] = None

    # what it says about itself
    log_level: Annotated[
        str,
        About(v.choice("debug", "info", "warning", "error"), "least severe line that is logged"),
    ] = "info"
    log_file: Annotated[
        Path | None, About(v.optional_path, "file that log lines go to; empty: standard error")
    ] = None
    log_format: Annotated[
        str, About(v.choice("auto", "json", "text"), "auto: text on a terminal, else JSON lines")
    ] = "auto"

    @property
    def effective_storage_url(self) -> str:
        """The object store in use: the one set, else the folder under the home."""
        return self.storage_url or (self.home.resolve() / "objects").as_uri()

    @property
    def run_folder(self) -> Path:
        """Where processes of one installation leave sockets, ids and metrics for each other."""
        return self.home / "run"

    @property
    def metrics_folder(self) -> Path:
        """Where every process of this machine leaves its figures."""
        return self.run_folder / "metrics"

    @property
    def base_url(self) -> str:
        """The address at which a browser on this machine finds the pages."""
        if self.public_url:
            return self.public_url.rstrip("/")
        scheme = "https" if self.http_tls_certificate else "http"
        host = "127.0.0.1" if self.bind in {"0.0.0.0", "::", ""} else self.bind  # noqa: S104 compared, not bound
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.http_port}"
