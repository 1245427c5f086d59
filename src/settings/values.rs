//! Values as people write them: from text, and back without secrets.
//!
//! Always holds: a number that cannot be is answered with those that can.
//! It does not know settings.

use toml::Value;

/// Text from a flag or variable as a value of the default's type.
pub(super) fn parse(text: &str, default: &Value) -> Result<Value, String> {
    Ok(match default {
        Value::Integer(_) => Value::Integer(whole(text)?),
        Value::Float(_) => {
            Value::Float(text.parse().map_err(|_| format!("'{text}' is not a number"))?)
        }
        Value::Array(items) => {
            let item = items.first().cloned().unwrap_or_else(|| Value::String(String::new()));
            let parts: Vec<_> =
                text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
            if parts.len() > 1 && parts.contains(&"none") {
                return Err(format!("'{text}': none stands alone; leave it out, or the rest"));
            }
            let parts = parts.into_iter().filter(|part| *part != "none");
            Value::Array(parts.map(|part| parse(part, &item)).collect::<Result<_, _>>()?)
        }
        _ => Value::String(text.to_owned()),
    })
}

fn whole(text: &str) -> Result<i64, String> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    match text.parse::<i64>() {
        Ok(n) if n < 0 => Err(out_of_range(text)),
        Ok(n) => Ok(n),
        Err(error) if matches!(error.kind(), PosOverflow | NegOverflow) => Err(out_of_range(text)),
        Err(_) => Err(format!("'{text}' is not a whole number")),
    }
}

/// What is wrong with a whole number that no setting takes.
pub(super) fn out_of_range(n: impl std::fmt::Display) -> String {
    format!("{n} is out of range: give a whole number from 0 to {}", i64::MAX)
}

/// A URL without its user's password.
pub(super) fn redacted(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    // A password may hold what it should not, '/' or '@': all up to the last '@' is hidden.
    match rest.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?.0, host))) {
        Some((name, host)) => format!("{scheme}://{name}:***@{host}"),
        None => text.to_owned(),
    }
}
