//! Documents that are known by an id: the operator's folder of trusted ones, and those that clients register by their
//! hash (automatic persisted queries).
//! Sources: GraphQL over HTTP, appendix A «Persisted Documents»; Apollo's protocol for automatic persisted queries.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::Refused;
use super::document::Document;
use crate::kernel::config::Settings;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::http::Params;

/// Part of the documents' budget that texts of registered hashes may take.
const REGISTERED_SHARE: u64 = 4;

pub(super) type Hash = [u8; 32];

/// Known documents.
pub(super) struct Persisted {
    trusted_by_id: HashMap<String, Arc<Document>>,
    trusted_by_text: HashMap<Hash, Arc<Document>>,
    /// Whether nothing else may run.
    only: bool,
    /// `None` where clients may not register.
    registered: Option<Cache<Hash, Arc<str>, ByLength>>,
}

/// What a request means to run.
pub(super) struct Wanted<'a> {
    pub(super) trusted: Option<Arc<Document>>,
    pub(super) text: Option<Cow<'a, str>>,
    /// The hash under which to register the text once it proves valid.
    pub(super) hash: Option<Hash>,
}

#[derive(Clone)]
struct ByLength;

impl Weighter<Hash, Arc<str>> for ByLength {
    fn weight(&self, _: &Hash, text: &Arc<str>) -> u64 {
        text.len() as u64 + 64
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PersistedQuery {
    version: u32,
    sha256_hash: String,
}

/// A trusted document as it was found.
pub(super) struct Found {
    id: String,
    hash: Hash,
    document: Arc<Document>,
}

impl Persisted {
    pub(super) fn new(settings: &Settings) -> Self {
        let only = settings.switch("graphql.documents_only");
        let bytes = u64::from(settings.count("graphql.cache_bytes")) / REGISTERED_SHARE;
        let register = settings.switch("graphql.automatic_persisted_queries") && !only;
        let registered = register.then(|| Cache::with_weighter((bytes / 1024).max(16) as usize, bytes, ByLength));
        Self { trusted_by_id: HashMap::new(), trusted_by_text: HashMap::new(), only, registered }
    }

    /// Takes in what [`read_folder`] found.
    pub(super) fn trust(&mut self, found: Vec<Found>) {
        for Found { id, hash, document } in found {
            self.trusted_by_text.insert(hash, Arc::clone(&document));
            self.trusted_by_id.insert(id, Arc::clone(&document));
            self.trusted_by_id.insert(hex(&hash), document);
        }
    }

    /// What a request means: by `documentId`, by a hash, by its text.
    pub(super) fn wanted<'a>(&self, params: &'a Params) -> Result<Wanted<'a>> {
        if let Some(id) = params.document_id.as_deref() {
            return self.by_id(id, params);
        }
        let hash = persisted_query(params)?;
        let Some(text) = params.query.as_deref() else {
            return self.by_hash(hash);
        };
        if hash.is_some_and(|hash| hash != digest(text)) {
            return Err(Error::invalid("extensions.persistedQuery.sha256Hash is not the hash of query"));
        }
        let trusted = self.by_text(text);
        if trusted.is_none() && self.only {
            return Err(Error::new(Code::FORBIDDEN, "only trusted documents may run here"));
        }
        Ok(Wanted { trusted, text: Some(Cow::Borrowed(text)), hash })
    }

    /// Remembers a valid text under its hash.
    pub(super) fn register(&self, hash: Option<Hash>, text: &str) {
        if let (Some(hash), Some(registered)) = (hash, &self.registered) {
            registered.insert(hash, text.into());
        }
    }

    fn by_id<'a>(&self, id: &str, params: &Params) -> Result<Wanted<'a>> {
        if params.query.is_some() {
            return Err(Error::invalid("send documentId or query, not both"));
        }
        let id = id.strip_prefix("sha256:").unwrap_or(id);
        match self.trusted_by_id.get(id) {
            Some(document) => Ok(Wanted { trusted: Some(Arc::clone(document)), text: None, hash: None }),
            None => Err(Error::not_found("no trusted document has this documentId")),
        }
    }

    fn by_hash<'a>(&self, hash: Option<Hash>) -> Result<Wanted<'a>> {
        let Some(hash) = hash else {
            return Err(Error::invalid("query is missing: send the text of a document"));
        };
        if let Some(document) = self.trusted_by_text.get(&hash) {
            return Ok(Wanted { trusted: Some(Arc::clone(document)), text: None, hash: None });
        }
        let Some(registered) = &self.registered else {
            return Err(Error::new(Code("PERSISTED_QUERY_NOT_SUPPORTED"), "PersistedQueryNotSupported"));
        };
        match registered.get(&hash) {
            Some(text) => Ok(Wanted { trusted: None, text: Some(Cow::Owned(text.to_string())), hash: None }),
            None => Err(Error::new(Code("PERSISTED_QUERY_NOT_FOUND"), "PersistedQueryNotFound")),
        }
    }

    /// A trusted document by its whole text; costs nothing where there are none.
    fn by_text(&self, text: &str) -> Option<Arc<Document>> {
        if self.trusted_by_text.is_empty() {
            return None;
        }
        self.trusted_by_text.get(&digest(text)).cloned()
    }
}

fn persisted_query(params: &Params) -> Result<Option<Hash>> {
    let Some(extension) = params.extensions.get("persistedQuery").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let wrong =
        || Error::invalid("extensions.persistedQuery must be { version: 1, sha256Hash: 64 hexadecimal digits }");
    // A struct takes a list of its fields as well.
    let object = Some(extension).filter(|extension| extension.is_object()).ok_or_else(wrong)?;
    let PersistedQuery { version: 1, sha256_hash } = PersistedQuery::deserialize(object).map_err(|_| wrong())? else {
        return Err(wrong());
    };
    Ok(Some(unhex(&sha256_hash).ok_or_else(wrong)?))
}

/// The SHA-256 of a text.
pub(super) fn digest(text: &str) -> Hash {
    Sha256::digest(text.as_bytes()).into()
}

/// The beginning of a text's hash, by which a log tells documents apart.
pub(super) fn short(hash: &Hash) -> Arc<str> {
    hex(hash).get(..16).unwrap_or_default().into()
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (place, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// Reads a folder of trusted documents: `NAME.graphql` or `NAME.gql`, whose id is `NAME`, and `*.json`, a manifest as
/// Relay's compiler writes it (`{ id: text }`) or Apollo's (`{ operations: [{ id, body }] }`). Each is also known by
/// the SHA-256 of its text, in hexadecimal.
///
/// # Errors
/// All at once: files that cannot be read, manifests of another form, documents that are not valid, ids given twice.
pub(super) fn read_folder(folder: &Path, read: &dyn Fn(&str) -> Result<Document, Refused>) -> Result<Vec<Found>> {
    let unreadable = |error| Error::invalid(format!("graphql.documents: {}: {error}", folder.display()));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        paths.push(entry.map_err(unreadable)?.path());
    }
    paths.sort();
    let mut problems = Vec::new();
    let mut texts: Vec<(PathBuf, String, String)> = Vec::new();
    for path in paths {
        match texts_of(&path) {
            Ok(found) => texts.extend(found.into_iter().map(|(id, text)| (path.clone(), id, text))),
            Err(problem) => problems.push(format!("{}: {problem}", path.display())),
        }
    }
    let mut found: Vec<Found> = Vec::new();
    for (path, id, text) in texts {
        if found.iter().any(|found| found.id == id) {
            problems.push(format!("{}: the id {id} is given twice", path.display()));
        }
        match read(&text) {
            Ok(document) => found.push(Found { id, hash: digest(&text), document: Arc::new(document) }),
            Err(refused) => problems.push(format!("{}: {id}: {}", path.display(), refused.message())),
        }
    }
    if problems.is_empty() {
        return Ok(found);
    }
    Err(Error::invalid(format!("{} wrong trusted document(s):\n  {}", problems.len(), problems.join("\n  "))))
}

/// Ids and texts of one file; none of a file that is neither documents nor a manifest.
fn texts_of(path: &Path) -> std::result::Result<Vec<(String, String)>, String> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let text = || std::fs::read_to_string(path).map_err(|error| error.to_string());
    match extension {
        Some("graphql" | "gql") => {
            let id = path.file_stem().and_then(|stem| stem.to_str()).ok_or("a name that is not UTF-8")?;
            Ok(vec![(id.to_owned(), text()?)])
        }
        Some("json") => manifest(&text()?),
        _ => Ok(Vec::new()),
    }
}

fn manifest(text: &str) -> std::result::Result<Vec<(String, String)>, String> {
    #[derive(Deserialize)]
    struct Entry {
        id: String,
        body: String,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Manifest {
        Apollo { operations: Vec<Entry> },
        Relay(HashMap<String, String>),
    }
    match serde_json::from_str(text) {
        Ok(Manifest::Apollo { operations }) => Ok(operations.into_iter().map(|entry| (entry.id, entry.body)).collect()),
        Ok(Manifest::Relay(texts)) => Ok(texts.into_iter().collect()),
        Err(_) => Err("neither { id: text } nor { operations: [{ id, body }] }".to_owned()),
    }
}
