//! An issuer's published keys: a JWK Set (RFC 7517, 5), of which only what may check signatures is kept.

use std::sync::Arc;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde::Deserialize;

/// Shortest modulus that is taken (RFC 7518, 3.3), and the longest: checking costs the square of it.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The keys of one moment.
#[derive(Default)]
pub(super) struct KeySet {
    keys: Vec<Arc<Key>>,
    /// Raised when the keys change: what an older set checked is to be checked anew.
    pub(super) generation: u64,
}

/// A key and the one algorithm that it is for. A token's header cannot choose another.
pub(super) struct Key {
    jwk: Jwk,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

/// What a set says to a token's header.
pub(super) enum Found {
    /// This key.
    Key(Arc<Key>),
    /// None of its name; a newer set may have it.
    Unknown,
    /// There is one of its name, of another algorithm; or it names none, and several would do.
    Refused,
}

/// One by one: a key of a kind that nobody here knows does not spoil the others (RFC 7517, 5).
#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// Reads a JWK Set.
    ///
    /// # Errors
    /// Why it is none, without its text.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let document: Document = serde_json::from_slice(body)
            .map_err(|error| format!("the answer is no JWK Set: line {}, column {}", error.line(), error.column()))?;
        let keys = document.keys.into_iter().filter_map(|key| Key::usable(serde_json::from_value(key).ok()?));
        Ok(Self { keys: keys.map(Arc::new).collect(), generation: 0 })
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether both hold the same keys in the same order.
    pub(super) fn same_keys(&self, other: &Self) -> bool {
        self.keys.iter().map(|key| &key.jwk).eq(other.keys.iter().map(|key| &key.jwk))
    }

    /// The key of a token with this `kid` and `alg` (RFC 7515, 4.1.4).
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Found {
        let mut named = self.keys.iter().filter(|key| kid.is_none() || key.jwk.common.key_id.as_deref() == kid);
        let mut fitting = named.clone().filter(|key| key.algorithm == algorithm);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Found::Key(Arc::clone(key)),
            // Two of one name are the issuer's mistake; the first is as good as the second.
            (Some(key), Some(_)) if kid.is_some() => Found::Key(Arc::clone(key)),
            (Some(_), Some(_)) => Found::Refused,
            (None, _) if kid.is_some() && named.next().is_some() => Found::Refused,
            (None, _) => Found::Unknown,
        }
    }
}

impl Key {
    /// The key, if it is one to check signatures with, of an algorithm and a size that are taken.
    fn usable(jwk: Jwk) -> Option<Self> {
        let common = &jwk.common;
        let signs = common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
        let checks = common.key_operations.as_ref().is_none_or(|may| may.contains(&KeyOperations::Verify));
        let (algorithm, name) = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                (Algorithm::ES256, KeyAlgorithm::ES256)
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
            }
            // `oct` among them: a secret that is published is none.
            _ => return None,
        };
        let named = common.key_algorithm.is_none_or(|given| given == name);
        let decoding = DecodingKey::from_jwk(&jwk).ok()?;
        (signs && checks && named && is_sized(&decoding, algorithm)).then_some(Self { jwk, algorithm, decoding })
    }
}

fn is_sized(key: &DecodingKey, algorithm: Algorithm) -> bool {
    match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, .. } => {
            let first = n.iter().position(|byte| *byte != 0).unwrap_or(n.len());
            let bits = n.get(first).map_or(0, |byte| (n.len() - first) * 8 - byte.leading_zeros() as usize);
            RSA_BITS.contains(&bits)
        }
        // An uncompressed point of P-256; a public key of Ed25519.
        DecodingKeyKind::SecretOrDer(bytes) => bytes.len() == if algorithm == Algorithm::ES256 { 65 } else { 32 },
    }
}
