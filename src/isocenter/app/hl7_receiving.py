"""How an installation understands HL7 messages, for every process that reads them."""

from zoneinfo import ZoneInfo

from isocenter.app.settings import Settings
from isocenter.domain.orders.model import AccessionFormat
from isocenter.gateways.hl7.apply import ReceiveOptions


def receive_options(settings: Settings) -> ReceiveOptions:
    """What the settings say of it."""
    return ReceiveOptions(
        zone=ZoneInfo(settings.time_zone),
        accession_format=AccessionFormat.parse(settings.accession_number_format),
        application=settings.hl7_application,
        trusted_authorities=_names(settings.trusted_authorities),
        accept_inverse_merges=settings.inverse_merges == "accept",
    )


def _names(written: str) -> frozenset[str]:
    return frozenset(each.strip() for each in written.split(",") if each.strip())
