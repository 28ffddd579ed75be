//! A snapshot as OpenMetrics text, and the table of metrics for people.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;

use super::family::{METRICS, Metric, Samples, Values};
use crate::status::counter::Histogram;
use crate::status::snapshot::Snapshot;

/// What the names of all metrics begin with.
const PREFIX: &str = "underlay";

/// The media type of what [`page`] makes.
pub const MEDIA: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of one snapshot.
///
/// # Errors
/// None that is known of: a string takes what is written to it.
pub fn page(snapshot: Arc<Snapshot>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Page(snapshot)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// The table of metrics in Markdown, as it stands in the README.
#[must_use]
pub fn table() -> String {
    let mut text = "| metric | kind | labels | what it says |\n|---|---|---|---|\n".to_owned();
    for Metric { name, labels, says, values } in &METRICS {
        let (kind, suffix) = match values {
            Values::Gauge(_) => ("gauge", ""),
            Values::Counter(_) => ("counter", "_total"),
            Values::Histogram(_) => ("histogram", ""),
        };
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "-".to_owned() } else { labels.join(", ") };
        // A string takes what is written to it.
        let _ = writeln!(text, "| `{PREFIX}_{name}{suffix}` | {kind} | {labels} | {says} |");
    }
    text
}

#[derive(Debug)]
struct Page(Arc<Snapshot>);

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for metric in &METRICS {
            let kind = match metric.values {
                Values::Gauge(_) => MetricType::Gauge,
                Values::Counter(_) => MetricType::Counter,
                Values::Histogram(_) => MetricType::Histogram,
            };
            let to = encoder.encode_descriptor(metric.name, metric.says, None, kind)?;
            match metric.values {
                Values::Gauge(values) => {
                    samples(metric, values, &self.0, to, |value, mut to| to.encode_gauge(&value))?;
                }
                Values::Counter(values) => {
                    samples(metric, values, &self.0, to, |value, to| ConstCounter::new(value).encode(to))?;
                }
                Values::Histogram(of) => histogram(of(&self.0.counters), to)?,
            }
        }
        Ok(())
    }
}

/// Writes each value with its labels.
fn samples(
    metric: &Metric,
    values: fn(&Snapshot, &mut Samples),
    snapshot: &Snapshot,
    mut to: MetricEncoder<'_>,
    write: impl Fn(u64, MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    let mut samples = Samples::default();
    values(snapshot, &mut samples);
    if metric.labels.is_empty() {
        return write(samples.0.into_values().sum(), to);
    }
    for (values, value) in samples.0 {
        let labels: Vec<(&str, String)> = metric.labels.iter().copied().zip(values).collect();
        write(value, to.encode_family(&labels)?)?;
    }
    Ok(())
}

fn histogram(histogram: &Histogram, mut to: MetricEncoder<'_>) -> fmt::Result {
    let bounds = Histogram::BOUNDS.iter().map(std::time::Duration::as_secs_f64).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(histogram.counts).collect();
    to.encode_histogram::<NoLabelSet>(histogram.sum.as_secs_f64(), histogram.count(), &buckets, None)
}
