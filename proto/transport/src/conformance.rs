//! One suite for all backends: each store passes [`store`], each queue passes [`queue`],
//! unchanged. They panic with what does not hold; call them from a test with several
//! runtime threads.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::join_all;

use crate::queue::{Deliveries, Delivery, Queue};
use crate::store::{Put, Store, StoreExt as _};
use crate::{Error, Result};

/// Long enough for any broker, short enough to notice a hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// Checks an empty store.
///
/// # Panics
/// If the store does not keep a promise of [`Store`].
pub async fn store(store: Arc<dyn Store>) {
    objects_are_created_once(&*store).await;
    ranges_lie_within_the_object(&*store).await;
    listings_are_complete(&*store).await;
    keys_are_checked(&*store).await;
    what_is_deleted_is_gone(&*store).await;
    one_racer_wins(store).await;
}

async fn objects_are_created_once(store: &dyn Store) {
    let (first, second) = (Bytes::from_static(b"first"), Bytes::from_static(b"second"));
    assert!(matches!(store.get("once/a").await, Err(Error::NotFound(_))));
    assert!(matches!(store.head("once/a").await, Err(Error::NotFound(_))));
    assert_eq!(store.put_new("once/a", first.clone()).await.expect("put"), Put::Created);
    assert_eq!(store.put_new("once/a", second).await.expect("put"), Put::Exists);
    assert_eq!(store.get("once/a").await.expect("get"), first);
    assert_eq!(store.head("once/a").await.expect("head").size, 5);
    assert_eq!(store.put_new("once/empty", Bytes::new()).await.expect("put"), Put::Created);
    assert_eq!(store.get("once/empty").await.expect("get"), Bytes::new());
    let large = Bytes::from(vec![7; 9 << 20]);
    store.put_new("once/large", large.clone()).await.expect("put");
    assert!(
        store.get("once/large").await.expect("get") == large,
        "a large object came back changed"
    );
}

async fn ranges_lie_within_the_object(store: &dyn Store) {
    store.put_new("range/a", Bytes::from_static(b"0123456789")).await.expect("put");
    assert_eq!(store.get_range("range/a", 2..5).await.expect("range"), "234");
    assert_eq!(store.get_range("range/a", 0..10).await.expect("range"), "0123456789");
    assert!(store.get_range("range/a", 5..11).await.is_err());
    assert!(matches!(store.get_range("range/b", 0..1).await, Err(Error::NotFound(_))));
}

async fn listings_are_complete(store: &dyn Store) {
    let keys: BTreeSet<String> = (0..25).map(|n| format!("list/x/{n:03}")).collect();
    for key in keys.iter().map(String::as_str).chain(["list/x-y/a", "list/xa", "list/y/deep/er"]) {
        store.put_new(key, Bytes::from_static(b"1")).await.expect("put");
    }
    let under = |prefix: &'static str, after: Option<&'static str>| async move {
        let found: Vec<_> = store.list(prefix, after).collect().await;
        found.into_iter().collect::<Result<Vec<_>>>().expect("list")
    };
    let found = under("list/x/", None).await;
    assert!(found.iter().all(|object| object.size == 1));
    assert_eq!(found.into_iter().map(|object| object.key).collect::<BTreeSet<_>>(), keys);
    assert_eq!(under("list/x/", Some("list/x/019")).await.len(), 5);
    assert_eq!(under("list/", None).await.len(), 28);
    assert_eq!(under("nothing/", None).await.len(), 0);
    assert_eq!(store.keys("list/y/").await.expect("keys"), ["list/y/deep/er"]);
    assert!(store.exists("list/xa").await.expect("exists"));
    assert_eq!(store.get_opt("list/xb").await.expect("get"), None);
}

async fn keys_are_checked(store: &dyn Store) {
    for key in ["", "/a", "a/", "a//b", "../a", "a/./b"] {
        let put = store.put_new(key, Bytes::new()).await;
        assert!(matches!(put, Err(Error::BadKey(_))), "key '{key}' was taken");
    }
}

async fn what_is_deleted_is_gone(store: &dyn Store) {
    let put = async || store.put_new("gone/a", Bytes::from_static(b"1")).await.expect("put");
    store.delete("gone/a").await.expect("what is not there is deleted already");
    put().await;
    store.put_new("gone/ab", Bytes::from_static(b"2")).await.expect("put");
    store.delete("gone/a").await.expect("delete");
    assert!(matches!(store.get("gone/a").await, Err(Error::NotFound(_))));
    assert_eq!(store.keys("gone/").await.expect("keys"), ["gone/ab"]);
    assert_eq!(put().await, Put::Created);
}

async fn one_racer_wins(store: Arc<dyn Store>) {
    for round in 0..10 {
        let racers = (0..16u8).map(|racer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let bytes = Bytes::from(vec![racer; 1000]);
                store.put_new(&format!("race/{round}"), bytes).await.expect("put")
            })
        });
        let ends = join_all(racers).await.into_iter().map(|end| end.expect("racer"));
        assert_eq!(ends.filter(|end| *end == Put::Created).count(), 1);
        let bytes = store.get(&format!("race/{round}")).await.expect("get");
        assert!(bytes.len() == 1000 && bytes.iter().all(|byte| *byte == bytes[0]));
    }
}

/// Checks an empty queue that holds at least 100 payloads.
///
/// # Panics
/// If the queue does not keep a promise of [`Queue`].
pub async fn queue(queue: Arc<dyn Queue>) {
    everything_arrives(&queue).await;
    unsettled_deliveries_come_again(&*queue).await;
    retries_wait(&*queue).await;
    prefetch_bounds_the_unsettled(&*queue).await;
    settled_is_gone(&*queue).await;
}

async fn publish(queue: &dyn Queue, numbers: std::ops::Range<u8>) {
    for number in numbers {
        queue.publish(Bytes::from(vec![number])).await.expect("publish");
    }
}

async fn next(deliveries: &mut Deliveries) -> Box<dyn Delivery> {
    let delivery = tokio::time::timeout(PATIENCE, deliveries.next()).await;
    delivery.expect("a delivery in time").expect("an open queue").expect("a delivery")
}

async fn none_left(deliveries: &mut Deliveries) -> bool {
    tokio::time::timeout(Duration::from_millis(300), deliveries.next()).await.is_err()
}

async fn everything_arrives(queue: &Arc<dyn Queue>) {
    publish(&**queue, 0..100).await;
    let consumers = (0..2).map(|_| {
        let queue = Arc::clone(queue);
        tokio::spawn(async move {
            let mut deliveries = queue.consume(4).await.expect("consume");
            let mut seen = Vec::new();
            while let Ok(Some(delivery)) =
                tokio::time::timeout(Duration::from_secs(1), deliveries.next()).await
            {
                let delivery = delivery.expect("delivery");
                assert_eq!(delivery.attempt(), 1);
                seen.push(delivery.payload()[0]);
                delivery.ack().await.expect("ack");
            }
            seen
        })
    });
    let seen = join_all(consumers).await.into_iter().flat_map(|seen| seen.expect("consumer"));
    let mut seen: Vec<_> = seen.collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..100).collect::<Vec<_>>());
}

async fn unsettled_deliveries_come_again(queue: &dyn Queue) {
    publish(queue, 1..2).await;
    let mut deliveries = queue.consume(1).await.expect("consume");
    drop(next(&mut deliveries).await);
    let again = next(&mut deliveries).await;
    assert_eq!((again.payload()[0], again.attempt()), (1, 2));
    again.ack().await.expect("ack");
}

async fn retries_wait(queue: &dyn Queue) {
    publish(queue, 1..2).await;
    let mut deliveries = queue.consume(1).await.expect("consume");
    let (start, wait) = (Instant::now(), Duration::from_millis(200));
    next(&mut deliveries).await.retry(wait).await.expect("retry");
    let again = next(&mut deliveries).await;
    assert!(start.elapsed() >= wait, "came back too early");
    assert_eq!(again.attempt(), 2);
    again.ack().await.expect("ack");
}

async fn prefetch_bounds_the_unsettled(queue: &dyn Queue) {
    publish(queue, 0..3).await;
    let mut deliveries = queue.consume(2).await.expect("consume");
    let (one, two) = (next(&mut deliveries).await, next(&mut deliveries).await);
    assert!(none_left(&mut deliveries).await, "a third delivery beyond the prefetch of 2");
    one.ack().await.expect("ack");
    next(&mut deliveries).await.ack().await.expect("ack");
    two.ack().await.expect("ack");
}

async fn settled_is_gone(queue: &dyn Queue) {
    publish(queue, 0..2).await;
    let mut deliveries = queue.consume(2).await.expect("consume");
    next(&mut deliveries).await.ack().await.expect("ack");
    next(&mut deliveries).await.dead_letter("test").await.expect("dead letter");
    assert!(none_left(&mut deliveries).await, "a settled payload came again");
}
