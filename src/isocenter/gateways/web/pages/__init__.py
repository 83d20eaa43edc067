"""Pages: one module per place in the navigation.

Forms post and the answer redirects, so that every page works without a script.
"""

from fastapi import APIRouter

from isocenter.gateways.web.pages import (
    api_docs,
    audit,
    deliveries,
    embedded,
    exam,
    exams,
    interfaces,
    launch,
    messages,
    patients,
    peers,
    reading,
    reconciliation,
    reconciliation_actions,
    reconciliation_rules,
    reconciliation_split,
    rejections,
    routes,
    second_viewer,
    sign_in,
    stations,
    storage,
    system,
    users,
)

ROUTERS: tuple[APIRouter, ...] = (
    sign_in.router,
    launch.router,
    embedded.router,
    second_viewer.router,
    reading.router,  # before the exam's own page: an accession number may hold a slash
    exam.router,
    exams.router,
    patients.router,
    reconciliation.router,
    reconciliation_rules.router,
    reconciliation_split.router,  # before the steps that a study takes
    reconciliation_actions.router,
    rejections.router,
    stations.router,
    deliveries.router,
    messages.router,
    interfaces.router,
    peers.router,
    routes.router,
    users.router,
    audit.router,
    storage.router,
    system.router,
    api_docs.router,
)
