"""The vendor's own client library, changed in nothing but address and key.

Takes the base of the dialect and keys: for everything, for reading only, of the test environment, and
one that may send a single request in a second. Three users are there, made by usage: `user_1`,
`user_2` and `user_3`. Prints the name of each check that holds; the first that does not ends the run.
"""

import asyncio
import datetime as dt
import sys

from respan import AsyncRespanClient, RespanClient
from respan.core.api_error import ApiError
from respan.errors import (
    BadRequestError,
    ContentTooLargeError,
    ForbiddenError,
    NotFoundError,
    TooManyRequestsError,
)
from respan.types import Filters, FilterValue

BASE, KEY, READ_KEY, TEST_KEY, SLOW_KEY = sys.argv[1:]
UTC = dt.timezone.utc
AT_ONCE = {"max_retries": 0}


def client_with(key):
    return RespanClient(base_url=BASE, authorization=f"Bearer {key}", respan_api_key=key)


client = client_with(KEY)
users = client.users


def same(got, expected):
    assert got == expected, f"got {got!r}, expected {expected!r}"


def raises(error, status, body, call):
    """Checks that a call raises exactly this exception, with this status and body."""
    try:
        call()
    except ApiError as raised:
        same(type(raised), error)
        same(raised.status_code, status)
        if body is not None:
            same(raised.body, body)
    else:
        raise AssertionError(f"{error.__name__} was not raised")


def a_user_that_usage_made_is_retrieved():
    user = users.retrieve_user("user_1")
    same(user.id, "user_1")
    same(user.customer_identifier, "user_1")
    same((user.name, user.email, user.organization_name), (None, None, None))
    same(user.environment, "prod")
    same((user.total_budget, user.period_budget), (None, None))
    same(user.budget_duration, "monthly")
    same(user.period_start.day, 1)
    same(user.period_end, None)
    assert user.updated_at.tzinfo is not None


def every_field_is_updated():
    user = users.update_user(
        "user_1",
        environment="prod",
        email="john@example.com",
        name="John Doe",
        metadata={"plan": "pro", "seats": 3, "tags": ["a", None]},
        period_budget=100.5,
        budget_duration="weekly",
        total_budget=1000,
        period_start=dt.datetime(2026, 1, 1, tzinfo=UTC),
        period_end=dt.datetime(2199, 1, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        markup_percentage=20.0,
    )
    expected = ("John Doe", "john@example.com", 1000, 100.5, "weekly")
    shown = (user.name, user.email, user.total_budget, user.period_budget, user.budget_duration)
    same(shown, expected)
    same(user.period_start, dt.datetime(2026, 1, 1, tzinfo=UTC))
    same(user.period_end, dt.datetime(2199, 1, 1, tzinfo=UTC))
    same(user.total_period_usage, 45.67)
    same(users.retrieve_user("user_1", environment="prod").dict(), user.dict())


def what_is_left_out_stays_and_none_clears():
    user = users.update_user("user_1", name=None, period_budget=None)
    same((user.name, user.period_budget), (None, None))
    same((user.email, user.total_budget), ("john@example.com", 1000))
    user = users.update_user("user_1", email=None, total_budget=None, period_end=None)
    same((user.email, user.total_budget, user.period_end), (None, None, None))
    same(user.period_start.tzinfo, UTC)
    same(users.update_user("user_1").dict(), user.dict())


def users_are_listed_page_by_page():
    pager = users.list_customers(page_size=2, sort_by="customer_identifier")
    same([user.customer_identifier for user in pager], ["user_1", "user_2", "user_3"])
    pages = [[user.customer_identifier for user in page.items] for page in pager.iter_pages()]
    same(pages, [["user_1", "user_2"], ["user_3"]])
    first = users.list_customers(page_size=2, sort_by="customer_identifier").response
    same((first.count, first.previous), (2, None))
    assert first.next is not None
    last = users.list_customers(page=2, page_size=2, sort_by="customer_identifier").response
    same((last.count, last.next), (1, None))


def a_listed_user_has_its_analytics_and_budget():
    (user,) = users.list_customers(sort_by="-total_cost", page_size=1).items
    same((user.customer_identifier, user.environment), ("user_3", "prod"))
    same((user.number_of_requests, user.total_requests, user.active_days), (2, 2, 2))
    same((user.total_cost, user.cost), (300.25, 300.25))
    same(user.last_active_timeframe, dt.datetime(2026, 2, 4, 8, tzinfo=UTC))
    assert user.first_seen.tzinfo is not None
    same((user.budget_duration, user.period_budget, user.total_budget), ("monthly", None, None))
    same((user.total_tokens, user.average_latency), (None, None))


def users_are_filtered():
    users.update_user("user_2", email="jane@acme.dev")
    filters = Filters(
        total_cost=FilterValue(operator="gte", value=[10]),
        email=FilterValue(operator="endswith", value=["@acme.dev"]),
    )
    found = users.list_customers(filters=filters)
    same([user.customer_identifier for user in found], ["user_2"])
    filters = Filters(customer_identifier=FilterValue(operator="in", value=["user_1", "user_3"]))
    found = users.list_customers(filters=filters, sort_by="-customer_identifier")
    same([user.customer_identifier for user in found], ["user_3", "user_1"])


def the_other_environment_has_its_own_users():
    other = client_with(TEST_KEY).users
    raises(NotFoundError, 404, {"detail": "Not found."}, lambda: other.retrieve_user("user_1"))
    raises(
        NotFoundError,
        404,
        {"detail": "Not found."},
        lambda: users.retrieve_user("user_1", environment="test"),
    )
    same(list(users.list_customers(environment="test")), [])


def the_asynchronous_client_works_too():
    async def updated():
        asynchronous = AsyncRespanClient(
            base_url=BASE, authorization=f"Bearer {KEY}", respan_api_key=KEY
        )
        user = await asynchronous.users.update_user("user_2", name="Jane")
        pager = await asynchronous.users.list_customers(page_size=1)
        return user.name, len([found async for found in pager])

    same(asyncio.run(updated()), ("Jane", 3))


def a_user_is_deleted():
    same(users.delete_user("user_3"), None)
    raises(NotFoundError, 404, {"detail": "Not found."}, lambda: users.retrieve_user("user_3"))
    raises(NotFoundError, 404, {"detail": "Not found."}, lambda: users.delete_user("user_3"))
    same([user.customer_identifier for user in users.list_customers()], ["user_2", "user_1"])


def a_fault_is_a_bad_request_error():
    body = {
        "email": ["Enter a valid email address."],
        "period_budget": ["Ensure this value is greater than or equal to 0."],
        "budget_duration": ['"hourly" is not a valid choice.'],
    }
    raises(
        BadRequestError,
        400,
        body,
        lambda: users.update_user("user_1", email="x", period_budget=-1, budget_duration="hourly"),
    )
    body = {"metadata": ["This field may not be null."]}
    raises(BadRequestError, 400, body, lambda: users.update_user("user_1", metadata=None))
    body = {"sort_by": ['"shoe_size" is not a valid choice.']}
    raises(BadRequestError, 400, body, lambda: users.list_customers(sort_by="shoe_size"))


def an_unknown_user_is_a_not_found_error():
    body = {"detail": "Not found."}
    raises(NotFoundError, 404, body, lambda: users.update_user("nobody", name="x"))
    raises(NotFoundError, 404, body, lambda: users.retrieve_user("nobody"))


def a_key_that_may_not_is_a_forbidden_error():
    reader = client_with(READ_KEY).users
    same(reader.retrieve_user("user_1").id, "user_1")
    body = {"detail": "You do not have permission to perform this action."}
    raises(ForbiddenError, 403, body, lambda: reader.update_user("user_1", name="x"))
    raises(ForbiddenError, 403, body, lambda: reader.delete_user("user_1"))


def a_key_that_opens_nothing_is_an_api_error():
    """The library has no exception of its own for 401 here."""
    stranger = client_with("no-such-key").users
    body = {
        "detail": "Your API key is invalid or expired, please check your API key at "
        "https://platform.keywordsai.co/platform/api/api-keys"
    }
    raises(ApiError, 401, body, lambda: stranger.retrieve_user("user_1"))
    raises(ApiError, 401, body, lambda: stranger.list_customers())


def too_many_requests_are_a_too_many_requests_error():
    hasty = client_with(SLOW_KEY).users
    hasty.retrieve_user("user_1", request_options=AT_ONCE)
    raises(
        TooManyRequestsError,
        429,
        {"detail": "Rate limit exceeded", "retry_after": 1},
        lambda: hasty.retrieve_user("user_1", request_options=AT_ONCE),
    )


def too_large_a_body_is_a_content_too_large_error():
    many = Filters(name=FilterValue(operator="in", value=["x" * 1000] * 100))
    raises(ContentTooLargeError, 413, None, lambda: users.list_customers(filters=many))


def a_repeat_with_its_idempotency_key_is_answered_once():
    once = {"additional_headers": {"Idempotency-Key": "rename"}}
    first = users.update_user("user_1", name="One", request_options=once)
    users.update_user("user_1", name="Two")
    again = users.with_raw_response.update_user("user_1", name="One", request_options=once)
    same(again.headers["idempotent-replayed"], "true")
    same(again.data.dict(), first.dict())
    same(users.retrieve_user("user_1").name, "Two")
    raises(
        ApiError, 422, None, lambda: users.update_user("user_1", name="3", request_options=once)
    )


CHECKS = [
    a_user_that_usage_made_is_retrieved,
    every_field_is_updated,
    what_is_left_out_stays_and_none_clears,
    users_are_listed_page_by_page,
    a_listed_user_has_its_analytics_and_budget,
    users_are_filtered,
    the_other_environment_has_its_own_users,
    the_asynchronous_client_works_too,
    a_user_is_deleted,
    a_fault_is_a_bad_request_error,
    an_unknown_user_is_a_not_found_error,
    a_key_that_may_not_is_a_forbidden_error,
    a_key_that_opens_nothing_is_an_api_error,
    too_many_requests_are_a_too_many_requests_error,
    too_large_a_body_is_a_content_too_large_error,
    a_repeat_with_its_idempotency_key_is_answered_once,
]

if __name__ == "__main__":
    for check in CHECKS:
        check()
        print(check.__name__)
