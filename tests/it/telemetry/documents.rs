//! The documents say what the server does: names in the alerts exist, and the table of metrics is that of the code.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::text::Scrape;
use crate::command_line::{repository, same_or_blessed};
use crate::courier::WithCourier;
use crate::harness::{Backend, Options, TestApp};

/// The words of an expression that can only be metrics.
fn metrics_in(expression: &str) -> BTreeSet<&str> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("tally_") || word.starts_with("process_")).collect()
}

#[tokio::test]
async fn every_metric_in_the_alert_rules_exists() {
    // As shipped; and with consumers: what counts by consumer shows when there is one.
    let shipped = TestApp::start(Backend::Sqlite).await;
    let app = TestApp::start_with::<WithCourier>(Backend::Sqlite, Options::default()).await;
    let (mut scrape, of_shipped) = (Scrape::of(&app).await, Scrape::of(&shipped).await);
    scrape.metrics.extend(of_shipped.metrics);
    scrape.values.extend(of_shipped.values);
    shipped.finish().await;
    let names = scrape.names();
    let rules = std::fs::read_to_string(repository("docs/alerts.yml")).unwrap();
    // In a description a histogram goes by its own name; an expression has to say which of its series.
    let (said, asked): (Vec<_>, Vec<_>) = rules.lines().partition(|line| line.contains("description: "));
    let used: BTreeSet<_> = asked.iter().flat_map(|line| metrics_in(line)).collect();
    assert!(used.len() >= 8, "this test does not see what the rules use: {used:?}");
    let unknown: Vec<_> = used.iter().filter(|name| !names.contains(**name)).collect();
    assert!(unknown.is_empty(), "docs/alerts.yml uses {unknown:?}, which no server has");
    let named: BTreeSet<_> = said.iter().flat_map(|line| metrics_in(line)).collect();
    let unknown: Vec<_> = named
        .iter()
        .filter(|name| !scrape.metrics.keys().any(|known| **name == known || **name == format!("{known}_total")))
        .collect();
    assert!(unknown.is_empty(), "docs/alerts.yml names {unknown:?}, which no server has");
    let alerts = rules.matches("- alert: ").count();
    for key in ["expr: ", "severity: ", "summary: "] {
        assert_eq!(rules.matches(key).count(), alerts, "every alert has its {key}");
    }
    app.finish().await;
}

#[tokio::test]
async fn operations_md_lists_the_metrics_or_bless_it() {
    const BEGIN: &str = "| metric | type | what it says |\n|---|---|---|\n";
    let app = TestApp::start(Backend::Sqlite).await;
    let scrape = Scrape::of(&app).await;
    let mut table = String::from(BEGIN);
    for (name, (kind, help)) in &scrape.metrics {
        let first = |series: &&String| series.split('{').next().unwrap().starts_with(&**name);
        let series = scrape.values.keys().filter(first).max_by_key(|series| series.matches('=').count());
        let labels: BTreeSet<_> = series
            .into_iter()
            .flat_map(|series| series.split(['{', ',']).skip(1).filter_map(|label| Some(label.split_once('=')?.0)))
            .filter(|label| *label != "le")
            .collect();
        let labels = labels.into_iter().collect::<Vec<_>>().join(",");
        let suffix = match &**kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        writeln!(table, "| `{name}{suffix}{labels}` | {kind} | {} |", help.trim_end_matches('.')).unwrap();
    }
    let document = std::fs::read_to_string(repository("docs/operations.md")).unwrap();
    let (before, rest) = document.split_once(BEGIN).expect("docs/operations.md has a table of metrics");
    let after = rest.split_once("\n\n").map_or("", |(_, after)| after);
    let expected = format!("{before}{table}\n{after}");
    same_or_blessed("docs/operations.md", &expected, "TALLY_TEST_BLESS=1 cargo test --test it operations_md");
    app.finish().await;
}
