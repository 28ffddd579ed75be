//! `routes`, `gateway` and `defaultRoute`: where packets of the container go.

use std::net::IpAddr;

use api::netconf::Route;
use serde_json::Value;

use super::field::{Fields, addresses, field, invalid};
use crate::error::Result;
use crate::ipam::Family;

/// Routes beside the default routes.
pub(super) fn routes(fields: &Fields) -> Result<Vec<Route>> {
    let values: Vec<Value> = field(fields, "routes")?.unwrap_or_default();
    values
        .into_iter()
        .enumerate()
        .map(|(at, value)| {
            let name = format!("routes[{at}]");
            let mut route: Route = serde_json::from_value(value)
                .map_err(|e| invalid(&name, "is invalid").with_details(e.to_string()))?;
            route.dst = route.dst.trunc();
            match route.gw {
                Some(gw) if Family::of(gw) != Family::of(route.dst.addr()) => {
                    Err(invalid(&name, format!("has the gateway {gw}, of another family than {}", route.dst)))
                }
                _ => Ok(route),
            }
        })
        .collect()
}

/// At most one gateway a family, a text or a list.
pub(super) fn gateways(fields: &Fields) -> Result<Vec<IpAddr>> {
    let texts: Vec<String> = match fields.get("gateway") {
        Some(Value::String(text)) if text.is_empty() => Vec::new(),
        Some(Value::String(text)) => vec![text.clone()],
        _ => field(fields, "gateway")?.unwrap_or_default(),
    };
    let gateways = addresses("gateway", &texts)?;
    for (at, gateway) in gateways.iter().enumerate() {
        if gateway.is_unspecified() || gateway.is_multicast() || gateway.is_loopback() {
            return Err(invalid("gateway", format!("is {gateway}, not a unicast address")));
        }
        if gateways[..at].iter().any(|other| Family::of(*other) == Family::of(*gateway)) {
            return Err(invalid("gateway", format!("names two of {}", Family::of(*gateway).as_str())));
        }
    }
    Ok(gateways)
}
