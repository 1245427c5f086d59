//! Spans for an OpenTelemetry collector, where the environment names one.
//!
//! Always holds: without `OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`) nothing is
//! collected. The other variables of the specification hold, too: `OTEL_TRACES_SAMPLER`,
//! `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;
use voxage_transport::trace;

/// Sends spans until it is shut down.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// A collector's, if there is one.
    ///
    /// # Errors
    /// If its address is none.
    pub fn of_environment(verb: &str) -> Result<Option<Self>, String> {
        let named = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if !["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
            .into_iter()
            .any(named)
        {
            return Ok(None);
        }
        let exporter = SpanExporter::builder().with_http().build().map_err(|e| e.to_string())?;
        let mut resource = Resource::builder();
        if !named("OTEL_SERVICE_NAME") {
            resource = resource.with_service_name(format!("voxage-{verb}"));
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        trace::collect();
        Ok(Some(Self(provider)))
    }

    /// Where `tracing` hands its spans over: those of voxage itself.
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        let layer = tracing_opentelemetry::layer().with_tracer(self.0.tracer("voxage"));
        layer.with_filter(filter_fn(|metadata| metadata.target().starts_with("voxage")))
    }

    /// Sends what is left.
    pub fn shut_down(self) {
        if let Err(error) = self.0.shutdown() {
            say!("note: some spans were not sent: {error}");
        }
    }
}
