//! One trace from a submission to the model that is trained of it, at a collector.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::post;
use common::cluster::Cluster;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

/// How long spans may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A span, as the collector has it.
#[derive(Debug, Clone)]
struct Span {
    name: String,
    service: String,
    trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
}

/// A collector of spans by OTLP over HTTP.
struct Collector {
    endpoint: String,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    fn start(runtime: &tokio::runtime::Runtime) -> Self {
        let spans = Arc::<Mutex<Vec<Span>>>::default();
        let kept = Arc::clone(&spans);
        let receive = move |body: Body| async move {
            let bytes = to_bytes(body, 64 << 20).await.unwrap();
            let request = ExportTraceServiceRequest::decode(bytes).unwrap();
            for of_process in request.resource_spans {
                let attributes = of_process.resource.unwrap().attributes;
                let service = attributes.iter().find(|one| one.key == "service.name").unwrap();
                let service = format!("{:?}", service.value);
                let spans = of_process.scope_spans.into_iter().flat_map(|scope| scope.spans);
                kept.lock().unwrap().extend(spans.map(|span| Span {
                    name: span.name,
                    service: service.clone(),
                    trace: span.trace_id,
                    id: span.span_id,
                    parent: span.parent_span_id,
                }));
            }
        };
        let routes = Router::new().route("/v1/traces", post(receive));
        let listener = runtime.block_on(voxage_service::bind("127.0.0.1:0", "")).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(voxage_service::listen(listener, routes));
        Self { endpoint, spans }
    }

    fn lead(&self, command: &mut Command) {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &self.endpoint);
        command.env("OTEL_BSP_SCHEDULE_DELAY", "200");
    }
}

#[test]
fn a_batch_is_one_trace_from_its_submission_to_its_model() {
    let mut cluster = Cluster::start();
    let collector = Collector::start(&cluster.runtime);
    let manifest = cluster.place.synth(24);
    let roots = cluster.place.text("");
    let roots = ["--audio-roots", &roots];
    let lead = |command: &mut Command| collector.lead(command);
    let _services = [
        cluster.service_with(&[&["coordinator", "--listen", ""], &roots[..]].concat(), lead),
        cluster.service_with(&[&["feature-worker"], &roots[..]].concat(), lead),
        cluster.service_with(&["trainer"], lead),
    ];
    let call = |args: &[&str]| {
        let mut command = cluster.command(args);
        collector.lead(&mut command);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", common::stderr(&output));
    };
    call(&["submit", manifest.to_str().unwrap(), "--dataset", "d"]);
    cluster.sealed("d", |_| {});
    call(&["train", "--dataset", "d", "--architecture", "ridge"]);

    let names = [
        "submit",
        "plan",
        "task",
        "recording",
        "fetch",
        "extract",
        "encode",
        "store",
        "shards",
        "seal",
        "ask for training",
        "training",
    ];
    let start = Instant::now();
    let spans = loop {
        let spans = collector.spans.lock().unwrap().clone();
        if names.iter().all(|name| spans.iter().any(|span| span.name == *name)) {
            break spans;
        }
        let found: Vec<_> = spans.iter().map(|span| &span.name).collect();
        assert!(start.elapsed() < PATIENCE, "{found:?}\n{}", cluster.logs());
        std::thread::sleep(Duration::from_millis(200));
    };
    let one = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let by_id: BTreeMap<_, _> = spans.iter().map(|span| (&span.id, span)).collect();
    let parent = |name: &str| by_id.get(&one(name).parent).map_or("", |span| span.name.as_str());
    for name in names {
        assert_eq!(one(name).trace, one("submit").trace, "{name} is of another trace: {spans:?}");
    }
    assert!(one("submit").parent.is_empty());
    for (child, expected) in [
        ("plan", "submit"),
        ("shards", "submit"),
        ("seal", "submit"),
        ("recording", "task"),
        ("fetch", "recording"),
        ("extract", "recording"),
        ("encode", "task"),
        ("store", "task"),
        ("ask for training", "submit"),
        ("training", "ask for training"),
    ] {
        assert_eq!(parent(child), expected, "the parent of {child}");
    }
    assert!(["plan", "shards"].contains(&parent("task")), "{}", parent("task"));
    let services = [("submit", "voxage-submit"), ("task", "voxage-feature-worker")];
    for (name, service) in services {
        assert!(one(name).service.contains(service), "{:?}", one(name));
    }
}
