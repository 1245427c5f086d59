//! Published networks beside timm's own, with generated weights: `tests/oracle/timm_golden.py`
//! made what is expected.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde_json::Value;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use voxage_contract::training::{Architecture, TrainSettings};
use voxage_dataset::Rng;
use voxage_trainer::nets::{Backbone, backbone, load_pretrained};
use voxage_trainer::tensors::pack;

const FRAMES: i64 = 128;
const BANDS: i64 = 160;

struct Golden {
    architecture: Architecture,
    file: Value,
}

fn golden(architecture: Architecture) -> Golden {
    let path = format!("tests/golden/{}.json", architecture.name());
    let file = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    Golden { architecture, file }
}

fn numbers<T>(value: &Value, number: impl Fn(&Value) -> Option<T>) -> Vec<T> {
    value.as_array().unwrap().iter().map(|each| number(each).unwrap()).collect()
}

/// Numbers from -1 to below 1 that follow from a name (FNV-1a).
fn uniform(name: &str, shape: &[i64]) -> Tensor {
    let byte = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
    let mut rng = Rng::new(&[name.bytes().fold(0xCBF2_9CE4_8422_2325, byte)]);
    let n = shape.iter().product::<i64>();
    let number = |_| (rng.next() >> 40) as f32 / (1 << 23) as f32 - 1.0;
    Tensor::from_slice(&(0..n).map(number).collect::<Vec<_>>()).view(shape)
}

/// A tensor that follows from its name and shape.
fn generated(name: &str, shape: &[i64], gain: f64) -> Tensor {
    let numbers = uniform(name, shape);
    match name.rsplit('.').next().unwrap() {
        "running_var" => numbers * 0.5 + 1.0,
        "gain" | "skipinit_gain" => numbers * 0.1 + 1.0,
        "weight" if shape.len() == 1 => numbers * 0.1 + 1.0,
        "weight" => numbers * (gain / shape[1..].iter().product::<i64>() as f64).sqrt(),
        _ => numbers * 0.1,
    }
}

/// Noise, in the first image along rising frames, in the second, fainter, along bands.
fn images(channels: i64) -> Tensor {
    let rising = |n: i64| Tensor::arange(n, (Kind::Float, Device::Cpu)) / n;
    let noise = uniform("images", &[2, channels, FRAMES, BANDS]);
    let first = noise.get(0) + rising(FRAMES).unsqueeze(1);
    Tensor::stack(&[first, (noise.get(1) + rising(BANDS)) * 0.5], 0)
}

impl Golden {
    fn shapes(&self) -> BTreeMap<String, Vec<i64>> {
        let tensors = self.file["tensors"].as_object().unwrap().iter();
        tensors.map(|(name, shape)| (name.clone(), numbers(shape, Value::as_i64))).collect()
    }

    fn checkpoint(&self) -> BTreeMap<String, Tensor> {
        let gain = self.file["gain"].as_f64().unwrap();
        let made = |(name, shape): (String, Vec<i64>)| {
            let tensor = generated(&name, &shape, gain);
            (name, tensor)
        };
        self.shapes().into_iter().map(made).collect()
    }

    fn network(&self, channels: i64) -> (VarStore, Box<dyn Backbone>) {
        let settings =
            TrainSettings { architecture: self.architecture, ..TrainSettings::default() };
        let weights = VarStore::new(Device::Cpu);
        let network = backbone(&weights.root(), channels, &settings).unwrap();
        (weights, network)
    }
}

fn file(checkpoint: &BTreeMap<String, Tensor>) -> Vec<u8> {
    pack(checkpoint.iter().map(|(name, tensor)| (name.clone(), tensor)), None).unwrap()
}

/// A checkpoint is timm's by names and shapes, and gives timm's features, of three channels
/// and of one.
fn agrees(architecture: Architecture) {
    let golden = golden(architecture);
    let bytes = file(&golden.checkpoint());
    let classifier = format!("{}.", golden.file["classifier"].as_str().unwrap());
    let mut expected_shapes = golden.shapes();
    expected_shapes.retain(|name, _| !name.starts_with(&classifier));
    for channels in [3, 1] {
        let (weights, network) = golden.network(channels);
        if channels == 3 {
            let shapes: BTreeMap<_, _> =
                weights.variables().into_iter().map(|(name, w)| (name, w.size())).collect();
            assert_eq!(shapes, expected_shapes);
        }
        load_pretrained("published", &bytes, architecture, &weights, "").unwrap();
        let valid = Tensor::from_slice(&[FRAMES; 2]);
        let found = tch::no_grad(|| network.forward(&images(channels), &valid, false));
        assert_eq!(found.size(), [2, network.width()]);
        let expected = &golden.file["features"][channels.to_string()];
        for (i, expected) in expected.as_array().unwrap().iter().enumerate() {
            let expected = numbers(expected, Value::as_f64);
            let kept = expected.len() as i64;
            let every = network.width() / kept;
            let largest = expected.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
            for (j, expected) in expected.iter().enumerate() {
                let found = found.double_value(&[i as i64, j as i64 * every]);
                let error = (found - expected).abs() / largest;
                assert!(error < 1e-4, "{channels} channels, {i} {j}: {found} {expected}");
            }
        }
    }
}

#[test]
fn efficientnet_b0_is_timms() {
    agrees(Architecture::EfficientNetB0);
}

#[test]
fn efficientnet_b1_is_timms() {
    agrees(Architecture::EfficientNetB1);
}

#[test]
fn efficientnet_b2_is_timms() {
    agrees(Architecture::EfficientNetB2);
}

#[test]
fn efficientnet_b3_is_timms() {
    agrees(Architecture::EfficientNetB3);
}

#[test]
fn se_resnext50_is_timms() {
    agrees(Architecture::SeResNext50);
}

#[test]
fn nfnet_f0_is_timms() {
    agrees(Architecture::NfNetF0);
}

#[test]
fn a_checkpoint_of_something_else_is_refused() {
    let golden = golden(Architecture::EfficientNetB0);
    let (weights, _network) = golden.network(1);
    let refused = |architecture, change: &dyn Fn(&mut BTreeMap<String, Tensor>)| {
        let mut checkpoint = golden.checkpoint();
        change(&mut checkpoint);
        let loaded = load_pretrained("b0", &file(&checkpoint), architecture, &weights, "");
        loaded.unwrap_err().to_string()
    };
    let b0 = Architecture::EfficientNetB0;
    let missing = refused(b0, &|all| drop(all.remove("blocks.3.1.bn2.bias")));
    assert!(missing.contains("b0: it has no tensor blocks.3.1.bn2.bias"), "{missing}");
    let shape = refused(b0, &|all| {
        all.insert("bn1.bias".into(), Tensor::zeros([7], (Kind::Float, Device::Cpu)));
    });
    assert!(shape.contains("tensor bn1.bias is F32 [7] and not F32 [32]"), "{shape}");
    let more = refused(b0, &|all| {
        all.insert("blocks.9".into(), Tensor::zeros([1], (Kind::Float, Device::Cpu)));
    });
    assert!(more.contains("tensor blocks.9 has no place"), "{more}");
    assert!(more.contains("takes a checkpoint of timm's efficientnet_b0"), "{more}");
    let none = refused(Architecture::Ecapa, &|_| ());
    assert!(none.contains("ecapa has no checkpoints"), "{none}");
}
