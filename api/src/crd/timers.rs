//! Session timers, as both kinds have them.

#![allow(unreachable_pub, reason = "KubeSchema expands to a public type inside of a function")]

use std::time::Duration;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rule::{self, Check};
use super::value::Span;

/// Session timers (RFC 4271 §10); what is unset comes from the next wider object.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(rule::KEEPALIVE_TIME.cel).message(rule::KEEPALIVE_TIME.text))]
pub struct Timers {
    /// The hold time to propose; 9s if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(rule::HOLD_TIME.cel).message(rule::HOLD_TIME.text))]
    pub hold: Option<Span>,
    /// The time between KEEPALIVEs; a third of the hold time if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<Span>,
    /// The time between attempts to connect, before jitter; 5s if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(rule::CONNECT_RETRY_TIME.cel).message(rule::CONNECT_RETRY_TIME.text))]
    pub connect_retry: Option<Span>,
}

/// BFD on the way to a peer: packets that stop passing end the session within milliseconds (RFC 5880).
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bfd {
    /// The time between packets, both ways; the slower side's counts; 300ms if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(rule::BFD_INTERVAL.cel).message(rule::BFD_INTERVAL.text))]
    pub interval: Option<Span>,
    /// How many packets may be missed; 3 if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(rule::BFD_MULTIPLIER.cel).message(rule::BFD_MULTIPLIER.text))]
    pub multiplier: Option<u8>,
}

impl Bfd {
    /// Checks both.
    pub(crate) fn check(&self, field: &str, check: &mut Check) {
        let interval = self.interval.map_or(Duration::from_millis(300), |Span(interval)| interval);
        let fits = (Duration::from_millis(10)..=Duration::from_mins(1)).contains(&interval);
        check.that(fits, &format!("{field}.interval"), rule::BFD_INTERVAL);
        check.that(self.multiplier != Some(0), &format!("{field}.multiplier"), rule::BFD_MULTIPLIER);
    }
}

impl Timers {
    /// Checks each timer, and the two that belong together.
    pub(crate) fn check(&self, field: &str, check: &mut Check) {
        if let Some(Span(hold)) = self.hold {
            let whole = hold.subsec_nanos() == 0;
            let fits = hold.is_zero() || (3..=65_535).contains(&hold.as_secs());
            check.that(whole && fits, &format!("{field}.hold"), rule::HOLD_TIME);
        }
        if let Some(Span(keepalive)) = self.keepalive {
            let most = self.hold.map(|Span(hold)| hold).filter(|hold| !hold.is_zero()).map(|hold| hold / 3);
            let fits = keepalive >= Duration::from_secs(1) && most.is_none_or(|most| keepalive <= most);
            check.that(fits, &format!("{field}.keepalive"), rule::KEEPALIVE_TIME);
        }
        if let Some(Span(retry)) = self.connect_retry {
            let fits = (Duration::from_secs(1)..=Duration::from_hours(1)).contains(&retry);
            check.that(fits, &format!("{field}.connectRetry"), rule::CONNECT_RETRY_TIME);
        }
    }
}
