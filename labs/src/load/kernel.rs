//! How many routes a network namespace holds, without asking netlink: a dump of a large table would take from the
//! speaker what is being measured.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use bgp::prefix::Family;

/// The tables of the namespace that a process is in.
#[derive(Debug)]
pub(super) struct Kernel {
    family: Family,
    file: PathBuf,
    pub(super) pid: u32,
}

impl Kernel {
    /// The routes of `family` in the namespace of process `pid`.
    pub(super) fn of(pid: u32, family: Family) -> Self {
        let name = match family {
            Family::Ipv4 => "fib_triestat",
            Family::Ipv6 => "rt6_stats",
        };
        Self { family, file: format!("/proc/{pid}/net/{name}").into(), pid }
    }

    /// Whether a route may count as often as it has next hops: IPv6 keeps each as an entry where no object holds them.
    pub(super) const fn counts_next_hops(&self) -> bool {
        matches!(self.family, Family::Ipv6)
    }

    /// The routes of all owners, and with IPv6 of all tables.
    pub(super) fn routes(&self) -> anyhow::Result<usize> {
        let text = fs::read_to_string(&self.file).with_context(|| self.file.display().to_string())?;
        let count = match self.family {
            Family::Ipv4 => ipv4(&text),
            Family::Ipv6 => ipv6(&text),
        };
        count.with_context(|| format!("{}: not as expected: {text:?}", self.file.display()))
    }
}

/// `Prefixes: N` below `Main:`. A table of local addresses follows, which is the same as long as nobody has made rules.
fn ipv4(text: &str) -> Option<usize> {
    let (_, main) = text.split_once("Main:")?;
    let mut counts = main.lines().filter_map(|line| line.trim().strip_prefix("Prefixes:"));
    counts.next()?.trim().parse().ok()
}

/// The fourth of seven hexadecimal numbers: entries of all tables.
fn ipv6(text: &str) -> Option<usize> {
    usize::from_str_radix(text.split_whitespace().nth(3)?, 16).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_files_of_the_kernel_are_read() {
        let text = "Basic info: size of leaf: 48 bytes, size of tnode: 40 bytes.\nMain:\n\tAver depth:     2.00\n\t\
                    Leaves:         3\n\tPrefixes:       4\nLocal:\n\tPrefixes:       5\n";
        assert_eq!(super::ipv4(text), Some(4));
        assert_eq!(super::ipv6("0007 0005 0013 000b 0000 0002 0000\n"), Some(11));
        assert_eq!(super::ipv6("0007"), None);
    }
}
