//! Real servers for tests, each on the loopback, in a folder of its own, gone when dropped.

mod rabbitmq;

pub use rabbitmq::RabbitMq;
