//! Files below `/proc/sys/net`, which are those of the calling thread's namespace.
//!
//! A value is written only if it differs: a read-only `/proc/sys` is no obstacle where
//! nothing has to change.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::ipam::Family;
use crate::plan::Sysctl;

const ROOT: &str = "/proc/sys/net";

/// The file of `sysctl` for `interface`, which may be `all` or `default`.
fn path(sysctl: Sysctl, interface: &str) -> PathBuf {
    let (folder, file) = match sysctl {
        Sysctl::RpFilter => ("ipv4/conf", "rp_filter"),
        Sysctl::RouteLocalnet => ("ipv4/conf", "route_localnet"),
        Sysctl::AcceptRa => ("ipv6/conf", "accept_ra"),
        Sysctl::DisableIpv6 => ("ipv6/conf", "disable_ipv6"),
        Sysctl::ProxyDelay => ("ipv4/neigh", "proxy_delay"),
        Sysctl::ProxyNdp => ("ipv6/conf", "proxy_ndp"),
    };
    Path::new(ROOT).join(folder).join(interface).join(file)
}

/// The value of `sysctl` for `interface`; none if the kernel has no such file.
///
/// # Errors
/// Code 5 if the file cannot be read.
pub fn value(sysctl: Sysctl, interface: &str) -> Result<Option<String>> {
    read(&path(sysctl, interface))
}

/// Makes `sysctl` of `interface` have `value`.
///
/// # Errors
/// Code 5 if the file cannot be written.
pub fn set(sysctl: Sysctl, interface: &str, value: u8) -> Result<()> {
    write(&path(sysctl, interface), &value.to_string())
}

/// Makes the node forward packets of `family`, as every node with pods must.
///
/// A node that forwards IPv6 ignores router advertisements, and would lose a default route
/// that came from one. Each interface that listened to them goes on (`accept_ra` 2).
///
/// # Errors
/// Code 5 if a file cannot be read or written.
pub fn enable_forwarding(family: Family) -> Result<()> {
    if forwards(family)? {
        return Ok(());
    }
    if family == Family::V6 {
        keep_router_advertisements()?;
    }
    write(&forwarding(family), "1")
}

/// Whether the node forwards packets of `family`.
///
/// # Errors
/// Code 5 if the file cannot be read.
pub fn forwards(family: Family) -> Result<bool> {
    Ok(read(&forwarding(family))?.is_some_and(|value| value != "0"))
}

fn forwarding(family: Family) -> PathBuf {
    Path::new(ROOT).join(match family {
        Family::V4 => "ipv4/ip_forward",
        Family::V6 => "ipv6/conf/all/forwarding",
    })
}

fn keep_router_advertisements() -> Result<()> {
    let folder = Path::new(ROOT).join("ipv6/conf");
    let fail = |e: &io::Error| Error::io(format_args!("list {}", folder.display()), e);
    for entry in fs::read_dir(&folder).map_err(|e| fail(&e))? {
        let name = entry.map_err(|e| fail(&e))?.file_name();
        if name == "all" || name == "default" || name == "lo" {
            continue;
        }
        let file = folder.join(name).join("accept_ra");
        if read(&file)?.is_some_and(|value| value == "1") {
            write(&file, "2")?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(format_args!("read {}", path.display()), &e)),
    }
}

fn write(path: &Path, value: &str) -> Result<()> {
    if read(path)?.as_deref() == Some(value) {
        return Ok(());
    }
    fs::write(path, value).map_err(|e| Error::io(format_args!("write {value} to {}", path.display()), &e))
}
