//! The S3 store over a real server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::conformance;
use crate::store::StoreExt as _;
use crate::testing::TestS3;

const SECRET: &str = "a-secret-that-nobody-may-see";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn conforms() {
    let s3 = TestS3::start().await;
    conformance::store(Arc::new(s3.store("store").await.unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_listings_come_in_pages_and_begin_anywhere() {
    let s3 = TestS3::start().await;
    let store = s3.store("store").await.unwrap();
    let keys: Vec<_> = (0..2345).map(|n| format!("a/{n:05}")).collect();
    let puts = futures::stream::iter(keys.clone());
    puts.for_each_concurrent(16, |key| {
        let store = store.clone();
        async move { store.put_new(&key, Bytes::from_static(b"x")).await.map(drop).unwrap() }
    })
    .await;
    assert_eq!(store.keys("a/").await.unwrap(), keys);
    let behind: Vec<_> = store.list("a/", Some("a/01999")).try_collect().await.unwrap();
    assert_eq!(behind.len(), 345);
    assert_eq!(behind[0].key, "a/02000");
    // One who only reads finds it, but nothing where there is nothing.
    assert!(store.clone().existing().await.unwrap().exists("a/00000").await.unwrap());
    let nothing = S3 { place: Location::parse(&s3.uri("nothing")).unwrap(), ..store };
    assert!(matches!(nothing.existing().await, Err(Error::NoStore(_))));
}

#[tokio::test]
async fn who_may_not_and_what_is_not_there_is_said() {
    let s3 = TestS3::start().await;
    let store = s3.store("store").await.unwrap();
    let endpoint = s3.env().iter().find(|(name, _)| name == "AWS_ENDPOINT_URL_S3");
    let Some((_, endpoint)) = endpoint else { return };
    let settings = S3Settings { endpoint: Some(endpoint.clone()), ..S3Settings::default() };
    let opened = async |id: &str, bucket: &str| {
        let keys = Credentials::new(id, SECRET, None, None, "test");
        let server = Server::find_as(&settings, Some(keys)).await.unwrap();
        S3::on(server, Location::parse(bucket).unwrap()).await.unwrap_err()
    };
    let id = &s3.env().iter().find(|(name, _)| name == "AWS_ACCESS_KEY_ID").unwrap().1;
    let stranger = opened("stranger", "s3://voxage").await;
    let forger = opened(id, "s3://voxage").await;
    for error in [&stranger, &forger] {
        let text = format!("{error} {error:?}");
        assert_eq!(error.kind(), Kind::Permanent, "{text}");
        assert!(text.contains("AWS_ACCESS_KEY_ID") && !text.contains(SECRET), "{text}");
    }
    let nowhere = S3 { place: Location::parse("s3://nowhere").unwrap(), ..store.clone() };
    for error in [
        nowhere.put_new("a", Bytes::new()).await.unwrap_err(),
        nowhere.get("a").await.unwrap_err(),
        nowhere.keys("").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::Permanent, "{error}");
        assert!(error.to_string().contains("create the bucket"), "{error}");
    }
    assert!(!format!("{store:?} {settings:?}").contains(SECRET));
}

#[tokio::test]
async fn a_server_that_is_down_is_given_up_in_time() {
    let settings =
        S3Settings { endpoint: Some("http://127.0.0.1:9".into()), ..S3Settings::default() };
    let keys = Credentials::new("id", SECRET, None, None, "test");
    let server = Server::find_as(&settings, Some(keys)).await.unwrap();
    let start = Instant::now();
    let error = S3::on(server, Location::parse("s3://b").unwrap()).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert_eq!(error.kind(), Kind::Transient, "{text}");
    assert!(text.contains("http://127.0.0.1:9") && !text.contains(SECRET), "{text}");
    assert!(start.elapsed() < Duration::from_secs(70), "took {:?}", start.elapsed());
}

#[tokio::test]
async fn an_endpoint_with_a_password_is_refused_and_not_repeated() {
    let endpoint = Some(format!("http://user:{SECRET}@127.0.0.1:9"));
    let settings = S3Settings { endpoint, ..S3Settings::default() };
    let error = S3::open("s3://b", &settings).await.unwrap_err();
    let text = format!("{error} {error:?} {settings:?}");
    assert_eq!(error.kind(), Kind::Permanent, "{text}");
    assert!(!text.contains(SECRET), "{text}");
}

/// A proxy to the server of a test that gives some answers a turn: `fault` hears which
/// connection it is and what the server sent, and gives what is sent instead before the
/// connection is closed.
async fn behind(s3: &TestS3, fault: fn(usize, &[u8]) -> Option<Vec<u8>>) -> Option<Server> {
    let variable =
        |name: &str| s3.env().iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let server = variable("AWS_ENDPOINT_URL_S3")?.replace("http://", "");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Some(format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(proxy(listener, server, fault));
    let (id, secret) = (variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?);
    let settings = S3Settings { endpoint, ..S3Settings::default() };
    let keys = Credentials::new(id, secret, None, None, "test");
    Some(Server::find_as(&settings, Some(keys)).await.unwrap())
}

async fn proxy(listener: TcpListener, server: String, fault: fn(usize, &[u8]) -> Option<Vec<u8>>) {
    for number in 0.. {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(&server).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
        tokio::spawn(async move {
            let mut bytes = vec![0; 1 << 16];
            while let Ok(n @ 1..) = from_server.read(&mut bytes).await {
                if let Some(instead) = fault(number, &bytes[..n]) {
                    return to_client.write_all(&instead).await.unwrap();
                }
                to_client.write_all(&bytes[..n]).await.unwrap();
            }
        });
    }
}

/// An answer without a body.
fn answer(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_overwrites_is_refused() {
    let s3 = TestS3::start().await;
    // What the server refuses is answered as done: so a server looks that ignores the
    // condition. (If the header were taken out, the signature would not hold.)
    let ignoring =
        behind(&s3, |_, sent| sent.starts_with(b"HTTP/1.1 412 ").then(|| answer("200 OK")));
    let Some(server) = ignoring.await else { return };
    let error = S3::on(server, Location::parse("s3://voxage/p").unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Permanent, "{error}");
    assert!(error.to_string().contains("If-None-Match"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_lost_cut_or_say_later_are_asked_for_again() {
    let s3 = TestS3::start().await;
    let store = s3.store("store").await.unwrap();
    let large = Bytes::from(vec![7; 9 << 20]);
    store.put_new("large", large.clone()).await.unwrap();
    let through = async |fault| {
        let server = behind(&s3, fault).await?;
        Some(S3 { server, place: store.place.clone() })
    };
    let Some(losing) = through(|number, _| (number < 1).then(Vec::new)).await else { return };
    // The put was done, which its sender cannot know.
    assert_eq!(losing.put_new("lost", Bytes::from_static(b"x")).await.unwrap(), Put::Exists);
    assert_eq!(store.get("lost").await.unwrap(), "x");
    let cutting = through(|number, sent| (number < 3).then(|| sent[..sent.len() / 2].to_vec()));
    assert!(cutting.await.unwrap().get("large").await.unwrap() == large);
    let busy = through(|number, _| (number < 3).then(|| answer("503 Slow Down"))).await.unwrap();
    assert_eq!(busy.head("large").await.unwrap().size, 9 << 20);
    let conflict = through(|number, _| (number < 2).then(|| answer("409 Conflict")));
    let conflict = conflict.await.unwrap().put_new("conflict", Bytes::new()).await.unwrap();
    assert_eq!(conflict, Put::Exists);
}
