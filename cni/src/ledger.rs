//! Who holds which address: the plain data behind the store, without any file.
//!
//! Invariant: an attachment has at most one entry, and no address stands in two.

use std::collections::BTreeSet;
use std::net::IpAddr;

pub use api::netconf::Reservation;
use api::netconf::Reservations;

use crate::attachment::Attachment;
use crate::ipam::{Family, Pool};

/// How many holders a message about a full pool names.
const HOLDERS_SHOWN: usize = 8;

/// One network's reservations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    file: Reservations,
}

fn is_of(reservation: &Reservation, attachment: &Attachment) -> bool {
    reservation.container == attachment.container() && reservation.interface == attachment.interface()
}

impl Ledger {
    /// A ledger in which nobody holds anything.
    pub fn new(boot_id: &str) -> Self {
        Self { file: Reservations::new(boot_id) }
    }

    /// The ledger in `bytes` as it counts in the boot `boot_id`: reservations of another
    /// boot are void. None if the bytes are not a ledger of ours.
    pub fn decode(bytes: &[u8], boot_id: &str) -> Option<Self> {
        Reservations::decode(bytes, boot_id).map(|file| Self { file })
    }

    /// The content of the file.
    pub fn encode(&self) -> Vec<u8> {
        self.file.encode()
    }

    /// All reservations, in the order in which they were made.
    pub fn reservations(&self) -> &[Reservation] {
        &self.file.reservations
    }

    /// The attachment's reservation.
    pub fn find(&self, attachment: &Attachment) -> Option<&Reservation> {
        self.file.reservations.iter().find(|reservation| is_of(reservation, attachment))
    }

    /// Who holds `address`.
    pub fn holder(&self, address: IpAddr) -> Option<&Reservation> {
        self.file.reservations.iter().find(|reservation| reservation.addresses.contains(&address))
    }

    /// Every address that is held.
    pub fn taken(&self) -> BTreeSet<IpAddr> {
        self.file.reservations.iter().flat_map(|reservation| reservation.addresses.iter().copied()).collect()
    }

    /// The address of `family` handed out last.
    pub fn last(&self, family: Family) -> Option<IpAddr> {
        self.file.last.get(family.as_str()).copied()
    }

    /// Keeps `reservation` in the place of what its attachment held before.
    pub fn reserve(&mut self, reservation: Reservation) {
        self.file.reservations.retain(|other| {
            (&other.container, &other.interface) != (&reservation.container, &reservation.interface)
        });
        for address in &reservation.addresses {
            self.file.last.insert(Family::of(*address).as_str().into(), *address);
        }
        self.file.reservations.push(reservation);
    }

    /// Frees what the attachment holds; false if that was nothing.
    pub fn release(&mut self, attachment: &Attachment) -> bool {
        let before = self.file.reservations.len();
        self.file.reservations.retain(|reservation| !is_of(reservation, attachment));
        self.file.reservations.len() != before
    }

    /// Keeps only reservations for which `keep` is true, and returns the others.
    pub fn retain(&mut self, keep: impl Fn(&Reservation) -> bool) -> Vec<Reservation> {
        let (kept, dropped) = std::mem::take(&mut self.file.reservations).into_iter().partition(keep);
        self.file.reservations = kept;
        dropped
    }

    /// One line on a full pool: how many are in use, and by whom.
    pub fn usage(&self, pool: &Pool) -> String {
        let held: Vec<(IpAddr, &str)> = self
            .reservations()
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
            ..Reservation::default()
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
        let pool =
            Pool::new(Family::V4, &["10.0.0.0/28".parse::<ipnet::IpNet>().unwrap().into()], &[]).unwrap();
        let text = ledger.usage(&pool);
        assert!(
            text.starts_with("11 of 14 addresses of 10.0.0.0/28 in use: 10.0.0.2 default/p2, 10.0.0.3 c3, "),
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
