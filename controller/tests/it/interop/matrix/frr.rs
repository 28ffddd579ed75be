//! FRR 8.4.

use labs::frr::Frr;
use labs::{Netns, Sandbox};
use serde_json::Value;

use super::{
    Count, DEFAULT, FAR, FAR_AS, Far, OVER, OWN_AS, Seen, Setup, Show, Words, family, numbers, strings,
};

pub(super) struct Rack(Frr);

const FAMILIES: [&str; 2] = ["ipv4", "ipv6"];

pub(super) fn start(sandbox: &Sandbox, router: &Netns, setup: Setup) -> Rack {
    let [v4, v6] = FAR;
    let (hold, keepalive) = (setup.hold, setup.hold / 3);
    // FRR 8.4 that has ended the other connection of a collision may end the one that was
    // kept too: it opens none.
    let neighbors = OVER.map(|own| {
        let key = setup.key.map_or(String::new(), |key| format!(" neighbor {own} password {key}\n"));
        format!(
            " neighbor {own} remote-as {OWN_AS}\n neighbor {own} passive\n neighbor {own} timers {keepalive} {hold}\n \
             neighbor {own} advertisement-interval 0\n{key}"
        )
    });
    let long_lived = if setup.long_lived { " bgp long-lived-graceful-restart stale-time 600\n" } else { "" };
    let limit = |own: &str| {
        setup.limit.map_or(String::new(), |most| format!("  neighbor {own} maximum-prefix {most}\n"))
    };
    let active =
        OVER.map(|own| format!("  neighbor {own} activate\n  neighbor {own} allowas-in 1\n{}", limit(own)));
    let active = active.concat();
    Rack(Frr::start(
        sandbox,
        router,
        "frr",
        &format!(
            "debug bgp neighbor-events
router bgp {FAR_AS}
 bgp router-id 10.0.1.1
 bgp log-neighbor-changes
 bgp graceful-restart
 bgp graceful-restart preserve-fw-state
 bgp graceful-restart restart-time {restart_time}
{long_lived} no bgp ebgp-requires-policy
 no bgp network import-check
 no bgp default ipv4-unicast
{} address-family ipv4 unicast
{active}  network {v4} route-map colours
 exit-address-family
 address-family ipv6 unicast
{active}  network {v6} route-map colours
 exit-address-family
route-map colours permit 10
 set extcommunity rt 65100:7
",
            neighbors.concat(),
            restart_time = setup.restart_time(),
        ),
    ))
}

impl Rack {
    fn neighbor(&self, over: usize) -> Value {
        let shown = self.0.vtysh(&format!("show bgp neighbors {} json", OVER[over]));
        let shown: Value = serde_json::from_str(&shown).unwrap_or_default();
        shown[OVER[over]].clone()
    }
}

impl Far for Rack {
    fn seen(&self, over: usize, prefix: &str) -> Option<Seen> {
        let family = FAMILIES[family(prefix)];
        let shown = self.0.vtysh(&format!("show bgp {family} unicast {prefix} json"));
        let shown: Value = serde_json::from_str(&shown).ok()?;
        let path = shown["paths"].as_array()?.iter().find(|path| path["peer"]["peerId"] == OVER[over])?;
        // A link-local next hop may stand beside the global one.
        let hops = path["nexthops"].as_array()?;
        let hop = hops.iter().find(|hop| hop["scope"] != "link-local")?;
        let extended = path["extendedCommunity"]["string"].as_str().unwrap_or_default();
        Some(Seen {
            next_hop: hop["ip"].as_str()?.to_owned(),
            as_path: numbers(path["aspath"]["string"].as_str()?),
            med: path["metric"].as_u64(),
            communities: strings(&path["community"]["list"]),
            extended_communities: extended
                .split(' ')
                .filter_map(|text| text.strip_prefix("RT:"))
                .map(str::to_owned)
                .collect(),
            large_communities: strings(&path["largeCommunity"]["list"]),
        })
    }

    fn show(&self, over: usize, what: Show) -> Words {
        let shown = || self.neighbor(over).to_string();
        let logged = || {
            let log = self.0.log();
            log.lines().filter(|line| line.contains(OVER[over])).collect::<Vec<_>>().join("\n")
        };
        let notified = |way: &str| {
            let said = logged();
            said.lines().filter(|line| line.contains(way)).collect::<Vec<_>>().join("\n")
        };
        let (text, word) = match what {
            Show::Established => (shown(), "\"bgpState\":\"Established\""),
            Show::ExtendedMessages => (shown(), "\"extendedMessage\":\"advertisedAndReceived\""),
            Show::Kept => (
                self.0.vtysh("show bgp ipv4 unicast json") + &self.0.vtysh("show bgp ipv6 unicast json"),
                "\"stale\":true",
            ),
            Show::HoldExpired => (logged(), "4/0 (Hold Timer Expired)"),
            Show::ShutdownText => (shown(), "drained of its pods: new-disk"),
            Show::LimitReceived => {
                (notified("received from"), "6/1 (Cease/Maximum Number of Prefixes Reached)")
            }
            Show::LimitSent => (notified("sent to"), "6/1 (Cease/Maximum Number of Prefixes Reached)"),
        };
        Words { text, word }
    }

    fn count(&self, over: usize, what: Count) -> u64 {
        let counted = self.neighbor(over)["messageStats"].clone();
        let name = match what {
            Count::Announcements => "updatesRecv",
            Count::RefreshesReceived => "routeRefreshRecv",
            // It says so where it has heard the beginning too.
            Count::EndsOfRefresh => {
                let log = self.0.log();
                let ended = |line: &&str| {
                    line.contains(&format!(" {}(", OVER[over]))
                        && line.contains("rcvd route-refresh (EoRR)")
                        && line.contains("stopping BoRR timer")
                };
                return log.lines().filter(ended).count() as u64;
            }
        };
        counted[name].as_u64().unwrap_or_default()
    }

    fn originate(&self, prefixes: [&'static str; 2], there: bool) {
        for prefix in prefixes {
            let line = match (there, prefixes == DEFAULT) {
                (false, _) => format!("no network {prefix}"),
                (true, true) => format!("network {prefix}"),
                (true, false) => format!("network {prefix} route-map colours"),
            };
            let of_family = format!("address-family {} unicast", FAMILIES[family(prefix)]);
            self.0.configure(&[&format!("router bgp {FAR_AS}"), &of_family, &line]);
        }
    }

    fn refresh(&self, over: usize, family: usize) {
        self.0.vtysh(&format!("clear bgp {} unicast {} soft in", FAMILIES[family], OVER[over]));
    }

    fn stop(&mut self) {
        self.0.bgpd().kill();
    }

    fn restart(&mut self, sandbox: &Sandbox, router: &Netns) {
        self.0.restart_bgpd(sandbox, router);
    }
}
