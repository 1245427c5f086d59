//! A training starts where it should, learns, and goes on as it would have.

use super::*;
use crate::inputs::Tensors;
use crate::nets::backbone;
use crate::scaler::Input;
use tch::nn::VarStore;
use voxage_contract::training::{Architecture, Augment, Device as Wanted, Loss, Target};

const TRAINING: Training = Training { rows: 64, mean_age: 40.0, year_weights: Vec::new() };
const OPTIONS: (Kind, Device) = (Kind::Float, Device::Cpu);

fn session(settings: &TrainSettings) -> Session {
    let inputs = vec![Input::default(); 2];
    let scaler = Scaler { mel_max_db: 1.0, inputs, embedding: 3, ..Scaler::default() };
    Session::new(settings, scaler, TRAINING).unwrap()
}

fn batch() -> Fed {
    let images = Tensor::rand([4, 1, 128, 128], OPTIONS);
    let valid = Tensor::from_slice(&[128_i64, 90, 3, 128]);
    let inputs = Tensors { images, valid, tables: Tensor::rand([4, 5], OPTIONS) };
    Fed { inputs, targets: Tensor::from_slice(&[30.0_f32, 40.0, 50.0, 60.0]) }
}

#[test]
fn a_published_checkpoint_is_where_a_training_starts() {
    let architecture = Architecture::EfficientNetB0;
    let settings = TrainSettings { architecture, ema: 0.9, ..TrainSettings::default() };
    let published = VarStore::new(Device::Cpu);
    let _network = backbone(&published.root(), 3, &settings).unwrap();
    let published = published.variables();
    let named = published.iter().map(|(name, weight)| (name.clone(), weight));
    let bytes = pack(named, None).unwrap();
    let mut session = session(&settings);
    session.start_from("b0", &bytes).unwrap();
    let stem = published["conv_stem.weight"].sum_dim_intlist(1, true, Kind::Float);
    let check = |network: &Network| {
        let weights = network.weights.variables();
        assert_eq!(weights["backbone.conv_stem.weight"], stem);
        let name = "blocks.2.0.conv_pw.weight";
        assert_eq!(weights[&format!("backbone.{name}")], published[name]);
        Ok(())
    };
    check(&session.network).unwrap();
    session.with_kept(check).unwrap();
    check(&session.into_best()).unwrap();
}

#[test]
fn every_kind_of_network_learns_a_batch_by_heart() {
    for (architecture, loss) in [
        (Architecture::SeedCnnMlp, Loss::Mse),
        (Architecture::SeedCnnMlp, Loss::Huber),
        (Architecture::SeedCnnMlp, Loss::MeanVariance),
        (Architecture::SeedCnnMlp, Loss::Ordinal),
        (Architecture::SeResNet, Loss::Mse),
        (Architecture::Ecapa, Loss::Mse),
        (Architecture::EfficientNetB0, Loss::Mse),
    ] {
        let settings = TrainSettings {
            architecture,
            loss,
            target: Target::Age,
            dropout: 0.0,
            schedule: Schedule::Constant,
            learning_rate: 2e-3,
            ..TrainSettings::default()
        };
        let (mut session, batch) = (session(&settings), batch());
        let mut losses = Vec::new();
        for _ in 0..20 {
            session.step(&batch).unwrap();
            losses.extend(session.take_window_loss());
        }
        let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
        assert!(least < 0.85 * losses[0], "{architecture:?} {loss:?} {losses:?}");
    }
}

#[test]
fn on_a_gpu_a_step_as_a_whole_is_that_layer_by_layer() {
    if !tch::Cuda::is_available() {
        eprintln!("skipped: there is no GPU");
        return;
    }
    let augment =
        Augment { masks: 1, band_mask: 8, noise_db: 0.1, mixup: 0.4, ..Default::default() };
    for (architecture, learning_rate) in [
        (Architecture::SeedCnnMlp, 3e-4),
        (Architecture::SeedCnnMlp, 0.0),
        (Architecture::SeResNet, 3e-4),
        (Architecture::Ecapa, 0.0),
    ] {
        let (device, target, ema) = (Wanted::Cuda, Target::Age, 0.9);
        let settings = TrainSettings {
            architecture,
            augment: augment.clone(),
            device,
            target,
            ema,
            learning_rate,
            batch_size: 4,
            ..Default::default()
        };
        let losses = |layers| {
            let mut session = session(&settings);
            session.launch = Launch::Layers(layers);
            let here = |tensor: &Tensor| tensor.to_device(Device::Cuda(0));
            tch::manual_seed(3);
            let Fed { inputs: Tensors { images, valid, tables }, targets } = batch();
            let inputs =
                Tensors { images: here(&images), valid: here(&valid), tables: here(&tables) };
            let batch = Fed { inputs, targets: here(&targets) };
            let step = |_| {
                session.step(&batch).unwrap();
                session.take_window_loss().unwrap()
            };
            (0..12).map(step).collect::<Vec<_>>()
        };
        let (whole, layers) = (losses(1), losses(100));
        let near = |(a, b): (&f64, &f64)| (a - b).abs() < 0.01 * b;
        assert!(whole.iter().zip(&layers).all(near), "{architecture:?} {whole:?} {layers:?}");
        // Each step draws anew: with weights that stay, nothing else changes.
        assert!(whole[10] != whole[11]);
    }
}

#[test]
fn the_step_size_rises_before_it_falls() {
    let settings = TrainSettings {
        architecture: Architecture::SeResNet,
        warmup_steps: 4,
        learning_rate: 1.0,
        epochs: 2,
        ..TrainSettings::default()
    };
    let mut session = session(&settings);
    let mut rates = Vec::new();
    for _ in 0..6 {
        rates.push(session.learning_rate());
        session.position.step += 1;
    }
    assert_eq!(rates, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
    session.position.sample = TRAINING.rows;
    assert!((session.learning_rate() - 0.5).abs() < 1e-12);
}

#[test]
fn a_training_that_goes_on_draws_the_same_changes() {
    let augment = Augment {
        time_mask: 9,
        band_mask: 9,
        gain_db: 0.1,
        noise_db: 0.1,
        shift: 9,
        mixup: 0.5,
        ..Augment::default()
    };
    let settings = TrainSettings {
        architecture: Architecture::SeResNet,
        drop_path: 0.5,
        ema: 0.5,
        augment,
        ..TrainSettings::default()
    };
    let (mut whole, batch) = (session(&settings), batch());
    whole.step(&batch).unwrap();
    let mut taken_up = Session::unpack(&settings, "k", &whole.pack().unwrap()).unwrap();
    whole.step(&batch).unwrap();
    taken_up.step(&batch).unwrap();
    assert!(whole.pack().unwrap() == taken_up.pack().unwrap());
}

#[test]
fn a_training_starts_from_a_network_of_its_kind_alone() {
    let settings =
        TrainSettings { architecture: Architecture::SeResNet, ema: 0.5, ..Default::default() };
    let mut champion = session(&settings);
    champion.step(&batch()).unwrap();
    let champion = champion.network;
    let mut other = session(&TrainSettings { seed: 2, ..settings.clone() });
    assert!(other.start_like(&champion));
    let weights = |network: &Network| network.to_bytes().unwrap();
    assert!(weights(&other.network) == weights(&champion));
    assert!(other.with_kept(|kept| Ok(weights(kept) == weights(&champion))).unwrap());
    assert!(weights(&other.into_best()) == weights(&champion));
    for settings in [
        TrainSettings { target: Target::Age, ..settings.clone() },
        TrainSettings { head_units: 9, ..settings.clone() },
        TrainSettings { architecture: Architecture::Ecapa, ..settings },
    ] {
        let mut other = session(&settings);
        let before = weights(&other.network);
        assert!(!other.start_like(&champion));
        assert!(weights(&other.network) == before);
    }
}
