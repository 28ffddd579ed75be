//! Addresses as people write them, with the name of their link. Asks the kernel of
//! the thread's network namespace for names, and nothing else.

use std::net::{IpAddr, Ipv6Addr};

use bgp::zone::{self, Zone};
use nix::net::if_::{if_indextoname, if_nametoindex};

/// The address with its interface, such as `fe80::1%eth1`. Of a link whose neighbour is not
/// known, and stands there as `fe80::`, the interface alone.
#[must_use]
pub fn shown(address: IpAddr) -> String {
    let name =
        |zone: Zone| if_indextoname(zone.0.get()).ok()?.into_string().ok().filter(|name| !name.is_empty());
    let nobody = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0));
    match zone::split(address) {
        (plain, Some(link)) if plain == nobody => name(link).unwrap_or_else(|| link.0.to_string()),
        _ => zone::shown(address, name),
    }
}

/// What [`shown`] wrote of an address. A link is named, and never a part of the address.
#[must_use]
pub fn parse(text: &str) -> Option<IpAddr> {
    let Some((address, link)) = text.split_once('%') else {
        return text.parse().ok().filter(|address| zone::of(*address).is_none());
    };
    let index = link.parse().ok().or_else(|| if_nametoindex(link).ok());
    zone::within(address.parse().ok()?, Zone::new(index?)?).map(IpAddr::V6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_its_link() {
        let on = |text: &str, link: u32| {
            IpAddr::V6(zone::within(text.parse().unwrap(), Zone::new(link).unwrap()).unwrap())
        };
        let router = on("fe80::1", 1);
        assert_eq!((shown(router), shown(on("fe80::", 1))), ("fe80::1%lo".to_owned(), "lo".to_owned()));
        assert_eq!((parse("fe80::1%lo"), parse("fe80::1%1")), (Some(router), Some(router)));
        assert_eq!(shown(on("fe80::1", u32::MAX)), "fe80::1%4294967295");
        assert_eq!(parse("10.0.0.1"), Some("10.0.0.1".parse().unwrap()));
        for text in ["fe80::1%nolink", "2001:db8::1%lo", "eth1", "%lo", "fe80::1%0", "fe80:0:0:1::1"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
