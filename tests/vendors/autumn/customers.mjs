// The vendor's own client library, changed in nothing but address and key.
//
// Takes the base of the dialect and keys: for everything, for reading only, of the test environment, one
// that may send a single request in a second, and one that was revoked. Prints the name of each check
// that holds; the first that does not ends the run.

import assert from "node:assert/strict";

import { Autumn, AutumnDefaultError, AutumnError, SDKValidationError } from "autumn-js";

const [serverURL, key, readKey, testKey, slowKey, revokedKey] = process.argv.slice(2);

const clientWith = (secretKey, more) => new Autumn({ serverURL, secretKey, ...more });
const customers = clientWith(key).customers;

/** A customer that nothing was said of, but what is given. */
const plain = (id, given) => ({
  id,
  name: null,
  email: null,
  fingerprint: null,
  stripeId: null,
  env: "live",
  metadata: {},
  sendEmailReceipts: false,
  billingControls: {},
  subscriptions: [],
  purchases: [],
  licenses: [],
  balances: {},
  flags: {},
  config: {},
  ...given,
});

/** Checks a customer in full; the moment of its birth must be one of today. */
function same(customer, expected) {
  const { createdAt, ...rest } = customer;
  assert.ok(Number.isInteger(createdAt) && Math.abs(Date.now() - createdAt) < 86_400_000, createdAt);
  assert.deepEqual(rest, expected);
}

/** Checks that a call throws the exception that users catch, with this status and body. */
async function throws(call, statusCode, body) {
  const error = await call().then(
    (value) => assert.fail(`nothing was thrown, but given: ${JSON.stringify(value)}`),
    (thrown) => thrown,
  );
  assert.ok(error instanceof AutumnDefaultError && error instanceof AutumnError, `${error}`);
  assert.equal(error.statusCode, statusCode);
  if (typeof body === "string") {
    assert.equal(error.body, body);
  } else {
    assert.equal(error.contentType, "application/json");
    assert.deepEqual(JSON.parse(error.body), { env: "live", ...body });
  }
  return error;
}

const once = (idempotencyKey) => ({ headers: { "idempotency-key": idempotencyKey } });

const checks = {
  async a_customer_is_made_once() {
    const asked = {
      customerId: "acme",
      name: "Acme",
      email: "a@acme.example",
      fingerprint: "device-1",
      metadata: { seats: 3, tags: ["a", null] },
      stripeId: "cus_1",
      createInStripe: false,
      autoEnablePlanId: "free",
      sendEmailReceipts: true,
      currency: "usd",
      billingControls: { autoTopups: [{ featureId: "credits", threshold: 5, quantity: 10 }] },
      config: { disablePooledBalance: true },
      expand: ["invoices", "payment_method"],
    };
    const expected = plain("acme", {
      name: "Acme",
      email: "a@acme.example",
      fingerprint: "device-1",
      metadata: { seats: 3, tags: ["a", null] },
      stripeId: "cus_1",
      sendEmailReceipts: true,
      billingControls: {
        autoTopups: [
          { featureId: "credits", enabled: false, threshold: 5, quantity: 10, source: "customer" },
        ],
      },
    });
    same(await customers.getOrCreate(asked), expected);
    same(await customers.getOrCreate({ customerId: "acme", name: "Other" }), expected);
    same(await customers.get({ customerId: "acme" }), expected);
    const nameless = await customers.getOrCreate({ customerId: null, email: "b@acme.example" });
    same(nameless, plain(null, { email: "b@acme.example" }));
  },

  async every_field_is_updated() {
    const billingControls = {
      autoTopups: [
        {
          featureId: "credits",
          enabled: true,
          threshold: 20,
          quantity: 100.5,
          purchaseLimit: { interval: "month", intervalCount: 2, limit: 3, count: 1 },
          invoiceMode: true,
        },
      ],
      spendLimits: [
        {
          featureId: "credits",
          enabled: true,
          limitType: "absolute",
          overageLimit: 50,
          skipOverageBilling: true,
        },
      ],
      usageLimits: [
        {
          featureId: "credits",
          enabled: true,
          limit: 1000,
          interval: "month",
          anchor: "utc",
          filter: { properties: { model: "big" } },
        },
      ],
      usageAlerts: [
        {
          featureId: "credits",
          enabled: true,
          threshold: 80,
          thresholdType: "usage_percentage",
          name: "most of it",
        },
      ],
      overageAllowed: [{ featureId: "credits", enabled: true }],
    };
    const updated = await customers.update({
      customerId: "acme",
      name: "Acme Inc",
      email: "billing@acme.example",
      fingerprint: "device-2",
      metadata: { seats: null, plan: "gold" },
      stripeId: "cus_2",
      sendEmailReceipts: false,
      currency: "eur",
      billingControls,
      config: { disablePooledBalance: false, disableOverageBilling: true },
    });
    const source = "customer";
    const [topup] = billingControls.autoTopups;
    same(
      updated,
      plain("acme", {
        name: "Acme Inc",
        email: "billing@acme.example",
        fingerprint: "device-2",
        metadata: { plan: "gold", tags: ["a", null] },
        stripeId: "cus_2",
        billingControls: {
          autoTopups: [
            { ...topup, purchaseLimit: { interval: "month", intervalCount: 2, limit: 3 }, source },
          ],
          spendLimits: [{ ...billingControls.spendLimits[0], source }],
          usageLimits: [{ ...billingControls.usageLimits[0], source, usage: 0 }],
          // The library adds what the vendor's server defaults to.
          usageAlerts: [{ ...billingControls.usageAlerts[0], basis: "balance", source }],
          overageAllowed: [{ ...billingControls.overageAllowed[0], source }],
        },
      }),
    );
  },

  async what_is_left_out_stays_and_null_clears() {
    const empty = {
      autoTopups: [],
      spendLimits: [],
      usageLimits: [],
      usageAlerts: [],
      overageAllowed: [],
    };
    const emptied = await customers.update({ customerId: "acme", billingControls: empty });
    assert.equal(emptied.name, "Acme Inc");
    assert.deepEqual(emptied.billingControls, empty);
    const cleared = await customers.update({
      customerId: "acme",
      name: null,
      email: null,
      fingerprint: null,
      metadata: { plan: null, tags: null },
      stripeId: null,
    });
    same(cleared, plain("acme", { billingControls: empty }));
    const { createdAt, ...rest } = cleared;
    same(await customers.update({ customerId: "acme", metadata: null }), rest);
  },

  async the_vendors_own_example_works() {
    await customers.getOrCreate({ customerId: "cus_123" });
    const result = await customers.update({
      customerId: "cus_123",
      name: "Jane Doe",
      email: "jane@example.com",
    });
    same(result, plain("cus_123", { name: "Jane Doe", email: "jane@example.com" }));
  },

  async a_customer_shows_what_it_is_entitled_to() {
    const startedAt = Date.UTC(2026, 0, 1);
    const far = Date.UTC(3026, 0, 1);
    const subscription = {
      id: "pro",
      planId: "pro",
      autoEnable: true,
      addOn: false,
      status: "active",
      pastDue: false,
      canceledAt: null,
      expiresAt: null,
      trialEndsAt: null,
      startedAt,
      currentPeriodStart: startedAt,
      currentPeriodEnd: far,
      quantity: 2,
    };
    const balance = {
      featureId: "messages",
      granted: 100,
      remaining: 0.5,
      usage: 99.5,
      unlimited: false,
      overageAllowed: false,
      maxPurchase: null,
      nextResetAt: far,
      breakdown: [
        {
          id: "grant-1",
          planId: "pro",
          includedGrant: 100,
          prepaidGrant: 0,
          remaining: 0.5,
          usage: 99.5,
          unlimited: false,
          reset: { interval: "year", intervalCount: 1000, resetsAt: far },
          price: {
            tiers: [
              { to: 100, amount: 0.05 },
              { to: "inf", amount: 0.04, flatAmount: 1 },
            ],
            tierBehavior: "graduated",
            billingUnits: 10,
            billingMethod: "usage_based",
            maxPurchase: null,
          },
          expiresAt: null,
        },
      ],
    };
    const flag = { id: "flag-1", planId: "pro", expiresAt: null, featureId: "sso" };
    const purchase = { planId: "pack", expiresAt: far, startedAt, quantity: 1 };
    const entitled = plain("entitled", {
      subscriptions: [subscription],
      purchases: [purchase],
      balances: { messages: balance },
      flags: { sso: flag },
    });
    same(await customers.get({ customerId: "entitled" }), entitled);
    const { createdAt, ...listed } = (await customers.list({ plans: [{ id: "pro" }] })).list[0];
    assert.deepEqual(listed, entitled);
  },

  async a_customer_gets_another_id() {
    const renamed = await customers.update({
      customerId: "cus_123",
      newCustomerId: "cus:456",
      name: "Jane",
    });
    same(renamed, plain("cus:456", { name: "Jane", email: "jane@example.com" }));
    await throws(() => customers.get({ customerId: "cus_123" }), 404, {
      message: "Customer cus_123 not found",
      code: "customer_not_found",
    });
  },

  async customers_are_listed_page_by_page() {
    const first = await customers.list({ limit: 2 });
    assert.deepEqual(first.list.map((customer) => customer.id), ["cus:456", null]);
    const second = await customers.list({ startCursor: first.nextCursor, limit: 2 });
    assert.deepEqual(second.list.map((customer) => customer.id), ["acme", "entitled"]);
    assert.equal(second.nextCursor, null);
    const found = await customers.list({
      search: "JANE",
      sortOrder: "asc",
      createdAtRange: { start: Date.now() - 86_400_000, end: Date.now() + 86_400_000 },
    });
    assert.deepEqual(found.list.map((customer) => customer.id), ["cus:456"]);
    assert.deepEqual(await customers.list({ processors: ["vercel"] }), { list: [], nextCursor: null });
  },

  async the_other_environment_has_its_own_customers() {
    const sandbox = clientWith(testKey).customers;
    same(await sandbox.getOrCreate({ customerId: "acme" }), plain("acme", { env: "sandbox" }));
    assert.equal((await sandbox.list({})).list.length, 1);
  },

  async a_customer_is_deleted() {
    assert.deepEqual(await customers.delete({ customerId: "cus:456" }), { success: true });
    await throws(() => customers.delete({ customerId: "cus:456", deleteInStripe: true }), 404, {
      message: "Customer cus:456 not found",
      code: "customer_not_found",
    });
    same(await customers.getOrCreate({ customerId: "cus:456" }), plain("cus:456"));
  },

  async an_unknown_customer_is_an_error_of_status_404() {
    const body = { message: "Customer nobody not found", code: "customer_not_found" };
    await throws(() => customers.get({ customerId: "nobody" }), 404, body);
    await throws(() => customers.update({ customerId: "nobody", name: "x" }), 404, body);
  },

  async a_fault_is_an_error_of_status_400() {
    await throws(() => customers.update({ customerId: "acme", email: "jane" }), 400, {
      message: "email: not a valid email address",
      code: "invalid_inputs",
    });
    await throws(() => customers.getOrCreate({ customerId: "a b" }), 400, {
      message:
        "customer_id: cannot contain spaces. " +
        "Use only letters, numbers, underscores, hyphens, and colons.",
      code: "invalid_inputs",
    });
    await throws(() => clientWith(key, { xApiVersion: "1.2" }).customers.list({}), 400, {
      message: '"1.2" is not a valid API version',
      code: "invalid_api_version",
    });
  },

  async a_key_that_opens_nothing_is_an_error_of_status_401() {
    const list = (secretKey) => clientWith(secretKey).customers.list({});
    await throws(() => list(revokedKey), 401, {
      message: `Invalid secret key: ${revokedKey.slice(0, 15)}***`,
      code: "invalid_secret_key",
      env: "sandbox",
    });
    await throws(() => list("sk_live_of_somebody_else"), 401, {
      message: "Invalid authorization token prefix",
      code: "invalid_request",
      env: "sandbox",
    });
    await throws(() => list(undefined), 401, {
      message: "Secret key not found in Authorization header",
      code: "no_secret_key",
      env: "sandbox",
    });
  },

  async a_key_that_may_not_is_an_error_of_status_403() {
    const reader = clientWith(readKey).customers;
    assert.equal((await reader.get({ customerId: "acme" })).id, "acme");
    await throws(() => reader.update({ customerId: "acme", name: "x" }), 403, {
      message: "Insufficient scopes. Missing: customers:write",
      code: "insufficient_scopes",
    });
  },

  async an_id_that_is_taken_is_an_error_of_status_409() {
    const taken = { customerId: "acme", newCustomerId: "cus:456" };
    await throws(() => customers.update(taken), 409, {
      message: "Customer cus:456 already exists, can't change to this ID",
      code: "customer_already_exists",
    });
  },

  async a_used_idempotency_key_is_an_error_of_status_409() {
    const asked = { customerId: "acme", name: "Once" };
    assert.equal((await customers.update(asked, once("k"))).name, "Once");
    await throws(() => customers.update(asked, once("k")), 409, {
      message: "Another request with idempotency key k has already been received",
      code: "duplicate_idempotency_key",
    });
  },

  async too_many_requests_are_an_error_of_status_429() {
    const slow = clientWith(slowKey).customers;
    await slow.list({});
    const error = await throws(() => slow.list({}), 429, "Too many requests, please try again later.");
    assert.equal(error.headers.get("retry-after"), "1");
  },

  async the_library_comes_again_when_it_is_told_to() {
    const retryConfig = { strategy: "backoff" };
    const patient = clientWith(slowKey, { retryConfig }).customers;
    await patient.list({});
    assert.deepEqual((await patient.list({})).list.at(-1).id, "entitled");
  },

  async what_the_library_itself_refuses_is_not_sent() {
    await assert.rejects(customers.update({ customerId: 7 }), SDKValidationError);
  },
};

for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
  } catch (error) {
    console.error(`${name}:`, error);
    process.exit(1);
  }
  console.log(name);
}
