//! Tokens that were verified. A client sends the same one with every request, and RSA is dear.

use std::sync::Arc;

use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};

use super::Principal;
use crate::kernel::clock::Millis;

/// A token's SHA-256: the cache could be read aloud without giving anybody a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Name([u8; 32]);

impl Name {
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

/// Whom verified tokens speak for, of a bounded number of tokens.
pub(super) struct Verified(Cache<Name, Entry>);

#[derive(Clone)]
struct Entry {
    principal: Arc<Principal>,
    /// Which set of published keys it was verified with; `None`: the secret, which does not change.
    generation: Option<u64>,
}

impl Verified {
    pub(super) fn new(most: usize) -> Self {
        Self(Cache::new(most))
    }

    /// Whom a token speaks for, if it was verified with keys that are still trusted and has not expired.
    pub(super) fn get(&self, name: &Name, now: Millis, generation: u64) -> Option<Arc<Principal>> {
        let entry = self.0.get(name)?;
        if now < entry.principal.expires_at && entry.generation.is_none_or(|of| of == generation) {
            return Some(entry.principal);
        }
        self.0.remove(name);
        None
    }

    pub(super) fn put(&self, name: Name, principal: Arc<Principal>, generation: Option<u64>) {
        self.0.insert(name, Entry { principal, generation });
    }
}
