//! Images, and the local programs that stand for them.
//!
//! Under containerlab a node runs its image; here it runs the program that the image holds, from this build or from
//! a Debian package. `cmd` overrides the image's arguments as Docker does it: the entry point stays.

use crate::cache;

/// What an image is to this runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// `underlay`, from this build.
    Underlay,
    /// BIRD 2, from the Debian package `bird2`; `/etc/bird/bird.conf`.
    Bird,
    /// FRR with its supervisor, from the Debian package `frr`; `/etc/frr/frr.conf` and `/etc/frr/daemons`.
    Frr,
    /// GoBGP, from the Debian package `gobgpd`; `/etc/gobgp/gobgpd.toml`.
    Gobgp,
    /// OpenBGPD, from the Debian package of that name; `/etc/bgpd/bgpd.conf`.
    Openbgpd,
    /// The control plane of a Kubernetes, from `labs/kubernetes`; its objects in `/etc/kubernetes/manifests`.
    ControlPlane,
    /// A node of it; `cmd` is what it runs besides containerd and kubelet.
    KubernetesNode,
    /// The control plane and a node of it in one machine.
    AllInOne,
    /// A host with tools and no program of its own; `cmd` is the program to run.
    Host,
}

/// A program to run in a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its name, looked up in the build first and on `PATH` then.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
}

/// What FRR's image does when it starts: the daemons that `/etc/frr/daemons` asks for, under FRR's own supervisor,
/// which also applies `frr.conf`. The folder of their sockets is made here, since `/run` is empty.
const FRR: &str = "install -d -o frr -g frr /run/frr && . /usr/lib/frr/frrcommon.sh && exec /usr/lib/frr/watchfrr $(daemon_list)";

/// OpenBGPD refuses a file that others may read, and a file of a repository always is one.
const OPENBGPD: &str = "install -d -m 755 /run/openbgpd && install -m 600 /etc/bgpd/bgpd.conf /run/openbgpd/bgpd.conf && \
                        exec /usr/sbin/bgpd -d -f /run/openbgpd/bgpd.conf \"$@\"";

/// Repositories by name, whatever the tag. A registry's host or an owner in front does not matter.
const KNOWN: [(&str, Image); 12] = [
    ("underlay", Image::Underlay),
    ("bird", Image::Bird),
    ("frr", Image::Frr),
    ("gobgp", Image::Gobgp),
    ("openbgpd", Image::Openbgpd),
    ("kubernetes-control-plane", Image::ControlPlane),
    ("kubernetes-node", Image::KubernetesNode),
    ("kubernetes-all-in-one", Image::AllInOne),
    ("linux", Image::Host),
    ("alpine", Image::Host),
    ("busybox", Image::Host),
    ("debian", Image::Host),
];

impl Image {
    /// The meaning of an image's name.
    ///
    /// # Errors
    /// The names that are known, where this one is not.
    pub fn known(image: &str) -> Result<Self, String> {
        let last = image.rsplit('/').next().unwrap_or(image);
        let repository = last.split([':', '@']).next().unwrap_or(last);
        let found = KNOWN.iter().find(|(name, _)| *name == repository);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let names: Vec<&str> = KNOWN.iter().map(|(name, _)| *name).collect();
            format!("image `{image}` has no local program; known are {}", names.join(", "))
        })
    }

    /// Whether it is a machine of a Kubernetes: one with a disk, and with a folder that all of them share.
    #[must_use]
    pub fn is_kubernetes(self) -> bool {
        self.is_control_plane() || self.is_node()
    }

    /// Whether the control plane of a Kubernetes runs in it.
    #[must_use]
    pub fn is_control_plane(self) -> bool {
        matches!(self, Self::ControlPlane | Self::AllInOne)
    }

    /// Whether it is a node of a Kubernetes.
    #[must_use]
    pub fn is_node(self) -> bool {
        matches!(self, Self::KubernetesNode | Self::AllInOne)
    }

    /// What a node with this image runs, with the words of its `cmd`.
    ///
    /// # Errors
    /// An image that does nothing without a `cmd`.
    pub fn run(self, cmd: Option<Vec<String>>) -> Result<Option<Run>, String> {
        match (self, cmd) {
            (Self::Underlay, Some(args)) => Ok(Some(Run { program: "underlay".into(), args })),
            (Self::Underlay, None) => {
                Err("image `underlay` needs a `cmd`, such as `agent --node NAME`".into())
            }
            (Self::Bird, args) => {
                let default = || ["-f", "-c", "/etc/bird/bird.conf"].map(String::from).to_vec();
                Ok(Some(Run { program: "bird".into(), args: args.unwrap_or_else(default) }))
            }
            // Its entry point takes no arguments: what it is to be stands in its two files.
            (Self::Frr, None) => Ok(Some(script(FRR, Vec::new()))),
            (Self::Frr, Some(_)) => Err("image `frr` takes no `cmd`".into()),
            (Self::Gobgp, args) => {
                let default = || ["--log-plain", "-f", "/etc/gobgp/gobgpd.toml"].map(String::from).to_vec();
                Ok(Some(Run { program: "gobgpd".into(), args: args.unwrap_or_else(default) }))
            }
            (Self::Openbgpd, args) => Ok(Some(script(OPENBGPD, args.unwrap_or_default()))),
            (Self::ControlPlane, None) => Ok(Some(kubernetes("control-plane", Vec::new()))),
            (Self::ControlPlane, Some(_)) => Err("image `kubernetes-control-plane` takes no `cmd`".into()),
            (Self::KubernetesNode, words) => Ok(Some(kubernetes("node", words.unwrap_or_default()))),
            (Self::AllInOne, words) => Ok(Some(kubernetes("all-in-one", words.unwrap_or_default()))),
            (Self::Host, None) => Ok(None),
            (Self::Host, Some(mut words)) => {
                let args = words.split_off(1);
                Ok(words.pop().map(|program| Run { program, args }))
            }
        }
    }
}

/// A machine of a Kubernetes.
fn kubernetes(machine: &str, args: Vec<String>) -> Run {
    let programs = format!("BIN={}", cache::kubernetes().display());
    let words = [programs, cache::script("lab.sh").display().to_string(), machine.to_owned()];
    Run { program: "env".into(), args: words.into_iter().chain(args).collect() }
}

/// A script with arguments. FRR's scripts want bash.
fn script(text: &str, args: Vec<String>) -> Run {
    let words = ["-c", text, "entry-point"].map(String::from);
    Run { program: "bash".into(), args: words.into_iter().chain(args).collect() }
}
