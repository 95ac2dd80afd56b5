//! Metrics of checks: what each found last, and when everything was looked at last; of the whole cluster.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

use crate::kernel::integrity::Check;

/// Kinds of runs over everything.
const KINDS: [&str; 2] = ["check", "repair"];

/// Names of checks are words of the source, or of a table that only the source writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    module: String,
    check: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModuleLabel {
    module: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabel {
    kind: &'static str,
}

/// What checks found. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct IntegrityMetrics {
    drift: Family<CheckLabels, Gauge>,
    failed: Family<CheckLabels, Gauge>,
    consistency: Family<ModuleLabel, Gauge<f64, AtomicU64>>,
    last_run: Family<RunLabel, Gauge>,
    duration: Family<RunLabel, Gauge>,
}

impl IntegrityMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            drift: Family::default(),
            failed: Family::default(),
            consistency: Family::default(),
            last_run: Family::default(),
            duration: Family::default(),
        };
        let drift = "Figures that differed from their facts when the check ran last; of the whole cluster";
        registry.register("integrity_drift", drift, metrics.drift.clone());
        let failed = "Whether the check could not be made when it was to run last: 1, else 0; of the whole cluster";
        registry.register("integrity_check_failed", failed, metrics.failed.clone());
        let share = "Share of the items that tallied in the least consistent of the module's checks when they ran last, \
                     1 before, 0 when one could not be made; of the whole cluster";
        registry.register("integrity_consistency_ratio", share, metrics.consistency.clone());
        let last = "When a run over everything last ended, in seconds since 1970, 0 for never; of the whole cluster";
        registry.register("integrity_last_run_seconds", last, metrics.last_run.clone());
        let duration = "How long the last run over everything took, in seconds; of the whole cluster";
        registry.register("integrity_duration_seconds", duration, metrics.duration.clone());
        metrics
    }

    /// These checks are there.
    pub(crate) fn begin(&self, checks: &[Arc<dyn Check>]) {
        for check in checks {
            self.found(check.module(), check.name(), 0, false);
            self.consistent(check.module(), 1.0);
        }
        for kind in KINDS {
            self.ran(kind, 0, 0);
        }
    }

    /// What a check found, and whether it could not be made: then it says nothing of figures that it did not name.
    pub(crate) fn found(&self, module: &str, check: &str, figures: i64, failed: bool) {
        let label = CheckLabels { module: module.to_owned(), check: check.to_owned() };
        self.failed.get_or_create(&label).set(failed.into());
        if failed && figures == 0 {
            self.drift.remove(&label);
        } else {
            self.drift.get_or_create(&label).set(figures);
        }
    }

    /// The share of a module's items that tally, from 0 to 1.
    pub(crate) fn consistent(&self, module: &str, share: f64) {
        self.consistency.get_or_create(&ModuleLabel { module: module.to_owned() }).set(share);
    }

    /// `kind` is one of `check`, `repair`.
    pub(crate) fn ran(&self, kind: &'static str, at_secs: i64, took_secs: i64) {
        self.last_run.get_or_create(&RunLabel { kind }).set(at_secs);
        self.duration.get_or_create(&RunLabel { kind }).set(took_secs);
    }
}
