//! `tally doctor`

use super::{FOUND, OK, open, say, settings};
use crate::app::App;
use crate::kernel::auth::AuthConfig;
use crate::kernel::config::Settings;
use crate::kernel::db::Db;
use crate::kernel::error::Result;
use crate::kernel::http::Mode;

/// What one look found.
enum Finding {
    Good(String),
    Bad(String),
}

pub(super) async fn run<A: App>() -> Result<u8> {
    let mut findings = Vec::new();
    match settings::<A>(&[]) {
        Ok(settings) => {
            findings.push(Finding::Good("settings are of their forms".into()));
            tokens(&settings, &mut findings).await;
            let address = settings.text("server.listen");
            findings.push(match tokio::net::TcpListener::bind(address).await {
                Ok(_) => Finding::Good(format!("{address} is free to listen on")),
                Err(error) => Finding::Bad(format!("cannot listen on {address}: {error}")),
            });
            let (mode, why) = Mode::of(&settings);
            let shown = |shown| if shown { "on" } else { "off" };
            findings.push(Finding::Good(format!(
                "{} mode, for {why}: GraphiQL {}, introspection {}",
                mode.name(),
                shown(Mode::graphiql(&settings)),
                shown(Mode::introspection(&settings))
            )));
            if Db::is_missing(&settings) {
                findings.push(Finding::Good("no database yet; `tally serve` makes it".into()));
            } else {
                database::<A>(&mut findings).await;
            }
        }
        Err(error) => findings.push(Finding::Bad(error.client().to_owned())),
    }
    let mut status = OK;
    for finding in findings {
        match finding {
            Finding::Good(what) => say(format_args!("ok    {what}")),
            Finding::Bad(what) => {
                status = FOUND;
                say(format_args!("FAIL  {what}"));
            }
        }
    }
    Ok(status)
}

async fn tokens(settings: &Settings, findings: &mut Vec<Finding>) {
    let config = match AuthConfig::read(settings) {
        Ok(config) => config,
        Err(error) => return findings.push(Finding::Bad(error.client().to_owned())),
    };
    if config.has_secret() {
        findings.push(Finding::Good("a secret for tokens is set".into()));
    }
    if config.has_jwks() {
        findings.push(match config.probe().await {
            Ok(0) => Finding::Bad("auth.jwks_url: the issuer publishes no key that tally can use".into()),
            Ok(keys) => Finding::Good(format!("the issuer of tokens publishes {keys} usable key(s)")),
            Err(error) => Finding::Bad(error.client().to_owned()),
        });
    }
}

async fn database<A: App>(findings: &mut Vec<Finding>) {
    let (kernel, modules) = match open::<A>().await {
        Ok(opened) => opened,
        Err(error) => return findings.push(Finding::Bad(error.for_operator())),
    };
    findings.push(Finding::Good(format!("the database opens ({:?})", kernel.backend())));
    findings.push(match kernel.db.durability().await {
        Ok(durability) if durability.holds => {
            Finding::Good(format!("acknowledged writes survive: {}", durability.text))
        }
        Ok(durability) => Finding::Bad(format!("acknowledged writes may be lost: {}", durability.text)),
        Err(error) => Finding::Bad(error.for_operator()),
    });
    findings.push(match kernel.db.migration_states(&modules.migrations()).await {
        Ok(states) => match states.iter().filter(|state| !state.applied).count() {
            0 => Finding::Good("the schema is up to date".into()),
            // `tally serve` applies them by itself: nothing is wrong.
            pending => {
                Finding::Good(format!("{pending} migration(s) pending; `tally serve` or `tally migrate` applies them"))
            }
        },
        Err(error) => Finding::Bad(error.for_operator()),
    });
    if let Err(error) = kernel.db.close().await {
        findings.push(Finding::Bad(error.for_operator()));
    }
}
