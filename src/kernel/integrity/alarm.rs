//! Tells operators who have no Prometheus: a line in the log, and a POST to an address of theirs.

use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::{Client, Url};
use serde_json::{Value, json};

use super::report::{Report, percent};
use crate::kernel::config::Settings;
use crate::kernel::error::{Error, Result};

/// From the connection to the answer's head.
const TIME_MOST: Duration = Duration::from_secs(5);
/// Before the second and the third try.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];
/// Examples of a check in one message.
const EXAMPLES: usize = 3;
/// A job that fails is tried again each minute; one message an hour is enough.
const FAILURES_APART: Duration = Duration::from_secs(3600);

/// Where alarms go. Cheap to clone.
#[derive(Clone)]
pub(super) struct Alarm {
    hook: Option<(Client, Url)>,
    failed: Arc<Mutex<Option<Instant>>>,
}

impl Alarm {
    /// # Errors
    /// `integrity.webhook_url` is no address; which one it is, is not said: it may hold a secret.
    pub(super) fn new(settings: &Settings) -> Result<Self> {
        let wrong = |what: &str| Error::invalid(format!("integrity.webhook_url: must be http://… or https://…{what}"));
        let hook = match settings.optional("integrity.webhook_url").map(str::trim).filter(|url| !url.is_empty()) {
            None => None,
            Some(text) => {
                let url = Url::parse(text).map_err(|_| wrong(""))?;
                if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
                    return Err(wrong(""));
                }
                let client = Client::builder()
                    .timeout(TIME_MOST)
                    // A message goes where the operator said, and nowhere else.
                    .redirect(reqwest::redirect::Policy::none())
                    .user_agent(concat!("tally/", env!("CARGO_PKG_VERSION")))
                    .build()
                    .map_err(|error| wrong(&format!("; no HTTPS client: {}", told(error))))?;
                Some((client, url))
            }
        };
        Ok(Self { hook, failed: Arc::default() })
    }

    /// A run found something, or put it right.
    pub(super) async fn drift(&self, report: &Report) {
        let (drifted, changed, run) = (report.drifted(), report.changed(), report.id);
        let names: Vec<_> = report.checks.iter().filter(|line| line.drifted + line.changed > 0).collect();
        let checks = names.iter().map(|line| line.name.as_str()).collect::<Vec<_>>().join(", ");
        let rate = percent(report.consistency_rate);
        tracing::error!(%run, drifted, repaired = changed, checks, rate, "figures are not what their facts add up to");
        let checks: Vec<Value> = names
            .iter()
            .map(|line| {
                let examples: Vec<_> = line.examples.iter().take(EXAMPLES).collect();
                json!({ "module": line.module, "name": line.name, "checked": line.checked, "drifted": line.drifted,
                        "repaired": line.changed, "examples": examples })
            })
            .collect();
        self.post(&json!({
            "event": if drifted > 0 { "integrity.drift" } else { "integrity.repaired" },
            "run": run.to_string(), "kind": report.kind, "state": report.state, "ranAt": report.began_at.to_text(),
            "consistencyRate": report.consistency_rate, "drifted": drifted, "repaired": changed, "checks": checks,
            "recommendations": report.recommendations,
        }))
        .await;
    }

    /// Whether it is time to tell of a failure; from then on it is not, for an hour.
    pub(super) fn is_due(&self) -> bool {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let due = failed.is_none_or(|last| last.elapsed() >= FAILURES_APART);
        if due {
            *failed = Some(Instant::now());
        }
        due
    }

    /// A run failed, or some of its checks. The job's own line in the log has the cause.
    pub(super) async fn failure(&self, job: &str, error: &Error) {
        let body = json!({ "event": "integrity.failed", "job": job, "code": error.code().0, "error": error.client() });
        self.post(&body).await;
    }

    /// Three tries. It may arrive twice: `run` tells.
    async fn post(&self, body: &Value) {
        let Some((client, url)) = &self.hook else {
            return;
        };
        let mut pauses = PAUSES.iter();
        loop {
            let why = match client.post(url.clone()).json(body).send().await {
                Ok(answer) if answer.status().is_success() => return,
                Ok(answer) => format!("the answer is {}", answer.status()),
                Err(error) => told(error),
            };
            match pauses.next() {
                Some(pause) => tokio::time::sleep(*pause).await,
                None => {
                    tracing::warn!(why, "integrity.webhook_url does not take the alarm");
                    return;
                }
            }
        }
    }
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
