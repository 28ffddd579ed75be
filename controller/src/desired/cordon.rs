//! A Node that is cordoned, and says by an annotation that its routes are to go with its pods.

use std::time::Duration;

use bgp::config::Drain;
use jiff::SignedDuration;

use super::site::Site;
use crate::cluster::object::Problem;
use crate::drain;

/// The annotation: `true`, or `pods` where the PodCIDRs are withdrawn, too. It counts while the Node is cordoned.
pub const ANNOTATION: &str = "underlay.dev/drain";

/// The annotation that says how long addresses of Services are shunned before they are withdrawn.
pub const WAIT: &str = "underlay.dev/drain-wait";

/// How long the Node has peers go elsewhere before addresses of Services are withdrawn.
pub(super) fn wait(site: &Site<'_>, warnings: &mut Vec<Problem>) -> Duration {
    let Some(text) = site.facts.annotations.get(WAIT) else { return drain::WAIT };
    let wait = text.parse::<SignedDuration>().ok().and_then(|wait| Duration::try_from(wait).ok());
    wait.unwrap_or_else(|| {
        warnings.push(Problem::anywhere(format!(
            "annotation `{WAIT}` of Node \"{}\": `{text}` is not a time such as 30s or 5m; taken as 30s",
            site.name
        )));
        drain::WAIT
    })
}

/// How far the Node itself takes its agent out of service.
pub(super) fn cordon(site: &Site<'_>, warnings: &mut Vec<Problem>) -> Drain {
    match site.facts.annotations.get(ANNOTATION).filter(|_| site.facts.unschedulable).map(String::as_str) {
        None => Drain::No,
        Some("true") => Drain::SHUNNED,
        Some("pods") => Drain::Shunned { pods: true, services: false },
        Some(other) => {
            // Somebody wanted a drain: the one that loses no packet.
            warnings.push(Problem::anywhere(format!(
                "annotation `{ANNOTATION}` of Node \"{}\": `{other}` is neither `true` nor `pods`; taken as `true`",
                site.name
            )));
            Drain::SHUNNED
        }
    }
}
