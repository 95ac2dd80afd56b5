//! Whether strangers can reach this server: what helps a developer and an attacker alike is for the first only.

use std::net::SocketAddr;

use crate::kernel::config::Settings;

/// Who the server is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Whoever works on it: GraphiQL, introspection and suggestions are there.
    Development,
    /// Everybody.
    Production,
}

impl Mode {
    /// The mode that holds, and why, in words for the log.
    #[must_use]
    pub fn of(settings: &Settings) -> (Self, &'static str) {
        match settings.text("server.mode") {
            "development" => return (Self::Development, "server.mode says so"),
            "production" => return (Self::Production, "server.mode says so"),
            _ => {}
        }
        // A proxy on the same machine makes a loopback address public.
        if settings.list("server.trusted_proxies").next().is_some() || settings.switch("server.https") {
            (Self::Production, "a proxy is in front")
        } else if is_loopback(settings.text("server.listen")) {
            (Self::Development, "only this machine can reach server.listen")
        } else {
            (Self::Production, "other machines can reach server.listen")
        }
    }

    /// The word that `server.mode` has for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Production => "production",
        }
    }

    /// Whether the schema may be asked for, and errors may suggest names of it.
    #[must_use]
    pub fn introspection(settings: &Settings) -> bool {
        Self::switch(settings, "graphql.introspection")
    }

    /// Whether `/graphiql` is there.
    #[must_use]
    pub fn graphiql(settings: &Settings) -> bool {
        Self::switch(settings, "graphql.graphiql")
    }

    fn switch(settings: &Settings, key: &str) -> bool {
        match settings.text(key) {
            "on" => true,
            "off" => false,
            _ => Self::of(settings).0 == Self::Development,
        }
    }
}

fn is_loopback(listen: &str) -> bool {
    match listen.parse::<SocketAddr>() {
        Ok(address) => address.ip().to_canonical().is_loopback(),
        Err(_) => listen.rsplit_once(':').is_some_and(|(host, _)| host.eq_ignore_ascii_case("localhost")),
    }
}
