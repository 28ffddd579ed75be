//! One container on one network: its identity and every name that follows from it.
//!
//! Invariant: names and MAC addresses depend on the container id and the interface
//! name alone, so that DEL finds the link without any state. MAC addresses are set
//! by us also because udev rewrites those that the kernel chose (`MACAddressPolicy`).

use std::fmt;

/// Prefix of every host-side link of ours.
pub const LINK_PREFIX: &str = "ul";

/// Digits of the digest in the name of a host-side link; with the prefix, all that Linux allows.
const LINK_DIGITS: usize = 13;

/// Longest alias that the kernel takes (IFALIASZ is 256 with the final NUL).
const ALIAS_MAX: usize = 255;

/// A container id and the name of the interface inside it; together they are the key of an attachment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attachment {
    container: String,
    interface: String,
}

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl Attachment {
    /// The attachment, or which of the two parts is invalid and why.
    pub fn new(container: &str, interface: &str) -> Result<Self, (Part, String)> {
        container_id(container).map_err(|why| (Part::Container, why))?;
        interface_name(interface).map_err(|why| (Part::Interface, why))?;
        Ok(Self { container: container.into(), interface: interface.into() })
    }

    /// The container id.
    pub fn container(&self) -> &str {
        &self.container
    }

    /// The interface's name in the container.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Name of the host end: the prefix and 52 bits of the digest, 15 bytes in all.
    pub fn link_name(&self) -> String {
        format!("{LINK_PREFIX}{:0LINK_DIGITS$x}", self.digest(0) >> 76)
    }

    /// MAC address of the host end.
    pub fn host_mac(&self) -> Mac {
        self.mac(1)
    }

    /// MAC address of the container's end, unless one was asked for.
    pub fn pod_mac(&self) -> Mac {
        self.mac(2)
    }

    /// Alias of the host end: tells people whose it is, and GC whose network it belongs to.
    pub fn alias(&self, network: &str) -> String {
        let mut alias =
            format!("{} container={} interface={}", alias_head(network), self.container, self.interface);
        // All of it is ASCII, so that any cut is at a character.
        alias.truncate(ALIAS_MAX);
        alias
    }

    fn mac(&self, purpose: u8) -> Mac {
        let [a, b, c, d, e, f, ..] = self.digest(purpose).to_be_bytes();
        // Unicast and locally administered (IEEE 802: bits 0 and 1 of the first byte).
        Mac([(a & 0xfc) | 0x02, b, c, d, e, f])
    }

    /// FNV-1a, 128 bits: stable over releases of ours and of the compiler.
    fn digest(&self, purpose: u8) -> u128 {
        const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
        let parts = [self.container.as_bytes(), &[0], self.interface.as_bytes(), &[0, purpose]];
        let mut hash = parts
            .into_iter()
            .flatten()
            .fold(OFFSET, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME));
        // The last bytes of the input reach the high half only by more multiplications.
        for _ in 0..4 {
            hash = (hash ^ (hash >> 64)).wrapping_mul(PRIME);
        }
        hash
    }
}

/// Whether `name` has the form of our host-side links.
pub fn is_link_name(name: &str) -> bool {
    name.strip_prefix(LINK_PREFIX).is_some_and(|digits| {
        digits.len() == LINK_DIGITS && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// The part of an alias that names the network.
pub fn alias_head(network: &str) -> String {
    format!("underlay-cni network={network}")
}

/// Whether `alias` is one of ours on `network`.
pub fn alias_is_of(alias: &str, network: &str) -> bool {
    alias.strip_prefix(&alias_head(network)).is_some_and(|rest| rest.starts_with(" container="))
}

/// Which part of an attachment is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The container id.
    Container,
    /// The interface name.
    Interface,
}

/// The specification's `^[A-Za-z0-9][A-Za-z0-9_.-]*$`, which holds for container ids and network names.
pub fn container_id(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("is empty".into());
    }
    if !text.as_bytes()[0].is_ascii_alphanumeric() {
        return Err("does not start with a letter or a digit".into());
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))) {
        Some(c) => Err(format!("contains {c:?}; letters, digits, '_', '.' and '-' are allowed")),
        None => Ok(()),
    }
}

/// What Linux takes as the name of an interface.
fn interface_name(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("is empty".into());
    }
    if text.len() > 15 {
        return Err(format!("is {} bytes long; Linux allows 15", text.len()));
    }
    if text == "." || text == ".." {
        return Err(format!("is {text:?}"));
    }
    match text.chars().find(|c| matches!(c, '/' | ':' | '\0') || c.is_whitespace()) {
        Some(c) => Err(format!("contains {c:?}")),
        None => Ok(()),
    }
}

impl Mac {
    /// The address in `text`, six pairs of hexadecimal digits with colons between them.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2)?;
            if !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return None;
            }
            *byte = u8::from_str_radix(part, 16).ok()?;
        }
        parts.next().is_none().then_some(Self(bytes))
    }

    /// Whether an interface may have it: neither multicast nor zero.
    pub fn is_usable(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn attachment(container: &str, interface: &str) -> Attachment {
        Attachment::new(container, interface).unwrap()
    }

    #[test]
    fn names_are_stable_over_releases() {
        let a = attachment("c0ffee", "eth0");
        assert_eq!(a.link_name(), GOLDEN_LINK);
        assert_eq!(
            (a.host_mac().to_string(), a.pod_mac().to_string()),
            (GOLDEN_HOST.into(), GOLDEN_POD.into())
        );
        assert_eq!(a.alias("net"), "underlay-cni network=net container=c0ffee interface=eth0");
    }

    const GOLDEN_LINK: &str = "ulb2e57eacd5592";
    const GOLDEN_HOST: &str = "d6:08:a5:be:d2:59";
    const GOLDEN_POD: &str = "62:9d:b6:82:60:59";

    #[test]
    fn names_of_many_attachments_differ() {
        let mut names = BTreeSet::new();
        for n in 0..20_000 {
            for interface in ["eth0", "eth1"] {
                names.insert(attachment(&format!("{n:064x}"), interface).link_name());
            }
        }
        assert_eq!(names.len(), 40_000);
        assert!(names.iter().all(|name| name.len() == 15 && is_link_name(name)));
        for other in ["ul0", "ulan0", "uplink0123456789", "ul0123456789abX", "eth0"] {
            assert!(!is_link_name(other), "{other}");
        }
    }

    #[test]
    fn parts_are_checked() {
        for bad in ["", "-a", ".a", "a/b", "a b", "ä", "a\n"] {
            assert_eq!(Attachment::new(bad, "eth0").unwrap_err().0, Part::Container, "{bad:?}");
        }
        for bad in ["", ".", "..", "a/b", "a:b", "a b", "a\tb", "0123456789abcdef"] {
            assert_eq!(Attachment::new("c", bad).unwrap_err().0, Part::Interface, "{bad:?}");
        }
        attachment("a_b.c-d", "0123456789abcde");
    }

    #[test]
    fn alias_names_its_network_and_no_other() {
        let a = attachment(&"f".repeat(300), "eth0");
        assert_eq!(a.alias("net").len(), ALIAS_MAX);
        assert!(alias_is_of(&a.alias("net"), "net"));
        assert!(!alias_is_of(&a.alias("net2"), "net"));
        assert!(!alias_is_of("somebody's link", "net"));
    }

    proptest! {
        #[test]
        fn macs_are_usable_local_and_parse_back(id in "[a-z0-9]{1,64}", name in "[a-z0-9]{1,15}") {
            let a = attachment(&id, &name);
            for mac in [a.host_mac(), a.pod_mac()] {
                prop_assert!(mac.is_usable() && mac.0[0] & 2 == 2);
                prop_assert_eq!(Mac::parse(&mac.to_string()), Some(mac));
            }
            prop_assert_ne!(a.host_mac(), a.pod_mac());
        }

        #[test]
        fn no_text_makes_a_mac_panic(text in ".*") {
            let _ = Mac::parse(&text);
        }
    }
}
