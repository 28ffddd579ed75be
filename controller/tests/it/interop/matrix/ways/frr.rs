//! FRR 8.4, with bfdd.

use labs::frr::Frr;
use serde_json::Value;

use super::{FAR_AS, Feature, OUTER, OWN_AS, Path, Place, Session, Ways, Words};
use crate::interop::matrix::{family, numbers, strings};

pub(in super::super) struct Rack {
    router: Frr,
    inner: Frr,
}

const FAMILIES: [&str; 2] = ["ipv4", "ipv6"];

/// A neighbor's lines, and those that activate it.
fn neighbor(own: &str, remote: &str, more: &[String]) -> (String, String) {
    let more: String = more.iter().map(|line| format!(" neighbor {own} {line}\n")).collect();
    let lines = format!(
        " neighbor {own} {remote}\n neighbor {own} timers 3 9\n neighbor {own} timers connect 1\n{more}"
    );
    (lines, format!("  neighbor {own} activate\n"))
}

fn config(asn: u64, router_id: &str, neighbors: Vec<(String, String)>) -> String {
    let (lines, active): (String, String) = neighbors.into_iter().unzip();
    format!(
        "router bgp {asn}
 bgp router-id {router_id}
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
{lines} address-family ipv4 unicast
{active} exit-address-family
 address-family ipv6 unicast
{active} exit-address-family
"
    )
}

pub(in super::super) fn start(place: &Place<'_>) -> Rack {
    let outer = OUTER.into_iter().flat_map(Session::pair).map(|session| {
        // As in the other runs: it opens no connection where the node does.
        let mut more = if session.feature == Feature::Listen { vec![] } else { vec!["passive".to_owned()] };
        match session.feature {
            Feature::Gtsm => more.push("ttl-security hops 1".to_owned()),
            Feature::Multihop => {
                more.extend(["ebgp-multihop 2".to_owned(), format!("update-source {}", session.far)]);
            }
            Feature::Roles => more.push("local-role peer strict-mode".to_owned()),
            Feature::Bfd => more.push("bfd".to_owned()),
            _ => {}
        }
        neighbor(&session.own, &format!("remote-as {}", session.node_as()), &more)
    });
    let link = neighbor("eth8", "interface remote-as external", &[]);
    let inside = Session::pair(Feature::Reflection)
        .map(|session| neighbor(&session.own, &format!("remote-as {OWN_AS}"), &["passive".to_owned()]));
    let config_of_router = config(FAR_AS, "10.0.1.1", outer.chain([link]).collect());
    let mut router = Frr::start(place.sandbox, place.router, "frr", &config_of_router);
    let intervals =
        ["bfd", "profile slow", "receive-interval 300", "transmit-interval 300", "detect-multiplier 5"];
    router.start_bfdd(place.sandbox, place.router, &intervals);
    let inner = Frr::start(place.sandbox, place.inner, "inner", &config(OWN_AS, "10.0.14.1", inside.into()));
    Rack { router, inner }
}

impl Ways for Rack {
    fn paths(&self, own: &str, prefix: &str) -> Vec<Path> {
        let inside = Session::pair(Feature::Reflection).iter().any(|session| session.own == own);
        let frr = if inside { &self.inner } else { &self.router };
        let shown = frr.vtysh(&format!("show bgp {} unicast {prefix} json", FAMILIES[family(prefix)]));
        let shown: Value = serde_json::from_str(&shown).unwrap_or_default();
        let paths = shown["paths"].as_array().into_iter().flatten();
        let of_session = paths.filter(|path| path["peer"]["peerId"] == own);
        let read = |path: &Value| {
            let hops = path["nexthops"].as_array().cloned().unwrap_or_default();
            let hop = hops.iter().find(|hop| hop["used"] == true).or(hops.first()).cloned();
            Path {
                as_path: numbers(path["aspath"]["string"].as_str().unwrap_or_default()),
                next_hop: hop.and_then(|hop| Some(hop["ip"].as_str()?.to_owned())).unwrap_or_default(),
                originator: path["originatorId"].as_str().map(str::to_owned),
                clusters: strings(&path["clusterList"]["list"]),
                only_to_customers: path["otc"].as_u64(),
            }
        };
        of_session.map(read).collect()
    }

    fn bfd(&self, own: &str) -> Words {
        let shown = self.router.vtysh("show bfd peers brief");
        let line = shown.lines().find(|line| line.contains(&format!(" {own} ")));
        Words { text: line.unwrap_or_default().to_owned(), word: " up " }
    }

    fn extended_next_hop(&self, _link: &str) -> Words {
        let text = self.router.vtysh("show bgp neighbors eth8 json");
        Words { text, word: "\"extendedNexthop\":\"advertisedAndReceived\"" }
    }
}
