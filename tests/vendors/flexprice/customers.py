"""The vendor's own client library, changed in nothing but address and key.

Takes the base of the dialect and keys: for everything, for reading only, of the test environment, and
one that may send a single request in a second. Prints the name of each check that holds; the first that
does not ends the run.
"""

import asyncio
import datetime as dt
import functools
import sys

from flexprice import Flexprice, models
from flexprice.models.errors import ErrorResponse, FlexpriceDefaultError, FlexpriceError

BASE, KEY, READ_KEY, TEST_KEY, SLOW_KEY = sys.argv[1:]
NOBODY = "cust_00000000000000000000000000"


def client_with(key):
    return Flexprice(server_url=f"{BASE}/v1", api_key_auth=key)


client = client_with(KEY)
customers = client.customers


def same(got, expected):
    assert got == expected, f"got {got!r}, expected {expected!r}"


def raises(error, status, call):
    """Checks that a call raises exactly this exception, and gives it."""
    try:
        call()
    except FlexpriceError as raised:
        same(type(raised), error)
        same(raised.status_code, status)
        return raised
    raise AssertionError(f"{error.__name__} was not raised")


def told(raised, code, message):
    """Checks what an exception tells that has read the body."""
    same(raised.data.code, code)
    same(raised.data.message, message)
    same(raised.data.http_status_code, raised.status_code)
    same(str(raised), message)


def stripe(entity):
    return models.CreateEntityIntegrationMappingRequest(
        entity_id="", entity_type="customer", provider_type="stripe", provider_entity_id=entity
    )


def known(external_id):
    return customers.get_customer_by_external_id(external_id=external_id)


def a_customer_is_created():
    made = customers.create_customer(external_id="acme", name="Acme")
    assert made.id.startswith("cust_") and len(made.id) == 31, made.id
    same((made.external_id, made.name, made.email), ("acme", "Acme", ""))
    same((made.environment_id, made.status), ("live", "published"))
    same((made.metadata, made.address_line1, made.address_country), ({}, "", ""))
    assert made.created_at.tzinfo is not None and made.created_at == made.updated_at
    assert made.created_by and made.created_by == made.updated_by and made.tenant_id


def a_customer_is_created_with_every_field():
    made = customers.create_customer(
        external_id="full",
        name="Full",
        email="full@example.com",
        address_line1="1 Main Street",
        address_line2="Floor 2",
        address_city="San Francisco",
        address_state="CA",
        address_postal_code="94105",
        address_country="US",
        metadata={"tier": "gold"},
        integration_entity_mapping=[stripe("cus_1")],
        skip_onboarding_workflow=True,
        timezone="UTC",
    )
    same(made.email, "full@example.com")
    same((made.address_line1, made.address_line2), ("1 Main Street", "Floor 2"))
    same((made.address_city, made.address_state), ("San Francisco", "CA"))
    same((made.address_postal_code, made.address_country), ("94105", "US"))
    same(made.metadata, {"tier": "gold", "stripe_customer_id": "cus_1"})


def a_customer_is_got_by_either_id():
    one = known("acme")
    same(customers.get_customer(id=one.id), one)


def every_field_is_updated():
    one = known("acme")
    new = customers.update_customer(
        id=one.id,
        name="Acme Corporation",
        email="billing@acme.com",
        address_line1="2 High Street",
        address_line2="Back yard",
        address_city="Berlin",
        address_state="BE",
        address_postal_code="10115",
        address_country="DE",
        metadata={"plan": "pro", "region": "eu"},
        integration_entity_mapping=[stripe("cus_2")],
    )
    same((new.id, new.external_id), (one.id, "acme"))
    same((new.name, new.email), ("Acme Corporation", "billing@acme.com"))
    same((new.address_line1, new.address_line2), ("2 High Street", "Back yard"))
    same((new.address_city, new.address_state), ("Berlin", "BE"))
    same((new.address_postal_code, new.address_country), ("10115", "DE"))
    same(new.metadata, {"plan": "pro", "region": "eu", "stripe_customer_id": "cus_2"})
    assert new.updated_at > one.updated_at and new.created_at == one.created_at
    same(customers.get_customer(id=one.id), new)


def what_is_left_out_stays_and_metadata_is_replaced():
    one = known("acme")
    same(customers.update_customer(external_customer_id="acme"), one)
    new = customers.update_customer(external_customer_id="acme", metadata={"plan": "free"})
    same(new.metadata, {"plan": "free"})
    same((new.name, new.address_city), ("Acme Corporation", "Berlin"))
    new = customers.update_customer(
        id=one.id, external_customer_id="acme", address_line2="", metadata={}
    )
    same((new.metadata, new.address_line2, new.address_line1), ({}, "", "2 High Street"))


def what_later_versions_added_is_ignored():
    one = known("acme")
    new = customers.update_customer(
        id=one.id,
        contact="+14155550123",
        timezone="Europe/Berlin",
        billing_currency="eur",
        contact_persons=[models.CustomerContactPerson(first_name="Jane")],
    )
    same(new, one)


def customers_are_listed_and_searched():
    found = customers.query_customer()
    same([one.external_id for one in found.items], ["full", "acme"])
    same((found.pagination.total, found.pagination.limit, found.pagination.offset), (2, 50, 0))
    found = customers.query_customer(limit=1, offset=1, order="asc")
    same(([one.external_id for one in found.items], found.pagination.total), (["full"], 2))

    def externals(**conditions):
        return [one.external_id for one in customers.query_customer(**conditions).items]

    same(externals(external_ids=["acme", "nobody"]), ["acme"])
    same(externals(customer_ids=[known("full").id]), ["full"])
    same(externals(email="billing@acme.com"), ["acme"])
    same(externals(metadata={"tier": "gold"}), ["full"])
    same(externals(status="archived"), [])
    same(externals(start_time=dt.datetime(2199, 1, 1, tzinfo=dt.timezone.utc)), [])
    same(externals(sort=[models.SortCondition(field="name", direction="asc")]), ["acme", "full"])
    value = models.Value(string="corp")
    contains = models.FilterCondition(
        field="name", operator="contains", data_type="string", value=value
    )
    same(externals(filters=[contains]), ["acme"])


def a_customer_is_renamed():
    one = known("acme")
    new = customers.update_customer(id=one.id, external_id="apex")
    same((new.id, new.external_id, new.name), (one.id, "apex", one.name))
    same(known("apex"), new)
    raises(ErrorResponse, 404, lambda: known("acme"))
    back = customers.update_customer(external_customer_id="apex", external_id="acme")
    same(back.external_id, "acme")


def the_other_environment_has_its_own_customers():
    other = client_with(TEST_KEY).customers
    same(other.query_customer().pagination.total, 0)
    made = other.create_customer(external_id="acme", name="Acme")
    same(made.environment_id, "test")
    assert made.id != known("acme").id


def the_asynchronous_client_works_too():
    async def changed():
        async with client_with(KEY) as other:
            update = other.customers.update_customer_async
            return await update(external_customer_id="acme", name="A")

    same(asyncio.run(changed()), known("acme"))


def a_broken_rule_is_an_error_response():
    failed = "Request validation failed"
    for broken in [
        {"email": "acme"},
        {"address_country": "GERMANY"},
        {"address_line1": "x" * 256},
        {"address_postal_code": "x" * 21},
        {"name": ""},
    ]:
        update = functools.partial(customers.update_customer, external_customer_id="acme")
        raised = raises(ErrorResponse, 400, functools.partial(update, **broken))
        told(raised, "validation_error", failed)
    raised = raises(ErrorResponse, 400, lambda: customers.create_customer(external_id="", name="A"))
    told(raised, "validation_error", failed)
    raised = raises(ErrorResponse, 400, lambda: customers.query_customer(limit=1001))
    told(raised, "validation_error", "Invalid filter parameters")


def names_that_do_not_fit_are_an_error_response():
    hint = (
        "Provide id as query parameter (?id=...) or provide external_customer_id "
        "as query parameter (?external_customer_id=...)"
    )
    raised = raises(ErrorResponse, 400, lambda: customers.update_customer(name="A"))
    told(raised, "validation_error", hint)
    other = known("full").id
    raised = raises(
        ErrorResponse, 400, lambda: customers.update_customer(id=other, external_customer_id="acme")
    )
    same(raised.data.code, "validation_error")


def another_provider_is_an_error_response():
    mapping = stripe("x").model_copy(update={"provider_type": "razorpay"})
    raised = raises(
        ErrorResponse,
        400,
        lambda: customers.update_customer(
            external_customer_id="acme", integration_entity_mapping=[mapping]
        ),
    )
    told(raised, "validation_error", "Only Stripe provider is currently supported")


def an_unknown_customer_is_a_default_error():
    for call in [
        lambda: customers.get_customer(id=NOBODY),
        lambda: customers.update_customer(id=NOBODY, name="A"),
        lambda: customers.update_customer(external_customer_id="nobody", name="A"),
        lambda: customers.delete_customer(id=NOBODY),
    ]:
        assert '"code":"not_found"' in raises(FlexpriceDefaultError, 404, call).body


def an_unknown_external_id_is_an_error_response():
    raised = raises(ErrorResponse, 404, lambda: known("nobody"))
    told(raised, "not_found", "Customer with lookup key nobody was not found")


def an_external_id_that_is_taken_is_a_default_error():
    for call in [
        lambda: customers.create_customer(external_id="acme", name="Again"),
        lambda: customers.update_customer(external_customer_id="acme", external_id="full"),
    ]:
        raised = raises(FlexpriceDefaultError, 409, call)
        assert '"code":"already_exists"' in raised.body, raised.body
        assert "A customer with this identifier already exists" in raised.body, raised.body


def a_caller_that_may_not_gets_a_default_error():
    stranger = client_with("sk_nonsense").customers
    same(raises(FlexpriceDefaultError, 401, stranger.query_customer).body, '{"error":"Unauthorized"}')
    reader = client_with(READ_KEY).customers
    same(reader.get_customer_by_external_id(external_id="acme").external_id, "acme")
    update = functools.partial(reader.update_customer, external_customer_id="acme", name="A")
    raised = raises(FlexpriceDefaultError, 403, update)
    same(raised.body, '{"message":"insufficient permissions"}')


def too_many_requests_are_a_default_error():
    hurried = client_with(SLOW_KEY).customers
    hurried.query_customer()
    raised = raises(FlexpriceDefaultError, 429, hurried.query_customer)
    same(raised.headers["retry-after"], "1")
    assert '"code":"too_many_requests"' in raised.body, raised.body


def too_large_a_body_is_a_default_error():
    raises(
        FlexpriceDefaultError,
        413,
        lambda: customers.update_customer(external_customer_id="acme", metadata={"a": "x" * 70_000}),
    )


def a_repeat_with_its_idempotency_key_is_answered_once():
    once = {"http_headers": {"Idempotency-Key": "k-1"}}
    first = customers.update_customer(external_customer_id="acme", name="Once", **once)
    customers.update_customer(external_customer_id="acme", name="Twice")
    same(customers.update_customer(external_customer_id="acme", name="Once", **once), first)
    same(known("acme").name, "Twice")
    raises(
        FlexpriceDefaultError,
        422,
        lambda: customers.update_customer(external_customer_id="acme", name="Other", **once),
    )


def a_customer_is_deleted():
    one = known("acme")
    same(customers.delete_customer(id=one.id), None)
    same(customers.get_customer(id=one.id).status, "archived")
    raises(ErrorResponse, 404, lambda: known("acme"))
    raises(FlexpriceDefaultError, 404, lambda: customers.delete_customer(id=one.id))
    update = functools.partial(customers.update_customer, id=one.id, name="A")
    raised = raises(FlexpriceDefaultError, 409, update)
    assert '"code":"version_conflict"' in raised.body, raised.body
    again = customers.create_customer(external_id="acme", name="Second")
    assert again.id != one.id


CHECKS = [
    a_customer_is_created,
    a_customer_is_created_with_every_field,
    a_customer_is_got_by_either_id,
    every_field_is_updated,
    what_is_left_out_stays_and_metadata_is_replaced,
    what_later_versions_added_is_ignored,
    customers_are_listed_and_searched,
    a_customer_is_renamed,
    the_other_environment_has_its_own_customers,
    the_asynchronous_client_works_too,
    a_broken_rule_is_an_error_response,
    names_that_do_not_fit_are_an_error_response,
    another_provider_is_an_error_response,
    an_unknown_customer_is_a_default_error,
    an_unknown_external_id_is_an_error_response,
    an_external_id_that_is_taken_is_a_default_error,
    a_caller_that_may_not_gets_a_default_error,
    too_many_requests_are_a_default_error,
    too_large_a_body_is_a_default_error,
    a_repeat_with_its_idempotency_key_is_answered_once,
    a_customer_is_deleted,
]

for check in CHECKS:
    check()
    print(check.__name__)
