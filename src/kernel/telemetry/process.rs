//! What Linux says of the process, under the names that Prometheus' own clients use. Elsewhere there is nothing to read,
//! and these metrics are left out.
//! Source: <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>, proc(5).

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// USER_HZ: what Linux counts CPU time and starts in towards programs, on every architecture.
const TICKS_A_SECOND: f64 = 100.0;

/// The process, read when metrics are.
#[derive(Debug)]
pub(super) struct Process {
    /// Seconds since 1970; does not change.
    started: Option<f64>,
}

impl Process {
    pub(super) fn new() -> Self {
        let started = stat_field(START_TIME).and_then(|ticks| Some(boot_time()? + ticks / TICKS_A_SECOND));
        Self { started }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        if let (Some(user), Some(system)) = (stat_field(USER_TIME), stat_field(SYSTEM_TIME)) {
            let help = "User and system CPU time, in seconds";
            let metric = encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
            ConstCounter::new((user + system) / TICKS_A_SECOND).encode(metric)?;
        }
        let gauges = [
            ("process_resident_memory_bytes", "Resident memory, in bytes", resident_bytes()),
            ("process_open_fds", "Open file descriptors", open_files()),
            ("process_max_fds", "File descriptors that may be open", most_files()),
            ("process_start_time_seconds", "Start of the process, in seconds since 1970", self.started),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
                ConstGauge::new(value).encode(metric)?;
            }
        }
        Ok(())
    }
}

/// Fields of /proc/self/stat, counted from the one after the name.
const USER_TIME: usize = 11;
const SYSTEM_TIME: usize = 12;
const START_TIME: usize = 19;

fn stat_field(field: usize) -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name is in parentheses, and may hold any character.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(field)?.parse().ok()
}

/// Seconds since 1970.
fn boot_time() -> Option<f64> {
    word_after("/proc/stat", "btime ")
}

fn resident_bytes() -> Option<f64> {
    // In kB, whatever the size of a page.
    word_after("/proc/self/status", "VmRSS:").map(|kilobytes| kilobytes * 1024.0)
}

#[expect(clippy::cast_precision_loss, reason = "no process has 2^53 files")]
fn open_files() -> Option<f64> {
    // One of them is the folder that is being read.
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

fn most_files() -> Option<f64> {
    word_after("/proc/self/limits", "Max open files")
}

/// The number after a word at the beginning of a line.
fn word_after(file: &str, word: &str) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(word))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}
