//! Reads OpenMetrics text, strictly: what Prometheus would refuse fails the test.
//! Source: <https://prometheus.io/docs/specs/om/open_metrics_spec/#text-format>.

use std::collections::BTreeMap;

use crate::harness::TestApp;

/// What `/metrics` said.
pub(super) struct Scrape {
    /// Values by series: `name{label="value"}`, labels in order.
    pub(super) values: BTreeMap<String, f64>,
    /// Type and help of each metric.
    pub(super) metrics: BTreeMap<String, (String, String)>,
}

impl Scrape {
    /// Reads `/metrics` of a server.
    pub(super) async fn of(app: &TestApp) -> Self {
        let response = crate::harness::http().get(format!("{}/metrics", app.url)).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        let kind = response.headers()["content-type"].to_str().unwrap();
        assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
        Self::parse(&response.text().await.unwrap())
    }

    pub(super) fn parse(text: &str) -> Self {
        let mut scrape = Self { values: BTreeMap::new(), metrics: BTreeMap::new() };
        let mut help = String::new();
        let body = text.strip_suffix("# EOF\n").expect("it ends with # EOF");
        for line in body.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                help = rest.split_once(' ').unwrap().1.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                let before = scrape.metrics.insert(name.to_owned(), (kind.to_owned(), std::mem::take(&mut help)));
                assert!(before.is_none(), "{name} is declared twice");
            } else {
                scrape.take(line);
            }
        }
        scrape.check_histograms();
        scrape
    }

    fn take(&mut self, line: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let name = series.split('{').next().unwrap();
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        let declared = ["", "_total", "_bucket", "_sum", "_count", "_info"]
            .iter()
            .filter_map(|suffix| name.strip_suffix(suffix))
            .any(|metric| self.metrics.contains_key(metric));
        assert!(declared, "{name} has no # TYPE before it");
        let mut labels = labels(&series[name.len()..]);
        labels.sort();
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let series = if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(",")) };
        let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(self.values.insert(series, value).is_none(), "twice: {line}");
    }

    /// Buckets only grow, and the last one holds all.
    fn check_histograms(&self) {
        for (name, _) in self.metrics.iter().filter(|(_, (kind, _))| kind == "histogram") {
            let mut rows: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
            for (series, value) in
                self.values.iter().filter(|(series, _)| series.starts_with(&format!("{name}_bucket{{")))
            {
                let (_, rest) = series.split_once("le=\"").unwrap();
                let (bound, _) = rest.split_once('"').unwrap();
                let others = series
                    .replace(&format!("le=\"{bound}\""), "")
                    .replace(",,", ",")
                    .replace("{,", "{")
                    .replace(",}", "}");
                rows.entry(others).or_default().push((bound.parse().unwrap(), *value));
            }
            for (series, mut buckets) in rows {
                buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
                assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{series}: {buckets:?}");
                let count = self.values[&series.replacen("_bucket", "_count", 1).replace("{}", "")];
                assert_eq!(buckets.last().unwrap(), &(f64::INFINITY, count), "{series}");
            }
        }
    }

    /// The value of a series, written as in the text; the test fails if there is none.
    pub(super) fn value(&self, series: &str) -> f64 {
        *self.values.get(series).unwrap_or_else(|| {
            let name = series.split('{').next().unwrap();
            let like: Vec<_> = self.values.keys().filter(|known| known.starts_with(name)).collect();
            panic!("no {series}; there are {like:#?}")
        })
    }

    /// What was added to a series since.
    pub(super) fn since(&self, before: &Self, series: &str) -> f64 {
        self.value(series) - before.values.get(series).copied().unwrap_or(0.0)
    }

    /// The names of all samples, `_total` and the like with them.
    pub(super) fn names(&self) -> std::collections::BTreeSet<&str> {
        self.values.keys().map(|series| series.split('{').next().unwrap()).collect()
    }
}

/// Reads `{name="value",…}`.
fn labels(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let Some(text) = text.strip_prefix('{') else {
        assert_eq!(text, "");
        return found;
    };
    let mut rest = text.strip_suffix('}').expect("closed labels");
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").expect("a value in quotes");
        let mut value = String::new();
        let mut letters = after.char_indices();
        let end = loop {
            match letters.next().expect("closed quotes") {
                (at, '"') => break at,
                (_, '\\') => value.push(match letters.next().expect("an escaped letter").1 {
                    'n' => '\n',
                    escaped @ ('"' | '\\') => escaped,
                    other => panic!("\\{other} is no escape"),
                }),
                (_, letter) => value.push(letter),
            }
        };
        found.push((name.trim_start_matches(',').to_owned(), value));
        rest = &after[end + 1..];
    }
    found
}
