//! One kind of work and its size.

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// A word to choose it by.
    pub name: &'static str,
    /// What is done, in words.
    pub what: &'static str,
    /// `ipv4` or `ipv6`.
    pub family: &'static str,
    /// Sessions that announce the table.
    pub senders: usize,
    /// Sessions that count what they are sent; none where the kernel's routes are watched.
    pub receivers: usize,
    /// Prefixes of the table.
    pub prefixes: usize,
    /// Attribute sets of the table.
    pub sets: usize,
    /// The load generator's steps. Of one that is there twice the lesser figures count: what follows the steps
    /// before is in the first.
    pub steps: &'static str,
    /// Whether the speaker installs routes in the kernel.
    pub install: bool,
    /// The hold time to offer, in seconds.
    pub hold: u16,
    /// Whether the table is a real one: a dump in the folder that `UNDERLAY_MRT_DATA` names.
    pub real: bool,
    /// Whether the speaker is a node among others: it sends on nothing of what it hears, and each sender has a part
    /// of the table, the first one half of it.
    pub node: bool,
}

const fn through(name: &'static str, what: &'static str, prefixes: usize, sets: usize) -> Case {
    Case {
        name,
        what,
        family: "ipv4",
        senders: 1,
        receivers: 1,
        prefixes,
        sets,
        steps: "announce,withdraw",
        install: false,
        hold: 240,
        real: false,
        node: false,
    }
}

const fn installed(name: &'static str, what: &'static str, family: &'static str) -> Case {
    Case {
        family,
        receivers: 0,
        steps: "announce,reset",
        install: true,
        ..through(name, what, 100_000, 4_000)
    }
}

/// The loss comes a second after the table: when the speaker is at rest.
const fn parted(name: &'static str, what: &'static str, family: &'static str, prefixes: usize) -> Case {
    Case { senders: 2, prefixes, steps: "announce,idle:1,part", ..installed(name, what, family) }
}

/// All of them, from small to large.
pub const CASES: [Case; 18] = [
    through("10k", "10 000 prefixes through the speaker", 10_000, 4_000),
    through("100k", "100 000 prefixes through the speaker", 100_000, 4_000),
    Case { family: "ipv6", ..through("100k6", "100 000 IPv6 prefixes through the speaker", 100_000, 4_000) },
    through("1m", "1 000 000 prefixes through the speaker", 1_000_000, 4_000),
    through("sets", "1 000 000 prefixes in 167 000 attribute sets", 1_000_000, 167_000),
    Case { real: true, ..through("mrt", "a real table through the speaker", 1_000_000, 1) },
    Case {
        senders: 30,
        steps: "announce",
        ..through("30", "30 senders of the same 100 000 prefixes", 100_000, 4_000)
    },
    Case {
        receivers: 20,
        steps: "announce",
        hold: 3,
        ..through("flood", "1 000 000 prefixes to 20 peers with a hold time of 3 s", 1_000_000, 4_000)
    },
    Case {
        steps: "announce,silence",
        hold: 3,
        ..through("silence", "silence: how long after the last message, with a hold time of 3 s", 1_000, 100)
    },
    Case { steps: "announce,reset", ..through("reset", "a TCP reset, and 100 prefixes gone", 100, 10) },
    Case {
        senders: 500,
        receivers: 0,
        steps: "idle:10,idle:10",
        ..through("500", "500 sessions at once", 1, 1)
    },
    Case {
        senders: 501,
        prefixes: 5_000,
        sets: 500,
        steps: "announce,idle:10,idle:10,restart",
        node: true,
        ..installed(
            "node",
            "5 000 pod prefixes in the kernel, half of them of a ToR that restarts, beside 500 peers",
            "ipv4",
        )
    },
    parted("ecmp", "10 000 IPv4 routes lose one of two next hops", "ipv4", 10_000),
    parted("ecmp100k", "100 000 IPv4 routes lose one of two next hops", "ipv4", 100_000),
    parted("ecmp6", "10 000 IPv6 routes lose one of two next hops", "ipv6", 10_000),
    parted("ecmp100k6", "100 000 IPv6 routes lose one of two next hops", "ipv6", 100_000),
    installed("fib", "100 000 IPv4 routes into the kernel, and out after a reset", "ipv4"),
    installed("fib6", "100 000 IPv6 routes into the kernel, and out after a reset", "ipv6"),
];

impl Case {
    /// Its size for a trial of the machinery: the figures mean nothing then.
    #[must_use]
    pub fn small(self) -> Self {
        Self {
            prefixes: self.prefixes.min(1_000),
            sets: self.sets.min(100),
            senders: self.senders.min(5),
            receivers: self.receivers.min(5),
            steps: match self.steps {
                "idle:10,idle:10" => "idle:1",
                "announce,idle:10,idle:10,restart" => "announce,idle:1,restart",
                steps => steps,
            },
            ..self
        }
    }
}
