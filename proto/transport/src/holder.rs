//! Who holds a lease: a process, told apart from all others on all machines.

use std::fmt;
use std::fs;

use bytes::Bytes;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    host: String,
    /// Where its id means something: the machine's boot, and the namespace of process ids.
    world: String,
    pid: u32,
    /// Ticks from the boot to its start; with it, no other process has this id.
    started: u64,
}

impl Holder {
    /// This process.
    pub(crate) fn this() -> Self {
        let pid = std::process::id();
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self { host: host.trim().into(), world: world(), pid, started: started(pid).unwrap_or(0) }
    }

    /// The holder that was written down; one that nothing is known of if it is none.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut words = text.split(' ').map(str::to_owned);
        let mut next = || words.next().unwrap_or_default();
        Self {
            host: next(),
            world: next(),
            pid: next().parse().unwrap_or(0),
            started: next().parse().unwrap_or(0),
        }
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        format!("{} {} {} {}", self.host, self.world, self.pid, self.started).into()
    }

    /// Whether it has ended, as far as can be told from here: another machine's process may.
    pub(crate) fn is_gone(&self) -> bool {
        !self.world.is_empty() && self.world == world() && started(self.pid) != Some(self.started)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.pid, self.host)
    }
}

fn world() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let pids = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{}/{}", boot.trim(), pids.display())
}

/// When a process started; none if there is no such process, or only what is left of it.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which may hold anything, stands the state; the start is the 22nd field.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.nth(18)?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_to_be_gone_on_its_own_machine_only() {
        let this = Holder::this();
        assert_eq!(Holder::read(&this.to_bytes()), this);
        assert!(this.started > 0 && !this.is_gone());
        let ended = Holder { started: this.started + 1, ..this.clone() };
        assert!(ended.is_gone());
        assert!(!Holder { world: "elsewhere".into(), ..ended }.is_gone());
        assert!(!Holder::read(b"").is_gone());
    }
}
