//! The document gate: nothing runs that the GraphQL specification calls invalid, or that asks for too much.
//!
//! Text → [`shape`] limits, before anything that could be made to explode → validation by apollo-compiler against the
//! schema without switched-off modules → [`Document`], cached by its text and bounded in bytes → variables coerced →
//! [`cost`] for the caller's role → a request whose variables are put in place, which async-graphql executes without
//! validating again.

mod collect;
mod convert;
mod cost;
mod document;
mod limits;
mod persisted;
mod rules;
mod shape;
mod syntax;
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

use self::document::{Document, Operation};
pub use self::limits::Limits;
use self::persisted::Persisted;
use crate::kernel::auth::Session;
use crate::kernel::config::Settings;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::graphql::{Likeness, with_codes};
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
    /// What it costs.
    pub cost: u64,
    /// Its name, as the document gives it.
    pub name: Option<Arc<str>>,
    /// Whether its document is a trusted one: whoever writes another may name it anything.
    pub trusted: bool,
    /// The beginning of the hash of its document's text, for logs.
    pub document: Arc<str>,
    /// Whether the document was known before.
    pub known: bool,
    /// What listeners that get the same answers have in common; of a subscription.
    pub likeness: Option<Likeness>,
    /// What is executed: one operation, its variables put in place. Who asks is the caller's to add.
    pub request: Request,
}

/// Why a request may not run.
pub struct Rejection {
    /// One of a few words, for metrics.
    pub reason: &'static str,
    /// The whole answer: errors, and no data.
    pub response: Response,
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
        if settings.switch("graphql.documents_only") && settings.optional("graphql.documents").is_none() {
            return Err(Error::invalid("graphql.documents_only needs graphql.documents: else nothing could run"));
        }
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
    /// The answer to one that may not: its errors, each with a code and, where there is one, a place in the document.
    pub fn admit(&self, params: &Params, session: &Session) -> Result<Admitted, Rejection> {
        let (document, known) = self.find(params).map_err(Refused::reject)?;
        let operation = document.operation(params.operation_name.as_deref()).map_err(Refused::reject)?;
        let (request, cost, likeness) = self.prepare(&document, operation, params, session).map_err(Refused::reject)?;
        Ok(Admitted {
            kind: operation.kind,
            cost,
            name: operation.name.clone(),
            trusted: document.trusted,
            document: Arc::clone(&document.hash),
            known,
            likeness,
            request,
        })
    }

    /// Bytes that cached documents take, by their own estimate.
    #[must_use]
    pub fn cached_bytes(&self) -> u64 {
        self.documents.weight()
    }

    /// How many documents are cached.
    #[must_use]
    pub fn cached_documents(&self) -> u64 {
        self.documents.len() as u64
    }

    /// The request for one operation, once its variables, its role and its cost allow it.
    fn prepare(
        &self,
        document: &Document,
        operation: &Operation,
        params: &Params,
        session: &Session,
    ) -> Result<(Request, u64, Option<Likeness>), Refused> {
        if operation.introspects && !self.introspection {
            return Err(Refused::of("introspection", Error::new(Code::FORBIDDEN, "introspection is off")));
        }
        let values = variables::coerce(&self.schema, &operation.variables, &params.variables)
            .map_err(|error| Refused::of("variables", error))?;
        let (copied, most) = (document.copied_bytes(operation, &values), self.limits.copied_bytes);
        if copied > most {
            let message =
                format!("the variables take {copied} bytes, each counted at every use, and {most} is the most");
            return Err(Refused::of("variables", Error::new(Code::TOO_COMPLEX, message)));
        }
        let cost = document.cost(operation, &values);
        let most = self.limits.cost(session);
        if cost > u64::from(most) {
            let message = format!("the operation costs {cost}, and {most} is the most: ask for fewer items or fields");
            return Err(Refused::of("cost", Error::new(Code::TOO_COMPLEX, message)));
        }
        let mut request = Request::new(String::new());
        request.set_parsed_query(document.instantiate(operation, &values));
        let listens = operation.kind == OperationType::Subscription;
        Ok((request, cost, listens.then(|| document.likeness(operation, &values))))
    }

    /// The document that a request means, by its text, by a trusted id, or by a hash that was registered; and whether it
    /// was known before.
    fn find(&self, params: &Params) -> Result<(Arc<Document>, bool), Refused> {
        let wanted = self.persisted.wanted(params).map_err(|error| Refused::of("persisted", error))?;
        if let Some(trusted) = wanted.trusted {
            return Ok((trusted, true));
        }
        let text = wanted.text.as_deref().unwrap_or_default();
        if let Some(document) = self.documents.get(text) {
            self.persisted.register(wanted.hash, text);
            return Ok((document, true));
        }
        let document = Arc::new(self.read(text, false)?);
        self.documents.insert(text.into(), Arc::clone(&document));
        self.persisted.register(wanted.hash, text);
        Ok((document, false))
    }

    /// Parses, limits and validates a text.
    fn read(&self, text: &str, trusted: bool) -> Result<Document, Refused> {
        let tokens_most = self.limits.tokens as usize;
        syntax::check_names(text, tokens_most).map_err(|error| Refused::placed("limits", error))?;
        let mut parser = Parser::new().token_limit(tokens_most).recursion_limit(self.limits.nesting() as usize);
        // After the first error of its syntax a parser guesses.
        let ast = parser.parse_ast(text, "document").map_err(|broken| Refused::unparsed(&broken.errors))?;
        syntax::check(text, &ast).map_err(|error| Refused::placed("syntax", error))?;
        shape::check(&ast, &self.limits).map_err(|error| Refused::of("limits", error))?;
        // In two steps: a field that does not exist would else be told again as a selection that is empty.
        let built = ast
            .to_executable(&self.schema)
            .map_err(|wrong| Refused::listed("validation", &wrong.errors, ERRORS_MOST))?;
        let valid =
            built.validate(&self.schema).map_err(|wrong| Refused::listed("validation", &wrong.errors, ERRORS_MOST))?;
        rules::check(&self.schema, &valid).map_err(|error| Refused::placed("validation", *error))?;
        for operation in valid.operations.iter() {
            introspection::check_max_depth(&valid, operation)
                .map_err(|error| Refused::of("limits", Error::new(Code::TOO_COMPLEX, error.message().to_string())))?;
        }
        Ok(convert::document(&valid, persisted::digest(text), trusted))
    }
}

/// Why a document may not run.
pub(crate) struct Refused {
    reason: &'static str,
    errors: Vec<ServerError>,
}

impl Refused {
    fn of(reason: &'static str, error: Error) -> Self {
        Self::placed(reason, located(error, None))
    }

    fn placed(reason: &'static str, error: ServerError) -> Self {
        Self { reason, errors: vec![error] }
    }

    /// What keeps a document from being parsed: an error of its syntax, or more of it than the parser takes.
    fn unparsed(errors: &DiagnosticList) -> Self {
        // The parser stops at a limit: it is the last thing that it says.
        let last = errors.iter().last().map(|error| error.to_json().message).unwrap_or_default();
        if last.ends_with("limit reached") || last.ends_with("aborting lexing") {
            let message = "the document has too many tokens, or too many levels of brackets";
            return Self::of("limits", Error::new(Code::TOO_COMPLEX, message));
        }
        Self::listed("syntax", errors, 1)
    }

    /// The first `most` errors of a document.
    fn listed(reason: &'static str, errors: &DiagnosticList, most: usize) -> Self {
        let told = errors.iter().take(most).map(|diagnostic| {
            let error = diagnostic.to_json();
            let place = error.locations.first().map(|place| Pos { line: place.line, column: place.column });
            located(Error::invalid(brief(&error.message, MESSAGE_MOST).into_owned()), place)
        });
        Self { reason, errors: told.collect() }
    }

    fn reject(self) -> Rejection {
        Rejection { reason: self.reason, response: with_codes(Response::from_errors(self.errors)) }
    }

    /// The first message, for whoever reads a log.
    fn message(&self) -> &str {
        self.errors.first().map_or("", |error| &error.message)
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
