//! BIRD 2.

use labs::bird::Bird;

use super::{FAR_AS, Feature, OUTER, OWN_AS, Path, Place, Session, Ways, Words};
use crate::interop::matrix::numbers;

pub(in super::super) struct Rack {
    router: Bird,
    inner: Bird,
    link: String,
}

fn protocol(session: &Session, asn: u64, options: &str, channel: &str) -> String {
    let (own, node_as, name) = (&session.own, session.node_as(), name(session));
    format!(
        "protocol bgp {name} {{ local as {asn}; neighbor {own} as {node_as}; {options}
    hold time 9; connect retry time 1; connect delay time 1; error wait time 1, 2; error forget time 1;
    ipv4 {{ import all; export none; {channel} }}; ipv6 {{ import all; export none; {channel} }}; }}\n"
    )
}

fn name(session: &Session) -> String {
    format!("{:?}_{}", session.feature, [4, 6][session.family]).to_lowercase()
}

pub(in super::super) fn start(place: &Place<'_>) -> Rack {
    let head = "log stderr all;\nprotocol device {}\n";
    let sessions = OUTER.into_iter().flat_map(Session::pair).map(|session| {
        let multihop = format!("multihop 2; source address {};", session.far);
        let (options, channel) = match session.feature {
            Feature::Gtsm => ("ttl security on;", ""),
            Feature::Multihop => (multihop.as_str(), ""),
            Feature::Roles => ("local role peer; require roles yes;", ""),
            Feature::AddPath => ("", "add paths rx;"),
            Feature::Bfd => ("bfd on;", ""),
            _ => ("", ""),
        };
        protocol(&session, FAR_AS, options, channel)
    });
    let link = format!(
        "protocol radv {{ interface \"eth8\" {{ max ra interval 4; default lifetime 0; }}; }}
protocol bgp unnumbered {{ local as {FAR_AS}; neighbor {}%eth8 as {OWN_AS}; passive on; hold time 9;
    ipv4 {{ import all; export none; extended next hop on; }}; ipv6 {{ import all; export none; }}; }}\n",
        place.link
    );
    let detecting = "protocol bfd { interface \"*\" { interval 300 ms; multiplier 5; }; }\n";
    let outer = format!("router id 10.0.1.1;\n{head}{detecting}{link}{}", sessions.collect::<String>());
    let inside = Session::pair(Feature::Reflection).map(|session| protocol(&session, OWN_AS, "", ""));
    let inner = format!("router id 10.0.14.1;\n{head}{}", inside.concat());
    Rack {
        router: Bird::start(place.sandbox, place.router, "bird", &outer),
        inner: Bird::start(place.sandbox, place.inner, "inner", &inner),
        link: place.link.clone(),
    }
}

impl Rack {
    /// The daemon and the name of the session with an address of the node.
    fn protocol(&self, own: &str) -> (&Bird, String) {
        let inside = Session::pair(Feature::Reflection).into_iter().find(|session| session.own == own);
        if let Some(session) = inside {
            return (&self.inner, name(&session));
        }
        let outer = OUTER.into_iter().flat_map(Session::pair).find(|session| session.own == own);
        (&self.router, outer.map_or("unnumbered".to_owned(), |session| name(&session)))
    }
}

impl Ways for Rack {
    fn paths(&self, own: &str, prefix: &str) -> Vec<Path> {
        let (bird, protocol) = self.protocol(own);
        let shown = bird.birdc(&format!("show route all protocol {protocol}"));
        let (mut paths, mut here) = (Vec::new(), false);
        for line in shown.lines() {
            if !line.starts_with(['\t', ' ']) {
                here = line.starts_with(&format!("{prefix} "));
            }
            if here && line.contains(&format!("[{protocol} ")) {
                paths.push(Path::default());
            }
            let (Some(path), Some((name, value))) = (paths.last_mut(), line.trim().split_once(": ")) else {
                continue;
            };
            match name {
                _ if !here => {}
                // Of a global and a link-local address the last.
                "BGP.next_hop" => path.next_hop = value.split(' ').next_back().unwrap_or_default().to_owned(),
                "BGP.as_path" => path.as_path = numbers(value),
                "BGP.originator_id" => path.originator = Some(value.to_owned()),
                "BGP.cluster_list" => path.clusters = value.split_whitespace().map(str::to_owned).collect(),
                "BGP.otc" => path.only_to_customers = value.parse().ok(),
                _ => {}
            }
        }
        paths
    }

    fn bfd(&self, own: &str) -> Words {
        let shown = self.router.birdc("show bfd sessions");
        let line = shown.lines().find(|line| line.starts_with(&format!("{own} ")));
        Words { text: line.unwrap_or_default().to_owned(), word: " Up " }
    }

    fn extended_next_hop(&self, link: &str) -> Words {
        assert_eq!(link, self.link);
        // Once of the capabilities of each side.
        let shown = self.router.birdc("show protocols all unnumbered");
        let both = shown.matches("IPv6 nexthop: ipv4").count();
        Words { text: format!("{both} times in {shown}"), word: "2 times in" }
    }
}
