//! Graceful restart, as both kinds have it.

#![allow(unreachable_pub, reason = "KubeSchema expands to a public type inside of a function")]

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rule::{self, Check};
use super::value::Span;

/// What is said of restarts to a peer (RFC 4724); what is unset comes from the next wider object.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GracefulRestart {
    /// How long the peer keeps this node's routes while its agent restarts; 120s if unset, 0s for not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(rule::RESTART_TIME.cel).message(rule::RESTART_TIME.text))]
    pub restart_time: Option<Span>,
    /// Whether routes are kept after a NOTIFICATION or an expired hold time too (the N bit of RFC 8538); false if
    /// unset, because a node that has lost its power would keep its routes for the restart time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification: Option<bool>,
    /// How much longer than that routes are kept, as a last resort, on both sides (RFC 9494): what the peer is asked
    /// for, and the most that it is given; 0s, which is not at all, if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(rule::LONG_LIVED_TIME.cel).message(rule::LONG_LIVED_TIME.text))]
    pub long_lived: Option<Span>,
}

impl GracefulRestart {
    /// Checks the restart time, which has twelve bits on the wire, and the long-lived one, which has 24.
    pub(crate) fn check(&self, field: &str, check: &mut Check) {
        let times = [
            (self.restart_time, "restartTime", rule::RESTART_TIME, 4095),
            (self.long_lived, "longLived", rule::LONG_LIVED_TIME, 16_777_215),
        ];
        for (time, name, rule, most) in times {
            if let Some(Span(time)) = time {
                let fits = time.subsec_nanos() == 0 && time.as_secs() <= most;
                check.that(fits, &format!("{field}.{name}"), rule);
            }
        }
    }
}
