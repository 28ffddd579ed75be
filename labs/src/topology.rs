//! A containerlab topology file, read and checked.
//!
//! Owns the file's meaning: defaults, kinds and nodes are merged here as containerlab merges them, so that the rest
//! sees complete nodes. A field that the runner does not honour is refused by name and line, never ignored: a lab
//! must not look up while half of its file has no effect.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use crate::image::{Image, Run};
use crate::{kind, words};

/// A lab: nodes by name, and the links between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// The lab's name.
    pub name: String,
    /// The folder of the file; binds are relative to it.
    pub folder: PathBuf,
    /// The nodes by name.
    pub nodes: BTreeMap<String, Node>,
    /// The links in the order of the file, after those of clusters.
    pub links: Vec<Link>,
    /// The clusters of kind: their nodes have no network for pods until somebody installs one.
    pub clusters: Vec<String>,
}

/// A node with everything that `defaults` and its kind add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The image as the file names it.
    pub image: String,
    /// The local program that stands for the image, with its arguments; none for a bare host.
    pub run: Option<Run>,
    /// Commands to run, in order, once the links are there.
    pub exec: Vec<Vec<String>>,
    /// Files and folders of the lab shown inside the node.
    pub binds: Vec<Bind>,
    /// Kernel parameters of the node's network namespace.
    pub sysctls: BTreeMap<String, String>,
    /// The environment of the program and of commands.
    pub env: BTreeMap<String, String>,
}

/// `SOURCE:TARGET[:ro]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// The absolute path outside.
    pub source: PathBuf,
    /// The absolute path inside.
    pub target: PathBuf,
    /// Whether the node may not write to it.
    pub read_only: bool,
}

/// A veth pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its two ends.
    pub ends: [End; 2],
    /// The MTU of both ends, in bytes; unset leaves the kernel's.
    pub mtu: Option<u32>,
}

/// One end of a link: `NODE:INTERFACE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The node.
    pub node: String,
    /// The interface inside the node.
    pub interface: String,
}

/// Why a file is not a lab that can be brought up: `FILE:LINE:COLUMN: MESSAGE`.
#[derive(Debug)]
pub struct Error {
    file: PathBuf,
    place: Option<(u64, u64)>,
    message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for Error {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    name: Spanned<String>,
    topology: Section,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    #[serde(default)]
    defaults: Settings,
    #[serde(default)]
    kinds: BTreeMap<String, Spanned<Settings>>,
    nodes: BTreeMap<String, Spanned<Settings>>,
    #[serde(default)]
    links: Vec<Spanned<Wire>>,
}

#[derive(Deserialize, Default, Clone)]
#[serde(deny_unknown_fields)]
struct Settings {
    kind: Option<Spanned<String>>,
    image: Option<Spanned<String>>,
    cmd: Option<Spanned<String>>,
    #[serde(rename = "startup-config")]
    startup_config: Option<Spanned<String>>,
    #[serde(rename = "network-mode")]
    network_mode: Option<Spanned<String>>,
    #[serde(default)]
    exec: Vec<Spanned<String>>,
    #[serde(default)]
    binds: Vec<Spanned<String>>,
    #[serde(default)]
    sysctls: BTreeMap<String, String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    endpoints: Vec<Spanned<String>>,
    mtu: Option<u32>,
}

/// A message with the place in the file that it is about.
type Complaint = (Location, String);

impl Topology {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// What is wrong with it, with file, line and column.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let error = |message: String| Error { file: file.to_owned(), place: None, message };
        let text = fs::read_to_string(file).map_err(|e| error(e.to_string()))?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let folder = fs::canonicalize(if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
        Self::parse(file, &folder.map_err(|e| error(e.to_string()))?, &text)
    }

    /// Reads and checks the text of `file`; binds are relative to `folder`.
    ///
    /// # Errors
    /// What is wrong with it, with file, line and column.
    pub fn parse(file: &Path, folder: &Path, text: &str) -> Result<Self, Error> {
        let document: Document = serde_saphyr::from_str(text).map_err(|error| {
            let place = error.location().map(|at| (at.line(), at.column()));
            Error { file: file.to_owned(), place, message: plain(&error) }
        })?;
        check(document, folder).map_err(|(at, message)| Error {
            file: file.to_owned(),
            place: Some((at.line(), at.column())),
            message,
        })
    }
}

/// The parser's message without the place, which stands in front of ours.
fn plain(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let end = [" at line ", "\n"].iter().filter_map(|mark| text.find(mark)).min().unwrap_or(text.len());
    text[..end].trim_end_matches(':').to_owned()
}

fn check(document: Document, folder: &Path) -> Result<Topology, Complaint> {
    let Document { name, topology } = document;
    if !is_name(&name.value, 20) {
        return Err((name.referenced, format!("name `{}` is not 1 to 20 of a-z, 0-9 and -", name.value)));
    }
    for (kind, settings) in &topology.kinds {
        supported(kind, settings.referenced)?;
    }
    let (mut nodes, mut links) = (BTreeMap::new(), Vec::new());
    let (mut clusters, mut containers, mut inside) = (Vec::new(), BTreeMap::new(), Vec::new());
    for (node, settings) in &topology.nodes {
        if !is_name(node, 20) {
            return Err((settings.referenced, format!("node `{node}` is not 1 to 20 of a-z, 0-9 and -")));
        }
        match kind_of(node, settings, &topology)? {
            Kind::Linux => drop(nodes.insert(node.clone(), complete(node, settings, &topology, folder)?)),
            Kind::Cluster => {
                let cluster = cluster(node, settings, folder)?;
                clusters.push(node.clone());
                nodes.insert(node.clone(), cluster.network);
                containers.extend(cluster.containers);
                links.extend(cluster.cables);
            }
            Kind::Container => inside.push((node, settings)),
        }
    }
    for (node, settings) in inside {
        let container = containers.get_mut(node).ok_or_else(|| {
            (settings.referenced, format!("node `{node}` is no container of a cluster of kind `k8s-kind`"))
        })?;
        container.exec.extend(exec(&levels(settings, &topology, "ext-container"))?);
    }
    nodes.extend(containers);
    links.extend(self::links(&topology.links, &nodes)?);
    Ok(Topology { name: name.value, folder: folder.to_owned(), nodes, links, clusters })
}

fn is_name(name: &str, longest: usize) -> bool {
    let fits = (1..=longest).contains(&name.len()) && !name.starts_with('-');
    fits && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// What containerlab makes of a node.
enum Kind {
    /// A container of its own.
    Linux,
    /// A cluster of containers, made by kind.
    Cluster,
    /// A container that somebody else makes: one of a cluster's.
    Container,
}

fn supported(kind: &str, at: Location) -> Result<Kind, Complaint> {
    match kind {
        "linux" => Ok(Kind::Linux),
        "k8s-kind" => Ok(Kind::Cluster),
        "ext-container" => Ok(Kind::Container),
        _ => Err((
            at,
            format!(
                "kind `{kind}` is not supported; this runner knows `linux`, `k8s-kind` and `ext-container`"
            ),
        )),
    }
}

fn kind_of(name: &str, own: &Spanned<Settings>, topology: &Section) -> Result<Kind, Complaint> {
    let kind = own.value.kind.as_ref().or(topology.defaults.kind.as_ref());
    let kind = kind.ok_or_else(|| (own.referenced, format!("node `{name}` has no `kind`")))?;
    let meaning = supported(&kind.value, kind.referenced)?;
    let Settings { image, cmd, startup_config, network_mode, exec, binds, sysctls, env, .. } = &own.value;
    let alone = image.is_none()
        && cmd.is_none()
        && network_mode.is_none()
        && binds.is_empty()
        && sysctls.is_empty()
        && env.is_empty();
    let fits = match meaning {
        Kind::Linux => startup_config.is_none(),
        Kind::Cluster => alone && exec.is_empty(),
        Kind::Container => alone && startup_config.is_none(),
    };
    let wrong = || match meaning {
        Kind::Linux => "no `startup-config`, which is for `k8s-kind`",
        Kind::Cluster => "nothing but `startup-config`",
        Kind::Container => "nothing but `exec`",
    };
    let says = || format!("node `{name}` of kind `{}` has {} here", kind.value, wrong());
    if fits { Ok(meaning) } else { Err((own.referenced, says())) }
}

/// The three levels of a node's settings, the outermost first.
fn levels(own: &Spanned<Settings>, topology: &Section, kind: &str) -> [Settings; 3] {
    let by_kind = topology.kinds.get(kind).map(|settings| settings.value.clone()).unwrap_or_default();
    [topology.defaults.clone(), by_kind, own.value.clone()]
}

fn exec(levels: &[Settings; 3]) -> Result<Vec<Vec<String>>, Complaint> {
    levels.iter().flat_map(|level| &level.exec).map(split).collect()
}

/// One node: lists of the three levels follow each other, of maps and single values the innermost wins.
fn complete(
    name: &str,
    own: &Spanned<Settings>,
    topology: &Section,
    folder: &Path,
) -> Result<Node, Complaint> {
    let at = own.referenced;
    let levels = levels(own, topology, "linux");
    for mode in levels.iter().filter_map(|level| level.network_mode.as_ref()) {
        // No management network: what every node of this runner has.
        if mode.value != "none" {
            return Err((
                mode.referenced,
                format!("network-mode `{}` is not supported, only `none`", mode.value),
            ));
        }
    }

    let image = levels.iter().rev().find_map(|level| level.image.as_ref());
    let image = image.ok_or_else(|| (at, format!("node `{name}` has no `image`")))?;
    let meaning = Image::known(&image.value).map_err(|message| (image.referenced, message))?;
    let cmd = levels.iter().rev().find_map(|level| level.cmd.as_ref());
    let cmd = cmd.map(split).transpose()?;
    let run = meaning.run(cmd).map_err(|message| (at, format!("node `{name}`: {message}")))?;

    let binds = levels.iter().flat_map(|level| &level.binds).map(|text| bind(text, folder));
    let binds = binds.collect::<Result<_, _>>()?;
    let merged = |of: fn(&Settings) -> &BTreeMap<String, String>| {
        levels.iter().flat_map(|level| of(level).clone()).collect::<BTreeMap<_, _>>()
    };
    Ok(Node {
        image: image.value.clone(),
        run,
        exec: exec(&levels)?,
        binds,
        sysctls: merged(|level| &level.sysctls),
        env: merged(|level| &level.env),
    })
}

/// What stands for a cluster: kind's containers, and Docker's network between them in a node of the cluster's name.
struct Cluster {
    network: Node,
    containers: BTreeMap<String, Node>,
    cables: Vec<Link>,
}

fn cluster(name: &str, own: &Spanned<Settings>, folder: &Path) -> Result<Cluster, Complaint> {
    let file = own.value.startup_config.as_ref();
    let file = file.ok_or_else(|| (own.referenced, format!("node `{name}` has no `startup-config`")))?;
    let cluster = kind::Cluster::read(name, &folder.join(&file.value));
    let cluster = cluster.map_err(|message| (file.referenced, message))?;
    let node = |image: &str, exec: Vec<String>, env: BTreeMap<String, String>| {
        let run = Image::known(image).and_then(|meaning| meaning.run(None));
        let run = run.map_err(|message| (own.referenced, message))?;
        let exec = exec.iter().map(|text| text.split_whitespace().map(str::to_owned).collect()).collect();
        let sysctls = kind::SYSCTLS.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        Ok(Node { image: image.to_owned(), run, exec, binds: Vec::new(), sysctls, env })
    };
    let (mut containers, mut cables) = (BTreeMap::new(), Vec::new());
    let mut network = kind::network();
    for (number, container) in cluster.containers.iter().enumerate() {
        if !is_name(&container.name, 20) {
            return Err((own.referenced, format!("`{}` is not 1 to 20 of a-z, 0-9 and -", container.name)));
        }
        let port = format!("port{number}");
        network.extend(kind::plugged(&port));
        let ends = [(name, port.as_str()), (&container.name, kind::INTERFACE)];
        let ends = ends.map(|(node, interface)| End { node: node.into(), interface: interface.into() });
        cables.push(Link { ends, mtu: None });
        let made = node(container.image(), kind::addresses(number), cluster.environment(container))?;
        containers.insert(container.name.clone(), made);
    }
    Ok(Cluster { network: node("linux", network, BTreeMap::new())?, containers, cables })
}

fn split(text: &Spanned<String>) -> Result<Vec<String>, Complaint> {
    let words = words::split(&text.value).map_err(|message| (text.referenced, message))?;
    if words.is_empty() { Err((text.referenced, "the command is empty".into())) } else { Ok(words) }
}

fn bind(text: &Spanned<String>, folder: &Path) -> Result<Bind, Complaint> {
    let wrong = |message: String| Err((text.referenced, message));
    let parts: Vec<&str> = text.value.split(':').collect();
    let (source, target, read_only) = match parts[..] {
        [source, target] => (source, target, false),
        [source, target, "ro"] => (source, target, true),
        _ => return wrong(format!("bind `{}` is not SOURCE:TARGET or SOURCE:TARGET:ro", text.value)),
    };
    if !target.starts_with('/') || target.split('/').any(|part| part == "..") {
        return wrong(format!("bind target `{target}` is not an absolute path"));
    }
    let source = folder.join(source);
    if !source.exists() {
        return wrong(format!("bind source `{}` does not exist", source.display()));
    }
    Ok(Bind { source, target: PathBuf::from(target), read_only })
}

fn links(wires: &[Spanned<Wire>], nodes: &BTreeMap<String, Node>) -> Result<Vec<Link>, Complaint> {
    let mut links = Vec::new();
    let mut used: Vec<End> = Vec::new();
    for wire in wires {
        let [a, b] = &wire.value.endpoints[..] else {
            let count = wire.value.endpoints.len();
            return Err((wire.referenced, format!("a link has 2 endpoints, this one has {count}")));
        };
        let ends = [end(a, nodes)?, end(b, nodes)?];
        for (end, text) in ends.iter().zip([a, b]) {
            if used.contains(end) {
                return Err((text.referenced, format!("endpoint `{}` is used twice", text.value)));
            }
            used.push(end.clone());
        }
        links.push(Link { ends, mtu: wire.value.mtu });
    }
    Ok(links)
}

fn end(text: &Spanned<String>, nodes: &BTreeMap<String, Node>) -> Result<End, Complaint> {
    let wrong = |message: String| Err((text.referenced, message));
    let Some((node, interface)) = text.value.split_once(':') else {
        return wrong(format!("endpoint `{}` is not NODE:INTERFACE", text.value));
    };
    if !nodes.contains_key(node) {
        return wrong(format!("endpoint `{}`: no node `{node}`", text.value));
    }
    // IFNAMSIZ is 16 with the closing zero.
    let fits =
        (1..=15).contains(&interface.len()) && interface.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !fits {
        return wrong(format!("`{interface}` is not 1 to 15 letters and digits"));
    }
    Ok(End { node: node.to_owned(), interface: interface.to_owned() })
}
