//! Which keys there are.

use super::{Name, PROBE};

/// Whether a key is one that voxage makes.
#[must_use]
pub fn is_known(key: &str) -> bool {
    let name = |text: &str| text.parse::<Name>().is_ok();
    let digits = |text: &str, n| text.len() == n && text.bytes().all(|byte| byte.is_ascii_digit());
    let (number, step) = (|text: &str| digits(text, 8), |text: &str| digits(text, 12));
    let hex = |text: &str, digits| {
        text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let until = |text: &str| step(text.strip_suffix("-epoch").unwrap_or(text));
    let parts: Vec<_> = key.split('/').collect();
    match parts[..] {
        ["batches", data, n, "batch.json" | "cancelled.json"] => name(data) && number(n),
        ["batches", data, n, "planned", file] => {
            name(data) && number(n) && file.strip_suffix(".json").is_some_and(number)
        }
        ["datasets", data, "parts", file] => {
            name(data) && file.strip_suffix(".pb.zst").is_some_and(|part| hex(part, 32))
        }
        ["datasets", data, "plans", file] => {
            name(data) && file.strip_suffix(".pb.zst").is_some_and(number)
        }
        ["datasets", data, "manifests", file] => {
            name(data) && file.strip_suffix(".json").is_some_and(number)
        }
        ["datasets", data, "shards", spec, file] => {
            let shard = file.strip_suffix(".parquet");
            name(data) && hex(spec, 32) && shard.is_some_and(|shard| hex(shard, 32))
        }
        ["datasets", data, "audio", file] => {
            name(data) && hex(file.split('.').next().unwrap_or_default(), 32)
        }
        ["models", model, "versions", n, "card.json" | "report.html" | "card.md"] => {
            name(model) && number(n)
        }
        ["models", model, "versions", n, file] => {
            let weights = file.strip_prefix("weights").and_then(|f| f.strip_suffix(".safetensors"));
            let member = |text: &str| text.strip_prefix('-').is_some_and(|n| digits(n, 2));
            name(model) && number(n) && weights.is_some_and(|text| text.is_empty() || member(text))
        }
        ["runs" | "studies" | "searches", id, "request.json" | "result.json"] => hex(id, 16),
        ["trainings", run, ask, "asked.json" | "failed.json"] => hex(run, 16) && number(ask),
        ["runs", run, "checkpoints", file] => {
            hex(run, 16) && file.strip_suffix(".safetensors").is_some_and(step)
        }
        ["runs", run, "metrics", file] => {
            hex(run, 16) && file.strip_suffix(".jsonl").is_some_and(until)
        }
        ["runs", run, "tensorboard", file] => {
            hex(run, 16) && file.strip_prefix("events.out.tfevents.").is_some_and(until)
        }
        ["runs", run, "lease", term, beat] => {
            hex(run, 16) && number(term) && (number(beat) || beat == "end")
        }
        ["models", model, "champion", file] => {
            name(model) && file.strip_suffix(".json").is_some_and(number)
        }
        ["schedules", schedule, "settings", file] => {
            name(schedule) && file.strip_suffix(".json").is_some_and(number)
        }
        ["datasets", data, "taken", file] => {
            name(data) && file.strip_suffix(".json").is_some_and(|digest| hex(digest, 64))
        }
        ["schedules", schedule, "fires", due, file] => {
            name(schedule) && due.len() == 16 && due.ends_with('Z') && file.ends_with(".json")
        }
        ["predictions", job, file] => {
            let shard = file.strip_suffix(".parquet");
            hex(job, 16) && shard.is_some_and(|shard| hex(shard, 32))
        }
        ["runs", run, "predictions", file] => hex(run, 16) && file.ends_with(".csv"),
        _ => key == PROBE,
    }
}
