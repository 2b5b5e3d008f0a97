//! Who asks for another tenant's customer, or for one of the other environment, gets the same bytes as who
//! asks for one that nobody has: at every operation of every API, in every way to name a customer.
//!
//! `table` has the operations; the documents that the server gives say whether all of them are there.

#[path = "../common/mod.rs"]
mod common;
mod names;
mod table;

use std::collections::BTreeSet;

use common::{ALL_SCOPES, Client, Reply, Server, make_key, until_async};
use http::Method;
use names::{Names, without_chance};
use serde_json::{Value, json};
use table::{APIS, Api, Form, Kind, Try};

const CUSTOMERS: &str = "/api/v1/customers";

/// A tenant's environment.
struct Side {
    client: Client,
    key: String,
}

impl Side {
    async fn new(server: &Server, tenant: &str, environment: &str) -> Self {
        let key = make_key(server.data(), tenant, environment, ALL_SCOPES).key;
        let client = Client::new(&server.url, Some(&key));
        until_async("the key to count", async || {
            (client.get(CUSTOMERS).await.status == 200).then_some(())
        })
        .await;
        Self { client, key }
    }

    /// Makes three: two environments of one tenant, and another tenant.
    async fn three(server: &Server) -> [Self; 3] {
        [
            Self::new(server, "acme", "live").await,
            Self::new(server, "acme", "test").await,
            Self::new(server, "other", "live").await,
        ]
    }

    /// Makes a customer, by a command whose id follows from the number.
    async fn make(&self, key: &str, number: u128) -> Names {
        let command_id = uuid::Uuid::from_u128(number | 7 << 76 | 2 << 62);
        let command = json!({"type": "CreateCustomer", "command_id": command_id,
            "customer": {"key": key}, "patch": {"contract": {"tier": "starter"}}});
        let made = self.client.post("/api/v1/commands", &command).await.expect(200);
        let id = made["customer_id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        Names { key: key.to_owned(), id, command_id }
    }

    /// Gives how a customer stands, usage and all.
    async fn stands(&self, names: &Names) -> Value {
        self.client.get(&format!("{CUSTOMERS}/{}", names.id)).await.expect(200)
    }

    async fn ask(&self, api: &Api, this: &Try, name: &str, number: u128) -> Reply {
        let filled = |text: &str| text.replace("{it}", name).replace("{n}", &number.to_string());
        let method = Method::from_bytes(this.method.as_bytes()).expect("a method");
        let path = if this.at_root { String::new() } else { api.base.to_owned() };
        let client = Client::new(self.client.url(), None);
        let request = client.request(method, &(path + &filled(this.path)));
        let request = if api.by_x_api_key {
            request.header("x-api-key", &self.key)
        } else {
            request.bearer_auth(&self.key)
        };
        let request = match this.body {
            Some(body) => request.header("content-type", "application/json").body(filled(body)),
            None => request,
        };
        client.send(request).await
    }
}

/// An answer, as far as the caller could tell it from another: status, headers, body.
fn told(reply: &Reply, name: &str) -> (u16, Vec<(String, String)>, String) {
    let headers = reply.headers.iter().filter(|(name, _)| *name != "date");
    let mut headers: Vec<_> = headers
        .map(|(header, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).replace(name, "{it}");
            (header.to_string(), value)
        })
        .collect();
    headers.sort();
    (reply.status, headers, reply.text.replace(name, "{it}"))
}

/// Asks the same of a customer of one's own, of another's and of nobody's.
async fn compare(asker: &Side, owner: &Side, api: &Api, this: &Try, form: Form, number: u128) {
    let what = format!("{} {} {form:?}", api.base, this.operation);
    let keys = ["own", "its", "non"].map(|whose| format!("{whose}-{number:04}"));
    let own = asker.make(&keys[0], number).await;
    let theirs = owner.make(&keys[1], 10_000 + number).await;
    let nobodys = Names::of_nobody(&keys[2], 20_000 + number);
    let before = owner.stands(&theirs).await;
    let [own_name, their_name, no_name] =
        [&own, &theirs, &nobodys].map(|names| names.spelled(form));
    let own_answer = asker.ask(api, this, &own_name, number).await;
    let their_answer = asker.ask(api, this, &their_name, number).await;
    let no_answer = asker.ask(api, this, &no_name, number).await;
    assert_eq!(owner.stands(&theirs).await, before, "{what} changed another's customer");
    let done = |reply: &Reply| (200..300).contains(&reply.status);
    match this.kind {
        Kind::About => {
            assert!(done(&own_answer), "{what} of one's own: {own_answer}");
            assert!(!done(&no_answer), "{what} of nobody: {no_answer}");
            assert_eq!(told(&their_answer, &their_name), told(&no_answer, &no_name), "{what}");
        }
        Kind::Filters => {
            assert!(done(&own_answer), "{what} of one's own: {own_answer}");
            let shown = |reply: &Reply, names: &Names| {
                let spelled = Form::ALL.map(|form| names.spelled(form));
                spelled.iter().any(|name| reply.text.contains(name))
            };
            assert!(shown(&own_answer, &own), "{what} does not show one's own: {own_answer}");
            assert!(!shown(&their_answer, &theirs), "{what} shows another's: {their_answer}");
            assert_eq!(told(&their_answer, &their_name), told(&no_answer, &no_name), "{what}");
        }
        Kind::Claims | Kind::Refers => {
            let free = this.kind == Kind::Claims;
            assert!(done(&own_answer) || free, "{what} of one's own: {own_answer}");
            assert_eq!(done(&no_answer), free, "{what} of nobody: {no_answer}");
            let told = |reply: &Reply, name: &str| {
                let (status, _, body) = told(reply, name);
                (status, without_chance(&body))
            };
            assert_eq!(told(&their_answer, &their_name), told(&no_answer, &no_name), "{what}");
        }
        Kind::Plain => unreachable!("it names nobody"),
    }
}

/// Gives the ids of the operations in an API's document.
async fn operations(client: &Client, api: &Api) -> BTreeSet<String> {
    let document = client.get(&format!("{}/openapi.json", api.base)).await.expect(200);
    let paths = document["paths"].as_object().expect("it has paths");
    let operations = paths.values().flat_map(|path| path.as_object().expect("methods").values());
    operations.filter_map(|operation| Some(operation["operationId"].as_str()?.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_of_every_document_is_tried() {
    let server = Server::start().await;
    for api in APIS {
        let tried: BTreeSet<String> =
            api.tries.iter().map(|this| this.operation.to_owned()).collect();
        assert_eq!(operations(&server.client(), api).await, tried, "{}", api.base);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn anothers_customer_is_as_absent_as_none() {
    let server = Server::start().await;
    let [live, test, other] = Side::three(&server).await;
    let mut number = 0;
    for (asker, owner) in [(&live, &other), (&live, &test), (&test, &live)] {
        for api in APIS {
            for this in api.tries.iter().filter(|this| this.kind != Kind::Plain) {
                for form in this.forms {
                    number += 1;
                    compare(asker, owner, api, this, *form, number).await;
                }
            }
        }
    }
    assert!(number > 100, "{number}");
    server.stop();
}

/// Gives all pages of a list as one text.
async fn listed(side: &Side, api: &Api, this: &Try) -> String {
    let reply = side.ask(api, this, "", 0).await;
    assert_eq!(reply.status, 200, "{} {}: {reply}", api.base, this.operation);
    reply.text
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_ones_own_only() {
    let server = Server::start().await;
    let sides = Side::three(&server).await;
    let mut made = Vec::new();
    for (number, side) in (1..).zip(&sides) {
        made.push(side.make(&format!("of-side-{number}"), number).await);
    }
    for api in APIS {
        for this in api.tries.iter().filter(|this| this.lists) {
            for (at, side) in sides.iter().enumerate() {
                let text = listed(side, api, this).await;
                for (of, names) in made.iter().enumerate() {
                    let spelled = Form::ALL.map(|form| names.spelled(form));
                    let shown = spelled.iter().any(|name| text.contains(name));
                    assert_eq!(shown, of == at, "{} {}: {text}", api.base, this.operation);
                }
            }
        }
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn command_ids_and_idempotency_keys_of_others_are_free() {
    let server = Server::start().await;
    for (number, side) in (1..).zip(&Side::three(&server).await) {
        // The same id and the same key, for something else each time: to each it is the first.
        let key = format!("of-side-{number}");
        assert_eq!(side.make(&key, 1).await.key, key);
        let request = side.client.request(Method::POST, CUSTOMERS).header("idempotency-key", "k");
        let reply = side.client.send(request.json(&json!({"key": format!("{key}-2")}))).await;
        assert_eq!((reply.status, reply.header("idempotent-replayed")), (201, None), "{reply}");
    }
    server.stop();
}
