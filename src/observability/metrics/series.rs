//! Labelled metrics, and helpers to register them.

use std::collections::HashMap;
use std::fmt::{Debug, Error};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder},
    metrics::{MetricType, TypedMetric, counter::Counter, gauge::Gauge},
    registry::{Metric, Registry, Unit},
};

pub(super) type FloatGauge = Gauge<f64, AtomicU64>;

/// Series by label. Unlike the library's `Family`, it can remove all series that match a part of their label.
#[derive(Debug)]
pub(super) struct Series<L, M> {
    series: Arc<Mutex<HashMap<L, M>>>,
    fresh: fn() -> M,
}

impl<L, M> Clone for Series<L, M> {
    fn clone(&self) -> Self {
        Self { series: Arc::clone(&self.series), fresh: self.fresh }
    }
}

impl<L: Eq + Hash, M: Default> Default for Series<L, M> {
    fn default() -> Self {
        Self::of(M::default)
    }
}

impl<L: Eq + Hash, M> Series<L, M> {
    pub(super) fn of(fresh: fn() -> M) -> Self {
        Self { series: Arc::default(), fresh }
    }

    pub(super) fn all(&self) -> MutexGuard<'_, HashMap<L, M>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn with(&self, label: L, change: impl FnOnce(&M)) {
        change(self.all().entry(label).or_insert_with(self.fresh));
    }
}

impl<L, M> EncodeMetric for Series<L, M>
where
    L: EncodeLabelSet + Eq + Hash,
    M: EncodeMetric + TypedMetric,
{
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), Error> {
        self.all().iter().try_for_each(|(label, metric)| metric.encode(encoder.encode_family(label)?))
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        self.all().is_empty()
    }
}

/// Registers a new metric. If the name ends in `_seconds`, the unit is registered separately.
pub(super) fn add<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    match name.strip_suffix("_seconds") {
        Some(stem) => registry.register_with_unit(stem, help, Unit::Seconds, metric.clone()),
        None => registry.register(name, help, metric.clone()),
    }
    metric
}

pub(super) fn timed<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, seconds: M) -> M {
    registry.register_with_unit(name, help, Unit::Seconds, seconds.clone());
    seconds
}

pub(super) fn count(counter: &Counter) {
    counter.inc();
}

pub(super) fn set(gauge: &Gauge, value: usize) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}
