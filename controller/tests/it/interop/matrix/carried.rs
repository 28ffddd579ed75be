//! The first run: what routes carry, both ways and through the node.

use labs::{Netns, Sandbox};

use super::super::bird::rack;
use super::super::node::Node;
use super::cells::{Cells, Feature};
use super::{Count, DEFAULT, FAR, FAR_AS, Far, OVER, OWN_AS, SENT, Seen, Setup, Show, advertise, manifest};

const SETUP: Setup = Setup { key: None, hold: 9, limit: None, long_lived: false };
const BOTH: [usize; 2] = [0, 1];
/// As many communities as no message of 4 096 octets holds (RFC 8654).
const MANY: u64 = 1_100;

/// What the other side's own prefix carries, and the node sends on.
const EXTENDED: &str = "65100:7";

fn seen_as(seen: Option<Seen>, good: impl FnOnce(&Seen) -> bool) -> Result<(), String> {
    match seen {
        Some(seen) if good(&seen) => Ok(()),
        seen => Err(format!("{seen:?}")),
    }
}

/// What the node has learned over one session and sent on over the other, as the other side has it.
fn returned<F: Far>(far: &F, prefix: &str) -> Option<Seen> {
    BOTH.iter().find_map(|over| far.seen(*over, prefix))
}

pub(super) fn run<F: Far>(
    sandbox: &Sandbox,
    daemon: &'static str,
    start: impl FnOnce(&Sandbox, &Netns, Setup) -> F,
) {
    let (node, router) = rack(sandbox);
    let far = start(sandbox, &router, SETUP);
    let of_node =
        |fabric: &str, peer: &str| manifest(SETUP, &format!("acceptDefaultRoute: true\n  {fabric}"), peer);
    let node = Node::start(sandbox, node, "node", &of_node(&advertise(""), ""));
    let mut cells = Cells::of(daemon, Feature::Session);

    for over in BOTH {
        cells.judge(Feature::Session, over, || shown(&far, over, Show::Established));
        for (family, (prefix, next_hop)) in SENT.into_iter().enumerate() {
            let feature = [Feature::OverIpv4, Feature::OverIpv6][over];
            cells.judge(feature, family, || far.seen(over, prefix));
            let seen = far.seen(over, prefix);
            let is = |good: bool| if good { Ok(()) } else { Err(format!("{seen:?}")) };
            let seen_good =
                |good: fn(&Seen, &str) -> bool| seen.as_ref().is_some_and(|seen| good(seen, next_hop));
            cells.judge(Feature::NextHop, family, || is(seen_good(|seen, hop| seen.next_hop == hop)));
            cells.judge(Feature::FourOctetAs, family, || is(seen_good(|seen, _| seen.as_path == [OWN_AS])));
        }
    }
    learned(&node, &far, &mut cells);
    refreshed(&node, &far, &mut cells);

    let with = ", communities: [\"65001:7\", \"65001:1:2\"], med: 5";
    let twice = ", export: [{action: Accept, set: {prepend: 2}}]";
    node.apply(&of_node(&advertise(with), twice));
    for (family, (prefix, _)) in SENT.into_iter().enumerate() {
        for over in BOTH {
            let seen = || far.seen(over, prefix);
            cells.judge(Feature::Med, family, || seen_as(seen(), |seen| seen.med == Some(5)));
            cells.judge(Feature::Prepend, family, || seen_as(seen(), |seen| seen.as_path == [OWN_AS; 3]));
            cells.judge(Feature::Communities, family, || {
                seen_as(seen(), |seen| seen.communities == ["65001:7"])
            });
            cells.judge(Feature::LargeCommunities, family, || {
                seen_as(seen(), |seen| seen.large_communities == ["65001:1:2"])
            });
        }
    }
    if cells.applies(Feature::ExtendedMessages, 0) {
        let many =
            (1_000..1_000 + MANY).map(|value| format!("\"65001:{value}\"")).collect::<Vec<_>>().join(", ");
        node.apply(&of_node(&advertise(&format!(", communities: [{many}], med: 6")), ""));
        for over in BOTH {
            cells.judge(Feature::ExtendedMessages, over, || shown(&far, over, Show::ExtendedMessages));
            for (prefix, _) in SENT {
                let long = || seen_as(far.seen(over, prefix), |seen| seen.med == Some(6));
                cells.judge(Feature::ExtendedMessages, over, long);
            }
        }
    }
    node.apply(&of_node("", ""));
    for (family, (prefix, _)) in SENT.into_iter().enumerate() {
        for over in BOTH {
            cells.judge(Feature::Withdraw, family, || gone(far.seen(over, prefix)));
        }
    }
    assert_eq!(node.transitions("Established"), 2, "no reset in between:\n{}", node.agent.log());
    cells.compare(&node);
}

/// What the other side originates comes back to it over its other session.
fn learned<F: Far>(node: &Node, far: &F, cells: &mut Cells) {
    let path = [OWN_AS, FAR_AS];
    for (family, prefix) in FAR.into_iter().enumerate() {
        cells.judge(Feature::Learned, family, || seen_as(returned(far, prefix), |seen| seen.as_path == path));
        node.until_route(prefix, true);
        cells.judge(Feature::ExtendedCommunities, family, || {
            seen_as(returned(far, prefix), |seen| seen.extended_communities == [EXTENDED])
        });
    }
    far.originate(DEFAULT, true);
    for (family, prefix) in DEFAULT.into_iter().enumerate() {
        cells.judge(Feature::Default, family, || seen_as(returned(far, prefix), |seen| seen.as_path == path));
    }
    node.until_route("default via", true);
    for prefixes in [FAR, DEFAULT] {
        far.originate(prefixes, false);
        for (family, prefix) in prefixes.into_iter().enumerate() {
            cells.judge(Feature::LearnedWithdrawal, family, || gone(returned(far, prefix)));
        }
    }
    for prefix in FAR {
        node.until_route(prefix, false);
    }
}

/// Both sides ask for everything again, in the same session.
fn refreshed<F: Far>(node: &Node, far: &F, cells: &mut Cells) {
    let more = |over, what, before| {
        let after = far.count(over, what);
        if after > before { Ok(()) } else { Err(format!("{what:?}: {after}")) }
    };
    for family in BOTH {
        // One family over each session: the message names it.
        let over = family;
        let counted = [Count::Announcements, Count::EndsOfRefresh].map(|what| (what, far.count(over, what)));
        far.refresh(over, family);
        for (feature, (what, before)) in [Feature::Refresh, Feature::EnhancedRefresh].into_iter().zip(counted)
        {
            cells.judge(feature, family, || more(over, what, before));
        }
    }
    for over in BOTH {
        let before = far.count(over, Count::RefreshesReceived);
        let output = node.run(&format!("reset {} --soft", ["over4", "over6"][over]));
        assert!(output.status.success(), "{output:?}");
        cells.judge(Feature::OwnRefresh, over, || more(over, Count::RefreshesReceived, before));
    }
}

fn gone(seen: Option<Seen>) -> Result<(), String> {
    seen.map_or(Ok(()), |seen| Err(format!("{seen:?}")))
}

/// Whether the other side shows something.
pub(super) fn shown<F: Far>(far: &F, over: usize, what: Show) -> Result<(), String> {
    let words = far.show(over, what);
    let word = words.word;
    if words.text.contains(word) {
        Ok(())
    } else {
        Err(format!("no `{word}` about {} in {}", OVER[over], words.text))
    }
}
