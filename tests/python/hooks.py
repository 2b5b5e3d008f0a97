"""Makes requests that are to be taken fit for what no document can say. Requests that are to be refused
go as they are.
"""

import schemathesis
from schemathesis import GenerationMode

# A binary fraction has no short decimal text; so many digits after the point are kept by every API. An
# integer is written as one, without a point.
DIGITS = 6
# The scope of the key. What names another is refused.
SCOPE = {"tenant": "t", "environment": "live"}
# A cursor is one that was given out. What is none is refused.
CURSORS = {
    "listCustomers": "c7fffffffffff.00000000000000000000000000000000",
    "getTimeline": "v1",
    "getUsage": "p0.1.day",
}


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    operation = case.operation.definition.raw.get("operationId")
    query, headers = case.query or {}, case.headers or {}
    if isinstance(case.body, (dict, list)):
        case.body = fit(case.body)
    # A command may bring its own idempotency key, and then the header says the same or nothing.
    if operation == "sendCommands" and (isinstance(case.body, list) or case.body.get("idempotency_key")):
        headers.pop("Idempotency-Key", None)
    if "cursor" in query and operation in CURSORS:
        query["cursor"] = CURSORS[operation]
    # A customer as it stood: at a version or at a time, not both.
    if operation == "getCustomer" and "version" in query:
        query.pop("as_of", None)
    # The tool loses the quotes of entity tags when it covers a schema.
    if headers.get("If-Match") == "":
        headers["If-Match"] = "*"


def fit(value):
    """Makes numbers plain at any depth, and the scope the key's."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else round(value, DIGITS)
    if isinstance(value, list):
        return [fit(item) for item in value]
    if isinstance(value, dict):
        fitted = {name: fit(member) for name, member in value.items()}
        # A report corrects another one.
        if fitted.get("corrects") is not None and fitted["corrects"] == fitted.get("report_id"):
            fitted["corrects"] = None
        return fitted | {name: ours for name, ours in SCOPE.items() if value.get(name) is not None}
    return value
