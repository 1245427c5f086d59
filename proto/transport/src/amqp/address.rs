//! Where a broker is. The URL holds a password, so it is shown without its user.

use std::fmt;

use lapin::uri::{AMQPScheme, AMQPUri};
use voxage_contract::Kind;

use crate::{Error, Result};

/// A silent connection is given up after twice this many seconds.
const HEARTBEAT_S: u16 = 15;

/// The longest wait for a TCP connection, in milliseconds.
const CONNECT_MS: u64 = 10_000;

/// The address of a broker.
#[derive(Clone)]
pub(crate) struct Address(AMQPUri);

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self> {
        // The parser's own words may repeat the URL, and with it the password.
        let mut uri: AMQPUri = url.parse().map_err(|_| Error::Queue {
            what: "read the queue's URL".into(),
            text: "it is not of the form amqp://user:password@host:5672/%2f (or amqps://): \
                   characters such as '/', '@' and ':' in a password must be percent-encoded"
                .into(),
            kind: Kind::Permanent,
        })?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        uri.query.connection_timeout.get_or_insert(CONNECT_MS);
        Ok(Self(uri))
    }

    pub(crate) fn uri(&self) -> AMQPUri {
        self.0.clone()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.0.scheme == AMQPScheme::AMQPS { "amqps" } else { "amqp" };
        let (authority, vhost) = (&self.0.authority, self.0.vhost.replace('/', "%2f"));
        write!(f, "{scheme}://{}:{}/{vhost}", authority.host, authority.port)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_shown_without_its_password() {
        let address = Address::parse("amqp://me:hunter2@broker:5673/%2f").unwrap();
        assert_eq!(address.to_string(), "amqp://broker:5673/%2f");
        assert_eq!(format!("{address:?}"), "amqp://broker:5673/%2f");
        let wrong = Address::parse("http://me:hunter2@broker").unwrap_err();
        assert!(!format!("{wrong} {wrong:?}").contains("hunter2"));
    }
}
