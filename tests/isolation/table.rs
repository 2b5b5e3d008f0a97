//! Every operation of every API, and how it names a customer.

/// How a customer is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// By its key.
    Key,
    /// By our id.
    Id,
    /// By our id, as FlexPrice spells it.
    Cust,
    /// By our id, as Proxy spells it.
    Cus,
    /// By the command that made it.
    Command,
}

impl Form {
    pub(crate) const ALL: [Self; 5] = [Self::Key, Self::Id, Self::Cust, Self::Cus, Self::Command];
}

/// What an operation does with the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is about that customer: refused when there is none.
    About,
    /// It shows what fits the name: nothing when there is none.
    Filters,
    /// It makes another customer refer to that one: refused when there is none, in a decision of its own.
    Refers,
    /// It takes the name: others' are free.
    Claims,
    /// It names nobody.
    Plain,
}

/// One way to use an operation. `{it}` is the name, `{n}` a number of its own.
#[derive(Debug)]
pub(crate) struct Try {
    pub(crate) operation: &'static str,
    pub(crate) kind: Kind,
    pub(crate) forms: &'static [Form],
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) body: Option<&'static str>,
    /// Whether it lists all customers, when nothing is named.
    pub(crate) lists: bool,
    /// Whether it is at the root, not below the base.
    pub(crate) at_root: bool,
}

/// One API.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) base: &'static str,
    pub(crate) by_x_api_key: bool,
    pub(crate) tries: &'static [Try],
}

const fn this(
    operation: &'static str,
    kind: Kind,
    forms: &'static [Form],
    method: &'static str,
    path: &'static str,
) -> Try {
    Try { operation, kind, forms, method, path, body: None, lists: false, at_root: false }
}

const fn plain(operation: &'static str) -> Try {
    this(operation, Kind::Plain, &[], "GET", "/")
}

impl Try {
    const fn body(self, body: &'static str) -> Self {
        Self { body: Some(body), ..self }
    }

    const fn lists(self) -> Self {
        Self { lists: true, ..self }
    }

    const fn at_root(self) -> Self {
        Self { at_root: true, ..self }
    }
}

use Form::{Command, Cus, Cust, Id, Key};
use Kind::{About, Claims, Filters, Plain, Refers};

const REPORT: &str = r#"{"customer":{"id":"{it}"},"reports":[{"report_id":"r","occurred_at":"2026-01-01T00:00:00Z","meter":"m","quantity":"1","cost":"1"}]}"#;
const FIRST_REPORT: &str = r#"{"customer":{"key":"{it}"},"reports":[{"report_id":"r","occurred_at":"2026-01-01T00:00:00Z","meter":"m","quantity":"1","cost":"1"}]}"#;

/// All of them.
pub(crate) const APIS: &[Api] = &[
    Api { base: "", by_x_api_key: false, tries: NATIVE },
    Api { base: "/respan", by_x_api_key: false, tries: RESPAN },
    Api { base: "/zerodrift", by_x_api_key: true, tries: ZERODRIFT },
    Api { base: "/flexprice", by_x_api_key: true, tries: FLEXPRICE },
    Api { base: "/proxy", by_x_api_key: false, tries: PROXY },
    Api { base: "/autumn", by_x_api_key: false, tries: AUTUMN },
];

const NATIVE: &[Try] = &[
    this("getCustomer", About, &[Key, Id], "GET", "/api/v1/customers/{it}"),
    this("getCustomer", About, &[Key, Id], "GET", "/api/v1/customers/{it}?version=1"),
    this(
        "getCustomer",
        About,
        &[Key, Id],
        "GET",
        "/api/v1/customers/{it}?as_of=9999-01-01T00:00:00Z",
    ),
    this("updateCustomer", About, &[Key, Id], "PATCH", "/api/v1/customers/{it}")
        .body(r#"{"profile":{"name":"n"}}"#),
    this("archiveCustomer", About, &[Key, Id], "DELETE", "/api/v1/customers/{it}"),
    this("getTimeline", About, &[Key, Id], "GET", "/api/v1/customers/{it}/timeline"),
    this("getUsage", About, &[Key, Id], "GET", "/api/v1/customers/{it}/usage"),
    this("getEntitlements", About, &[Key, Id], "GET", "/api/v1/customers/{it}/entitlements"),
    this("checkSpend", About, &[Key, Id], "POST", "/api/v1/customers/{it}/check")
        .body(r#"{"amount":"1"}"#),
    this("getCommand", About, &[Command], "GET", "/api/v1/commands/{it}"),
    this("sendCommands", About, &[Key], "POST", "/api/v1/commands").body(
        r#"{"type":"UpdateCustomer","customer":{"key":"{it}"},"patch":{"profile":{"name":"n"}}}"#,
    ),
    this("sendCommands", About, &[Id], "POST", "/api/v1/commands").body(
        r#"{"type":"UpdateCustomer","customer":{"id":"{it}"},"patch":{"profile":{"name":"n"}}}"#,
    ),
    this("sendCommands", About, &[Id], "POST", "/api/v1/commands")
        .body(r#"{"type":"ArchiveCustomer","customer":{"id":"{it}"}}"#),
    this("sendCommands", Claims, &[Key], "POST", "/api/v1/commands")
        .body(r#"{"type":"CreateCustomer","customer":{"key":"{it}"},"patch":{}}"#),
    this("recordUsage", About, &[Id], "POST", "/api/v1/usage").body(REPORT),
    this("recordUsage", Claims, &[Key], "POST", "/api/v1/usage").body(FIRST_REPORT),
    this("createCustomer", Claims, &[Key], "POST", "/api/v1/customers").body(r#"{"key":"{it}"}"#),
    this("createCustomer", Refers, &[Key], "POST", "/api/v1/customers")
        .body(r#"{"key":"child-of-{it}","identity":{"parent":{"key":"{it}"}}}"#),
    this("createCustomer", Refers, &[Id], "POST", "/api/v1/customers")
        .body(r#"{"key":"child-of-{it}","identity":{"parent":{"id":"{it}"}}}"#),
    this("listCustomers", Filters, &[Key], "GET", "/api/v1/customers?key_prefix={it}").lists(),
    plain("live"),
    plain("ready"),
    plain("metrics"),
    plain("version"),
    plain("getTopics"),
    plain("getDocument"),
];

const RESPAN: &[Try] = &[
    this("retrieveUser", About, &[Key], "GET", "/api/users/{it}/"),
    this("updateUser", About, &[Key], "PATCH", "/api/users/{it}/").body(r#"{"name":"n"}"#),
    this("updateUser", About, &[Key], "PATCH", "/api/users/{it}/")
        .body(r#"{"name":"n"}"#)
        .at_root(),
    this("deleteUser", About, &[Key], "DELETE", "/api/users/{it}/"),
    this("listUsers", Plain, &[], "POST", "/api/users/list/").body("{}").lists(),
    plain("getDocument"),
];

const ZERODRIFT: &[Try] = &[
    this("getCustomer", About, &[Id], "GET", "/admin/customers/{it}"),
    this("updateCustomer", About, &[Id], "PUT", "/admin/customers/{it}")
        .body(r#"{"company_name":"n"}"#),
    this("updateCustomer", About, &[Id], "PUT", "/admin/customers/{it}")
        .body(r#"{"company_name":"n"}"#)
        .at_root(),
    this("deleteCustomer", About, &[Id], "DELETE", "/admin/customers/{it}"),
    this("getUsage", About, &[Id], "GET", "/admin/usage/{it}"),
    this("listCustomers", Plain, &[], "GET", "/admin/customers").lists(),
    plain("createCustomer"),
    plain("getDocument"),
];

const FLEXPRICE: &[Try] = &[
    this("getCustomer", About, &[Cust], "GET", "/v1/customers/{it}"),
    this("getCustomerByExternalId", About, &[Key], "GET", "/v1/customers/external/{it}"),
    this("getCustomerByLookupKey", About, &[Key], "GET", "/v1/customers/lookup/{it}"),
    this("updateCustomerById", About, &[Cust], "PUT", "/v1/customers/{it}").body(r#"{"name":"n"}"#),
    this("updateCustomerById", About, &[Cust], "PUT", "/v1/customers/{it}")
        .body(r#"{"name":"n"}"#)
        .at_root(),
    this("updateCustomer", About, &[Cust], "PUT", "/v1/customers?id={it}").body(r#"{"name":"n"}"#),
    this("updateCustomer", About, &[Key], "PUT", "/v1/customers?external_customer_id={it}")
        .body(r#"{"name":"n"}"#),
    this("updateCustomer", About, &[Key], "PUT", "/v1/customers?external_customer_id={it}")
        .body(r#"{"name":"n"}"#)
        .at_root(),
    this("deleteCustomer", About, &[Cust], "DELETE", "/v1/customers/{it}"),
    this("createCustomer", Claims, &[Key], "POST", "/v1/customers")
        .body(r#"{"external_id":"{it}","name":"n"}"#),
    this("createCustomer", Refers, &[Cust], "POST", "/v1/customers")
        .body(r#"{"external_id":"child-of-{it}","name":"n","parent_customer_id":"{it}"}"#),
    this("createCustomer", Refers, &[Key], "POST", "/v1/customers")
        .body(r#"{"external_id":"child-of-{it}","name":"n","parent_customer_external_id":"{it}"}"#),
    this("listCustomers", Filters, &[Key], "GET", "/v1/customers?external_id={it}").lists(),
    this("listCustomers", Filters, &[Cust], "GET", "/v1/customers?customer_ids={it}"),
    this("searchCustomers", Filters, &[Key], "POST", "/v1/customers/search")
        .body(r#"{"external_ids":["{it}"]}"#),
    this("searchCustomers", Plain, &[], "POST", "/v1/customers/search").body("{}").lists(),
    plain("getDocument"),
];

const PROXY: &[Try] = &[
    this("getCustomer", About, &[Cus], "GET", "/v1/customers/{it}"),
    this("updateCustomer", About, &[Cus], "PATCH", "/v1/customers/{it}")
        .body(r#"{"metadata":{"a":"b"}}"#),
    this("updateCustomer", About, &[Cus], "PATCH", "/v1/customers/{it}")
        .body(r#"{"metadata":{"a":"b"}}"#)
        .at_root(),
    this("deleteCustomer", About, &[Cus], "DELETE", "/v1/customers/{it}"),
    this("listCustomers", Plain, &[], "GET", "/v1/customers").lists(),
    this("evaluateSpendPolicy", About, &[Cus], "POST", "/v1/spend/evaluate")
        .body(r#"{"customerId":"{it}","amount":1}"#),
    plain("createCustomer"),
    plain("getDocument"),
];

const AUTUMN: &[Try] = &[
    this("getCustomer", About, &[Key], "POST", "/v1/customers.get")
        .body(r#"{"customer_id":"{it}"}"#),
    this("updateCustomer", About, &[Key], "POST", "/v1/customers.update")
        .body(r#"{"customer_id":"{it}","name":"n"}"#),
    this("updateCustomer", About, &[Key], "POST", "/v1/customers.update")
        .body(r#"{"customer_id":"{it}","name":"n"}"#)
        .at_root(),
    this("updateCustomerByPatch", About, &[Key], "PATCH", "/v1/customers/{it}")
        .body(r#"{"name":"n"}"#),
    this("updateCustomerByPost", About, &[Key], "POST", "/v1/customers/{it}")
        .body(r#"{"name":"n"}"#),
    this("deleteCustomer", About, &[Key], "POST", "/v1/customers.delete")
        .body(r#"{"customer_id":"{it}"}"#),
    this("getOrCreateCustomer", Claims, &[Key], "POST", "/v1/customers.get_or_create")
        .body(r#"{"customer_id":"{it}"}"#),
    this("listCustomers", Filters, &[Key], "POST", "/v1/customers.list")
        .body(r#"{"search":"{it}"}"#)
        .lists(),
    plain("getDocument"),
];
