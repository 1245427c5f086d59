//! The compact networks do not see padding; all can be trained.

use super::layers::drop_path;
use super::*;
use tch::nn::VarStore;
use tch::{Device, Kind};

const OPTIONS: (Kind, Device) = (Kind::Float, Device::Cpu);
const COMPACT: [Architecture; 2] = [Architecture::SeResNet, Architecture::Ecapa];

fn network(architecture: Architecture) -> (VarStore, Box<dyn Backbone>) {
    tch::manual_seed(7);
    let settings = TrainSettings { architecture, ..TrainSettings::default() };
    let weights = VarStore::new(Device::Cpu);
    let network = backbone(&weights.root(), 1, &settings).unwrap();
    (weights, network)
}

fn features(network: &dyn Backbone, images: &Tensor, valid: i64) -> Tensor {
    let valid = Tensor::full([images.size()[0]], valid, (Kind::Int64, Device::Cpu));
    tch::no_grad(|| network.forward(images, &valid, false))
}

fn largest(x: &Tensor) -> f64 {
    x.abs().max().double_value(&[])
}

#[test]
fn compact_networks_do_not_see_what_is_beyond_a_recording() {
    for architecture in COMPACT {
        let (weights, network) = network(architecture);
        // A norm at zero would hide what its block sees.
        for (name, mut weight) in weights.variables() {
            if name.ends_with("norm2.weight") {
                let _ = tch::no_grad(|| weight.fill_(0.5));
            }
        }
        for n in [1, 37, 64] {
            let short = Tensor::randn([2, 1, 64, 128], OPTIONS);
            let real = short.narrow(2, 0, n);
            let noise = Tensor::randn([2, 1, 150 - n, 128], OPTIONS) * 5.0;
            let long = Tensor::cat(&[&real, &noise], 2);
            let (found, expected) = (features(&*network, &long, n), features(&*network, &short, n));
            assert_eq!(found.size(), [2, network.width()]);
            assert!(largest(&expected) > 0.01);
            let error = largest(&(&found - &expected)) / largest(&expected);
            assert!(error < 1e-5, "{architecture:?} {n}: {error}");
            let heard = features(&*network, &long, n + 1);
            assert!(largest(&(heard - &expected)) / largest(&expected) > 1e-3);
        }
    }
}

#[test]
fn compact_networks_are_compact_and_learn_from_the_shortest_recording() {
    for (architecture, most) in COMPACT.into_iter().zip([1_500_000, 2_500_000]) {
        let (weights, network) = network(architecture);
        let all = weights.trainable_variables();
        let n: usize = all.iter().map(Tensor::numel).sum();
        assert!((most / 3..most).contains(&n), "{architecture:?} {n}");
        let image = Tensor::randn([1, 1, 128, 128], OPTIONS);
        let valid = Tensor::from_slice(&[1_i64]);
        network.forward(&image, &valid, true).sum(Kind::Float).backward();
        assert!(all.iter().all(|weight| largest(&weight.grad()).is_finite()));
    }
}

#[test]
fn the_product_of_matrices_is_the_convolution() {
    let (images, weights) =
        (Tensor::randn([2, 1, 20, 12], OPTIONS), Tensor::randn([8, 1, 3, 3], OPTIONS));
    let expected = images.conv2d(&weights, None::<&Tensor>, 1, 1, 1, 1);
    let found = seed_cnn::of_one_channel(&weights, &images);
    assert_eq!(found.size(), expected.size());
    assert!(largest(&(found - expected)) < 1e-5);
}

#[test]
fn a_path_is_left_out_for_its_share_of_recordings_in_training_alone() {
    tch::manual_seed(1);
    let branch = Tensor::ones([2000, 3, 2, 2], OPTIONS);
    assert_eq!(drop_path(branch.shallow_clone(), 0.25, false), branch);
    let sums = drop_path(branch, 0.25, true).flatten(1, -1).sum_dim_intlist(1, false, Kind::Float);
    let kept = sums.gt(0.0);
    let share = kept.to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
    assert!((share - 0.75).abs() < 0.04, "{share}");
    // What is left stands for what is not: 12 / 0.75.
    assert!(largest(&(sums.masked_select(&kept) - 16.0)) < 1e-5);
}
