//! The law of the shard: what is written is read back equal.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use proptest::prelude::*;
use voxage_contract::spec::EMBEDDING_UNITS;
use voxage_contract::{
    AudioInfo, Embedding, FeatureSpec, Features, Gender, Mel, MelStorage, MelView, N_MELS,
    Recording, Reject, Split, Warning,
};

use crate::encode::write;
use crate::{Columns, Footer, Mels, Row, Sample, Shard, encode};

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

/// What a sample says of its row must be what the row says.
fn agrees(sample: &Sample, row: &Row) {
    let (recording, features) = (&row.recording, row.outcome.as_ref().unwrap());
    assert_eq!((sample.id(), sample.speaker()), (&*recording.id, &*recording.speaker));
    assert_eq!(sample.group(), recording.group());
    assert_eq!(sample.age_years(), recording.age_years);
    assert_eq!((sample.gender(), sample.split()), (recording.gender(), recording.split()));
    assert_eq!(sample.tabular().collect::<Vec<_>>(), features.tabular);
    assert_eq!(sample.embedding(), features.embedding.as_deref());
    let mel = sample.mel();
    let same = MelView { bytes: features.mel.view().bytes, ..mel };
    assert_eq!(same, features.mel.view());
}

/// How shards were laid out at first: small row groups, pages of several spectrograms.
fn first_layout() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_compression(Compression::LZ4_RAW)
        .set_max_row_group_row_count(Some(64))
        .set_write_batch_size(8)
        .set_column_dictionary_enabled("mel".into(), false)
        .set_column_statistics_enabled("mel".into(), EnabledStatistics::None)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn samples_are_those_of_the_rows_in_every_layout(
        (spec, rows) in shard(),
        layout in 0..3,
        every in 1..4usize,
    ) {
        let bytes = match layout {
            0 => encode("s1", &spec, &rows),
            1 => write("s1", &spec, &rows, first_layout()),
            _ => write("s1", &spec, &rows, first_layout().set_offset_index_disabled(true)),
        };
        let shard = Shard::open(bytes.unwrap()).unwrap();
        shard.verify().unwrap();
        let columns = rows.iter().flat_map(|row| row.recording.metadata.keys());
        let column = columns.map(String::as_str).next().unwrap_or("gender");
        let table = Arc::new(shard.samples(Some(column)).unwrap());
        prop_assert_eq!(table.len(), rows.len());
        let good: Vec<_> = (0..rows.len()).filter(|&i| table.is_good(i)).collect();
        prop_assert_eq!(&good, &(0..rows.len()).filter(|&i| rows[i].outcome.is_ok()).collect::<Vec<_>>());
        let some: Vec<_> = good.into_iter().step_by(every).collect();
        let mels = Mels::find(&shard, &table, &some).unwrap();
        let mut scratch = BytesMut::new();
        for (place, &i) in some.iter().enumerate() {
            let sample = table.sample_with(i, &mels, place, &mut scratch).unwrap();
            agrees(&sample, &rows[i]);
            prop_assert_eq!(sample.value(), rows[i].recording.value(column));
            prop_assert_eq!(sample.mel().bytes, &rows[i].outcome.as_ref().unwrap().mel.bytes[..]);
        }
    }

    #[test]
    fn a_table_is_read_from_its_ranges_alone((spec, rows) in shard()) {
        let bytes = encode("s1", &spec, &rows).unwrap();
        let size = bytes.len() as u64;
        let tail = |n: u64| bytes.slice((size - n) as usize..);
        let needed = Shard::open_tail(&tail(8), size).unwrap().unwrap_err();
        let shard = Shard::open_tail(&tail(needed), size).unwrap().unwrap();
        prop_assert!(shard.samples(None).is_err());
        let ranges = shard.table_ranges();
        prop_assert_eq!(ranges.len(), 1);
        let part = |range: &Range<u64>| {
            (range.start, bytes.slice(range.start as usize..range.end as usize))
        };
        let shard = shard.with_parts(ranges.iter().map(part).collect());
        let table = Arc::new(shard.samples(None).unwrap());
        for (i, row) in rows.iter().enumerate().filter(|(_, row)| row.outcome.is_ok()) {
            agrees(&table.sample(i), row);
        }
        let good: Vec<_> = (0..rows.len()).filter(|&i| table.is_good(i)).collect();
        // Where spectrograms are is not known then.
        prop_assert!(good.is_empty() || Mels::find(&shard, &table, &good).is_err());
    }
}

#[test]
fn a_spectrogram_is_a_page() {
    let features = |n: usize| Features {
        audio: AudioInfo::default(),
        mel: Mel::encode(&vec![-1.0; n * N_MELS], MelStorage::U8),
        tabular: vec![None; FeatureSpec::default().columns().count()],
        embedding: None,
        warnings: vec![],
    };
    let row = |n| Row { recording: Recording::default(), outcome: Ok(features(n)) };
    let rows: Vec<_> = (1..=300).map(row).collect();
    let shard = Shard::open(encode("s1", &FeatureSpec::default(), &rows).unwrap()).unwrap();
    let metadata = shard.metadata.metadata();
    assert_eq!(metadata.num_row_groups(), 1);
    let pages = metadata.offset_index().unwrap()[0].last().unwrap();
    assert_eq!(pages.page_locations().len(), 300);
}

#[test]
fn the_footer_is_read_from_the_tail() {
    let rows = [Row { recording: Recording::default(), outcome: Err(Reject::default()) }];
    let bytes = encode("s1", &FeatureSpec::default(), &rows).unwrap();
    let size = bytes.len() as u64;
    let needed = Shard::open_tail(&bytes.slice(bytes.len() - 8..), size).unwrap().unwrap_err();
    let tail = bytes.slice(bytes.len() - needed as usize..);
    let shard = Shard::open_tail(&tail, size).unwrap().unwrap();
    let footer = shard.footer();
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
