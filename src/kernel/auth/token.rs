//! Makes and reads tokens: JWTs (RFC 7519) signed with a shared secret, or with a key that an issuer publishes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};

use super::cache::{Name, Verified};
use super::claims::{Claims, Rules};
use super::config::AuthConfig;
use super::jwks::Jwks;
use super::{Principal, Role};
use crate::kernel::clock::Clock;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Code, Error, Result};

/// Longest token, in bytes. Those of issuers have one or two thousand, and proxies take no longer headers.
const TOKEN_MOST: usize = 8 * 1024;

/// Makes and reads tokens. Cheap to clone.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    rules: Rules,
    /// HS256.
    secret: Option<(EncodingKey, DecodingKey)>,
    /// Everything else.
    jwks: Option<Arc<Jwks>>,
    cache: Option<Verified>,
    verified: AtomicU64,
}

impl Tokens {
    /// Tokens signed with `secret` (HS256), in the form that holds when nothing is set; its length is checked where
    /// settings are read.
    #[must_use]
    pub fn new(secret: &str, clock: Arc<dyn Clock>) -> Self {
        Self::local(AuthConfig { secret: Some(secret.to_owned()), ..AuthConfig::default() }, clock)
    }

    /// Tokens of the secret alone: nothing is fetched, and tokens of other keys do not hold.
    #[must_use]
    pub fn local(config: AuthConfig, clock: Arc<dyn Clock>) -> Self {
        Self::with(config, clock, None)
    }

    /// Fetches the issuer's keys, if there is one, and follows them until the shutdown. An issuer that cannot be
    /// reached keeps nothing from starting.
    ///
    /// # Errors
    /// No HTTP client can be made.
    pub async fn start(config: AuthConfig, kernel: &Kernel) -> Result<Self> {
        let clock = Arc::clone(&kernel.clock);
        let Some(jwks) = config.jwks.clone() else {
            return Ok(Self::local(config, clock));
        };
        let jwks = Arc::new(Jwks::new(jwks, Arc::clone(&clock), kernel.shutdown.clone())?);
        jwks.fetch().await;
        kernel.tasks.spawn(Arc::clone(&jwks).follow());
        Ok(Self::with(config, clock, Some(jwks)))
    }

    fn with(config: AuthConfig, clock: Arc<dyn Clock>, jwks: Option<Arc<Jwks>>) -> Self {
        let keys =
            |secret: &str| (EncodingKey::from_secret(secret.as_bytes()), DecodingKey::from_secret(secret.as_bytes()));
        Self(Arc::new(Inner {
            clock,
            rules: config.rules,
            secret: config.secret.as_deref().map(keys),
            jwks,
            cache: (config.cached_tokens > 0).then(|| Verified::new(config.cached_tokens)),
            verified: AtomicU64::new(0),
        }))
    }

    /// A token for `subject` that holds for `life_secs`, signed with the secret (HS256).
    ///
    /// # Errors
    /// No secret, or a subject that no verifier would take.
    pub fn mint(&self, subject: &str, roles: &[Role], life_secs: i64) -> Result<String> {
        let Some((key, _)) = &self.0.secret else {
            return Err(Error::invalid("no secret to sign with: set TALLY_AUTH_SECRET to what the server has"));
        };
        let exp = self.0.clock.now().0.div_euclid(1000).saturating_add(life_secs);
        let claims = self.0.rules.claims(subject, roles, exp)?;
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, key).map_err(Error::internal)
    }

    /// Reads a token.
    ///
    /// # Errors
    /// [`Code::UNAUTHENTICATED`], saying why it does not hold. [`Code::UNAVAILABLE`] when nobody can say: it names a
    /// key that is not known here, and the issuer cannot be asked.
    pub async fn verify(&self, token: &str) -> Result<Arc<Principal>> {
        Ok(self.look_up(token).await?.0)
    }

    /// Reads a token; also says whether it was in the cache.
    ///
    /// # Errors
    /// As [`Tokens::verify`].
    pub async fn look_up(&self, token: &str) -> Result<(Arc<Principal>, bool)> {
        if token.len() > TOKEN_MOST {
            return Err(invalid());
        }
        let Some(cache) = &self.0.cache else {
            return Ok((Arc::new(Box::pin(self.check(token)).await?.0), false));
        };
        let name = Name::of(token);
        let generation = self.0.jwks.as_ref().map_or(0, |jwks| jwks.generation());
        if let Some(principal) = cache.get(&name, self.0.clock.now(), generation) {
            return Ok((principal, true));
        }
        let (principal, generation) = Box::pin(self.check(token)).await?;
        let principal = Arc::new(principal);
        cache.put(name, Arc::clone(&principal), generation);
        Ok((principal, false))
    }

    /// How many tokens were read whose signature held. Those that were found in the cache are not among them.
    #[must_use]
    pub fn verified(&self) -> u64 {
        self.0.verified.load(Ordering::Relaxed)
    }

    /// Checks signature and claims; also says which set of published keys the signature's is of.
    async fn check(&self, token: &str) -> Result<(Principal, Option<u64>)> {
        // Neither `none` nor what it does not know gets past this.
        let header = jsonwebtoken::decode_header(token).map_err(|_| invalid())?;
        // What must be understood and is not (RFC 7515, 4.1.11): nothing of that kind is understood here.
        if header.crit.is_some() {
            return Err(invalid());
        }
        // The header says where to look; what is found there says which algorithm holds.
        let (claims, generation) = match (header.alg, &self.0.secret, &self.0.jwks) {
            (Algorithm::HS256, Some((_, key)), _) => (decode(token, key, Algorithm::HS256)?, None),
            (algorithm @ (Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA), _, Some(jwks)) => {
                let (key, generation) = jwks.key(header.kid.as_deref(), algorithm).await?;
                (decode(token, &key.decoding, key.algorithm)?, Some(generation))
            }
            _ => return Err(invalid()),
        };
        self.0.verified.fetch_add(1, Ordering::Relaxed);
        Ok((self.0.rules.principal(&claims, self.0.clock.now())?, generation))
    }
}

fn decode(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Result<Claims> {
    let mut validation = Validation::new(algorithm);
    // Claims are looked at afterwards: with the injected clock, and with a word on each.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let decoded = jsonwebtoken::decode::<Claims>(token, key, &validation).map_err(|error| match error.kind() {
        ErrorKind::InvalidSignature => Error::new(Code::UNAUTHENTICATED, "the token was signed with another key"),
        _ => invalid(),
    })?;
    Ok(decoded.claims)
}

fn invalid() -> Error {
    Error::new(Code::UNAUTHENTICATED, "the token is not valid")
}
