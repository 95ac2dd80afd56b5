//! What the settings say about tokens.

use std::time::Duration;

use reqwest::Url;

use super::claims::Rules;
use crate::kernel::config::Settings;
use crate::kernel::error::{Error, Result};

/// Where keys come from and what a token must say. Holds the secret: not `Debug`.
#[derive(Clone, Default)]
pub struct AuthConfig {
    pub(super) secret: Option<String>,
    pub(super) jwks: Option<JwksConfig>,
    pub(super) rules: Rules,
    pub(super) cached_tokens: usize,
}

/// Where the issuer publishes its keys, and how often they are looked at.
#[derive(Clone)]
pub(super) struct JwksConfig {
    pub(super) url: Url,
    /// Between two looks.
    pub(super) refresh: Duration,
    /// Between two looks that tokens with unknown keys ask for.
    pub(super) cooldown: Duration,
}

impl AuthConfig {
    /// Reads `auth.*`.
    ///
    /// # Errors
    /// Neither a secret nor a URL of keys, or a URL that is none.
    pub fn read(settings: &Settings) -> Result<Self> {
        let config = Self {
            secret: settings.optional("auth.secret").map(str::to_owned),
            jwks: JwksConfig::read(settings)?,
            rules: Rules::read(settings),
            cached_tokens: settings.count("auth.cached_tokens") as usize,
        };
        if config.secret.is_none() && config.jwks.is_none() {
            return Err(Error::invalid(
                "no key to check tokens with: set TALLY_AUTH_SECRET to 32 characters or more (for example `openssl \
                 rand -hex 32`), or TALLY_AUTH_JWKS_URL to where the issuer of your tokens publishes its keys, or \
                 run `tally demo` to look around",
            ));
        }
        Ok(config)
    }

    /// Whether tokens of `auth.secret` are taken and can be made.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.secret.is_some()
    }

    /// Whether tokens of an issuer's published keys are taken.
    #[must_use]
    pub fn has_jwks(&self) -> bool {
        self.jwks.is_some()
    }
}

impl JwksConfig {
    fn read(settings: &Settings) -> Result<Option<Self>> {
        let Some(text) = given(settings, "auth.jwks_url") else {
            return Ok(None);
        };
        // The value is not repeated: a URL may hold a password.
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url =
            url.ok_or_else(|| Error::invalid("auth.jwks_url: must be a URL that begins with https:// or http://"))?;
        let secs = |key| Duration::from_secs(settings.count(key).into());
        let (refresh, cooldown) = (secs("auth.jwks_refresh_secs"), secs("auth.jwks_cooldown_secs"));
        Ok(Some(Self { url, refresh, cooldown }))
    }
}

/// A setting that may have no value; an empty one is none, so that a variable can take back what a file says.
pub(super) fn given<'a>(settings: &'a Settings, key: &str) -> Option<&'a str> {
    settings.optional(key).filter(|value| !value.is_empty())
}
