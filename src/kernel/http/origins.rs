//! Which pages of other sites may use the API: CORS, and no request that a foreign page makes a browser send.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, UPGRADE, VARY,
};
use http::{Method, Uri};

use super::client::X_FORWARDED_HOST;
use crate::kernel::config::Settings;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// A page can have a browser send none of these across sites without asking first.
const ASKED_FIRST: [HeaderName; 3] = [
    HeaderName::from_static("apollo-require-preflight"),
    HeaderName::from_static("x-apollo-operation-name"),
    HeaderName::from_static("graphql-preflight"),
];
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST");
/// What clients usually send.
const HEADERS: &str = "accept, apollo-require-preflight, authorization, content-type, graphql-preflight, \
                       last-event-id, traceparent, tracestate, x-apollo-operation-name, \
                       x-graphql-event-stream-token, x-request-id";
/// Headers that a page may ask for besides, at most, and bytes of the name of each.
const ASKED_MOST: usize = 64;
const NAME_MOST: usize = 128;
/// What a page may read beside the body.
const EXPOSED: HeaderValue = HeaderValue::from_static("retry-after, x-request-id");
/// Seconds; browsers cut it to two hours or less.
const PREFLIGHT_SECS: HeaderValue = HeaderValue::from_static("7200");

/// The origins of other sites that may use the API. Never with credentials: tally has no cookies, and tokens are sent
/// by the pages themselves.
#[derive(Debug)]
pub struct Origins {
    any: bool,
    listed: Vec<String>,
}

impl Origins {
    /// Reads `server.cors_origins`.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let (any, listed): (Vec<_>, Vec<_>) = settings.list("server.cors_origins").partition(|entry| *entry == "*");
        Self { any: !any.is_empty(), listed: listed.into_iter().map(str::to_owned).collect() }
    }

    /// Whether the page that sends a request may: there is none (no browser says `Origin` for it), or it is of this
    /// site, or of a listed one. `X-Forwarded-Host` counts, as only trusted proxies' requests still have it.
    #[must_use]
    pub fn allowed(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => true,
            (Some(origin), None) => is_own(origin, headers) || self.lists(origin),
            (Some(_), Some(_)) => false,
        }
    }

    /// Whether a request for the API must not run, because a foreign page may have had a browser send it. Requests of
    /// anything but browsers pass: they lie about headers as they like, and carry nobody's authority.
    pub(super) fn refuses(&self, method: &Method, headers: &HeaderMap) -> bool {
        let foreign = match headers.contains_key(ORIGIN) {
            true => !self.allowed(headers),
            // Forms of old browsers and links have no `Origin`.
            false => {
                let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
                matches!(site, Some(b"cross-site" | b"same-site")) && !self.any
            }
        };
        let reads = matches!(*method, Method::GET | Method::HEAD) && !headers.contains_key(UPGRADE);
        foreign && !(reads && asked_first(headers))
    }

    /// The answer to a browser that asks whether it may send a request of a foreign page; `None`: it does not ask.
    /// Without the headers it may not.
    pub(super) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<HeaderMap> {
        if *method != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let mut answer = HeaderMap::new();
        answer.insert(VARY, HeaderValue::from_static("access-control-request-headers"));
        if headers.get(ORIGIN).is_some_and(|origin| self.lists(origin)) {
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed_headers(headers));
            answer.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECS);
        }
        Some(answer)
    }

    /// What tells the browser that the page of this `Origin` may read an answer.
    pub(super) fn share(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        let listed = origin.filter(|origin| self.lists(origin));
        if self.any {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        } else if !self.listed.is_empty() {
            answer.append(VARY, HeaderValue::from_static("origin"));
            if let Some(origin) = listed {
                answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            }
        }
        if listed.is_some() {
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }

    fn lists(&self, origin: &HeaderValue) -> bool {
        self.any || self.listed.iter().any(|listed| listed.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
    }
}

/// What a listed page may send: whatever its client names itself with, or a collector of traces adds. None of it means
/// more here than from a client that is no browser.
fn allowed_headers(asked: &HeaderMap) -> HeaderValue {
    let asked = asked.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let asked = asked.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).take(ASKED_MOST);
    let mut allowed = HEADERS.to_owned();
    for name in asked.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()) {
        let name = name.as_str();
        // `*` would be all there are.
        if name.len() <= NAME_MOST && name != "*" && !allowed.split(", ").any(|known| known == name) {
            allowed.push_str(", ");
            allowed.push_str(name);
        }
    }
    HeaderValue::try_from(allowed).unwrap_or(HeaderValue::from_static(HEADERS))
}

/// Whether an origin is this site, by any scheme: TLS may end in front of the server.
fn is_own(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let Some((scheme, own)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else {
        return false;
    };
    let default_port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let bare = |host: &'_ str| host.trim().strip_suffix(default_port).unwrap_or(host.trim()).to_ascii_lowercase();
    let hosts = headers.get_all(X_FORWARDED_HOST).iter().chain(headers.get(HOST));
    hosts.filter_map(|host| host.to_str().ok()).flat_map(|hosts| hosts.split(',')).any(|host| bare(host) == bare(own))
}

fn asked_first(headers: &HeaderMap) -> bool {
    // A content type other than a form's is one that browsers ask for.
    let json = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"));
    json || ASKED_FIRST.iter().any(|name| headers.contains_key(name))
}

/// What an entry of `server.cors_origins` must be.
pub(crate) fn origin_form(entry: &str) -> Result<(), &'static str> {
    let origin = |entry: &str| {
        let uri: Uri = entry.parse().ok()?;
        let authority = uri.authority()?;
        // What a browser sends: no path, no user, no slash at the end.
        (format!("{}://{authority}", uri.scheme()?) == entry && !entry.contains('@')).then_some(())
    };
    if entry == "*" || origin(entry).is_some() { Ok(()) } else { Err("an origin like https://example.org, or *") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::kernel::config::SETTINGS;

    fn origins(listed: &str) -> Origins {
        let flags = [("server.cors_origins", listed.to_owned())];
        Origins::new(&Settings::read(SETTINGS, None, &BTreeMap::new(), &flags).unwrap())
    }

    fn headers(lines: &str) -> HeaderMap {
        let lines = lines.split("; ").filter_map(|line| line.split_once(": "));
        lines.map(|(name, value)| (HeaderName::try_from(name).unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn requests_that_a_foreign_page_can_cause_are_refused() {
        let few = origins("https://shop.example, https://shop.example:8443");
        for (method, lines, refused) in [
            // Not a browser.
            ("GET", "host: api.example", false),
            ("GET", "host: api.example; accept: */*", false),
            ("POST", "host: api.example; content-type: application/json", false),
            ("POST", "host: api.example; content-type: text/plain", false),
            // The site's own pages, through whatever speaks TLS in front.
            ("POST", "host: api.example; origin: https://api.example; sec-fetch-site: same-origin", false),
            ("POST", "host: api.example; origin: http://api.example", false),
            ("POST", "host: API.example:443; origin: https://api.example", false),
            ("POST", "host: api.example:8080; origin: http://api.example:8080", false),
            ("POST", "host: [::1]:8080; origin: http://[::1]:8080", false),
            ("POST", "host: inner:1; x-forwarded-host: api.example; origin: https://api.example", false),
            ("GET", "host: api.example; sec-fetch-site: same-origin", false),
            // Typed into the address bar.
            ("GET", "host: api.example; sec-fetch-site: none", false),
            // Sites that are listed.
            ("POST", "host: api.example; origin: https://shop.example; sec-fetch-site: cross-site", false),
            ("GET", "host: api.example; origin: https://shop.example:8443; upgrade: websocket", false),
            // Others.
            ("POST", "host: api.example; origin: https://evil.example", true),
            ("POST", "host: api.example; origin: http://shop.example", true),
            ("POST", "host: api.example; origin: https://api.example.evil.example", true),
            ("POST", "host: api.example:8080; origin: http://api.example:8081", true),
            ("POST", "host: api.example:80; origin: https://api.example", true),
            ("POST", "host: api.example; origin: null", true),
            ("POST", "host: api.example; origin: https://evil.example; content-type: application/json", true),
            ("POST", "host: api.example; origin: https://evil.example; apollo-require-preflight: 1", true),
            ("POST", "host: api.example; origin: https://api.example; origin: https://evil.example", true),
            ("POST", "host: api.example; sec-fetch-site: cross-site", true),
            ("GET", "host: api.example; sec-fetch-site: cross-site", true),
            ("GET", "host: api.example; sec-fetch-site: same-site", true),
            ("GET", "host: api.example; origin: https://evil.example", true),
            ("GET", "host: api.example; sec-fetch-site: cross-site; content-type: text/plain", true),
            ("GET", "host: api.example; origin: https://evil.example; upgrade: websocket", true),
            ("GET", "host: api.example; origin: https://evil.example; upgrade: websocket; graphql-preflight: 1", true),
            // Browsers do not send these without a preflight, which evil.example does not pass.
            ("GET", "host: api.example; sec-fetch-site: cross-site; apollo-require-preflight: 1", false),
            ("GET", "host: api.example; sec-fetch-site: cross-site; content-type: Application/JSON; x: y", false),
            ("GET", "host: api.example; origin: https://evil.example; x-apollo-operation-name: A", false),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(few.refuses(&method, &headers(lines)), refused, "{method} {lines}");
            assert!(!origins("*").refuses(&method, &headers(lines)) || lines.matches("origin: ").count() > 1);
        }
    }

    #[test]
    fn origins_are_checked_where_settings_are_read() {
        for good in ["*", "https://a.example", "http://localhost:3000", "http://[::1]:3000"] {
            assert_eq!(origin_form(good), Ok(()), "{good}");
        }
        for bad in ["a.example", "https://a.example/", "https://a.example/x", "https://u@a.example", "null", "https://"]
        {
            assert!(origin_form(bad).is_err(), "{bad}");
        }
    }
}
