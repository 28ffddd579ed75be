//! A life: a network and what befalls it, drawn from a seed, kept as text.

use core::fmt;
use core::str::FromStr;
use std::time::Duration;

use crate::sim::chance::Chance;
use crate::sim::topology::Shape;

/// What befalls a network. Routers are numbers, spans milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Act {
    pub(crate) kind: Kind,
    /// What the kind makes of them.
    pub(crate) a: u64,
    pub(crate) b: u64,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What an act is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            pub(crate) const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

kinds! {
    /// Router `a` originates what the bits of `b` say.
    Originate = "originate",
    /// Nothing passes on link `a`; again if `b` is zero.
    Cut = "cut",
    /// Nothing passes from one end of link `a` to the other; again if `b` is zero, the other way if 2.
    CutOneWay = "cut-one-way",
    /// Routers whose number has bit `a` are apart from the others; together again if `b` is zero.
    Partition = "partition",
    /// The connections of link `a` are lost.
    Lose = "lose-connection",
    /// Router `a` starts anew after `b`; its kernel keeps its routes.
    Restart = "restart-with-memory",
    /// The machine of router `a` starts anew after `b`; nobody is told.
    Reboot = "restart-without-memory",
    /// Router `a` is away for `b`, longer than its restart time, and its kernel keeps its routes.
    Away = "away-for-long",
    /// Router `a` does not read; again if `b` is zero.
    Sleep = "slow-reader",
    /// The clock of router `a` leaps by `b`.
    Leap = "clock-jump",
    /// The process of router `a` does not run for `b`.
    Stall = "stall",
    /// The kernel of router `a` takes up to `b`.
    SlowKernel = "slow-kernel",
    /// The kernel of router `a` refuses the prefix of router `b`; none if that is no router.
    Refuse = "kernel-refuses",
    /// Router `a` cannot resolve router `b`; can again if that is no router.
    NextHop = "next-hop-lost",
    /// Link `a` is taken down by configuration; up again if `b` is zero.
    Disable = "disable",
    /// Router `a` asks its peer number `b` / 2 for all again, or sends it all again if `b` is odd.
    SoftReset = "soft-reset",
    /// The ends of link `a` lose their connection and take none for `b`; they are silent if that is odd.
    Shut = "takes-no-connection",
    /// What links take at most becomes `a`.
    Latency = "latency",
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.kind.word(), self.a, self.b)
    }
}

/// An act, and how long after the one before it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) after: Duration,
    pub(crate) act: Act,
}

/// A network and all that befalls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) seed: u64,
    pub(crate) shape: Shape,
    pub(crate) routers: usize,
    pub(crate) steps: Vec<Step>,
}

impl Life {
    /// A life of 3 to 15 routers.
    pub(crate) fn small(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let shape = chance.pick(&Shape::ALL);
        let routers = match shape {
            Shape::Clos3 => 6 + chance.index(10),
            Shape::Clos4 => 8 + chance.index(8),
            _ => 3 + chance.index(13),
        };
        let steps = 5 + chance.index(20);
        Self::drawn(seed, shape, routers, steps, &mut chance)
    }

    /// A life of 100 to 300 routers.
    pub(crate) fn large(seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0x1a_4e);
        // Turn about, so that each form comes; a mesh, whose sessions grow by the square, once.
        let shape = match seed % 20 {
            13 => Shape::Mesh,
            n => [Shape::Clos2, Shape::Clos3, Shape::Clos4, Shape::Ring, Shape::Reflectors][n as usize % 5],
        };
        let routers = if shape == Shape::Mesh { 100 } else { 100 + chance.index(201) };
        Self::drawn(seed, shape, routers, 8, &mut chance)
    }

    fn drawn(seed: u64, shape: Shape, routers: usize, steps: usize, chance: &mut Chance) -> Self {
        let originate = |router: usize, chance: &mut Chance| Step {
            after: Duration::ZERO,
            act: Act { kind: Kind::Originate, a: router as u64, b: chance.any() >> 40 | 1 },
        };
        // Every prefix of a large network would be everywhere: some suffice.
        let sources: Vec<usize> = (0..routers).filter(|_| routers < 50 || chance.one_in(12)).collect();
        let mut all: Vec<Step> = sources.into_iter().map(|router| originate(router, chance)).collect();
        let links = shape.links(routers).len() as u64;
        for _ in 0..steps {
            let after =
                Duration::from_millis(chance.pick(&[0, 10, 300, 2_000, 6_000]) * chance.below(100) / 100);
            all.push(Step { after, act: Act::drawn(routers as u64, links, chance) });
        }
        Self { seed, shape, routers, steps: all }
    }
}

impl Act {
    fn drawn(routers: u64, links: u64, chance: &mut Chance) -> Self {
        let kind = chance.pick(Kind::ALL);
        let kind = if chance.one_in(4) { Kind::Originate } else { kind };
        let (router, link) = (chance.below(routers), chance.below(links));
        let on = u64::from(!chance.one_in(4));
        let (a, b) = match kind {
            Kind::Originate => (router, chance.any() >> 40),
            Kind::Cut | Kind::Disable | Kind::Lose => (link, on),
            Kind::CutOneWay => (link, on * (1 + chance.below(2))),
            Kind::Partition => (chance.below(3), on),
            Kind::Restart | Kind::Reboot => (router, chance.pick(&[10, 1_000, 12_000])),
            Kind::Away => (router, chance.pick(&[30_000, 130_000, 240_000])),
            Kind::Sleep => (router, on),
            Kind::Leap => (router, chance.pick(&[500, 2_500, 20_000, 3_600_000])),
            Kind::Stall => (router, chance.pick(&[200, 2_500, 20_000])),
            Kind::SlowKernel => (router, chance.pick(&[1, 50, 3_000])),
            Kind::Refuse => (router, if chance.one_in(2) { routers } else { chance.below(routers) }),
            Kind::NextHop => (router, if chance.one_in(3) { routers } else { chance.below(routers) }),
            Kind::SoftReset => (router, chance.below(64)),
            Kind::Shut => (link, chance.pick(&[8_000, 8_000, 100_000]) + chance.below(2)),
            Kind::Latency => (chance.pick(&[0, 1, 20, 400]), 0),
        };
        Self { kind, a, b }
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        writeln!(f, "{} {}", self.shape.word(), self.routers)?;
        self.steps.iter().try_for_each(|step| writeln!(f, "+{}ms {}", step.after.as_millis(), step.act))
    }
}

impl FromStr for Life {
    type Err = String;

    /// Reads what `Display` writes; lines that begin with `#` say what it is about.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let mut line = || lines.next().ok_or("a line is missing".to_owned());
        let number = |word: Option<&str>, line: &str| {
            word.and_then(|word| word.parse::<u64>().ok()).ok_or(format!("`{line}`: a number is missing"))
        };
        let first = line()?;
        let seed = number(first.strip_prefix("seed "), first)?;
        let second = line()?;
        let (word, routers) = second.split_once(' ').ok_or(format!("`{second}`: two words are wanted"))?;
        let shape = Shape::ALL.into_iter().find(|shape| shape.word() == word);
        let shape = shape.ok_or(format!("`{word}` is no form of a network"))?;
        let routers = number(Some(routers), second)? as usize;
        let mut steps = Vec::new();
        for line in lines {
            let mut words = line.split(' ');
            let after = words.next().and_then(|word| word.strip_prefix('+')?.strip_suffix("ms"));
            let after = Duration::from_millis(number(after, line)?);
            let word = words.next().unwrap_or_default();
            let kind = Kind::ALL.iter().copied().find(|kind| kind.word() == word);
            let kind = kind.ok_or(format!("`{line}`: `{word}` is not an act"))?;
            let (a, b) = (number(words.next(), line)?, number(words.next(), line)?);
            steps.push(Step { after, act: Act { kind, a, b } });
        }
        Ok(Self { seed, shape, routers, steps })
    }
}
