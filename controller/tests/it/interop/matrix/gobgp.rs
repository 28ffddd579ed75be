//! GoBGP 3.10.

use labs::gobgp::Gobgp;
use labs::{Netns, Sandbox};
use serde_json::Value;

use super::{Count, FAR, FAR_AS, Far, HOPS, OVER, OWN_AS, Seen, Setup, Show, Words, family};

pub(super) struct Rack(Gobgp);

const FAMILIES: [&str; 2] = ["ipv4", "ipv6"];

fn neighbor(over: usize, setup: Setup) -> String {
    let limit = setup.limit.map_or(String::new(), |most| {
        format!("    [neighbors.afi-safis.prefix-limit.config]\n      max-prefixes = {most}\n")
    });
    let long = if setup.long_lived {
        "    [neighbors.afi-safis.long-lived-graceful-restart.config]\n      enabled = true\n      restart-time = 600\n"
    } else {
        ""
    };
    let of_family = |name: &str| {
        format!(
            "  [[neighbors.afi-safis]]\n    [neighbors.afi-safis.config]\n      afi-safi-name = \"{name}-unicast\"\n    \
             [neighbors.afi-safis.mp-graceful-restart.config]\n      enabled = true\n{limit}{long}"
        )
    };
    let key = setup.key.map_or(String::new(), |key| format!("auth-password = \"{key}\""));
    format!(
        r#"[[neighbors]]
  [neighbors.config]
    neighbor-address = "{}"
    peer-as = {OWN_AS}
    {key}
  [neighbors.as-path-options.config]
    allow-own-as = 1
  [neighbors.graceful-restart.config]
    enabled = true
    restart-time = {}
    long-lived-enabled = {}
  [neighbors.timers.config]
    connect-retry = 1
    hold-time = {}
    keepalive-interval = {}
    idle-hold-time-after-reset = 1
{}"#,
        OVER[over],
        setup.restart_time(),
        setup.long_lived,
        setup.hold,
        setup.hold / 3,
        FAMILIES.map(of_family).concat()
    )
}

pub(super) fn start(sandbox: &Sandbox, router: &Netns, setup: Setup) -> Rack {
    let global = format!("[global.config]\n  as = {FAR_AS}\n  router-id = \"10.0.1.1\"\n");
    let neighbors = [0, 1].map(|over| neighbor(over, setup)).concat();
    let rack = Rack(Gobgp::start(sandbox, router, "gobgp", &format!("{global}{neighbors}")));
    rack.originate(FAR, true);
    rack
}

impl Rack {
    fn neighbor(&self, over: usize) -> Value {
        serde_json::from_str(&self.0.gobgp(&format!("neighbor {} -j", OVER[over]))).unwrap_or_default()
    }
}

impl Far for Rack {
    fn seen(&self, over: usize, prefix: &str) -> Option<Seen> {
        let shown = self.0.gobgp(&format!("global rib -a {} -j", FAMILIES[family(prefix)]));
        let shown: Value = serde_json::from_str(&shown).ok()?;
        let path = shown[prefix].as_array()?.iter().find(|path| path["neighbor-ip"] == OVER[over])?;
        let mut seen = Seen::default();
        for attribute in path["attrs"].as_array()? {
            let list = |name: &str| attribute[name].as_array().cloned().unwrap_or_default();
            match attribute["type"].as_u64()? {
                2 => {
                    let segments = list("as_paths");
                    let asns = segments.iter().filter_map(|segment| segment["asns"].as_array()).flatten();
                    seen.as_path = asns.filter_map(Value::as_u64).collect();
                }
                3 | 14 => seen.next_hop = attribute["nexthop"].as_str()?.to_owned(),
                4 => seen.med = attribute["metric"].as_u64(),
                8 => {
                    let split = |value: u64| format!("{}:{}", value >> 16, value & 0xffff);
                    seen.communities =
                        list("communities").iter().filter_map(Value::as_u64).map(split).collect();
                }
                16 => {
                    let value = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
                    seen.extended_communities = list("value").iter().map(value).collect();
                }
                32 => {
                    let value = |value: &Value| {
                        format!("{}:{}:{}", value["ASN"], value["LocalData1"], value["LocalData2"])
                    };
                    seen.large_communities = list("value").iter().map(value).collect();
                }
                _ => {}
            }
        }
        Some(seen)
    }

    fn show(&self, over: usize, what: Show) -> Words {
        let logged = || {
            let log = self.0.log();
            log.lines().filter(|line| line.contains(OVER[over])).collect::<Vec<_>>().join("\n")
        };
        let (text, word) = match what {
            Show::Established => {
                (self.0.gobgp(&format!("neighbor {}", OVER[over])), "BGP state = ESTABLISHED")
            }
            Show::ExtendedMessages => (String::new(), "no such thing"),
            Show::Kept => (logged(), "peer graceful restart"),
            Show::HoldExpired => (logged(), "hold timer expired"),
            Show::ShutdownText => (logged(), "drained of its pods: new-disk"),
            Show::LimitReceived => (logged(), "code 6(cease) subcode 1(maximum number of prefixes reached)"),
            Show::LimitSent => (logged(), "prefix limit reached"),
        };
        Words { text, word }
    }

    fn count(&self, over: usize, what: Count) -> u64 {
        let counted = self.neighbor(over)["state"]["messages"]["received"].clone();
        let count = &counted[if what == Count::Announcements { "update" } else { "refresh" }];
        count.as_u64().or_else(|| count.as_str()?.parse().ok()).unwrap_or_default()
    }

    fn originate(&self, prefixes: [&'static str; 2], there: bool) {
        originate(&self.0, prefixes, there);
    }

    fn refresh(&self, over: usize, family: usize) {
        // A route refresh; `softresetin` of other daemons looks at what is there already.
        self.0.gobgp(&format!("neighbor {} softresetin -a {}", OVER[over], FAMILIES[family]));
    }

    fn stop(&mut self) {
        self.0.daemon().kill();
    }

    fn restart(&mut self, sandbox: &Sandbox, _router: &Netns) {
        self.0.recover(sandbox, &OVER, |daemon| originate(daemon, FAR, true));
    }
}

fn originate(daemon: &Gobgp, prefixes: [&'static str; 2], there: bool) {
    for (at, prefix) in prefixes.into_iter().enumerate() {
        let colours = if prefixes == FAR { " rt 65100:7" } else { "" };
        let words = if there {
            format!("add {prefix} nexthop {}{colours}", HOPS[at])
        } else {
            format!("del {prefix}")
        };
        daemon.gobgp(&format!("global rib -a {} {words}", FAMILIES[at]));
    }
}
