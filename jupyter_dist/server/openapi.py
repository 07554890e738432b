"""The REST interface as an OpenAPI 3.1 document, made from the table of operations and the records of the models.

``python -m jupyter_dist.server.openapi`` writes `docs/openapi.json`; a test compares the file with what is made here.
"""

import json
import re
import sys
from typing import Any

import msgspec

from jupyter_dist._version import __version__
from jupyter_dist.server.handlers import API
from jupyter_dist.server.models import ErrorModel
from jupyter_dist.server.operations import OPERATIONS, Operation

REF = "#/components/schemas/{name}"
ERRORS = {
    "400": "The request does not fit; the message names the field",
    "403": "No token, no XSRF token, or not allowed",
    "404": "There is no such cluster, worker or task",
    "409": "The cluster is in another state; the message says which",
    "500": "A fault of the server; its log has more",
}


def document() -> dict[str, Any]:
    """Return the document."""
    models = [model for operation in OPERATIONS for model in (operation.request, operation.answer) if model is not None]
    _, schemas = msgspec.json.schema_components([*models, ErrorModel], ref_template=REF)
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(API + operation.path, {})[operation.verb] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "jupyter_dist",
            "version": __version__,
            "description": "Clusters beside the notebooks. Every request needs a token of the Jupyter server, and the "
            "right to read or write the resource jupyter_dist.",
            "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
        },
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "responses": {code: _answer(text, ErrorModel) for code, text in ERRORS.items()},
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "Authorization"}},
        },
        "security": [{"token": []}],
    }


def _operation(operation: Operation) -> dict[str, Any]:
    variables = re.findall(r"{(\w+)}", operation.path)
    text = {"type": "string", "minLength": 1}
    parameters = [{"name": name, "in": "path", "required": True, "schema": text} for name in variables]
    parameters += [{"name": name, "in": "query", "schema": schema} for name, schema in operation.query]
    made: dict[str, Any] = {
        "operationId": f"{operation.verb}_{'_'.join(re.findall(r'[a-z]+', operation.path))}",
        "summary": operation.summary,
        "parameters": parameters,
        "responses": {
            str(int(operation.status)): _answer("Done", operation.answer),
            **{code: {"$ref": f"#/components/responses/{code}"} for code in ERRORS},
        },
    }
    if operation.request is not None:
        made["requestBody"] = {"content": _content(operation.request)}
    return made


def _answer(text: str, model: type | None) -> dict[str, Any]:
    return {"description": text} if model is None else {"description": text, "content": _content(model)}


def _content(model: type) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REF.format(name=model.__name__)}}}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(), indent=1, ensure_ascii=False) + "\n")
