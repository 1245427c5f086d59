//! Dead letters.

use std::time::SystemTime;

use super::*;

pub(super) async fn are_listed_requeued_and_discarded(url: &str) {
    let queue = open(url, "dead").await.queue("tasks").await.unwrap();
    let dead = queue.dead_letters();
    assert_eq!((dead.count().await.unwrap(), dead.list(10).await.unwrap().len()), (0, 0));
    let mut deliveries = queue.consume(1).await.unwrap();
    for number in 0..5 {
        queue.publish(Bytes::from(vec![number])).await.unwrap();
        let delivery = next(&mut deliveries).await;
        delivery.dead_letter(&format!("reason {number}")).await.unwrap();
    }
    // Whoever looks leaves them where they are, however often.
    for _ in 0..30 {
        let listed = dead.list(10).await.unwrap();
        let mut reasons: Vec<_> = listed.iter().map(|letter| &*letter.reason).collect();
        reasons.sort_unstable();
        assert_eq!(reasons, ["reason 0", "reason 1", "reason 2", "reason 3", "reason 4"]);
        let age = SystemTime::now().duration_since(listed[0].at.unwrap()).unwrap();
        assert!(age < PATIENCE);
    }
    assert_eq!(dead.list(2).await.unwrap().len(), 2);

    assert_eq!(dead.requeue(|letter| letter.reason == "reason 3").await.unwrap(), 1);
    let again = next(&mut deliveries).await;
    assert_eq!((again.payload()[0], again.attempt()), (3, 1));
    again.ack().await.unwrap();

    assert_eq!(dead.discard(|letter| letter.payload[0] < 2).await.unwrap(), 2);
    let mut left: Vec<_> =
        dead.list(10).await.unwrap().iter().map(|letter| letter.payload[0]).collect();
    left.sort_unstable();
    assert_eq!(left, [2, 4]);
    assert_eq!(dead.count().await.unwrap(), 2);
}

pub(super) async fn come_from_the_delivery_limit(url: &str) {
    let queue = open(url, "limit").await.queue("tasks").await.unwrap();
    queue.publish(Bytes::from_static(b"poison")).await.unwrap();
    let mut deliveries = queue.consume(1).await.unwrap();
    let limit = u32::try_from(topology::DELIVERY_LIMIT).unwrap();
    for attempt in 1..=limit + 1 {
        assert_eq!(next(&mut deliveries).await.attempt(), attempt);
    }
    let dead = queue.dead_letters();
    while dead.count().await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let letter = dead.list(1).await.unwrap().remove(0);
    assert_eq!(letter.payload, "poison");
    assert!(letter.reason.starts_with("delivered too often"), "{}", letter.reason);
    assert!(letter.at.is_some());
}
