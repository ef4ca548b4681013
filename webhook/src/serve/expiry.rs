//! Until when the certificate is valid that is served, wherever it comes from: read off it at each scrape.

use curfew_certs::{Life, Resolver};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Unit,
};
use std::{fmt, time::SystemTime};

/// Shows it.
#[derive(Debug)]
pub(super) struct NotAfter(pub(super) Resolver);

impl Collector for NotAfter {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(key) = self.0.current() else { return Ok(()) };
        let mut metric = encoder.encode_descriptor(
            "certificate_not_after",
            "When the certificate served ends, and its CA where that is sent along, in Unix time",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        let (leaf, others) = (key.cert.first(), key.cert.get(1..).unwrap_or_default());
        for (kind, certificate) in [("leaf", leaf), ("ca", others.last())] {
            let Some(Ok(Life { to, .. })) = certificate.map(Life::of) else { continue };
            let end = to.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let gauge = ConstGauge::new(i64::try_from(end.as_secs()).unwrap_or(i64::MAX));
            gauge.encode(metric.encode_family(&[("kind", kind)])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::Metrics;
    use curfew_certs::Ca;
    use std::time::Duration;

    #[test]
    fn the_end_of_the_leaf_and_of_its_ca_are_shown_as_they_change() {
        let metrics = Metrics::new();
        let resolver = Resolver::default();
        metrics.registry().register_collector(Box::new(NotAfter(resolver.clone())));
        assert!(!metrics.encode().unwrap().contains("not_after"));
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let ca = Ca::generate(start, Duration::from_secs(9000)).unwrap();
        for life in [100, 200] {
            let names = ["localhost".parse().unwrap()];
            resolver.replace(ca.sign(&names, start, Duration::from_secs(life)).unwrap().key);
            let page = metrics.encode().unwrap();
            for (kind, end) in [("leaf", 1_800_000_000 + life), ("ca", 1_800_009_000)] {
                let line = format!("curfew_certificate_not_after_seconds{{kind=\"{kind}\"}} {end}\n");
                assert!(page.contains(&line), "{line} in {page}");
            }
        }
    }
}
