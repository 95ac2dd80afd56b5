//! The document gate: nothing runs that the GraphQL specification calls invalid, or that asks for too much.
//!
//! Text → [`shape`] limits, before anything that could be made to explode → validation by apollo-compiler against the
//! schema without switched-off modules → [`Document`], cached by its text and bounded in bytes → variables coerced →
//! [`cost`] for the caller's role → a request whose variables are put in place, which async-graphql executes without
//! validating again.

mod convert;
mod cost;
mod document;
mod limits;
mod persisted;
mod rules;
mod shape;
mod values;
mod variables;

use std::path::Path;
use std::sync::Arc;

use apollo_compiler::parser::{Parser, SourceMap};
use apollo_compiler::validation::{DiagnosticList, Valid};
use apollo_compiler::{Node, Schema, introspection};
use async_graphql::parser::types::OperationType;
use async_graphql::{Pos, Request, Response, ServerError};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use self::document::Document;
pub use self::limits::Limits;
use self::persisted::Persisted;
use crate::kernel::auth::Session;
use crate::kernel::config::Settings;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::graphql::with_codes;
use crate::kernel::http::Params;
use crate::kernel::text::brief;

/// Errors of one document that are told; more help nobody.
const ERRORS_MOST: usize = 8;
/// Characters of an error's message: names in it are as long as a client makes them.
const MESSAGE_MOST: usize = 300;
/// What a cached document is taken to weigh when the number of places in the cache is estimated.
const USUAL_BYTES: usize = 16 * 1024;

/// Decides what may run.
pub struct Gate {
    schema: Valid<Schema>,
    limits: Limits,
    introspection: bool,
    documents: Cache<Box<str>, Arc<Document>, ByBytes>,
    persisted: Persisted,
}

/// An operation that may run.
pub struct Admitted {
    /// Whether it asks, changes or listens.
    pub kind: OperationType,
    /// Its name, if its document is a trusted one: whoever writes a text may name it anything.
    pub trusted_name: Option<Arc<str>>,
    /// What is executed: one operation, its variables put in place.
    pub request: Request,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Box<str>, Arc<Document>> for ByBytes {
    fn weight(&self, text: &Box<str>, document: &Arc<Document>) -> u64 {
        (text.len() + document.bytes) as u64
    }
}

impl Gate {
    /// A gate for the schema that `sdl` describes.
    ///
    /// # Errors
    /// A schema that the specification calls invalid; trusted documents that are not valid, all of them at once.
    pub fn new(sdl: &str, settings: &Settings, introspection: bool) -> Result<Self> {
        let schema = Schema::parse_and_validate(sdl, "schema.graphql")
            .map_err(|invalid| Error::internal(format!("the schema is invalid: {}", invalid.errors)))?;
        let bytes = settings.count("graphql.cache_bytes") as usize;
        let mut gate = Self {
            schema,
            limits: Limits::of(settings),
            introspection,
            documents: Cache::with_weighter((bytes / USUAL_BYTES).max(16), bytes as u64, ByBytes),
            persisted: Persisted::new(settings),
        };
        if let Some(folder) = settings.optional("graphql.documents") {
            gate.persisted.trust(persisted::read_folder(Path::new(folder), &|text| gate.read(text, true))?);
        }
        Ok(gate)
    }

    /// Decides whether a request may run.
    ///
    /// # Errors
    /// The whole answer to one that may not: its errors, each with a code and, where there is one, a place in the
    /// document.
    pub fn admit(&self, params: Params, session: &Session) -> Result<Admitted, Response> {
        let document = self.find(&params).map_err(Refused::into_response)?;
        let admitted = self.prepare(&document, &params, session);
        admitted.map_err(|error| Refused::from(error).into_response())
    }

    /// Bytes that cached documents take, by their own estimate.
    #[must_use]
    pub fn cached_bytes(&self) -> u64 {
        self.documents.weight()
    }

    fn prepare(&self, document: &Document, params: &Params, session: &Session) -> Result<Admitted, ServerError> {
        let operation = document.operation(params.operation_name.as_deref())?;
        if operation.introspects && !self.introspection {
            return Err(located(Error::new(Code::FORBIDDEN, "introspection is off"), None));
        }
        let values = variables::coerce(&self.schema, &operation.variables, &params.variables)?;
        let cost = document.cost(operation, &values);
        let most = self.limits.cost(session);
        if cost > u64::from(most) {
            let message = format!("the operation costs {cost}, and {most} is the most: ask for fewer items or fields");
            return Err(located(Error::new(Code::TOO_COMPLEX, message), None));
        }
        let mut request = Request::new(String::new()).data(session.clone());
        request.set_parsed_query(document.instantiate(operation, &values));
        let trusted_name = if document.trusted { operation.name.clone() } else { None };
        Ok(Admitted { kind: operation.kind, trusted_name, request })
    }

    /// The document that a request means: by its text, by a trusted id, or by a hash that was registered.
    fn find(&self, params: &Params) -> Result<Arc<Document>, Refused> {
        let wanted = self.persisted.wanted(params)?;
        if let Some(trusted) = wanted.trusted {
            return Ok(trusted);
        }
        let text = wanted.text.as_deref().unwrap_or_default();
        if let Some(document) = self.documents.get(text) {
            self.persisted.register(wanted.hash, text);
            return Ok(document);
        }
        let document = Arc::new(self.read(text, false)?);
        self.documents.insert(text.into(), Arc::clone(&document));
        self.persisted.register(wanted.hash, text);
        Ok(document)
    }

    /// Parses, limits and validates a text.
    fn read(&self, text: &str, trusted: bool) -> Result<Document, Refused> {
        let mut parser =
            Parser::new().token_limit(self.limits.tokens as usize).recursion_limit(self.limits.nesting() as usize);
        let ast = parser.parse_ast(text, "document").map_err(|broken| Refused::listed(&broken.errors))?;
        shape::check(&ast, &self.limits)?;
        // In two steps: a field that does not exist would else be told again as a selection that is empty.
        let built = ast.to_executable(&self.schema).map_err(|wrong| Refused::listed(&wrong.errors))?;
        let valid = built.validate(&self.schema).map_err(|wrong| Refused::listed(&wrong.errors))?;
        rules::check(&ast)?;
        for operation in valid.operations.iter() {
            introspection::check_max_depth(&valid, operation)
                .map_err(|error| Error::new(Code::TOO_COMPLEX, error.message().to_string()))?;
        }
        Ok(convert::document(&valid, trusted))
    }
}

/// Why a document may not run.
pub(crate) struct Refused(Vec<ServerError>);

impl Refused {
    fn listed(errors: &DiagnosticList) -> Self {
        let told = errors.iter().take(ERRORS_MOST).map(|diagnostic| {
            let error = diagnostic.to_json();
            let place = error.locations.first().map(|place| Pos { line: place.line, column: place.column });
            located(Error::invalid(brief(&error.message, MESSAGE_MOST).into_owned()), place)
        });
        Self(told.collect())
    }

    fn into_response(self) -> Response {
        with_codes(Response::from_errors(self.0))
    }

    /// The first message, for whoever reads a log.
    fn message(&self) -> &str {
        self.0.first().map_or("", |error| &error.message)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self(vec![located(error, None)])
    }
}

impl From<ServerError> for Refused {
    fn from(error: ServerError) -> Self {
        Self(vec![error])
    }
}

/// An error about a place of the document.
fn located(error: Error, place: Option<Pos>) -> ServerError {
    let error: async_graphql::Error = error.into();
    let error = error.into_server_error(place.unwrap_or_default());
    match place {
        Some(_) => error,
        None => ServerError { locations: Vec::new(), ..error },
    }
}

/// Where a node stands in its text.
fn place<T>(node: &Node<T>, sources: &SourceMap) -> Option<Pos> {
    let place = node.location()?.line_column(sources)?;
    Some(Pos { line: place.line, column: place.column })
}
