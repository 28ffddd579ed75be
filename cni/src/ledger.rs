//! Who holds which address: the plain data behind the store, without any file.
//!
//! Invariant: an attachment has at most one entry, and no address stands in two.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::attachment::Attachment;
use crate::ipam::{Family, Pool};

/// Layout number of the file. A file with another number is as good as lost.
const LAYOUT: u32 = 1;

/// How many holders a message about a full pool names.
const HOLDERS_SHOWN: usize = 8;

/// One network's reservations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    layout: u32,
    /// Boot in which the reservations were made; after another boot there is no pod left of them.
    #[serde(rename = "bootID")]
    boot_id: String,
    /// Last address handed out, by family; outlives a boot.
    last: BTreeMap<String, IpAddr>,
    reservations: Vec<Reservation>,
}

/// What one attachment holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// Container id.
    #[serde(rename = "containerID")]
    pub container: String,
    /// Name of the interface in the container.
    pub interface: String,
    /// Name of the host end.
    pub link: String,
    /// MAC address that the container's end was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// One address a family.
    pub addresses: Vec<IpAddr>,
    /// `namespace/name` of the pod, where the runtime told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
}

impl Reservation {
    /// Whether it is that attachment's.
    pub fn is_of(&self, attachment: &Attachment) -> bool {
        self.container == attachment.container() && self.interface == attachment.interface()
    }

    /// The pod's name if known, else the container id.
    pub fn holder(&self) -> &str {
        self.pod.as_deref().unwrap_or(&self.container)
    }
}

impl Ledger {
    /// A ledger in which nobody holds anything.
    pub fn new(boot_id: &str) -> Self {
        Self { layout: LAYOUT, boot_id: boot_id.into(), last: BTreeMap::new(), reservations: Vec::new() }
    }

    /// The ledger in `bytes` as it counts in the boot `boot_id`: reservations of another
    /// boot are void. None if the bytes are not a ledger of ours.
    pub fn decode(bytes: &[u8], boot_id: &str) -> Option<Self> {
        let mut ledger: Self = serde_json::from_slice(bytes).ok()?;
        if ledger.layout != LAYOUT {
            return None;
        }
        if ledger.boot_id != boot_id {
            ledger.boot_id = boot_id.into();
            ledger.reservations.clear();
        }
        Some(ledger)
    }

    /// The content of the file.
    pub fn encode(&self) -> Vec<u8> {
        // Strings, numbers and maps with string keys always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// All reservations, in the order in which they were made.
    pub fn reservations(&self) -> &[Reservation] {
        &self.reservations
    }

    /// The attachment's reservation.
    pub fn find(&self, attachment: &Attachment) -> Option<&Reservation> {
        self.reservations.iter().find(|reservation| reservation.is_of(attachment))
    }

    /// Who holds `address`.
    pub fn holder(&self, address: IpAddr) -> Option<&Reservation> {
        self.reservations.iter().find(|reservation| reservation.addresses.contains(&address))
    }

    /// Every address that is held.
    pub fn taken(&self) -> BTreeSet<IpAddr> {
        self.reservations.iter().flat_map(|reservation| reservation.addresses.iter().copied()).collect()
    }

    /// The address of `family` handed out last.
    pub fn last(&self, family: Family) -> Option<IpAddr> {
        self.last.get(family.as_str()).copied()
    }

    /// Keeps `reservation` in the place of what its attachment held before.
    pub fn reserve(&mut self, reservation: Reservation) {
        self.reservations.retain(|other| {
            (&other.container, &other.interface) != (&reservation.container, &reservation.interface)
        });
        for address in &reservation.addresses {
            self.last.insert(Family::of(*address).as_str().into(), *address);
        }
        self.reservations.push(reservation);
    }

    /// Frees what the attachment holds; false if that was nothing.
    pub fn release(&mut self, attachment: &Attachment) -> bool {
        let before = self.reservations.len();
        self.reservations.retain(|reservation| !reservation.is_of(attachment));
        self.reservations.len() != before
    }

    /// Keeps only reservations for which `keep` is true, and returns the others.
    pub fn retain(&mut self, keep: impl Fn(&Reservation) -> bool) -> Vec<Reservation> {
        let (kept, dropped) = std::mem::take(&mut self.reservations).into_iter().partition(keep);
        self.reservations = kept;
        dropped
    }

    /// One line on a full pool: how many are in use, and by whom.
    pub fn usage(&self, pool: &Pool) -> String {
        let held: Vec<(IpAddr, &str)> = self
            .reservations
            .iter()
            .flat_map(|r| r.addresses.iter().map(move |address| (*address, r.holder())))
            .filter(|(address, _)| pool.contains(*address))
            .collect();
        let subnets: Vec<String> = pool.subnets().iter().map(ToString::to_string).collect();
        let shown: Vec<String> =
            held.iter().take(HOLDERS_SHOWN).map(|(address, holder)| format!("{address} {holder}")).collect();
        let more = held.len().saturating_sub(HOLDERS_SHOWN);
        let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
        format!(
            "{} of {} addresses of {} in use: {}{rest}",
            held.len(),
            pool.size(),
            subnets.join(", "),
            shown.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attachment(n: u8) -> Attachment {
        Attachment::new(&format!("c{n}"), "eth0").unwrap()
    }

    fn reservation(n: u8) -> Reservation {
        Reservation {
            container: format!("c{n}"),
            interface: "eth0".into(),
            link: attachment(n).link_name(),
            mac: Some(attachment(n).pod_mac().to_string()),
            addresses: vec![IpAddr::from([10, 0, 0, n]), format!("fd00::{n:x}").parse().unwrap()],
            pod: n.is_multiple_of(2).then(|| format!("default/p{n}")),
        }
    }

    #[test]
    fn another_boot_voids_reservations_but_not_the_position() {
        let mut ledger = Ledger::new("boot-1");
        ledger.reserve(reservation(7));
        let bytes = ledger.encode();
        assert_eq!(Ledger::decode(&bytes, "boot-1"), Some(ledger));
        let after = Ledger::decode(&bytes, "boot-2").unwrap();
        assert!(after.reservations().is_empty() && after.taken().is_empty());
        assert_eq!(after.last(Family::V4), Some(IpAddr::from([10, 0, 0, 7])));
        assert_eq!(Ledger::decode(&after.encode(), "boot-2"), Some(after));
    }

    #[test]
    fn what_is_no_ledger_is_refused() {
        for bytes in [
            &b""[..],
            b"{}",
            b"null",
            b"[1]",
            b"\0\0\0\0",
            br#"{"layout":9,"bootID":"b","last":{},"reservations":[]}"#,
        ] {
            assert_eq!(Ledger::decode(bytes, "b"), None);
        }
    }

    #[test]
    fn usage_names_holders_and_counts() {
        let mut ledger = Ledger::new("b");
        (2..=12).for_each(|n| ledger.reserve(reservation(n)));
        let pool = Pool::new(Family::V4, &["10.0.0.0/28".parse().unwrap()]).unwrap();
        let text = ledger.usage(&pool);
        assert!(
            text.starts_with("11 of 13 addresses of 10.0.0.0/28 in use: 10.0.0.2 default/p2, 10.0.0.3 c3, "),
            "{text}"
        );
        assert!(text.ends_with(" and 3 more"), "{text}");
    }

    proptest! {
        #[test]
        fn one_entry_an_attachment_and_one_holder_an_address(steps in proptest::collection::vec((any::<bool>(), 1_u8..20), 0..100)) {
            let mut ledger = Ledger::new("b");
            for (reserve, n) in steps {
                if reserve {
                    ledger.reserve(reservation(n));
                    prop_assert_eq!(ledger.find(&attachment(n)), Some(&reservation(n)));
                } else {
                    let had = ledger.find(&attachment(n)).is_some();
                    prop_assert_eq!(ledger.release(&attachment(n)), had);
                    prop_assert!(ledger.find(&attachment(n)).is_none());
                }
                prop_assert_eq!(ledger.taken().len(), ledger.reservations().len() * 2);
                prop_assert_eq!(Ledger::decode(&ledger.encode(), "b"), Some(ledger.clone()));
            }
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Ledger::decode(&bytes, "b");
        }
    }
}
