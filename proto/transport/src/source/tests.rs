//! Roots, paths, and what may be read below them.

use std::collections::BTreeSet;
use std::io::{Read as _, Seek as _, SeekFrom};

use futures::StreamExt as _;
use voxage_contract::Kind;

use super::*;
use crate::testing::TestS3;

#[test]
fn paths_stay_under_their_root() {
    let root = "file:///data/audio/";
    let check = |path: &str, expected: Option<&str>| {
        assert_eq!(relative(root, path).as_deref(), expected, "{path}");
    };
    check("a.wav", Some("a.wav"));
    check("./x//é ñ.WAV", Some("x/é ñ.WAV"));
    check("x/../a.wav", Some("a.wav"));
    check("/data/audio/a.wav", Some("a.wav"));
    check("/data/audiobook/a.wav", None);
    check("../audio/a.wav", Some("a.wav"));
    check(".", None);
    check("../a.wav", None);
    check("x/../../a.wav", None);
    check("/etc/passwd", None);
    check("", None);
    check(".", None);
    check("a\0b", None);
}

#[test]
fn keys_stay_under_their_root() {
    let root = "s3://bucket/audio/";
    let check = |path: &str, expected: Option<&str>| {
        assert_eq!(relative(root, path).as_deref(), expected, "{path}");
    };
    check("a.wav", Some("a.wav"));
    check("x/é ñ+%20.WAV", Some("x/é ñ+%20.WAV"));
    check("./x/../a.wav", Some("a.wav"));
    check("s3://bucket/audio/a.wav", Some("a.wav"));
    check("s3://bucket/audiobook/a.wav", None);
    check("s3://other/audio/a.wav", None);
    check("s3://bucket/audio/../a.wav", None);
    check("../audio/a.wav", None);
    check("x/../../a.wav", None);
    check("x//a.wav", None);
    check("/a.wav", None);
    check("a/", None);
    check("", None);
    check(".", None);
    check("a\0b", None);
    check(&"a".repeat(1006), Some(&"a".repeat(1006)));
    check(&"a".repeat(1007), None);
}

#[test]
fn roots_are_made_of_what_people_write() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().to_str().unwrap();
    assert_eq!(root(text).unwrap(), root_uri(folder.path()).unwrap());
    assert_eq!(root("s3://b/a").unwrap(), "s3://b/a/");
    for bad in ["https://user:hunter2@b/a", "s3://", "/nowhere/at/all"] {
        let text = root(bad).unwrap_err().to_string();
        assert!(!text.contains("hunter2"), "{text}");
    }
}

const LIMIT: u64 = 1 << 20;

/// What opening came to: the bytes, or the code of the reject.
async fn read(sources: &Sources, root: &str, path: &str, planned: Option<&Stat>) -> String {
    match sources.open(root, path, planned, LIMIT).await.unwrap() {
        Ok(audio) => io::read_to_string(audio).unwrap(),
        Err(reject) => reject.code,
    }
}

#[tokio::test]
async fn opening_files_obeys_the_root() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join("audio").join(name);
    std::fs::create_dir_all(file("c.wav")).unwrap();
    std::fs::write(file("a.wav"), b"abc").unwrap();
    std::fs::write(file("large.wav"), vec![0; LIMIT as usize + 1]).unwrap();
    std::fs::write(folder.path().join("outside.wav"), b"secret").unwrap();
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, file(name)).unwrap();
    link("loop.wav", "loop.wav");
    link("/dev/zero", "endless.wav");
    link("../outside.wav", "out.wav");
    link("a.wav", "in.wav");
    let root = root_uri(&file("")).unwrap();
    let planned = stat(&root, "a.wav").unwrap();
    let other = Stat { etag: "other".into(), ..planned.clone() };

    let below = Sources::below(&[root_uri(folder.path()).unwrap()]);
    for (sources, out) in [(Sources::any(), "secret"), (below, "unreadable_audio")] {
        for (path, planned, expected) in [
            ("a.wav", None, "abc"),
            ("a.wav", Some(&planned), "abc"),
            ("a.wav", Some(&other), "source_changed"),
            ("in.wav", None, "abc"),
            ("out.wav", None, out),
            ("../outside.wav", None, "unreadable_audio"),
            ("large.wav", None, "too_large"),
            ("b.wav", None, "missing_audio"),
            ("a.wav/b.wav", None, "missing_audio"),
            ("c.wav", None, "unreadable_audio"),
            ("loop.wav", None, "unreadable_audio"),
            ("endless.wav", None, "unreadable_audio"),
        ] {
            assert_eq!(read(&sources, &root, path, planned).await, expected, "{path}");
        }
        let paths = ["a.wav", "in.wav", "b.wav", "c.wav", "loop.wav", "out.wav"];
        let mut stats: Vec<_> = sources.stats(&root, &paths).await.unwrap().into_keys().collect();
        stats.sort_unstable();
        let seen: &[&str] =
            if out == "secret" { &["a.wav", "in.wav", "out.wav"] } else { &["a.wav", "in.wav"] };
        assert_eq!(stats, seen);
    }
}

#[tokio::test]
async fn a_root_that_is_not_mounted_is_the_world_s_fault() {
    let folder = tempfile::tempdir().unwrap();
    let root = format!("file://{}/", folder.path().display());
    let planned = Stat { size_bytes: 3, etag: "1-3".into() };
    let open = async |planned| Sources::any().open(&root, "a.wav", planned, 1000).await;
    let why = open(Some(&planned)).await.unwrap_err();
    assert!(why.kind() == Kind::Transient && why.to_string().contains("mounted"), "{why}");
    // Nobody ever saw it; or others are there.
    assert_eq!(open(None).await.unwrap().unwrap_err().code, "missing_audio");
    std::fs::write(folder.path().join("b.wav"), "b").unwrap();
    assert_eq!(open(Some(&planned)).await.unwrap().unwrap_err().code, "missing_audio");
}

#[tokio::test]
async fn roots_that_are_not_allowed_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "ab", "a/b"] {
        std::fs::create_dir_all(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("x.wav"), b"abc").unwrap();
    }
    let uri = |name: &str| format!("{}{name}", root_uri(folder.path()).unwrap());
    std::os::unix::fs::symlink("../ab", folder.path().join("a/link")).unwrap();
    let allowed = [uri("a"), "s3://bucket/a".to_owned()];
    let sources = Sources::below(&allowed);
    for root in [uri("a/"), uri("a/b/")] {
        assert_eq!(read(&sources, &root, "x.wav", None).await, "abc");
    }
    assert_eq!(read(&sources, &uri("a/link/"), "x.wav", None).await, "unreadable_audio");
    for root in [
        uri("ab/"),
        uri("a/../ab/"),
        uri("a/./"),
        uri("a//"),
        uri("a"),
        uri(""),
        "s3://bucket/".into(),
        "s3://bucket/ab/".into(),
        "s3://other/a/".into(),
    ] {
        let error = sources.open(&root, "x.wav", None, LIMIT).await.unwrap_err();
        assert!(matches!(error, Error::RootNotAllowed { .. }), "{root}: {error}");
        assert_eq!(error.kind(), Kind::Permanent);
        let text = error.to_string();
        assert!(text.contains("audio_roots") && text.contains(&allowed[1]), "{text}");
        assert!(sources.stats(&root, &["x.wav"]).await.is_err());
    }
    let stepping = sources.open("s3://bucket/a/../b/", "x.wav", None, LIMIT).await.unwrap_err();
    assert!(matches!(stepping, Error::BadUri { .. }), "{stepping}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_opened_as_they_were_planned() {
    let s3 = TestS3::start().await;
    let (root, sources) = (s3.uri("audio"), s3.sources(None));
    for (key, bytes) in [("a.wav", "abc"), ("x/é +%20.wav", "def"), ("empty.wav", "")] {
        s3.put("audio", key, bytes).await.unwrap();
    }
    s3.put("audio", "large.wav", vec![0; LIMIT as usize + 1]).await.unwrap();
    let paths = ["a.wav", "x/é +%20.wav", "empty.wav", "gone.wav", "none/gone.wav", "large.wav"];
    let stats = sources.stats(&root, &paths).await.unwrap();
    assert_eq!(stats.len(), 4);
    let planned = &stats["a.wav"];
    assert_eq!(planned.size_bytes, 3);
    let smaller = Stat { size_bytes: 2, ..planned.clone() };
    for (path, planned, expected) in [
        ("a.wav", None, "abc"),
        ("a.wav", Some(planned), "abc"),
        ("a.wav", Some(&smaller), "source_changed"),
        ("x/é +%20.wav", stats.get("x/é +%20.wav"), "def"),
        ("empty.wav", stats.get("empty.wav"), ""),
        ("gone.wav", None, "missing_audio"),
        ("gone.wav", Some(planned), "missing_audio"),
        ("large.wav", None, "too_large"),
        ("../a.wav", None, "unreadable_audio"),
        ("x/../a.wav", None, "unreadable_audio"),
    ] {
        assert_eq!(read(&sources, &root, path, planned).await, expected, "{path}");
    }
    s3.put("audio", "a.wav", "xyz").await.unwrap();
    assert_eq!(read(&sources, &root, "a.wav", Some(planned)).await, "source_changed");
    let again = sources.stats(&root, &["a.wav"]).await.unwrap();
    assert_eq!(read(&sources, &root, "a.wav", again.get("a.wav")).await, "xyz");

    let below = s3.sources(Some(&[s3.uri("audio")]));
    assert_eq!(read(&below, &s3.uri("audio/x"), "é +%20.wav", None).await, "def");
    let outside = below.open(&s3.uri("other"), "a.wav", None, LIMIT).await.unwrap_err();
    assert!(matches!(outside, Error::RootNotAllowed { .. }), "{outside}");
    let nowhere = sources.open("s3://nowhere/a/", "a.wav", None, LIMIT).await.unwrap_err();
    assert_eq!(nowhere.kind(), Kind::Permanent, "{nowhere}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_may_read_nothing_reject_nothing() {
    let s3 = TestS3::start().await;
    for (name, key) in [("shut", "a.wav"), ("shut", "b/c.wav"), ("open", "a.wav"), ("open", "b")] {
        s3.put(name, key, "abc").await.unwrap();
    }
    if !s3.deny(&["shut/*", "open/a.wav"]).await {
        eprintln!("SKIPPED: this server is not the test's own");
        return;
    }
    let sources = s3.sources(None);
    let stats = sources.stats(&s3.uri("shut"), &["a.wav"]).await.unwrap();
    for planned in [None, stats.get("a.wav")] {
        let error = sources.open(&s3.uri("shut"), "a.wav", planned, LIMIT).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Permanent);
        assert!(error.to_string().contains("s3:GetObject"), "{error}");
    }
    // One among others is its own fault.
    assert_eq!(read(&sources, &s3.uri("open"), "a.wav", None).await, "unreadable_audio");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_object_is_spooled() {
    let s3 = TestS3::start().await;
    let bytes: Vec<u8> = (0..(33u32 << 18)).flat_map(u32::to_le_bytes).collect();
    s3.put("audio", "large.wav", bytes.clone()).await.unwrap();
    let opened = s3.sources(None).open(&s3.uri("audio"), "large.wav", None, 64 << 20).await;
    let mut audio = opened.unwrap().unwrap();
    let mut found = Vec::new();
    audio.read_to_end(&mut found).unwrap();
    assert!(found == bytes, "a large object came back changed");
    audio.seek(SeekFrom::Start(4)).unwrap();
    let mut word = [0; 4];
    audio.read_exact(&mut word).unwrap();
    assert_eq!(word, [1, 0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_are_listed_whole_and_in_part() {
    let s3 = TestS3::start().await;
    let keys: Vec<_> = (0..40)
        .flat_map(|folder| (0..30).map(move |n| format!("{folder:02}/{n:02}.wav")))
        .chain(["a.wav", "a/x.wav", "a-b/x.wav", "a-b.wav", "b"].map(str::to_owned))
        .collect();
    let puts = futures::stream::iter(&keys);
    puts.for_each_concurrent(16, |key| async { s3.put("audio", key, "x").await.unwrap() }).await;
    let wanted: Vec<_> =
        keys.iter().map(String::as_str).step_by(3).chain(["a/", "0", "b/c"]).collect();
    let stats = s3.sources(None).stats(&s3.uri("audio"), &wanted).await.unwrap();
    let found: BTreeSet<_> = stats.keys().map(String::as_str).collect();
    assert_eq!(found, keys.iter().map(String::as_str).step_by(3).collect());
    for key in ["a.wav", "a/x.wav", "a-b/x.wav", "a-b.wav", "b"] {
        let stats = s3.sources(None).stats(&s3.uri("audio"), &[key]).await.unwrap();
        assert_eq!(stats.len(), 1, "{key}");
    }
}

#[test]
fn the_etag_follows_the_content() {
    let folder = tempfile::tempdir().unwrap();
    let (root, file) = (root_uri(folder.path()).unwrap(), folder.path().join("a"));
    std::fs::write(&file, b"one").unwrap();
    let first = stat(&root, "a").unwrap();
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(1);
    std::fs::write(&file, b"two").unwrap();
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(later).unwrap();
    assert_ne!(stat(&root, "a").unwrap(), first);
}
