//! A contract as an `OpenAPI` 3.1 document.
//!
//! What is read and what is written have schemas of their own: an amount is read from a number, too,
//! and is always written as a string. Where the two differ under one name, that of what is read has
//! `Input` at its end.

use std::collections::{BTreeMap, BTreeSet};

use schemars::Schema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::{RecursiveTransform, Transform as _};
use serde_json::{Map, Value, json};

use super::contract::{Body, Contract, Operation, Parameter, Place, Reply, Security};
use super::headers::{Header, RATE_LIMIT, RATE_LIMIT_POLICY};

/// Version of the format.
const OPENAPI: &str = "3.1.0";
/// Where the definitions of schemas are.
const SCHEMAS: &str = "/components/schemas";
/// What a reference to one of them begins with.
const REFERENCE: &str = "#/components/schemas/";
/// What the name of a definition ends with when what is read is not what is written.
const READ_SUFFIX: &str = "Input";

/// A document while it is made.
pub(crate) struct Document {
    read: SchemaGenerator,
    written: SchemaGenerator,
    whole: Map<String, Value>,
    paths: BTreeMap<&'static str, Map<String, Value>>,
    headers: BTreeMap<&'static str, Header>,
}

impl Document {
    /// Begins the document of an API.
    pub(crate) fn of<S: Clone + Send + Sync + 'static>(contract: &Contract<S>) -> Self {
        let settings = |settings: SchemaSettings| {
            settings.with(|settings| settings.definitions_path = SCHEMAS.into()).into_generator()
        };
        let base = if contract.base.is_empty() { "/" } else { contract.base };
        let schemes: Map<String, Value> =
            contract.security.iter().map(|security| (security.name(), security.scheme())).collect();
        let whole = json!({
            "openapi": OPENAPI,
            "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
            "info": {
                "title": contract.title,
                "description": contract.description,
                "version": env!("CARGO_PKG_VERSION"),
                "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": base}],
            "components": {"securitySchemes": schemes},
        });
        let Value::Object(whole) = whole else { unreachable!("an object was written above") };
        let document = Self {
            read: settings(SchemaSettings::draft2020_12().for_deserialize()),
            written: settings(SchemaSettings::draft2020_12().for_serialize()),
            whole,
            paths: BTreeMap::new(),
            headers: BTreeMap::new(),
        };
        document.with(contract)
    }

    /// Adds what another API at the same base can do.
    pub(crate) fn with<S: Clone + Send + Sync + 'static>(mut self, contract: &Contract<S>) -> Self {
        for operation in &contract.operations {
            let described = self.operation(contract, operation);
            let path = self.paths.entry(operation.path).or_default();
            path.insert(operation.method.as_str().to_ascii_lowercase(), described);
        }
        self
    }

    fn operation<S>(&mut self, contract: &Contract<S>, operation: &Operation<S>) -> Value {
        let keyed = !contract.security.is_empty();
        let mut described = json!({
            "operationId": operation.id,
            "summary": operation.summary,
            "security": contract.security.iter().map(|one| json!({one.name(): []})).collect::<Value>(),
            "responses": self.responses(operation.answers.iter().chain(&contract.refusals), keyed),
        });
        if !operation.parameters.is_empty() {
            let parameters = operation.parameters.iter().map(|parameter| self.parameter(parameter));
            described["parameters"] = parameters.collect();
        }
        if let Some(body) = &operation.body {
            described["requestBody"] = self.body(body);
        }
        described
    }

    fn parameter(&mut self, parameter: &Parameter) -> Value {
        let place = match parameter.place {
            Place::Path => "path",
            Place::Query => "query",
            Place::Header => "header",
        };
        json!({
            "name": parameter.name,
            "in": place,
            "required": parameter.required,
            "description": parameter.description,
            "schema": bounded((parameter.schema)(&mut self.read)),
        })
    }

    fn body(&mut self, body: &Body) -> Value {
        let schema = bounded((body.schema)(&mut self.read));
        let content = body.media_types.iter().map(|media| (*media, json!({"schema": schema})));
        json!({"required": body.required, "content": content.collect::<BTreeMap<_, _>>()})
    }

    /// Describes answers by status. Several of one status become one, with what each may have.
    fn responses<'a>(&mut self, replies: impl Iterator<Item = &'a Reply>, keyed: bool) -> Value {
        let mut by_status: BTreeMap<u16, Vec<&Reply>> = BTreeMap::new();
        for reply in replies {
            by_status.entry(reply.status).or_default().push(reply);
        }
        let described = |(status, replies): (u16, Vec<&Reply>)| {
            let mut response = self.response(&replies);
            if keyed {
                for header in [RATE_LIMIT, RATE_LIMIT_POLICY] {
                    response["headers"][header.name] = self.header(header);
                }
            }
            (status.to_string(), response)
        };
        by_status.into_iter().map(described).collect::<BTreeMap<_, _>>().into_iter().collect()
    }

    fn response(&mut self, replies: &[&Reply]) -> Value {
        let mut says: Vec<&str> = Vec::new();
        let mut content: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        let mut headers: BTreeMap<&str, Header> = BTreeMap::new();
        for reply in replies {
            if !says.contains(&reply.description) {
                says.push(reply.description);
            }
            if let Some((media_type, schema)) = reply.content {
                let schema = bounded(schema(&mut self.written));
                let schemas = content.entry(media_type).or_default();
                if !schemas.contains(&schema) {
                    schemas.push(schema);
                }
            }
            for header in reply.headers {
                let always = |reply: &&Reply| reply.headers.contains(header);
                let header = if replies.iter().all(always) { *header } else { header.at_times() };
                headers.insert(header.name, header);
            }
        }
        let mut response = json!({"description": says.join(" ")});
        for (media_type, mut schemas) in content {
            let one = schemas.len() == 1;
            let schema = if one { schemas.remove(0) } else { json!({"anyOf": schemas}) };
            response["content"][media_type] = json!({"schema": schema});
        }
        for (name, header) in headers {
            response["headers"][name] = self.header(header);
        }
        response
    }

    /// Refers to a header's description, or gives another one under the same name in place.
    fn header(&mut self, header: Header) -> Value {
        if *self.headers.entry(header.name).or_insert(header) != header {
            return described(header);
        }
        json!({"$ref": format!("#/components/headers/{}", header.name)})
    }

    /// Gives the document.
    pub(crate) fn finish(mut self) -> Value {
        let read = definitions(&mut self.read);
        let written = definitions(&mut self.written);
        let apart = apart(&read, &written);
        for operation in self.paths.values_mut().flat_map(Map::values_mut) {
            for asked in ["parameters", "requestBody"] {
                if let Some(asked) = operation.get_mut(asked) {
                    point_apart(asked, &apart);
                }
            }
        }
        let mut schemas = written;
        for (name, mut schema) in read {
            point_apart(&mut schema, &apart);
            let name = if apart.contains(&name) { name + READ_SUFFIX } else { name };
            schemas.insert(name, schema);
        }
        let paths = Value::from_iter(self.paths);
        let mut used = BTreeSet::new();
        references(&paths, &schemas, &mut used);
        schemas.retain(|name, _| used.contains(name));
        let headers = self.headers.into_iter().map(|(name, header)| (name, described(header)));
        let components = &mut self.whole["components"];
        components["headers"] = headers.collect();
        components["schemas"] = schemas.into_iter().collect();
        self.whole.insert("paths".to_owned(), paths);
        Value::Object(self.whole)
    }
}

impl Security {
    const fn name_text(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::ApiKey => "apiKey",
        }
    }

    fn name(self) -> String {
        self.name_text().to_owned()
    }

    fn scheme(self) -> Value {
        match self {
            Self::Bearer => json!({"type": "http", "scheme": "bearer"}),
            Self::ApiKey => json!({"type": "apiKey", "in": "header", "name": "x-api-key"}),
        }
    }
}

fn described(header: Header) -> Value {
    json!({
        "description": header.says,
        "required": header.always,
        "schema": {"type": "string", "pattern": header.pattern},
    })
}

/// Gives a schema with the bounds that its integers have by their type.
fn bounded(schema: Schema) -> Value {
    let mut schema = schema;
    let bounds = |schema: &mut Schema| {
        let (least, most) = match schema.get("format").and_then(Value::as_str) {
            Some("uint32") => (json!(0), json!(u32::MAX)),
            Some("uint64" | "uint") => (json!(0), json!(u64::MAX)),
            Some("int32") => (json!(i32::MIN), json!(i32::MAX)),
            Some("int64") => (json!(i64::MIN), json!(i64::MAX)),
            _ => return,
        };
        for (bound, value) in [("minimum", least), ("maximum", most)] {
            schema.ensure_object().entry(bound).or_insert(value);
        }
    };
    RecursiveTransform(bounds).transform(&mut schema);
    schema.to_value()
}

fn definitions(generator: &mut SchemaGenerator) -> BTreeMap<String, Value> {
    let schemas = generator.take_definitions(true).into_iter();
    schemas
        .map(|(name, schema)| {
            let schema = Schema::try_from(schema).expect("schemars defines schemas");
            (name, bounded(schema))
        })
        .collect()
}

/// Gives the names under which what is read is not what is written, or leads to what is not.
fn apart(read: &BTreeMap<String, Value>, written: &BTreeMap<String, Value>) -> BTreeSet<String> {
    let differs = |name: &String| written.get(name).is_some_and(|other| *other != read[name]);
    let mut apart: BTreeSet<String> = read.keys().filter(|name| differs(name)).cloned().collect();
    loop {
        let leads = |name: &&String| {
            let mut used = BTreeSet::new();
            references(&read[*name], read, &mut used);
            written.contains_key(*name) && !apart.contains(*name) && !used.is_disjoint(&apart)
        };
        let further: Vec<String> = read.keys().filter(leads).cloned().collect();
        if further.is_empty() {
            return apart;
        }
        apart.extend(further);
    }
}

/// Makes references point at what is read, where that has a name of its own.
fn point_apart(value: &mut Value, apart: &BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                if let (true, Value::String(text)) = (member == "$ref", &mut *value) {
                    if text.strip_prefix(REFERENCE).is_some_and(|name| apart.contains(name)) {
                        text.push_str(READ_SUFFIX);
                    }
                } else {
                    point_apart(value, apart);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| point_apart(item, apart)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Collects the names of schemas that a value leads to, through others too.
fn references(value: &Value, schemas: &BTreeMap<String, Value>, used: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                let name = value.as_str().and_then(|text| text.strip_prefix(REFERENCE));
                match name {
                    Some(name) if member == "$ref" => {
                        if used.insert(name.to_owned())
                            && let Some(schema) = schemas.get(name)
                        {
                            references(schema, schemas, used);
                        }
                    }
                    _ => references(value, schemas, used),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, schemas, used)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
