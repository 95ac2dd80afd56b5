//! What a token says (RFC 7519, 4), once its signature holds.

use serde_json::{Map, Value, json};

use super::config::given;
use super::{Principal, Role};
use crate::kernel::clock::Millis;
use crate::kernel::config::Settings;
use crate::kernel::error::{Code, Error, Result};

/// Longest subject; it is stored, and shown as a new user's name.
const SUBJECT_MOST: usize = 200;

/// The claims of a token, in a JSON object.
pub(super) type Claims = Map<String, Value>;

/// What a token must say, beside being signed.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// What `iss` must be, if it matters.
    issuer: Option<String>,
    /// What `aud` must be or contain, if it matters.
    audience: Option<String>,
    /// For clocks that differ: so much longer, and earlier, a token holds.
    leeway_ms: i64,
    /// Where the roles are.
    roles_claim: String,
}

impl Default for Rules {
    fn default() -> Self {
        Self { issuer: None, audience: None, leeway_ms: 0, roles_claim: "roles".to_owned() }
    }
}

impl Rules {
    pub(super) fn read(settings: &Settings) -> Self {
        Self {
            issuer: given(settings, "auth.issuer").map(str::to_owned),
            audience: given(settings, "auth.audience").map(str::to_owned),
            leeway_ms: i64::from(settings.count("auth.leeway_secs")) * 1000,
            roles_claim: settings.text("auth.roles_claim").to_owned(),
        }
    }

    /// Whoever a token with these claims speaks for at `now`.
    ///
    /// # Errors
    /// [`Code::UNAUTHENTICATED`], saying which claim is missing or does not hold.
    pub(super) fn principal(&self, claims: &Claims, now: Millis) -> Result<Principal> {
        let (Some(subject), Some(exp)) = (claims.get("sub"), claims.get("exp")) else {
            return refuse("the token lacks sub or exp");
        };
        let (Some(subject), Some(exp)) = (subject.as_str(), date(exp)) else {
            return refuse("the token's sub is a text, its exp a number of seconds");
        };
        if self.issuer.as_deref().is_some_and(|issuer| claims.get("iss").and_then(Value::as_str) != Some(issuer)) {
            return refuse("the token is of another issuer");
        }
        if self.audience.as_deref().is_some_and(|audience| !is_for(claims.get("aud"), audience)) {
            return refuse("the token is for another audience");
        }
        let expires_at = exp.plus(self.leeway_ms);
        if expires_at <= now {
            return refuse("the token has expired");
        }
        match claims.get("nbf").map(date) {
            None => {}
            Some(Some(from)) if from.plus(-self.leeway_ms) <= now => {}
            Some(Some(_)) => return refuse("the token does not hold yet"),
            Some(None) => return refuse("the token's nbf is a number of seconds"),
        }
        check_subject(subject)?;
        Ok(Principal { subject: subject.to_owned(), roles: self.roles(claims)?, expires_at })
    }

    /// The roles that tally knows, each once: the issuer may serve other systems, which have others.
    fn roles(&self, claims: &Claims) -> Result<Vec<Role>> {
        // The whole name first: claims that are named by URLs have dots in them.
        let found = claims.get(&self.roles_claim).or_else(|| {
            let (first, rest) = self.roles_claim.split_once('.')?;
            rest.split('.').try_fold(claims.get(first)?, |value, name| value.get(name))
        });
        let Some(found) = found else {
            return Ok(Vec::new());
        };
        let names: Option<Vec<&str>> = found.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
        let Some(names) = names else {
            return refuse("the token's roles are not a list of texts");
        };
        Ok(Role::ALL.into_iter().filter(|role| names.contains(&role.name())).collect())
    }

    /// The claims of a token that holds by these rules until `exp`, in seconds since 1970.
    ///
    /// # Errors
    /// A subject that no verifier would take.
    pub(super) fn claims(&self, subject: &str, roles: &[Role], exp: i64) -> Result<Claims> {
        check_subject(subject)?;
        let mut claims = Claims::from_iter([("sub".to_owned(), json!(subject)), ("exp".to_owned(), json!(exp))]);
        claims.extend(self.issuer.iter().map(|issuer| ("iss".to_owned(), json!(issuer))));
        claims.extend(self.audience.iter().map(|audience| ("aud".to_owned(), json!(audience))));
        claims.insert(self.roles_claim.clone(), json!(roles));
        Ok(claims)
    }
}

/// A NumericDate: seconds since 1970, which may have a fraction (RFC 7519, 2).
fn date(value: &Value) -> Option<Millis> {
    if let Some(secs) = value.as_i64() {
        return Some(Millis(secs.saturating_mul(1000)));
    }
    #[expect(clippy::cast_possible_truncation, reason = "saturates: moments that no i64 holds never come")]
    value.as_f64().map(|secs| Millis((secs * 1000.0).floor() as i64))
}

/// `aud` is a text or a list of texts (RFC 7519, 4.1.3).
fn is_for(aud: Option<&Value>, audience: &str) -> bool {
    match aud {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(list)) => list.iter().any(|one| one.as_str() == Some(audience)),
        _ => false,
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

fn refuse<T>(why: &'static str) -> Result<T> {
    Err(Error::new(Code::UNAUTHENTICATED, why))
}
