//! The contract of an API: each operation with what it takes, what it gives and who handles it, in one
//! table. The router and the `OpenAPI` document are both made of it, so that they cannot come apart.

#![expect(dead_code, reason = "no dialect uses all of it yet")]

use std::sync::Arc;

use axum::Router;
use axum::routing::MethodRouter;
use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::Core;
use super::headers::Header;

/// Makes a schema; types that it names go into the generator's definitions.
pub(crate) type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

/// Media type of JSON, the usual one.
pub(crate) const JSON: &str = "application/json";

/// One API: ours, or a dialect. `S` is what its handlers share.
pub(crate) struct Contract<S = Arc<Core>> {
    /// Its name: one word.
    pub(crate) name: &'static str,
    /// Its title.
    pub(crate) title: &'static str,
    /// What it is, in a few sentences.
    pub(crate) description: &'static str,
    /// What all its paths begin with; empty for ours.
    pub(crate) base: &'static str,
    /// Where a caller puts the key.
    pub(crate) security: &'static [Security],
    /// What any operation may answer instead of its own: what is said before its handler, and when that
    /// fails. Each document adds these to every operation.
    pub(crate) refusals: Vec<Reply>,
    /// What it can do.
    pub(crate) operations: Vec<Operation<S>>,
}

/// Where a caller puts the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// `x-api-key: KEY`.
    ApiKey,
}

/// One operation of an API.
pub(crate) struct Operation<S = Arc<Core>> {
    /// Its name, unique in the API, in the API's own spelling.
    pub(crate) id: &'static str,
    /// Its method.
    pub(crate) method: Method,
    /// Its path below the base, with `{parameters}`.
    pub(crate) path: &'static str,
    /// The same operation at other paths, from the root on. They are not in the document.
    pub(crate) also_at: Vec<String>,
    /// What it does, in a sentence.
    pub(crate) summary: &'static str,
    /// What it takes in path, query and headers.
    pub(crate) parameters: Vec<Parameter>,
    /// What it takes as a body.
    pub(crate) body: Option<Body>,
    /// What it answers, by status.
    pub(crate) answers: Vec<Reply>,
    /// Who does it.
    pub(crate) handler: MethodRouter<S>,
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// In a header.
    Header,
}

/// A parameter of an operation.
pub(crate) struct Parameter {
    /// Its name.
    pub(crate) name: &'static str,
    /// Where it stands.
    pub(crate) place: Place,
    /// Whether it must be there; those of a path must.
    pub(crate) required: bool,
    /// What it is, in a sentence.
    pub(crate) description: &'static str,
    /// What it may be.
    pub(crate) schema: MakeSchema,
}

/// What an operation takes as a body.
pub(crate) struct Body {
    /// Whether it must be there.
    pub(crate) required: bool,
    /// Media types that are taken.
    pub(crate) media_types: &'static [&'static str],
    /// What it may be.
    pub(crate) schema: MakeSchema,
}

/// One answer of an operation.
pub(crate) struct Reply {
    /// Its status.
    pub(crate) status: u16,
    /// When it comes.
    pub(crate) description: &'static str,
    /// Its media type and shape; none when it has no body.
    pub(crate) content: Option<(&'static str, MakeSchema)>,
    /// Headers that it has.
    pub(crate) headers: &'static [Header],
}

/// Names the schema of a type.
pub(crate) fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Reply {
    /// Makes an answer without a body.
    pub(crate) const fn empty(status: u16, description: &'static str) -> Self {
        Self { status, description, content: None, headers: &[] }
    }

    /// Makes an answer of JSON.
    pub(crate) fn json<T: JsonSchema>(status: u16, description: &'static str) -> Self {
        Self::of::<T>(status, JSON, description)
    }

    /// Makes an answer with a body of a media type.
    pub(crate) fn of<T: JsonSchema>(
        status: u16,
        media_type: &'static str,
        description: &'static str,
    ) -> Self {
        let content = Some((media_type, schema::<T> as MakeSchema));
        Self { status, description, content, headers: &[] }
    }

    /// Says which headers it has.
    pub(crate) const fn with(self, headers: &'static [Header]) -> Self {
        Self { headers, ..self }
    }
}

impl<S: Clone + Send + Sync + 'static> Operation<S> {
    /// Begins an operation; the rest is added.
    pub(crate) fn new(
        id: &'static str,
        method: Method,
        path: &'static str,
        handler: MethodRouter<S>,
    ) -> Self {
        Self {
            id,
            method,
            path,
            also_at: Vec::new(),
            summary: "",
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            handler,
        }
    }

    /// Says what it does.
    pub(crate) fn summary(self, summary: &'static str) -> Self {
        Self { summary, ..self }
    }

    /// Serves it at another path, too, from the root on.
    pub(crate) fn also_at(mut self, path: impl Into<String>) -> Self {
        self.also_at.push(path.into());
        self
    }

    /// Takes a parameter in the path.
    pub(crate) fn in_path<T: JsonSchema>(self, name: &'static str, says: &'static str) -> Self {
        self.parameter::<T>(Place::Path, name, says)
    }

    /// Takes a parameter in the query, or goes without it.
    pub(crate) fn in_query<T: JsonSchema>(self, name: &'static str, says: &'static str) -> Self {
        self.parameter::<T>(Place::Query, name, says)
    }

    /// Says that the parameter that was added last must be there.
    pub(crate) fn required(mut self) -> Self {
        if let Some(last) = self.parameters.last_mut() {
            last.required = true;
        }
        self
    }

    /// Takes a header, or goes without it.
    pub(crate) fn in_header<T: JsonSchema>(self, name: &'static str, says: &'static str) -> Self {
        self.parameter::<T>(Place::Header, name, says)
    }

    fn parameter<T: JsonSchema>(
        mut self,
        place: Place,
        name: &'static str,
        description: &'static str,
    ) -> Self {
        let (required, schema) = (place == Place::Path, schema::<T>);
        self.parameters.push(Parameter { name, place, required, description, schema });
        self
    }

    /// Takes a body of JSON.
    pub(crate) fn body<T: JsonSchema>(self) -> Self {
        self.body_of::<T>(&[JSON])
    }

    /// Takes a body of one of these media types.
    pub(crate) fn body_of<T: JsonSchema>(self, media_types: &'static [&'static str]) -> Self {
        Self { body: Some(Body { required: true, media_types, schema: schema::<T> }), ..self }
    }

    /// Says that the body may be left out.
    pub(crate) fn body_may_be_left_out(mut self) -> Self {
        if let Some(body) = &mut self.body {
            body.required = false;
        }
        self
    }

    /// Answers with JSON. A status may have several answers: the body is then one of theirs.
    pub(crate) fn answer<T: JsonSchema>(self, status: u16, description: &'static str) -> Self {
        self.reply(Reply::json::<T>(status, description))
    }

    /// Answers with a body of a media type.
    pub(crate) fn answer_of<T: JsonSchema>(
        self,
        status: u16,
        media_type: &'static str,
        description: &'static str,
    ) -> Self {
        self.reply(Reply::of::<T>(status, media_type, description))
    }

    /// Gives an answer.
    pub(crate) fn reply(mut self, reply: Reply) -> Self {
        self.answers.push(reply);
        self
    }

    /// Adds headers to the answer that was added last.
    pub(crate) fn with_headers(mut self, headers: &'static [Header]) -> Self {
        if let Some(last) = self.answers.last_mut() {
            last.headers = headers;
        }
        self
    }
}

impl<S: Clone + Send + Sync + 'static> Contract<S> {
    /// Gives the routes, each whole: a nested router would hide the base from the handlers.
    pub(crate) fn routes(&self) -> Router<S> {
        self.operations.iter().fold(Router::new(), |router, operation| {
            router.route(&format!("{}{}", self.base, operation.path), operation.handler.clone())
        })
    }

    /// Gives the routes at other paths than below the base.
    pub(crate) fn other_routes(&self) -> Router<S> {
        self.operations.iter().fold(Router::new(), |router, operation| {
            operation
                .also_at
                .iter()
                .fold(router, |router, path| router.route(path, operation.handler.clone()))
        })
    }
}
