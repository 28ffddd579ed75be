//! Addresses for Services: who gets which, and that none is given twice.

mod choice;
mod history;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::crd::FabricPoolSpec;
use bgp::prefix::Family;
use controller::pool::claim::Claim;
use controller::pool::plan::Pool;

fn pool(name: &str, spec: &str) -> Pool {
    let spec: FabricPoolSpec = serde_saphyr::from_str(spec).unwrap();
    Pool { name: name.to_owned(), spec }
}

/// A Service that wants an IPv4 address; the first version of it.
fn claim(name: &str) -> Claim {
    Claim {
        name: format!("shop/{name}"),
        uid: format!("uid-{name}"),
        version: "1".to_owned(),
        created: 0,
        labels: BTreeMap::new(),
        namespace_labels: BTreeMap::new(),
        wants: true,
        releases: false,
        families: vec![Family::Ipv4],
        requires_all: false,
        requested: Ok(Vec::new()),
        pool: None,
        sharing_key: None,
        ports: BTreeSet::from([("TCP".to_owned(), 80)]),
        local: false,
        selector: BTreeMap::new(),
        held: Vec::new(),
        external: Vec::new(),
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
