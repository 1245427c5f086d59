//! Traces that go on in another process, by the header `traceparent` of W3C's Trace Context.
//!
//! Always holds: where nobody collects spans, nothing is carried.

use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Whether this process collects spans.
static COLLECTS: AtomicBool = AtomicBool::new(false);

/// Says that this process collects spans from now on.
pub fn collect() {
    COLLECTS.store(true, Ordering::Relaxed);
}

/// Whether this process collects spans.
#[must_use]
pub fn collects() -> bool {
    COLLECTS.load(Ordering::Relaxed)
}

/// The current span, for whoever goes on elsewhere; none if it is not collected.
#[must_use]
pub fn current() -> Option<String> {
    if !collects() {
        return None;
    }
    let context = Span::current().context();
    let span = context.span().span_context().clone();
    let flags = span.trace_flags().to_u8();
    span.is_valid().then(|| format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id()))
}

/// Makes a span, before it is entered, the child of one of another process. What cannot be
/// read is left alone: a trace is never in the way.
pub fn follow(span: &Span, parent: Option<&str>) {
    if let Some(parent) = parent.filter(|_| collects()).and_then(parse) {
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let ("00", trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?)
    else {
        return None;
    };
    if (trace.len(), span.len(), flags.len()) != (32, 16, 2) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let context = SpanContext::new(trace, span, flags, true, Default::default());
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_read_as_w3c_has_it() {
        let parent = parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        assert_eq!(parent.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(parent.span_id().to_string(), "00f067aa0ba902b7");
        assert!(parent.is_sampled() && parent.is_remote());
        for bad in ["", "00-1-2-3", "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"] {
            assert!(parse(bad).is_none(), "{bad}");
        }
        assert_eq!(current(), None);
    }
}
