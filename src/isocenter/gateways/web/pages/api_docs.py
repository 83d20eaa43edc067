"""The API's documentation, rendered here: the usual viewers load scripts from other hosts."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from isocenter.gateways.web.web import InWeb, SignedIn

router = APIRouter(include_in_schema=False)


@router.get("/api/docs")
async def show(request: Request, web: InWeb, actor: SignedIn) -> Response:
    """Every operation with its parameters, by group."""
    del actor  # whoever is signed in may read it
    groups = grouped_operations(request.app.openapi())
    return web.page(request, "api_docs.html", {"groups": groups})


def grouped_operations(openapi: Mapping[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The operations of an OpenAPI description by their first tag, in its order.

    Standard: OpenAPI 3.1
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            entry = {
                "method": method.upper(),
                "path": path,
                "summary": operation.get("summary", ""),
                "parameters": [
                    {
                        "name": parameter["name"],
                        "where": parameter["in"],
                        "required": parameter.get("required", False),
                        "type": type_name(parameter.get("schema", {})),
                    }
                    for parameter in operation.get("parameters", [])
                ],
                "body": _fields(openapi, body.get("schema", {})),
            }
            groups.setdefault(operation.get("tags", ["other"])[0], []).append(entry)
    return list(groups.items())


def _fields(openapi: Mapping[str, Any], schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    described = next((each for each in schema.get("anyOf", [schema]) if "$ref" in each), schema)
    if "$ref" in described:
        described = openapi["components"]["schemas"][described["$ref"].rpartition("/")[2]]
    required = described.get("required", [])
    return [
        {"name": name, "required": name in required, "type": type_name(field)}
        for name, field in described.get("properties", {}).items()
    ]


def type_name(schema: Mapping[str, Any]) -> str:
    """A short name for a value's type, ``string`` or ``list of integer``."""
    if "anyOf" in schema:
        names = [type_name(each) for each in schema["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(names))
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if schema.get("type") == "array":
        return f"list of {type_name(schema.get('items', {}))}"
    return schema.get("format") or schema.get("type", "")
