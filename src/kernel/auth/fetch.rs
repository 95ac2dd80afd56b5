//! Fetches a JWK Set: within a time and a size, and with nothing secret in its errors.

use std::error::Error as _;
use std::time::Duration;

use http::header::ACCEPT;
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Url};

use super::config::AuthConfig;
use super::keys::KeySet;
use crate::kernel::error::{Error, Result};

/// From the connection to the last byte.
const TIME_MOST: Duration = Duration::from_secs(5);
/// Issuers publish a few kilobytes.
const BYTES_MOST: usize = 1024 * 1024;
const REDIRECTS_MOST: usize = 3;

/// Fetches one URL.
pub(super) struct Fetcher {
    http: Client,
    url: Url,
}

impl Fetcher {
    /// # Errors
    /// The machine's list of certificate authorities cannot be read.
    pub(super) fn new(url: Url) -> Result<Self> {
        let http = Client::builder()
            .timeout(TIME_MOST)
            .redirect(Policy::custom(redirect))
            .user_agent(concat!("tally/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::invalid(format!("auth.jwks_url: no HTTPS client: {}", told(error))))?;
        let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if url.scheme() == "http" && !local {
            tracing::warn!("auth.jwks_url is not https: whoever is on the way can put in keys of their own");
        }
        Ok(Self { http, url })
    }

    /// Fetches the set.
    ///
    /// # Errors
    /// Why not, for the log: without the URL, which may hold a password, and without what was sent.
    pub(super) async fn fetch(&self) -> Result<KeySet, String> {
        let request = self.http.get(self.url.clone()).header(ACCEPT, "application/jwk-set+json, application/json");
        let mut response = request.send().await.map_err(told)?;
        if !response.status().is_success() {
            return Err(format!("the answer is {}", response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(told)? {
            if body.len() + chunk.len() > BYTES_MOST {
                return Err(format!("the answer has more than {BYTES_MOST} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        KeySet::parse(&body)
    }
}

impl AuthConfig {
    /// Fetches the issuer's keys once, for a look: how many of them can be used.
    ///
    /// # Errors
    /// Why they cannot be fetched; none are configured.
    pub async fn probe(&self) -> Result<usize> {
        let config = self.jwks.as_ref().ok_or_else(|| Error::invalid("auth.jwks_url is not set"))?;
        let fetched = Fetcher::new(config.url.clone())?.fetch().await;
        Ok(fetched.map_err(|why| Error::invalid(format!("auth.jwks_url: {why}")))?.len())
    }
}

/// Never to another scheme: keys that anybody on the way could have sent are none.
fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let first = attempt.previous().first().map(Url::scheme);
    if first != Some(attempt.url().scheme()) {
        return attempt.error("a redirect to another scheme");
    }
    if attempt.previous().len() > REDIRECTS_MOST {
        return attempt.error("too many redirects");
    }
    attempt.follow()
}

/// An error with its causes, without the URL.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
