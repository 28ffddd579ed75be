//! Tables and chains of the packet filter, new and old, and sets of addresses.

use std::fs;
use std::io;
use std::process::Command;

use api::nft::{Family, Hook, Question, dump};

use crate::check::fact::{Chain, Facts, Filter};
use crate::kernel::filter;

/// The checks that look at chains.
const CHECKS: [&str; 2] = ["forward-policy", "leftovers"];

/// The number of bridges' tables, which have a hook of the same number and forward no packets of IP.
const BRIDGE: u8 = 7;

/// Where the kernel names the old tables that are in use, and the program that lists them.
const LEGACY: [(&str, &str, &str); 2] = [
    ("ip", "/proc/net/ip_tables_names", "iptables-legacy-save"),
    ("ip6", "/proc/net/ip6_tables_names", "ip6tables-legacy-save"),
];

pub(super) fn chains(facts: &mut Facts) {
    let mut unread = Vec::new();
    if let Err(error) = of_nftables(facts) {
        unread.push(format!("nftables cannot be read: {error}"));
    }
    for (family, names, program) in LEGACY {
        // Where no old table is in use the program would make one.
        if !fs::read_to_string(names).is_ok_and(|names| !names.trim().is_empty()) {
            continue;
        }
        match saved(program) {
            Ok(text) => facts.chains.extend(of_save(family, &text)),
            Err(error) => unread.push(format!("{program}: {error}")),
        }
    }
    for why in unread {
        facts.unread.extend(CHECKS.map(|check| (check, why.clone())));
    }
}

fn of_nftables(facts: &mut Facts) -> io::Result<()> {
    let mut socket = filter::Filter::open()?;
    let tables = socket.ask(Question::Tables)?;
    let tables = tables.iter().filter_map(|answer| dump::table(answer));
    facts.tables.extend(tables.map(|(number, name)| (family(number), name)));
    let chains = socket.ask(Question::Chains)?;
    let chains = chains.iter().filter_map(|answer| dump::chain(answer));
    facts.chains.extend(chains.map(|chain| Chain {
        filter: Filter::Nftables,
        family: family(chain.family),
        table: chain.table,
        name: chain.name,
        forwards: chain.family != BRIDGE && chain.hook == Some(Hook::FORWARD),
        drops: chain.drops,
    }));
    facts.ip_sets.extend(socket.ip_sets()?);
    Ok(())
}

fn family(number: u8) -> String {
    let known = [(Family::Inet, "inet"), (Family::Ip, "ip"), (Family::Ip6, "ip6")];
    let word = known.iter().find(|(family, _)| *family as u8 == number).map(|(_, word)| *word);
    match (word, number) {
        (Some(word), _) => word.to_owned(),
        (None, BRIDGE) => "bridge".to_owned(),
        (None, number) => number.to_string(),
    }
}

fn saved(program: &str) -> io::Result<String> {
    let output = Command::new(program).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `*TABLE` begins a table, `:CHAIN POLICY [packets:bytes]` names a chain.
fn of_save(family: &str, text: &str) -> Vec<Chain> {
    let (mut chains, mut table) = (Vec::new(), "");
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if let Some((name, rest)) = line.strip_prefix(':').and_then(|line| line.split_once(' ')) {
            chains.push(Chain {
                filter: Filter::Legacy,
                family: family.to_owned(),
                table: table.to_owned(),
                name: name.to_owned(),
                forwards: name == "FORWARD" && table == "filter",
                drops: rest.starts_with("DROP"),
            });
        }
    }
    chains
}
