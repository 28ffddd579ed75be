//! OpenBGPD 7.7.

use labs::openbgpd::Openbgpd;
use labs::{Netns, Sandbox};
use serde_json::Value;

use super::{
    Count, DEFAULT, FAR, FAR_AS, Far, HOPS, OVER, OWN_AS, Seen, Setup, Show, Words, numbers, strings,
};

pub(super) struct Rack(Openbgpd);

pub(super) fn start(sandbox: &Sandbox, router: &Netns, setup: Setup) -> Rack {
    let ([v4, v6], [default4, default6], [hop4, hop6]) = (FAR, DEFAULT, HOPS);
    let key = setup.key.map_or(String::new(), |key| format!(" tcp md5sig password {key}\n"));
    let limit = setup.limit.map_or(String::new(), |most| format!(" max-prefix {most}\n"));
    let neighbors = OVER.map(|address| {
        format!(
            "neighbor {address} {{\n remote-as {OWN_AS}\n announce IPv4 unicast\n announce IPv6 unicast\n \
             announce enhanced refresh yes\n announce restart yes\n enforce local-as no\n{key}{limit}}}\n"
        )
    });
    Rack(Openbgpd::start(
        sandbox,
        router,
        "openbgpd",
        &format!(
            "AS {FAR_AS}
router-id 10.0.1.1
holdtime {}
fib-update no
network {v4} set {{ ext-community rt 65100:7 }}
network {v6} set {{ ext-community rt 65100:7 }}
{}allow from any
allow to any
match to any prefix {{ {v4}, {default4} }} set nexthop {hop4}
match to any prefix {{ {v6}, {default6} }} set nexthop {hop6}
",
            setup.hold,
            neighbors.concat()
        ),
    ))
}

impl Rack {
    fn neighbor(&self, over: usize) -> String {
        self.0.bgpctl(&format!("show neighbor {}", OVER[over]))
    }
}

impl Far for Rack {
    fn seen(&self, over: usize, prefix: &str) -> Option<Seen> {
        let shown = self.0.bgpctl(&format!("-j show rib detail {prefix}"));
        let shown: Value = serde_json::from_str(&shown).ok()?;
        let paths = shown["rib"].as_array()?;
        let path = paths
            .iter()
            .find(|path| path["prefix"] == prefix && path["neighbor"]["remote_addr"] == OVER[over])?;
        let extended = strings(&path["extended_communities"]);
        Some(Seen {
            next_hop: path["exit_nexthop"].as_str()?.to_owned(),
            as_path: numbers(path["aspath"].as_str()?),
            med: path["metric"].as_u64().filter(|metric| *metric > 0),
            communities: strings(&path["communities"]),
            extended_communities: extended
                .iter()
                .filter_map(|text| text.strip_prefix("rt "))
                .map(str::to_owned)
                .collect(),
            large_communities: strings(&path["large_communities"]),
        })
    }

    fn show(&self, over: usize, what: Show) -> Words {
        let logged = || {
            let log = self.0.log();
            log.lines().filter(|line| line.contains(OVER[over])).collect::<Vec<_>>().join("\n")
        };
        let (text, word) = match what {
            Show::Established => (self.neighbor(over), "BGP state = Established"),
            Show::ExtendedMessages => (String::new(), "no such thing"),
            Show::Kept => (logged(), "graceful restart"),
            Show::HoldExpired => (logged(), "HoldTimer expired"),
            Show::ShutdownText => (logged(), "drained of its pods: new-disk"),
            Show::LimitReceived => (logged(), "received notification: Cease, received max-prefix exceeded"),
            Show::LimitSent => (logged(), "sending notification: Cease, received max-prefix exceeded"),
        };
        Words { text, word }
    }

    fn count(&self, over: usize, what: Count) -> u64 {
        let shown = self.neighbor(over).to_lowercase().replace('-', " ");
        let (section, line) = match what {
            Count::Announcements => ("update statistics", "updates"),
            Count::RefreshesReceived => ("message statistics", "route refresh"),
            Count::EndsOfRefresh => ("route refresh statistics", "end of rr"),
        };
        let section = shown.lines().skip_while(|text| !text.contains(section));
        let counted = section.into_iter().find(|text| text.trim_start().starts_with(line));
        counted.and_then(|line| numbers(line).get(1).copied()).unwrap_or_default()
    }

    fn originate(&self, prefixes: [&'static str; 2], there: bool) {
        for prefix in prefixes {
            let verb = if there { "add" } else { "delete" };
            self.0.bgpctl(&format!("network {verb} {prefix}"));
        }
    }

    fn refresh(&self, over: usize, _family: usize) {
        self.0.bgpctl(&format!("neighbor {} refresh", OVER[over]));
    }

    fn restart(&mut self, _sandbox: &Sandbox, _router: &Netns) {}

    fn again(&self) {
        for address in OVER {
            self.0.bgpctl(&format!("neighbor {address} clear"));
        }
    }
}
