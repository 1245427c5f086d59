//! The law of the shard: what is written is read back equal.

use bytes::Bytes;
use proptest::prelude::*;
use voxage_contract::spec::EMBEDDING_UNITS;
use voxage_contract::{
    AudioInfo, Embedding, FeatureSpec, Features, Gender, Mel, MelStorage, N_MELS, Recording,
    Reject, Split, Warning,
};

use crate::{Columns, Footer, Row, Shard, encode};

fn recording() -> impl Strategy<Value = Recording> {
    let text = "[a-zA-Zé0-9 \"\\\\,]{1,12}";
    (
        (text, text, any::<Option<u64>>(), prop::option::of(1.0..120.0)),
        (0..3i32, 0..4i32, "[a-z]{0,4}", prop::collection::btree_map(text, text, 0..3)),
        prop::option::of(-1e6..1e6),
        prop::bool::ANY,
    )
        .prop_map(
            |((id, path, size, age), (gender, split, speaker, metadata), jitter, odd)| Recording {
                id,
                path,
                size_bytes: size,
                etag: size.map_or_else(String::new, |size| size.to_string()),
                age_years: age,
                gender: Gender::try_from(gender).unwrap().into(),
                split: Split::try_from(split).unwrap().into(),
                speaker,
                metadata,
                given: jitter.map(|value| ("jitter".to_owned(), value)).into_iter().collect(),
                reject: None,
                warnings: if odd { vec!["unknown_gender".into()] } else { vec![] },
            },
        )
}

fn row(storage: MelStorage) -> impl Strategy<Value = Row> {
    let columns = FeatureSpec::default().columns().count();
    let features = (
        prop::collection::vec(prop::option::of(-1e6..1e6), columns),
        prop::collection::vec(-80.0f32..0.0, 0..3 * N_MELS),
        prop::option::of(prop::collection::vec(-1.0f32..1.0, EMBEDDING_UNITS)),
        prop::bool::ANY,
    );
    (recording(), prop::option::weighted(0.8, features)).prop_map(move |(recording, features)| {
        let outcome = features
            .map(|(mut tabular, db, embedding, short)| {
                for (value, column) in tabular.iter_mut().zip(FeatureSpec::default().columns()) {
                    *value = recording.given.get(column.name).copied().or(*value);
                }
                Features {
                    audio: AudioInfo {
                        codec: "mp3".into(),
                        sample_rate_hz: 16_000,
                        channels: 1,
                        duration_s: 0.5,
                        mix: "left".into(),
                        sha256: "ab".repeat(32),
                    },
                    mel: Mel::encode(&db[..db.len() / N_MELS * N_MELS], storage),
                    tabular,
                    embedding,
                    warnings: if short { vec![Warning::TooShort] } else { vec![] },
                }
            })
            .ok_or_else(|| Reject::new("decode", "corrupt", "no, \"really\""));
        Row { recording, outcome }
    })
}

fn shard() -> impl Strategy<Value = (FeatureSpec, Vec<Row>)> {
    prop::sample::select(vec![MelStorage::U8, MelStorage::F16, MelStorage::F32]).prop_flat_map(
        |storage| {
            let mut spec = FeatureSpec::default();
            spec.mel.storage = storage;
            spec.embedding = Embedding::Resemblyzer;
            (Just(spec), prop::collection::vec(row(storage), 1..100))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_is_written_is_read_back_equal((spec, rows) in shard()) {
        let bytes = encode("s1", &spec, &rows).unwrap();
        let shard = Shard::open(bytes.clone()).unwrap();
        shard.verify().unwrap();
        let read: Vec<Row> = shard.rows(Columns::All).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(&read, &rows);

        let table: Vec<Row> = shard.rows(Columns::Table).unwrap().map(Result::unwrap).collect();
        for (table, row) in table.iter().zip(&rows) {
            prop_assert_eq!(&table.recording, &row.recording);
            prop_assert_eq!(table.status(), row.status());
        }

        let footer = shard.footer();
        prop_assert_eq!(footer.rows + footer.rejects, rows.len() as u64);
        prop_assert_eq!(&footer.spec, &spec);
        prop_assert_eq!(&Footer::of("s1", &spec, &read), footer);
    }
}

#[test]
fn the_footer_is_read_from_the_tail() {
    let rows = [Row { recording: Recording::default(), outcome: Err(Reject::default()) }];
    let bytes = encode("s1", &FeatureSpec::default(), &rows).unwrap();
    let size = bytes.len() as u64;
    let needed = Footer::from_tail(&bytes.slice(bytes.len() - 8..), size).unwrap().unwrap_err();
    let tail = bytes.slice(bytes.len() - needed as usize..);
    let footer = Footer::from_tail(&tail, size).unwrap().unwrap();
    assert_eq!((footer.shard.as_str(), footer.rejects), ("s1", 1));
}

#[test]
fn an_altered_row_is_found() {
    let row = |db: f32| {
        let features = Features {
            audio: AudioInfo::default(),
            mel: Mel::encode(&[db; N_MELS], MelStorage::F32),
            tabular: vec![None; FeatureSpec::default().columns().count()],
            embedding: None,
            warnings: vec![],
        };
        Row { recording: Recording::default(), outcome: Ok(features) }
    };
    let mut spec = FeatureSpec::default();
    spec.mel.storage = MelStorage::F32;
    let digest = |bytes: &Bytes| Shard::open(bytes.clone()).unwrap().footer().digest.clone();
    let (bytes, other) =
        (encode("s", &spec, &[row(-1.0)]).unwrap(), encode("s", &spec, &[row(-2.0)]).unwrap());
    let mut altered = bytes.to_vec();
    let (old, new) = (digest(&bytes), digest(&other));
    let at = altered.windows(old.len()).position(|part| part == old.as_bytes()).unwrap();
    altered[at..at + old.len()].copy_from_slice(new.as_bytes());
    let altered = Shard::open(altered.into()).unwrap();
    assert!(matches!(altered.verify(), Err(crate::Error::Altered)));
}

#[test]
fn what_is_no_shard_is_refused() {
    assert!(Shard::open(Bytes::from_static(b"PAR1 nothing PAR1")).is_err());
    assert!(Shard::open(Bytes::new()).is_err());
}
