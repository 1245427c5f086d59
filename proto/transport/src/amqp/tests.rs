//! The promises of the queue, kept by a real broker: the one at VOXAGE_TEST_AMQP, else
//! one of our own.

mod dead;
mod faults;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;

use super::*;
use crate::conformance;
use crate::queue::{Deliveries, Delivery};
use crate::testing::RabbitMq;
use voxage_contract::Kind;

/// Longer than anything takes that happens at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// One broker for all: starting one takes longer than most of these.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keeps_its_promises() {
    trace();
    let (given, own) = match std::env::var("VOXAGE_TEST_AMQP") {
        Ok(given) => (given, None),
        Err(_) => (String::new(), Some(RabbitMq::start())),
    };
    let url = own.as_ref().map_or(&*given, RabbitMq::url);
    conforms(url).await;
    a_full_queue_makes_the_publisher_wait(url).await;
    installations_are_apart(url).await;
    beats_reach_all_listeners(url).await;
    a_dropped_stream_gives_back_what_was_sent_ahead(url).await;
    closing_ends_streams(url).await;
    closing_is_quick(url).await;
    other_settings_are_refused(url).await;
    refusals_are_clear(url).await;
    dead::are_listed_requeued_and_discarded(url).await;
    dead::come_from_the_delivery_limit(url).await;
}

/// Shows in a failed test what the backend has met.
fn trace() {
    let _ = tracing_subscriber::fmt()
        .with_test_writer()
        .with_max_level(tracing::Level::DEBUG)
        .try_init();
}

/// A connection whose queues nobody else has.
async fn open(url: &str, name: &str) -> Amqp {
    let name = format!("test-{name}-{}", std::process::id());
    Amqp::open(url, &name).await.unwrap()
}

async fn next(deliveries: &mut Deliveries) -> Box<dyn Delivery> {
    let delivery = tokio::time::timeout(PATIENCE, deliveries.next()).await;
    delivery.expect("a delivery in time").expect("an open queue").expect("a delivery")
}

async fn conforms(url: &str) {
    let queue = open(url, "conforms").await.queue("tasks").await.unwrap();
    conformance::queue(Arc::new(queue)).await;
}

async fn a_full_queue_makes_the_publisher_wait(url: &str) {
    let queue = open(url, "full").await.queue_of("tasks", 2).await.unwrap();
    // The broker counts roughly: it takes some more than it was told.
    let mut taken = 0;
    let waiting = loop {
        let publish = queue.publish(Bytes::from(vec![taken]));
        let mut publish = Box::pin(publish);
        if tokio::time::timeout(Duration::from_secs(1), &mut publish).await.is_err() {
            break publish;
        }
        taken += 1;
        assert!(taken < 20, "a queue of 2 holds 20");
    };
    assert!(taken >= 2);
    let mut deliveries = queue.consume(1).await.unwrap();
    for _ in 0..taken {
        next(&mut deliveries).await.ack().await.unwrap();
    }
    tokio::time::timeout(PATIENCE, waiting).await.expect("space was made").unwrap();
    next(&mut deliveries).await.ack().await.unwrap();
}

async fn installations_are_apart(url: &str) {
    let (one, two) = (open(url, "one").await, open(url, "two").await);
    let (tasks, control) = (one.queue("tasks").await.unwrap(), one.queue("control").await.unwrap());
    let others = two.queue("tasks").await.unwrap();
    tasks.publish(Bytes::from_static(b"mine")).await.unwrap();
    assert_eq!(tasks.depth().await.unwrap(), Depth { ready: 1, consumers: 0 });
    for empty in [control, others] {
        assert_eq!(empty.depth().await.unwrap(), Depth { ready: 0, consumers: 0 });
    }
    let mut deliveries = tasks.consume(1).await.unwrap();
    let delivery = next(&mut deliveries).await;
    assert_eq!(tasks.depth().await.unwrap(), Depth { ready: 0, consumers: 1 });
    delivery.ack().await.unwrap();
}

async fn beats_reach_all_listeners(url: &str) {
    let (one, two) = (open(url, "beats").await, open(url, "beats").await);
    let stranger = open(url, "no-beats").await;
    let mut listeners = [one.beats().await.unwrap(), two.beats().await.unwrap()];
    let mut deaf = stranger.beats().await.unwrap();
    for beat in 0..10u8 {
        one.publish_beat(Bytes::from(vec![beat]));
    }
    for listener in &mut listeners {
        let heard = tokio::time::timeout(PATIENCE, listener.take(10).collect::<Vec<_>>()).await;
        assert_eq!(heard.unwrap().concat(), (0..10).collect::<Vec<_>>());
    }
    assert!(tokio::time::timeout(Duration::from_millis(200), deaf.next()).await.is_err());
}

async fn a_dropped_stream_gives_back_what_was_sent_ahead(url: &str) {
    let queue = open(url, "ahead").await.queue("tasks").await.unwrap();
    for number in 0..10 {
        queue.publish(Bytes::from(vec![number])).await.unwrap();
    }
    let mut deliveries = queue.consume(10).await.unwrap();
    let held = next(&mut deliveries).await;
    drop(deliveries);
    let mut deliveries = queue.consume(10).await.unwrap();
    for _ in 0..9 {
        next(&mut deliveries).await.ack().await.unwrap();
    }
    held.ack().await.unwrap();
    drop(deliveries);
    while queue.depth().await.unwrap().consumers > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(queue.depth().await.unwrap().ready, 0);
}

async fn closing_ends_streams(url: &str) {
    let amqp = open(url, "close").await;
    let queue = amqp.queue("tasks").await.unwrap();
    let (mut deliveries, mut beats) =
        (queue.consume(1).await.unwrap(), amqp.beats().await.unwrap());
    let end = tokio::spawn(async move {
        assert!(deliveries.next().await.is_none());
        assert!(beats.next().await.is_none());
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    amqp.close().await;
    tokio::time::timeout(PATIENCE, end).await.unwrap().unwrap();
    assert!(queue.publish(Bytes::new()).await.is_err());
}

/// Whoever uses a channel lets go of it at the very moment in which all are closed.
async fn closing_is_quick(url: &str) {
    for _ in 0..100 {
        let amqp = open(url, "quick").await;
        for _ in 0..20 {
            let (link, channel) = (Arc::clone(&amqp.0.link), amqp.0.link.channel().await.unwrap());
            tokio::spawn(async move {
                link.closed().await;
                drop(channel);
            });
        }
        tokio::time::timeout(link::ANSWER / 2, amqp.close()).await.expect("closed at once");
    }
}

async fn other_settings_are_refused(url: &str) {
    let amqp = open(url, "settings").await;
    amqp.queue_of("tasks", 5).await.unwrap();
    let error = amqp.queue_of("tasks", 6).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Permanent);
    let text = error.to_string();
    assert!(text.contains(".tasks' on the broker") && text.contains("use another name"), "{text}");
}

async fn refusals_are_clear(url: &str) {
    let refused = |url: String| async move {
        let error = Amqp::open(&url, "test").await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hunter2"), "{text}");
        (error.kind(), error.to_string())
    };
    let (user, rest) = url.rsplit_once('@').unwrap();
    let user = user.rsplit_once(':').unwrap().0;
    let (kind, text) = refused(format!("{user}:hunter2@{rest}")).await;
    assert_eq!(kind, Kind::Permanent);
    assert!(text.contains("check the user and password"), "{text}");

    let (server, _) = url.rsplit_once('/').unwrap();
    let (kind, text) = refused(format!("{server}/nowhere")).await;
    assert_eq!(kind, Kind::Permanent);
    assert!(text.contains("check the virtual host"), "{text}");

    let (kind, text) = refused("amqp://voxage:hunter2@127.0.0.1:1/%2f".into()).await;
    assert_eq!(kind, Kind::Transient);
    assert!(text.contains("127.0.0.1:1"), "{text}");
}
