//! The port of BGP.

use super::fact::Facts;
use super::finding::Report;

/// The name of our program.
const OWN: &str = "underlay";

pub(super) fn judge(facts: &Facts, report: &mut Report) {
    for listener in &facts.listeners {
        match &listener.program {
            Some((program, pid)) if program == OWN => {
                report.ok("bgp-port", &listener.at, format!("the agent listens (process {pid})"));
            }
            Some((program, pid)) => report.bad(
                "bgp-port",
                &listener.at,
                format!("{program} (process {pid}) listens"),
                format!("stop {program}, or have it listen elsewhere"),
            ),
            None => report.bad(
                "bgp-port",
                &listener.at,
                "somebody listens",
                "`ss -lntp sport = :179` as root says who",
            ),
        }
    }
    report.else_ok("bgp-port", "port 179 is free");
}
