//! Embeddings of synthetic voices against what PyTorch and librosa give for them.

mod common;

use std::collections::BTreeMap;

use common::{embedding_voices, weights};
use serde::Deserialize;
use voxage_extract::Encoder;

#[derive(Deserialize)]
struct Golden {
    voices: BTreeMap<String, Voice>,
}

#[derive(Deserialize)]
struct Voice {
    embedding: Vec<f32>,
}

#[test]
fn embeddings_are_those_of_pytorch() {
    let Some(weights) = weights() else { return };
    let golden: Golden =
        serde_json::from_str(include_str!("golden/embedding.json")).expect("it is JSON");
    let mut encoder = Encoder::new(weights);
    assert_eq!(encoder.finish(), None);
    for voice in embedding_voices() {
        for block in voice.channels[0].chunks(1_000) {
            encoder.push(block);
        }
        let found = encoder.finish().expect("there is a voice");
        let expected = &golden.voices[voice.name].embedding;
        let cosine: f32 = found.iter().zip(expected).map(|(a, b)| a * b).sum();
        let pairs = found.iter().zip(expected);
        let difference = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        eprintln!(
            "{}: 1 - cosine {:e}, greatest difference {difference:e}",
            voice.name,
            1.0 - cosine
        );
        assert!(cosine > 0.999_99, "{}: {cosine}", voice.name);
        assert!(difference < 1e-4, "{}: {difference}", voice.name);
    }
}

#[test]
fn no_samples_make_it_panic() {
    let Some(weights) = weights() else { return };
    let mut encoder = Encoder::new(weights);
    for samples in [[0.0; 300], [f32::NAN; 300], [f32::INFINITY; 300], [f32::MAX; 300]] {
        encoder.push(&samples);
        if let Some(embedding) = encoder.finish() {
            let norm: f32 = embedding.iter().map(|x| x * x).sum();
            assert!((norm - 1.0).abs() < 1e-5, "{norm}");
        }
    }
}
