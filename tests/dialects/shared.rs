//! One customer through five APIs: what one of them changes is read back through the others, for every
//! field that they share.

use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::common::{Client, Reply, Server};

/// A customer, by the names that the dialects have for it.
struct Names {
    key: String,
    id: String,
    cust: String,
    cus: String,
}

/// The customer of a server, through all dialects.
struct Shared<'a> {
    client: Client,
    key: &'a str,
    names: Names,
}

/// An API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Api {
    Respan,
    ZeroDrift,
    FlexPrice,
    Proxy,
    Autumn,
}

const ALL: [Api; 5] = [Api::Respan, Api::ZeroDrift, Api::FlexPrice, Api::Proxy, Api::Autumn];

impl<'a> Shared<'a> {
    /// Makes a customer through our own API, and learns its names.
    async fn make(server: &'a Server, key: &str) -> Self {
        let made = server.client().post("/api/v1/customers", &json!({"key": key})).await;
        let id = made.expect(201)["id"].as_str().expect("an id").to_owned();
        let client = Client::new(&server.url, None);
        let number = id.parse::<Uuid>().expect("a UUID").as_u128();
        let cust = format!("cust_{}", spelled(number, b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", 26));
        let base62 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let cus = format!("cus_{}", spelled(number, base62, 22));
        let names = Names { key: key.to_owned(), id, cust, cus };
        Self { client, key: &server.key.key, names }
    }

    async fn send(&self, api: Api, method: Method, path: &str, body: Option<&Value>) -> Reply {
        let request = self.client.request(method, path);
        let request = match api {
            Api::ZeroDrift | Api::FlexPrice => request.header("x-api-key", self.key),
            Api::Respan | Api::Proxy | Api::Autumn => request.bearer_auth(self.key),
        };
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        self.client.send(request).await
    }

    fn path(&self, api: Api) -> String {
        let Names { key, id, cust, cus } = &self.names;
        match api {
            Api::Respan => format!("/respan/api/users/{key}/"),
            Api::ZeroDrift => format!("/zerodrift/admin/customers/{id}"),
            Api::FlexPrice => format!("/flexprice/v1/customers/{cust}"),
            Api::Proxy => format!("/proxy/v1/customers/{cus}"),
            Api::Autumn => "/autumn/v1/customers".into(),
        }
    }

    /// Changes the customer through one API.
    async fn update(&self, api: Api, mut body: Value) -> Reply {
        let path = self.path(api);
        let (method, path) = match api {
            Api::Respan | Api::Proxy => (Method::PATCH, path),
            Api::ZeroDrift | Api::FlexPrice => (Method::PUT, path),
            Api::Autumn => {
                body["customer_id"] = json!(self.names.key);
                (Method::POST, format!("{path}.update"))
            }
        };
        self.send(api, method, &path, Some(&body)).await
    }

    /// Reads the customer through one API.
    async fn get(&self, api: Api) -> Reply {
        let path = self.path(api);
        match api {
            Api::Autumn => {
                let body = json!({"customer_id": self.names.key});
                self.send(api, Method::POST, &format!("{path}.get"), Some(&body)).await
            }
            Api::Respan | Api::ZeroDrift | Api::FlexPrice | Api::Proxy => {
                self.send(api, Method::GET, &path, None).await
            }
        }
    }
}

/// Spells a number in an alphabet, with zeros before it.
fn spelled(mut number: u128, digits: &[u8], width: usize) -> String {
    let base = digits.len() as u128;
    let mut text = Vec::new();
    for _ in 0..width {
        text.push(digits[usize::try_from(number % base).expect("a digit")]);
        number /= base;
    }
    text.reverse();
    String::from_utf8(text).expect("digits are ASCII")
}

/// Where an API has a field, as a member of its bodies; nothing where it has none.
fn member(api: Api, field: &str) -> Option<&'static str> {
    Some(match (field, api) {
        ("name", Api::Respan | Api::FlexPrice | Api::Autumn) => "name",
        ("name", Api::ZeroDrift) => "company_name",
        ("email", Api::ZeroDrift) => "contact_email",
        ("email", _) => "email",
        // The other two take metadata and do not show it.
        ("metadata", _) => "metadata",
        _ => return None,
    })
}

fn shows(api: Api, field: &str) -> bool {
    field != "metadata" || !matches!(api, Api::Respan | Api::ZeroDrift)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_api_sets_all_others_show() {
    let server = Server::start().await;
    let shared = Shared::make(&server, "acme").await;
    let mut seen = 0;
    for field in ["name", "email", "metadata"] {
        for writer in ALL {
            let Some(name) = member(writer, field) else { continue };
            let value = match field {
                "email" => json!(format!("{writer:?}@acme.example").to_lowercase()),
                "metadata" => json!({"by": format!("{writer:?}")}),
                _ => json!(format!("Acme by {writer:?}")),
            };
            let updated = shared.update(writer, json!({name: value})).await;
            assert_eq!(updated.status, 200, "{writer:?} {field}: {updated}");
            for reader in ALL {
                let Some(name) = member(reader, field).filter(|_| shows(reader, field)) else {
                    continue;
                };
                let read = shared.get(reader).await.expect(200);
                assert_eq!(read[name], value, "{field}: {writer:?} wrote, {reader:?} read {read}");
                seen += 1;
            }
        }
    }
    // Four names by four, five addresses by five, five times metadata by three.
    assert_eq!(seen, 16 + 25 + 15);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_api_clears_is_gone_in_all_others() {
    let server = Server::start().await;
    let shared = Shared::make(&server, "acme").await;
    for writer in [Api::Respan, Api::Autumn] {
        let set = json!({"name": "Acme", "email": "a@acme.example"});
        assert_eq!(shared.update(Api::FlexPrice, set).await.status, 200);
        let cleared = shared.update(writer, json!({"name": null, "email": null})).await;
        assert_eq!(cleared.status, 200, "{cleared}");
        for reader in ALL {
            let read = shared.get(reader).await.expect(200);
            // What is not set is an empty text in FlexPrice's API.
            let empty = if reader == Api::FlexPrice { json!("") } else { Value::Null };
            for name in ["name", "email"].into_iter().filter_map(|field| member(reader, field)) {
                assert_eq!(read[name], empty, "{writer:?} cleared, {reader:?} read {read}");
            }
        }
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_names_and_moments_of_a_customer_agree() {
    let server = Server::start().await;
    let shared = Shared::make(&server, "acme").await;
    let mut read = Vec::new();
    for api in ALL {
        read.push(shared.get(api).await.expect(200));
    }
    let [respan, zerodrift, flexprice, proxy, autumn] = &read[..] else { panic!("five APIs") };
    let Names { key, id, cust, cus } = &shared.names;
    assert_eq!(respan["customer_identifier"], json!(key));
    assert_eq!(zerodrift["customer_id"], json!(id));
    assert_eq!(flexprice["id"], json!(cust));
    assert_eq!(flexprice["external_id"], json!(key));
    assert_eq!(proxy["id"], json!(cus));
    assert_eq!(autumn["id"], json!(key));
    let millis = autumn["created_at"].as_i64().expect("milliseconds");
    for created in [&zerodrift["created_at"], &flexprice["created_at"], &proxy["createdAt"]] {
        let text = created.as_str().expect("a moment");
        let at = chrono::DateTime::parse_from_rfc3339(text).expect("RFC 3339");
        assert!(at.timestamp_millis() == millis || at.timestamp() == millis / 1_000, "{created}");
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_through_one_api_holds_in_all_others() {
    let server = Server::start().await;
    let mut shared = Shared::make(&server, "acme").await;
    for (writer, body, new) in [
        (Api::FlexPrice, json!({"external_id": "acme-2"}), "acme-2"),
        (Api::Autumn, json!({"new_customer_id": "acme-3"}), "acme-3"),
    ] {
        let renamed = shared.update(writer, body).await;
        assert_eq!(renamed.status, 200, "{renamed}");
        for old in [Api::Respan, Api::Autumn] {
            assert_eq!(shared.get(old).await.status, 404, "the old name, {old:?}");
        }
        new.clone_into(&mut shared.names.key);
        assert_eq!(shared.get(Api::Respan).await.expect(200)["customer_identifier"], json!(new));
        assert_eq!(shared.get(Api::Autumn).await.expect(200)["id"], json!(new));
        assert_eq!(shared.get(Api::FlexPrice).await.expect(200)["external_id"], json!(new));
        for by_id in [Api::ZeroDrift, Api::Proxy] {
            assert_eq!(shared.get(by_id).await.status, 200, "{by_id:?}");
        }
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn status_links_and_usage_are_the_same_for_all() {
    let server = Server::start().await;
    let shared = Shared::make(&server, "acme").await;
    let suspended = shared.update(Api::ZeroDrift, json!({"status": "suspended"})).await;
    assert_eq!(suspended.expect(200)["status"], json!("suspended"));
    assert_eq!(shared.get(Api::Proxy).await.expect(200)["status"], json!("pending"));
    assert_eq!(shared.get(Api::FlexPrice).await.expect(200)["status"], json!("published"));
    shared.update(Api::ZeroDrift, json!({"status": "active"})).await.expect(200);
    assert_eq!(shared.get(Api::Proxy).await.expect(200)["status"], json!("active"));

    shared.update(Api::Autumn, json!({"stripe_id": "cus_stripe1"})).await.expect(200);
    assert_eq!(shared.get(Api::Autumn).await.expect(200)["stripe_id"], json!("cus_stripe1"));
    let mapping =
        json!({"integration_entity_mapping": [{"provider": "stripe", "id": "cus_stripe2"}]});
    shared.update(Api::FlexPrice, mapping).await.expect(200);
    assert_eq!(shared.get(Api::Autumn).await.expect(200)["stripe_id"], json!("cus_stripe2"));

    // The server's own clock: a moment of this month, but for one at its very end.
    let now = server.client().get("/api/v1/customers/acme").await.at("/updated_at");
    let report = json!({"customer": {"key": "acme"}, "reports": [{"report_id": "r-1",
        "occurred_at": now, "meter": "tokens", "quantity": "1200", "cost": "12.34"}]});
    server.client().post("/api/v1/usage", &report).await.expect(200);
    assert_eq!(shared.get(Api::Respan).await.at("/total_period_usage").to_string(), "12.34");
    let path = format!("/zerodrift/admin/usage/{}", shared.names.id);
    let usage = shared.send(Api::ZeroDrift, Method::GET, &path, None).await.expect(200);
    assert_eq!(usage["usage"]["current_month"]["count"], json!(1_200));
    let evaluate = json!({"customerId": shared.names.cus, "amount": 1});
    let path = "/proxy/v1/spend/evaluate";
    let spend = shared.send(Api::Proxy, Method::POST, path, Some(&evaluate)).await.expect(200);
    assert_eq!(spend["context"]["spendStats"]["totalMonth"], json!(1_234));
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_api_deletes_is_gone_in_all_others() {
    let server = Server::start().await;
    for (number, writer) in ALL.into_iter().enumerate() {
        let shared = Shared::make(&server, &format!("acme-{number}")).await;
        let path = shared.path(writer);
        let deleted = match writer {
            Api::Autumn => {
                let body = json!({"customer_id": shared.names.key});
                shared.send(writer, Method::POST, &format!("{path}.delete"), Some(&body)).await
            }
            Api::Respan | Api::ZeroDrift | Api::FlexPrice | Api::Proxy => {
                shared.send(writer, Method::DELETE, &path, None).await
            }
        };
        assert!((200..300).contains(&deleted.status), "{writer:?}: {deleted}");
        for gone in [Api::Respan, Api::Autumn] {
            assert_eq!(shared.get(gone).await.status, 404, "{writer:?} deleted, {gone:?}");
        }
        let status = async |api| shared.get(api).await.at("/status");
        assert_eq!(status(Api::ZeroDrift).await, json!("cancelled"), "{writer:?}");
        assert_eq!(status(Api::FlexPrice).await, json!("archived"), "{writer:?}");
        assert_eq!(status(Api::Proxy).await, json!("deleted"), "{writer:?}");
    }
    server.stop();
}
