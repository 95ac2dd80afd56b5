//! How each module serves clients: its root fields counted and timed, for Prometheus and for `integrityReport`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::families::SECONDS;
use super::labels::Outcome;

/// What a field may come to here; one whose client went away ends nowhere.
const OUTCOMES: [Outcome; 3] = [Outcome::Ok, Outcome::Refused, Outcome::Failed];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModuleLabel {
    module: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    module: &'static str,
    outcome: Outcome,
}

/// The root fields of all modules. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Served {
    fields: Family<OutcomeLabels, Counter>,
    durations: Family<ModuleLabel, Histogram, fn() -> Histogram>,
    modules: Arc<Mutex<BTreeMap<&'static str, ModuleServed>>>,
}

impl Served {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let served = Self {
            fields: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            modules: Arc::default(),
        };
        registry.register(
            "fields",
            "Root fields of queries and mutations that ended, by module",
            served.fields.clone(),
        );
        let help = "Time that root fields of queries and mutations took, in seconds, by module";
        registry.register("field_duration_seconds", help, served.durations.clone());
        served
    }

    /// The handles of a module, at zero when they are new.
    pub(super) fn of(&self, module: &'static str) -> ModuleServed {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || ModuleServed {
            module,
            outcomes: OUTCOMES.map(|outcome| self.fields.get_or_create_owned(&OutcomeLabels { module, outcome })),
            durations: self.durations.get_or_create_owned(&ModuleLabel { module }),
            times: Arc::default(),
        };
        modules.entry(module).or_insert_with(new).clone()
    }

    /// All of them, by name.
    pub(super) fn all(&self) -> Vec<ModuleServed> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// How one module serves clients, since this server started. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ModuleServed {
    /// The module.
    pub module: &'static str,
    outcomes: [Counter; 3],
    durations: Histogram,
    /// As in `durations`, which cannot be read; the last one is of what took longer than all bounds.
    times: Arc<[AtomicU64; SECONDS.len() + 1]>,
}

impl ModuleServed {
    /// A root field ended.
    pub(crate) fn ended(&self, outcome: Outcome, took: Duration) {
        for (of, counter) in OUTCOMES.iter().zip(&self.outcomes) {
            if *of == outcome {
                counter.inc();
            }
        }
        let secs = took.as_secs_f64();
        self.durations.observe(secs);
        let slot = SECONDS.iter().take_while(|bound| **bound < secs).count();
        if let Some(times) = self.times.get(slot) {
            times.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many fields ended.
    #[must_use]
    pub fn ended_count(&self) -> u64 {
        self.outcomes.iter().map(Counter::get).sum()
    }

    /// How many of them failed by a fault of this side.
    #[must_use]
    pub fn failed_count(&self) -> u64 {
        self.outcomes[2].get()
    }

    /// How long, in seconds, this share of the fields took at most, as a histogram knows it: within its bounds as if
    /// evenly spread, and the largest bound for all that took longer. `None` before the first one.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let counts: Vec<u64> = self.times.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        quantile(&counts, share)
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate, shown to a few digits")]
fn quantile(counts: &[u64], share: f64) -> Option<f64> {
    let all: u64 = counts.iter().sum();
    if all == 0 {
        return None;
    }
    let wanted = share * all as f64;
    let (mut before, mut low) = (0.0, 0.0);
    for (count, high) in counts.iter().zip(SECONDS) {
        let count = *count as f64;
        if count > 0.0 && before + count >= wanted {
            return Some(low + (high - low) * ((wanted - before) / count).clamp(0.0, 1.0));
        }
        (before, low) = (before + count, high);
    }
    Some(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_a_histogram() {
        let mut counts = [0; SECONDS.len() + 1];
        assert_eq!(quantile(&counts, 0.5), None);
        // A hundred within 25 to 50 ms.
        counts[6] = 100;
        for (share, expected) in [(0.5, 0.0375), (1.0, 0.05), (0.0, 0.025)] {
            assert!((quantile(&counts, share).unwrap() - expected).abs() < 1e-9, "{share}");
        }
        counts[SECONDS.len()] = 100;
        assert_eq!(quantile(&counts, 0.99), Some(10.0), "no bound is above it");
        assert!(quantile(&counts, 0.4).unwrap() < 0.05);
    }
}
