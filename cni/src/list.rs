//! `underlay-cni list`: who holds which address, for people and scripts. Reads alone, takes no lock.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use api::netconf::{DEFAULT_STATE_DIR, Reservation, Reservations, reservations_path};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::store::boot_id;

/// What a call with these words prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    folder: PathBuf,
    json: bool,
}

/// How to call it.
pub const USAGE: &str = "\
usage: underlay-cni list [-o json] [--state-dir DIR]

Lists the addresses of this node's pods. Without arguments this is a CNI plugin,
which runtimes call with CNI_COMMAND and a network configuration on stdin.
";

impl List {
    /// The call that `words` ask for; none if they ask for something else.
    pub fn parse<'w>(words: impl IntoIterator<Item = &'w str>) -> Option<Self> {
        let mut words = words.into_iter();
        if words.next() != Some("list") {
            return None;
        }
        let mut list = Self { folder: DEFAULT_STATE_DIR.into(), json: false };
        while let Some(word) = words.next() {
            match (word, words.next()?) {
                ("-o" | "--output", "json") => list.json = true,
                ("-o" | "--output", "table") => list.json = false,
                ("--state-dir", folder) => list.folder = folder.into(),
                _ => return None,
            }
        }
        Some(list)
    }

    /// What to print.
    ///
    /// # Errors
    /// Code 5 for a folder that cannot be read; one that is not there holds nothing.
    pub fn text(&self) -> Result<String> {
        let held = held(&self.folder, &boot_id()?)?;
        Ok(if self.json { format!("{}\n", as_json(&held)) } else { table(&held) })
    }
}

/// Every reservation of this boot with its network, in the order of networks and of making.
fn held(folder: &Path, boot_id: &str) -> Result<Vec<(String, Reservation)>> {
    let fail = |e: &std::io::Error| Error::io(format_args!("read {}", folder.display()), e);
    let mut networks = Vec::new();
    match fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                networks.push(entry.map_err(|e| fail(&e))?.file_name().to_string_lossy().into_owned());
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(fail(&e)),
    }
    networks.sort();
    let mut held = Vec::new();
    for network in networks {
        let bytes = fs::read(reservations_path(folder, &network)).unwrap_or_default();
        let file = Reservations::decode(&bytes, boot_id);
        let reservations = file.map(|file| file.reservations).unwrap_or_default();
        held.extend(reservations.into_iter().map(|reservation| (network.clone(), reservation)));
    }
    Ok(held)
}

fn as_json(held: &[(String, Reservation)]) -> Value {
    let one = |(network, held): &(String, Reservation)| {
        json!({
            "network": network,
            "namespace": held.pod_name().map(|(namespace, _)| namespace),
            "pod": held.pod_name().map(|(_, name)| name),
            "containerID": held.container,
            "interface": held.interface,
            "link": held.link,
            "addresses": held.addresses,
        })
    };
    held.iter().map(one).collect()
}

/// Columns as wide as their widest cell.
fn table(held: &[(String, Reservation)]) -> String {
    /// Digits of a container id that tell it from others.
    const SHORT: usize = 13;
    let mut rows = vec![["NETWORK", "POD", "CONTAINER", "INTERFACE", "LINK", "ADDRESSES"].map(str::to_owned)];
    for (network, held) in held {
        let addresses: Vec<String> = held.addresses.iter().map(ToString::to_string).collect();
        rows.push([
            network.clone(),
            held.pod.clone().unwrap_or_else(|| "-".into()),
            held.container.chars().take(SHORT).collect(),
            held.interface.clone(),
            held.link.clone(),
            addresses.join(","),
        ]);
    }
    let mut text = String::new();
    for row in &rows {
        for (at, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[at].len()).max().unwrap_or_default();
            let last = at + 1 == row.len();
            // Writing to a String cannot fail.
            let _ = if last { writeln!(text, "{cell}") } else { write!(text, "{cell:width$}  ") };
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let list = |words: &[&str]| List::parse(words.iter().copied());
        assert_eq!(list(&["list"]), Some(List { folder: DEFAULT_STATE_DIR.into(), json: false }));
        let asked = list(&["list", "--state-dir", "/x", "-o", "json"]);
        assert_eq!(asked, Some(List { folder: "/x".into(), json: true }));
        for bad in [&["list", "-o"][..], &["list", "-o", "xml"], &["lost"], &["list", "x"]] {
            assert_eq!(list(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_row_a_reservation() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = Reservations::new("b");
        for (container, pod) in [("c0ffee0123456789", Some("default/web-0")), ("c1", None)] {
            file.reservations.push(Reservation {
                container: container.into(),
                interface: "eth0".into(),
                link: "ul1".into(),
                addresses: vec!["10.0.0.5".parse().unwrap(), "fd00::5".parse().unwrap()],
                pod: pod.map(str::to_owned),
                ..Reservation::default()
            });
        }
        fs::create_dir(dir.path().join("net")).unwrap();
        fs::write(reservations_path(dir.path(), "net"), file.encode()).unwrap();
        let here = held(dir.path(), "b").unwrap();
        assert_eq!(
            table(&here),
            "NETWORK  POD            CONTAINER      INTERFACE  LINK  ADDRESSES\n\
             net      default/web-0  c0ffee0123456  eth0       ul1   10.0.0.5,fd00::5\n\
             net      -              c1             eth0       ul1   10.0.0.5,fd00::5\n"
        );
        assert_eq!(as_json(&here)[0]["pod"], "web-0");
        assert_eq!(as_json(&here)[1]["namespace"], Value::Null);
        assert!(held(dir.path(), "another boot").unwrap().is_empty());
        assert!(held(&dir.path().join("none"), "b").unwrap().is_empty());
    }
}
