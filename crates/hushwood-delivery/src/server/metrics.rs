//! What an operator sees: counts, without a word on who or which group.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::wire::CallKind;

/// The media type of the text that [`Metrics::text`] gives.
pub(super) const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CallLabel {
    call: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RequestLabels {
    call: &'static str,
    status: u16,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct WhyLabel {
    why: &'static str,
}

/// What is counted.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<CallLabel, Histogram>,
    request_bytes: Counter,
    answer_bytes: Counter,
    turned_away: Family<WhyLabel, Counter>,
    pub(super) connections: Gauge,
    pub(super) streams: Gauge,
    pub(super) subscriptions: Gauge,
    pub(super) entries: Counter,
    pub(super) hints: Counter,
    pub(super) log_reads: Counter,
    request_bytes_held: Gauge,
    answer_bytes_held: Gauge,
    stream_bytes_held: Gauge,
}

/// A fifth of a millisecond to ten seconds.
const BUCKETS: [f64; 14] =
    [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 3.0, 10.0];

impl Metrics {
    pub(super) fn new() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix("hushwood"),
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            request_bytes: Counter::default(),
            answer_bytes: Counter::default(),
            turned_away: Family::default(),
            connections: Gauge::default(),
            streams: Gauge::default(),
            subscriptions: Gauge::default(),
            entries: Counter::default(),
            hints: Counter::default(),
            log_reads: Counter::default(),
            request_bytes_held: Gauge::default(),
            answer_bytes_held: Gauge::default(),
            stream_bytes_held: Gauge::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register("requests", "Requests, by call and HTTP status", self.requests.clone());
        registry.register_with_unit(
            "request_duration",
            "From a request's whole body to its answer",
            Unit::Seconds,
            self.seconds.clone(),
        );
        let bytes = Unit::Bytes;
        registry.register_with_unit(
            "request",
            "Bodies of requests",
            bytes.clone(),
            self.request_bytes.clone(),
        );
        registry.register_with_unit("answer", "Bodies of answers", bytes.clone(), self.answer_bytes.clone());
        registry.register(
            "turned_away",
            "Connections and requests for which there was no room",
            self.turned_away.clone(),
        );
        registry.register("connections", "Connections that are open", self.connections.clone());
        registry.register("streams", "WebSockets that are open", self.streams.clone());
        registry.register(
            "subscriptions",
            "Groups that somebody waits for, each as often as somebody does",
            self.subscriptions.clone(),
        );
        registry.register("stream_entries", "Log entries sent to WebSockets", self.entries.clone());
        registry.register("stream_hints", "Hints sent to WebSockets", self.hints.clone());
        registry.register("stream_log_reads", "Reads of the log for WebSockets", self.log_reads.clone());
        let held = "Bytes of this kind in memory now";
        registry.register_with_unit("request_held", held, bytes.clone(), self.request_bytes_held.clone());
        registry.register_with_unit("answer_held", held, bytes.clone(), self.answer_bytes_held.clone());
        registry.register_with_unit("stream_held", held, bytes, self.stream_bytes_held.clone());
        self
    }

    /// A request was answered or refused.
    pub(super) fn request(&self, kind: CallKind, status: u16, time: Duration) {
        let call = kind.name();
        self.requests.get_or_create(&RequestLabels { call, status }).inc();
        self.seconds.get_or_create(&CallLabel { call }).observe(time.as_secs_f64());
    }

    pub(super) fn bytes(&self, request: usize, answer: usize) {
        self.request_bytes.inc_by(u64::try_from(request).unwrap_or(u64::MAX));
        self.answer_bytes.inc_by(u64::try_from(answer).unwrap_or(u64::MAX));
    }

    /// There was no room.
    pub(super) fn turn_away(&self, why: &'static str) {
        self.turned_away.get_or_create(&WhyLabel { why }).inc();
    }

    /// What is held now, as the budgets say.
    pub(super) fn hold(&self, requests: usize, answers: usize, streams: usize) {
        let set = |gauge: &Gauge, bytes: usize| {
            gauge.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        };
        set(&self.request_bytes_held, requests);
        set(&self.answer_bytes_held, answers);
        set(&self.stream_bytes_held, streams);
    }

    /// All of it, as Prometheus reads it.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
