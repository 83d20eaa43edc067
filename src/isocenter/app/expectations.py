"""How long each hop of the ledger may take: what is built in, with the settings over it."""

from datetime import timedelta

from isocenter.app.settings import Settings
from isocenter.app.settings_reader import SettingsError
from isocenter.domain.monitoring.model import EXPECTATIONS, Expectation, Expectations, Hop


def expectations(settings: Settings) -> Expectations:
    """Expectations by hop. A setting's name is a hop, or a hop and ``_urgent``.

    Raises:
        SettingsError: a name is no hop.
    """
    found = dict(EXPECTATIONS)
    for name, limit_s in settings.expectations_s.items():
        hop_name = name.removesuffix("_urgent")
        try:
            hop = Hop(hop_name)
        except ValueError:
            hops = ", ".join(EXPECTATIONS)
            raise SettingsError(f"expectations_s: {name} is none of {hops}") from None
        limit = timedelta(seconds=limit_s)
        before = found.get(hop, Expectation(limit))
        if name.endswith("_urgent"):
            found[hop] = Expectation(before.within, limit)
        else:
            urgent = before.urgent_within
            found[hop] = Expectation(limit, min(urgent, limit) if urgent else None)
    return found
