//! What happens to brokers and networks.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, block_in_place};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn outlives_its_broker() {
    trace();
    let broker = RabbitMq::start();
    let work = Work::start(broker.url()).await;
    work.goes_on("from the beginning").await;
    kick(broker.api());
    work.goes_on("after a forced close").await;
    block_in_place(|| {
        broker.stop();
        broker.start_again();
    });
    work.goes_on("after a stop").await;
    block_in_place(|| {
        broker.kill();
        broker.start_again();
    });
    work.goes_on("after a crash").await;
    work.nothing_is_lost().await;

    block_in_place(|| {
        broker.kill();
        broker.erase();
        broker.start_again();
    });
    work.goes_on("after the loss of all data").await;
    delete_queues(&broker);
    work.goes_on("after the loss of the queues").await;
    work.beats_go_on().await;
}

/// As one on its way up, that has not read its users yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn outlives_a_broker_that_refuses_it_for_a_while() {
    trace();
    let broker = RabbitMq::start();
    let work = Work::start(broker.url()).await;
    work.goes_on("from the beginning").await;
    let (before, server) = broker.api().rsplit_once('@').unwrap();
    let (scheme, password) = before.rsplit_once(':').unwrap();
    let give = |old: &str, new: &str| {
        let user = format!("{{\"password\":\"{new}\",\"tags\":\"administrator\"}}");
        let url = format!("{scheme}:{old}@{server}/api/users/voxage");
        curl(&["-sf", "-X", "PUT", "-d", &user, &url]);
    };
    give(password, "another");
    kick(&format!("{scheme}:another@{server}"));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!work.publisher.is_finished() && !work.consumer.is_finished(), "it was final");
    give("another", password);
    work.goes_on("after a refusal").await;
    work.nothing_is_lost().await;
    work.beats_go_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn gives_up_on_a_broker_that_stays_away() {
    trace();
    let broker = RabbitMq::start();
    let options = AmqpOptions { patience: Duration::from_secs(3), ..Default::default() };
    let amqp = Amqp::open_with(broker.url(), options).await.unwrap();
    let queue = amqp.queue("tasks").await.unwrap();
    queue.publish(Bytes::from_static(b"1")).await.unwrap();
    let mut deliveries = queue.consume(1).await.unwrap();
    let held = next(&mut deliveries).await;
    block_in_place(|| broker.kill());
    let start = std::time::Instant::now();
    let error = queue.publish(Bytes::from_static(b"2")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Transient);
    assert!(start.elapsed() < Duration::from_secs(20));
    // It comes again, so there is nothing to complain about.
    held.ack().await.unwrap();
    amqp.publish_beat(Bytes::from_static(b"nobody hears"));
    block_in_place(|| broker.start_again());
    let again = next(&mut deliveries).await;
    assert_eq!((again.payload().as_ref(), again.attempt()), (&b"1"[..], 2));
    again.ack().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn outlives_a_silent_network() {
    trace();
    let broker = RabbitMq::start();
    let network = Network::to(&broker).await;
    // Silence is noticed by missing heartbeats: after seconds, not half a minute.
    let url = format!("{}?heartbeat=2", network.url);
    let work = Work::start(&url).await;
    work.goes_on("from the beginning").await;
    network.cut.send_replace(true);
    tokio::time::sleep(Duration::from_secs(5)).await;
    network.cut.send_replace(false);
    work.goes_on("after the silence").await;
    work.nothing_is_lost().await;
    work.beats_go_on().await;
}

/// A way to the broker that may fall silent. Connections of before stay silent for ever,
/// as when an address has changed hands.
struct Network {
    url: String,
    cut: watch::Sender<bool>,
}

impl Network {
    async fn to(broker: &RabbitMq) -> Self {
        let (user, server) = broker.url().rsplit_once('@').unwrap();
        let server = server.trim_end_matches("/%2f").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{user}@{}/%2f", listener.local_addr().unwrap());
        let cut = watch::Sender::new(false);
        let is_cut = cut.subscribe();
        tokio::spawn(async move {
            while let Ok((mut here, _)) = listener.accept().await {
                let (server, mut is_cut) = (server.clone(), is_cut.clone());
                tokio::spawn(async move {
                    let mut there = TcpStream::connect(server).await.expect("the broker");
                    tokio::select! {
                        biased;
                        cut = is_cut.wait_for(|cut| *cut) => drop(cut),
                        _ = copy_bidirectional(&mut here, &mut there) => return,
                    }
                    std::future::pending::<()>().await;
                });
            }
        });
        Self { url, cut }
    }
}

/// A publisher and a consumer at work.
struct Work {
    amqp: Amqp,
    published: Arc<Mutex<BTreeSet<u32>>>,
    settled: Arc<Mutex<BTreeSet<u32>>>,
    enough: Arc<AtomicBool>,
    publisher: JoinHandle<()>,
    consumer: JoinHandle<()>,
}

impl Work {
    async fn start(url: &str) -> Self {
        let amqp = Amqp::open(url, "work").await.unwrap();
        let queue = amqp.queue("tasks").await.unwrap();
        let (published, settled) =
            (Arc::<Mutex<BTreeSet<u32>>>::default(), Arc::<Mutex<BTreeSet<u32>>>::default());
        let enough = Arc::new(AtomicBool::new(false));
        let publisher = tokio::spawn({
            let (queue, published, enough) =
                (queue.clone(), Arc::clone(&published), Arc::clone(&enough));
            async move {
                for number in 0u32.. {
                    if enough.load(Ordering::Relaxed) {
                        break;
                    }
                    queue.publish(number.to_le_bytes().to_vec().into()).await.expect("publish");
                    published.lock().expect("lock").insert(number);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        });
        let consumer = tokio::spawn({
            let (amqp, settled, enough) = (amqp.clone(), Arc::clone(&settled), Arc::clone(&enough));
            async move {
                let queue = amqp.queue("tasks").await.expect("queue");
                let mut deliveries = queue.consume(5).await.expect("consume");
                while let Some(delivery) = deliveries.next().await {
                    let delivery = delivery.expect("no error");
                    let number =
                        u32::from_le_bytes(delivery.payload()[..].try_into().expect("4 bytes"));
                    let done = if number.is_multiple_of(7) && delivery.attempt() == 1 {
                        delivery.retry(Duration::from_millis(500)).await
                    } else {
                        settled.lock().expect("lock").insert(number);
                        delivery.ack().await
                    };
                    // What is in hand when all is closed cannot be settled any more.
                    if let Err(error) = done {
                        assert!(enough.load(Ordering::Relaxed), "{error}");
                    }
                }
            }
        });
        Self { amqp, published, settled, enough, publisher, consumer }
    }

    /// Something is published, and something that was published from now on arrives.
    async fn goes_on(&self, when: &str) {
        let last = self.published.lock().unwrap().last().copied().unwrap_or_default();
        let start = std::time::Instant::now();
        let arrived = || self.settled.lock().unwrap().range(last + 20..).count() >= 20;
        while !arrived() {
            assert!(start.elapsed() < PATIENCE, "nothing arrives {when}");
            assert!(!self.publisher.is_finished(), "the publisher gave up {when}");
            assert!(!self.consumer.is_finished(), "the consumer gave up {when}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        println!("{when}: goes on after {:?}", start.elapsed());
    }

    /// All that was published so far arrives.
    async fn nothing_is_lost(&self) {
        let published = self.published.lock().unwrap().clone();
        let start = std::time::Instant::now();
        loop {
            let lost: Vec<_> =
                published.difference(&self.settled.lock().unwrap()).copied().collect();
            if lost.is_empty() {
                break;
            }
            assert!(start.elapsed() < PATIENCE, "lost: {lost:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        println!("all {} arrived after {:?}", published.len(), start.elapsed());
    }

    async fn beats_go_on(self) {
        let mut beats = self.amqp.beats().await.unwrap();
        let beat = async {
            loop {
                self.amqp.publish_beat(Bytes::from_static(b"beat"));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            () = beat => {}
            heard = tokio::time::timeout(PATIENCE, beats.next()) => {
                assert_eq!(heard.unwrap().unwrap(), "beat");
            }
        }
        self.enough.store(true, Ordering::Relaxed);
        self.publisher.await.unwrap();
        self.amqp.close().await;
        self.consumer.await.unwrap();
    }
}

/// Closes every connection by the management API.
fn kick(api: &str) {
    // The API lags some seconds behind.
    for _ in 0..100 {
        let listed = curl(&["-sf", &format!("{api}/api/connections?columns=name")]);
        let names: Vec<&str> = listed.split('"').skip(3).step_by(4).collect();
        if names.is_empty() {
            std::thread::sleep(Duration::from_millis(100));
            continue;
        }
        for name in names {
            let name = name.replace(' ', "%20").replace('>', "%3E").replace(':', "%3A");
            curl(&["-sf", "-X", "DELETE", &format!("{api}/api/connections/{name}")]);
        }
        return;
    }
    panic!("the API lists no connection");
}

/// Deletes the queues under their users.
fn delete_queues(broker: &RabbitMq) {
    for queue in ["work.tasks", "work.tasks.retry.1s"] {
        curl(&["-sf", "-X", "DELETE", &format!("{}/api/queues/%2f/{queue}", broker.api())]);
    }
}

fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl").args(arguments).output().expect("curl");
    assert!(output.status.success(), "the management API: {}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
