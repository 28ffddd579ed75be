//! A Node that is cordoned, and says by an annotation that its routes are to go with its pods.

use bgp::config::Drain;

use super::site::Site;
use crate::cluster::object::Problem;

/// The annotation: `true`, or `pods` where the PodCIDRs are withdrawn, too. It counts while the Node is cordoned.
pub const ANNOTATION: &str = "underlay.dev/drain";

/// How far the Node itself takes its agent out of service.
pub(super) fn cordon(site: &Site<'_>, warnings: &mut Vec<Problem>) -> Drain {
    match site.facts.annotations.get(ANNOTATION).filter(|_| site.facts.unschedulable).map(String::as_str) {
        None => Drain::No,
        Some("true") => Drain::Shunned,
        Some("pods") => Drain::Withheld,
        Some(other) => {
            // Somebody wanted a drain: the one that loses no packet.
            warnings.push(Problem::anywhere(format!(
                "annotation `{ANNOTATION}` of Node \"{}\": `{other}` is neither `true` nor `pods`; taken as `true`",
                site.name
            )));
            Drain::Shunned
        }
    }
}
