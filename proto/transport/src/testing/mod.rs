//! Real servers for tests, each on the loopback, in a folder of its own, gone when dropped.

mod rabbitmq;
mod s3;

pub use rabbitmq::RabbitMq;
pub use s3::*;
