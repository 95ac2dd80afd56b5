//! Makes and reads tokens.

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::{Principal, Role};
use crate::kernel::clock::{Clock, Millis};
use crate::kernel::error::{Code, Error, Result};

/// Longest subject; it is stored, and shown as a new user's name.
const SUBJECT_MOST: usize = 200;

/// The tokens of one secret.
#[derive(Clone)]
pub struct Tokens {
    clock: Arc<dyn Clock>,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: Option<String>,
    #[serde(default)]
    roles: Vec<Role>,
    /// Seconds since 1970.
    exp: Option<i64>,
}

impl Tokens {
    /// Tokens signed with `secret` (HS256); its length is checked where settings are read.
    #[must_use]
    pub fn new(secret: &str, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            encoding: EncodingKey::from_secret(secret.as_bytes()),
            decoding: DecodingKey::from_secret(secret.as_bytes()),
        }
    }

    /// A token for `subject` that holds for `life_secs`.
    ///
    /// # Errors
    /// A subject that no verifier would take.
    pub fn mint(&self, subject: &str, roles: &[Role], life_secs: i64) -> Result<String> {
        check_subject(subject)?;
        let exp = self.clock.now().0.div_euclid(1000).saturating_add(life_secs);
        let claims = Claims { sub: Some(subject.to_owned()), roles: roles.to_vec(), exp: Some(exp) };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding).map_err(Error::internal)
    }

    /// Reads a token.
    ///
    /// # Errors
    /// [`Code::UNAUTHENTICATED`], saying whether it is expired or not valid.
    pub fn verify(&self, token: &str) -> Result<Principal> {
        let mut validation = Validation::new(Algorithm::HS256);
        // Looked at below: `exp` with the injected clock, and both after they were parsed.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        // Whom else a token is for is its issuer's affair.
        validation.validate_aud = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation)
            .map_err(|error| {
                let why = match error.kind() {
                    ErrorKind::InvalidSignature => "the token was signed with another key",
                    _ => "the token is not valid",
                };
                Error::new(Code::UNAUTHENTICATED, why)
            })?
            .claims;
        let (Some(subject), Some(exp)) = (claims.sub, claims.exp) else {
            return Err(Error::new(Code::UNAUTHENTICATED, "the token lacks sub or exp"));
        };
        let expires_at = Millis(exp.saturating_mul(1000));
        if expires_at <= self.clock.now() {
            return Err(Error::new(Code::UNAUTHENTICATED, "the token has expired"));
        }
        check_subject(&subject)?;
        Ok(Principal { subject, roles: claims.roles, expires_at })
    }
}

fn check_subject(subject: &str) -> Result<()> {
    if subject.trim().is_empty() || subject.chars().count() > SUBJECT_MOST || subject.contains('\0') {
        return Err(Error::new(
            Code::UNAUTHENTICATED,
            format!("a subject has 1 to {SUBJECT_MOST} characters and no NUL"),
        ));
    }
    Ok(())
}
