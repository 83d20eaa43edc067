"""The JSON API: one module per thing, names as in the standards, errors as problem+json."""

from fastapi import APIRouter

from isocenter.gateways.web.api import (
    access,
    attributes,
    audit,
    deliveries,
    events,
    exams,
    external_results,
    interfaces,
    measurements,
    messages,
    patients,
    peers,
    performed_steps,
    reading,
    reconciliation,
    reports,
    routes,
    stations,
    storage,
    studies,
)

ROUTERS: tuple[APIRouter, ...] = (
    exams.router,
    performed_steps.router,
    studies.router,
    measurements.router,
    reading.router,
    reports.router,
    external_results.router,
    deliveries.router,
    patients.router,
    reconciliation.router,
    stations.router,
    messages.router,
    interfaces.router,
    peers.router,
    routes.router,
    access.router,
    audit.router,
    storage.router,
    attributes.router,
    events.router,
)
