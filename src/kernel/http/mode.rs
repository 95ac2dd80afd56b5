//! Whether strangers can reach this server: what helps a developer and an attacker alike is for the first only.

use std::net::SocketAddr;

use crate::kernel::config::{Settings, Source};

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

    /// A limit that strangers need: in development one that nobody set does not hold, and is 0. Whoever works on this
    /// machine runs load generators and test suites, all from one address.
    #[must_use]
    pub fn limit(settings: &Settings, key: &str) -> u32 {
        let set = settings.source(key).is_some_and(|source| *source != Source::Default);
        if set || Self::of(settings).0 == Self::Production { settings.count(key) } else { 0 }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::kernel::config::SETTINGS;

    #[test]
    fn a_limit_for_strangers_holds_in_production_or_where_it_is_set() {
        let limit = |flags: &[(&str, &str)]| {
            let flags: Vec<_> = flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
            let settings = Settings::read(SETTINGS, None, &BTreeMap::new(), &flags).unwrap();
            Mode::limit(&settings, "limits.rate_user")
        };
        assert_eq!(limit(&[]), 0);
        assert_eq!(limit(&[("limits.rate_user", "7")]), 7);
        assert_eq!(limit(&[("server.mode", "production")]), 100);
        assert_eq!(limit(&[("server.listen", "0.0.0.0:8080")]), 100);
        assert_eq!(limit(&[("server.trusted_proxies", "127.0.0.1")]), 100);
        assert_eq!(limit(&[("server.mode", "production"), ("limits.rate_user", "0")]), 0);
    }
}
