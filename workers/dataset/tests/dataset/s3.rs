//! The same from a real S3 server, with a cache and without.

use std::sync::Arc;

use tokio::runtime::Runtime;
use voxage_contract::Split;
use voxage_dataset::{Cache, Columns, Order, Pass};
use voxage_transport::testing::TestS3;

use crate::house::{House, PASS, pass};

#[test]
fn a_data_set_in_s3_is_the_same_as_in_a_directory() {
    let runtime = Runtime::new().unwrap();
    let s3 = runtime.block_on(TestS3::start());
    let store = Arc::new(runtime.block_on(s3.store("root")).unwrap());
    let far = House::on(runtime, store);
    far.fill(20, |_| Split::Unspecified);
    let near = House::new(20, |_| Split::Unspecified);
    let cache = Cache::open(far.folder.path(), 100 << 20).unwrap();
    let datasets = [far.open(), far.try_open(Some(cache)).unwrap()];
    let expected = near.open();
    for split in [Split::Train, Split::Validation, Split::Test] {
        for columns in [Columns::All, Columns::Table] {
            for epoch in 0..2 {
                let of = Pass { split, columns, order: Order::Shuffled { seed: 1, epoch }, ..PASS };
                for dataset in &datasets {
                    assert_eq!(pass(dataset, of), pass(&expected, of));
                }
            }
        }
    }
}
