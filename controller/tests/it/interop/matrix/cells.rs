//! The cells of the matrix: what was found, what is expected, and the table.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;

use labs::wait::{self, Look};

use super::super::node::{LIMIT, Node};

const EXPECTED: &str = include_str!("cells.tsv");
const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];

macro_rules! features {
    ($($name:ident = $words:literal,)*) => {
        /// A row of the matrix. Of what routes carry the family is theirs, of sessions it is what they run over.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Feature { $($name,)* }

        impl Feature {
            const ALL: &[Self] = &[$(Self::$name,)*];

            fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)* }
            }
        }
    };
}

features! {
    Session = "session",
    OverIpv4 = "routes over IPv4",
    OverIpv6 = "routes over IPv6",
    NextHop = "next hop",
    FourOctetAs = "AS of four octets",
    Med = "MED",
    Communities = "communities",
    LargeCommunities = "large communities",
    ExtendedCommunities = "extended communities in transit",
    Prepend = "prepend",
    Learned = "learned, and sent on",
    Default = "default route in transit",
    LearnedWithdrawal = "its withdrawal, sent on",
    Refresh = "route refresh, asked by it",
    EnhancedRefresh = "enhanced route refresh",
    OwnRefresh = "route refresh, asked by us",
    ExtendedMessages = "extended messages",
    Withdraw = "withdrawal",
    Md5 = "TCP MD5",
    Restarter = "graceful restart of ours",
    Helper = "graceful restart of its",
    HoldTimer = "hold timer expires",
    ShutdownText = "shutdown with a text",
    LimitOfOurs = "prefix limit of ours",
    LimitOfIts = "prefix limit of its",
    LongLivedOfOurs = "long-lived restart of ours",
    LongLivedOfIts = "long-lived restart of its",
    Gtsm = "GTSM",
    Multihop = "multihop",
    Listen = "dynamic neighbours (`listen`)",
    Reflection = "route reflection",
    Roles = "roles, and OTC",
    LocalAs = "another AS towards it (`localAS`)",
    AddPath = "several paths, to it",
    SendHoldTimer = "send hold timer",
    ExtendedNextHop = "extended next hop",
    Unnumbered = "unnumbered",
    Bfd = "BFD",
}

/// The first feature of each run.
const RUNS: [Feature; 4] = [Feature::Session, Feature::Md5, Feature::LongLivedOfOurs, Feature::Gtsm];

/// What is found of one daemon.
pub(super) struct Cells {
    daemon: &'static str,
    column: usize,
    /// The first feature of the run.
    first: Feature,
    found: BTreeMap<(Feature, usize), Result<(), String>>,
}

/// One line of the committed file: feature, family, and a cell a daemon.
fn expected() -> (Vec<&'static str>, Vec<Vec<&'static str>>) {
    let mut lines =
        EXPECTED.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect());
    (lines.next().expect("a line of names"), lines.collect())
}

impl Cells {
    /// Nothing found yet, in the run whose first feature that is.
    pub(super) fn of(daemon: &'static str, first: Feature) -> Self {
        let column = expected().0.iter().position(|name| *name == daemon).expect("a column");
        Self { daemon, column, first, found: BTreeMap::new() }
    }

    /// Whether the daemon has the feature at all.
    pub(super) fn applies(&self, feature: Feature, family: usize) -> bool {
        let cell = expected()
            .1
            .into_iter()
            .find(|line| line[0] == feature.words() && line[1] == FAMILIES[family])
            .map(|line| line[self.column]);
        cell.is_some_and(|cell| !cell.starts_with("n/a"))
    }

    /// Looks until the daemon shows what makes the cell pass. A cell of several looks passes if all of them do; one that
    /// does not apply is not looked at.
    pub(super) fn judge<L: Look>(
        &mut self,
        feature: Feature,
        family: usize,
        look: impl FnMut() -> L,
    ) -> bool {
        if !self.applies(feature, family) {
            return false;
        }
        let what = format!("{}: {}, {}", self.daemon, feature.words(), FAMILIES[family]);
        let found = wait::attempt(&what, LIMIT, look).map(drop);
        if let Err(message) = &found {
            eprintln!("{message}");
        }
        let good = found.is_ok();
        let cell = self.found.entry((feature, family)).or_insert(Ok(()));
        *cell = cell.clone().and(found);
        good
    }

    /// Prints the column, gives it to who collects the matrix, and compares it with what is expected.
    pub(super) fn compare(&self, node: &Node) {
        let (_, lines) = expected();
        let run = |feature: &Feature| RUNS.iter().rposition(|first| first <= feature);
        let is_here = |feature: &Feature| run(feature) == run(&self.first);
        let (mut report, mut wrong) = (String::new(), Vec::new());
        for line in &lines {
            let feature = Feature::ALL.iter().copied().find(|feature| feature.words() == line[0]);
            let feature = feature.unwrap_or_else(|| panic!("`{}` is no feature", line[0]));
            if !is_here(&feature) {
                continue;
            }
            let family = FAMILIES.iter().position(|family| *family == line[1]).expect("a family");
            let found = self.found.get(&(feature, family));
            let word = match found {
                Some(Ok(())) => "pass",
                Some(Err(_)) => "fail",
                None => "n/a",
            };
            report += &format!("{}\t{}\t{}\t{word}\n", self.daemon, line[0], line[1]);
            if line[self.column].split(':').next() != Some(word) {
                let why = found.and_then(|found| found.clone().err()).unwrap_or_default();
                wrong.push(format!("{}, {}: {word}, expected {} {why}", line[0], line[1], line[self.column]));
            }
        }
        eprint!("{report}");
        if let Some(file) = std::env::var_os("UNDERLAY_MATRIX") {
            let opened = File::options().create(true).append(true).open(&file);
            opened.and_then(|mut file| file.write_all(report.as_bytes())).unwrap();
        }
        let unlisted = self
            .found
            .keys()
            .filter(|key| !lines.iter().any(|line| line[0] == key.0.words() && line[1] == FAMILIES[key.1]));
        assert_eq!(unlisted.count(), 0, "each cell has its line in cells.tsv");
        assert!(wrong.is_empty(), "{}:\n{}\n{}", self.daemon, wrong.join("\n"), node.agent.log());
    }
}

/// The table as the README shows it.
fn table() -> String {
    let (names, lines) = expected();
    let row = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    let mut text = row(&names) + &format!("|{}\n", "---|".repeat(names.len()));
    let mut reasons: Vec<&str> = Vec::new();
    for line in &lines {
        let cells = line.iter().map(|cell| match cell.strip_prefix("n/a: ") {
            Some(reason) => {
                let known = reasons.iter().position(|known| *known == reason);
                let at = known.unwrap_or(reasons.len());
                if known.is_none() {
                    reasons.push(reason);
                }
                format!("n/a ({})", at + 1)
            }
            None => (*cell).to_owned(),
        });
        let cells: Vec<String> = cells.collect();
        text += &row(&cells.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let reasons = reasons.iter().enumerate().map(|(at, reason)| format!("{}. {reason}\n", at + 1));
    text + "\n" + &reasons.collect::<String>()
}

#[test]
fn the_readme_shows_the_matrix() {
    let readme = include_str!("../../../../../README.md");
    assert!(readme.contains(&table()), "README.md does not hold\n{}", table());
}

#[test]
fn what_does_not_apply_has_a_reason() {
    let (names, lines) = expected();
    assert_eq!(lines.iter().filter(|line| line.len() != names.len()).count(), 0, "a cell a daemon");
    for cell in lines.iter().flat_map(|line| &line[2..]) {
        let reasoned = cell.strip_prefix("n/a: ").is_some_and(|reason| !reason.is_empty());
        assert!(*cell == "pass" || reasoned, "`{cell}` is neither `pass` nor `n/a: REASON`");
    }
    for feature in Feature::ALL {
        assert!(lines.iter().any(|line| line[0] == feature.words()), "{feature:?} has no line");
    }
}
