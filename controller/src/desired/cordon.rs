//! A Node that is cordoned, and says by an annotation that its routes are to go with its pods. It is heeded whatever
//! becomes of the configuration beside it.

use std::time::Duration;

use bgp::config::Drain;
use jiff::SignedDuration;

use crate::cluster::object::NodeFacts;
use crate::drain;

/// The annotation: `true`, or `pods` where the PodCIDRs are withdrawn, too. It counts while the Node is cordoned.
pub const ANNOTATION: &str = "underlay.dev/drain";

/// The annotation that says how long addresses of Services are shunned before they are withdrawn.
pub const WAIT: &str = "underlay.dev/drain-wait";

/// What a Node says of being out of service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cordon {
    /// How far the Node takes its agent out of service.
    pub drain: Drain,
    /// How long peers have to go elsewhere before addresses of Services are withdrawn.
    pub wait: Duration,
    /// What of it means nothing, and what it is taken as, a line each.
    pub unread: Vec<String>,
}

impl Cordon {
    /// What the Node `name` says.
    #[must_use]
    pub fn of(name: &str, facts: &NodeFacts) -> Self {
        let mut unread = Vec::new();
        let (drain, wait) = (drain(name, facts, &mut unread), wait(name, facts, &mut unread));
        Self { drain, wait, unread }
    }
}

fn drain(name: &str, facts: &NodeFacts, unread: &mut Vec<String>) -> Drain {
    match facts.annotations.get(ANNOTATION).filter(|_| facts.unschedulable).map(String::as_str) {
        None => Drain::No,
        Some("true") => Drain::SHUNNED,
        Some("pods") => Drain::Shunned { pods: true, services: false },
        Some(other) => {
            // Somebody wanted a drain: the one that loses no packet.
            unread.push(format!(
                "annotation `{ANNOTATION}` of Node \"{name}\": `{other}` is neither `true` nor `pods`; taken as `true`"
            ));
            Drain::SHUNNED
        }
    }
}

/// One that means nothing is told of before the Node is cordoned: then it is too late.
fn wait(name: &str, facts: &NodeFacts, unread: &mut Vec<String>) -> Duration {
    let Some(text) = facts.annotations.get(WAIT) else { return drain::WAIT };
    let wait = text.parse::<SignedDuration>().ok().and_then(|wait| Duration::try_from(wait).ok());
    wait.unwrap_or_else(|| {
        unread.push(format!(
            "annotation `{WAIT}` of Node \"{name}\": `{text}` is not a time such as 30s or 5m; taken as 30s"
        ));
        drain::WAIT
    })
}
