"""The OpenAPI document of the API."""

from typing import Any

from fastapi import FastAPI

from dalle2.serving.api.replies import EVENTS

FORM = "multipart/form-data"


def document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document: the routes', with the events of streams, and the key that may be needed."""
    made = FastAPI.openapi(app)
    parts = made["components"]
    for event in EVENTS:
        parts["schemas"] |= {event.__name__: event.model_json_schema(ref_template="#/components/schemas/{model}")}
        parts["schemas"] |= parts["schemas"][event.__name__].pop("$defs", {})
    parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "A key of this server's."}}
    for path in made["paths"].values():
        for kind, body in path.get("post", {}).get("requestBody", {}).get("content", {}).items():
            if kind == FORM:
                _without_null(parts["schemas"][body["schema"]["$ref"].rpartition("/")[2]])
    made["security"] = [{"key": []}, {}]
    return made


def _without_null(schema: dict[str, Any]) -> None:
    """Let no field of a form's schema be null, of which a form knows nothing: it is left out instead."""
    for name, field in schema["properties"].items():
        kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
        if len(kinds) == 1:
            del field["anyOf"]
            schema["properties"][name] = kinds[0] | field
        elif kinds:
            field["anyOf"] = kinds
