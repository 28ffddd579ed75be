//! BIRD 2: its log holds each message (`debug { packets }`).

use labs::bird::Bird;
use labs::{Netns, Sandbox};

use super::{Count, DEFAULT, FAR, Far, HOPS, OVER, OWN_AS, Seen, Setup, Show, Words, numbers};

pub(super) struct Rack(Bird);

const PROTOCOLS: [&str; 2] = ["over4", "over6"];

pub(super) fn start(sandbox: &Sandbox, router: &Netns, setup: Setup) -> Rack {
    let ([v4, v6], [default4, default6], [hop4, hop6]) = (FAR, DEFAULT, HOPS);
    let key = setup.key.map_or(String::new(), |key| format!("password \"{key}\";"));
    let limit = setup.limit.map_or(String::new(), |most| format!("receive limit {most} action restart;"));
    let (hold, [over4, over6]) = (setup.hold, OVER);
    let restart_time = setup.restart_time();
    let long_lived =
        if setup.long_lived { "long lived graceful restart on; long lived stale time 600;" } else { "" };
    let colours = "{ bgp_ext_community.add((rt, 65100, 7)); }";
    Rack(Bird::start(
        sandbox,
        router,
        "bird",
        &format!(
            r#"log stderr all;
debug protocols {{ packets }};
router id 10.0.1.1;
graceful restart wait 20;
protocol device {{}}
protocol static far4 {{ ipv4; route {v4} blackhole {colours}; }}
protocol static far6 {{ ipv6; route {v6} blackhole {colours}; }}
protocol static default4 {{ disabled; ipv4; route {default4} blackhole; }}
protocol static default6 {{ disabled; ipv6; route {default6} blackhole; }}
template bgp node {{
    local as 65100;
    hold time {hold}; connect retry time 1; connect delay time 1;
    error wait time 1, 2; error forget time 1;
    graceful restart on; graceful restart time {restart_time};
    {long_lived}
    enable extended messages on; allow local as 1;
    {key}
    ipv4 {{ import all; {limit} export where source = RTS_STATIC; next hop address {hop4}; }};
    ipv6 {{ import all; {limit} export where source = RTS_STATIC; next hop address {hop6}; }};
}}
protocol bgp over4 from node {{ neighbor {over4} as {OWN_AS}; }}
protocol bgp over6 from node {{ neighbor {over6} as {OWN_AS}; }}
"#
        ),
    ))
}

impl Rack {
    /// How often the log has a line on a session.
    fn logged(&self, over: usize, words: &str) -> u64 {
        let log = self.0.log();
        let from = format!("{}: ", PROTOCOLS[over]);
        log.lines().filter(|line| line.contains(&from) && line.contains(words)).count() as u64
    }
}

impl Far for Rack {
    fn seen(&self, over: usize, prefix: &str) -> Option<Seen> {
        let shown = self.0.birdc(&format!("show route all protocol {}", PROTOCOLS[over]));
        let block = shown.lines().skip_while(|line| !line.starts_with(&format!("{prefix} ")));
        let mut lines = block.enumerate().take_while(|(at, line)| *at == 0 || line.starts_with('\t'));
        lines.next()?;
        let mut seen = Seen::default();
        for (_, line) in lines {
            let Some((name, value)) = line.trim().split_once(": ") else { continue };
            let tuples = || {
                value
                    .split(") (")
                    .map(|tuple| numbers(tuple).iter().map(u64::to_string).collect::<Vec<_>>().join(":"))
                    .collect()
            };
            match name {
                "BGP.next_hop" => seen.next_hop = value.split(' ').next().unwrap_or_default().to_owned(),
                "BGP.as_path" => seen.as_path = numbers(value),
                "BGP.med" => seen.med = value.parse().ok(),
                "BGP.community" => seen.communities = tuples(),
                "BGP.ext_community" => seen.extended_communities = tuples(),
                "BGP.large_community" => seen.large_communities = tuples(),
                _ => {}
            }
        }
        Some(seen)
    }

    fn show(&self, over: usize, what: Show) -> Words {
        let shown = || self.0.birdc(&format!("show protocols all {}", PROTOCOLS[over]));
        let logged = || {
            let (log, from) = (self.0.log(), format!("{}: ", PROTOCOLS[over]));
            log.lines().filter(|line| line.contains(&from)).collect::<Vec<_>>().join("\n")
        };
        let (text, word) = match what {
            Show::Established => (shown(), "BGP state:          Established"),
            Show::ExtendedMessages => {
                // Once of the capabilities of each side.
                let text = shown();
                let both = text.matches("Extended message").count();
                (format!("{both} times in {text}"), "2 times in")
            }
            Show::Kept => (shown(), "Neighbor graceful restart active"),
            Show::HoldExpired => (logged(), "Error: Hold timer expired"),
            Show::ShutdownText => {
                (logged(), "Received: Administrative shutdown: \"drained of its pods: new-disk\"")
            }
            Show::LimitReceived => (logged(), "Received: Maximum number of prefixes reached"),
            Show::LimitSent => (logged(), "Sending NOTIFICATION(code=6.1)"),
        };
        Words { text, word }
    }

    fn count(&self, over: usize, what: Count) -> u64 {
        match what {
            // Its log leaves UPDATEs out that come fast.
            Count::Announcements => {
                let shown = self.0.birdc(&format!("show protocols all {}", PROTOCOLS[over]));
                let lines = shown.lines().filter(|line| line.contains("Import updates:"));
                lines.filter_map(|line| numbers(line).first().copied()).sum()
            }
            Count::RefreshesReceived => self.logged(over, "Got ROUTE-REFRESH"),
            Count::EndsOfRefresh => self.logged(over, "Got END-OF-RR"),
        }
    }

    fn originate(&self, prefixes: [&'static str; 2], there: bool) {
        let name = if prefixes == FAR { "far" } else { "default" };
        for family in [4, 6] {
            self.0.birdc(&format!("{} {name}{family}", if there { "enable" } else { "disable" }));
        }
    }

    fn refresh(&self, over: usize, _family: usize) {
        self.0.birdc(&format!("reload in {}", PROTOCOLS[over]));
    }

    fn stop(&mut self) {
        self.0.daemon().kill();
    }

    fn restart(&mut self, sandbox: &Sandbox, router: &Netns) {
        self.0.daemon().kill();
        self.0.recover(sandbox, router);
    }
}
