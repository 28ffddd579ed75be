//! A network namespace with a name, as `ip netns` knows it: a file in `/run/netns`.
//!
//! In a [`crate::Sandbox`] that folder is private to the test. A namespace ends with its last process and its name;
//! a dropped [`Netns`] keeps both, because a name is often made in one place and used in another.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use crate::namespace;

const FOLDER: &str = "/run/netns";

/// The name of a network namespace and what can be done inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// Makes the namespace: loopback up, IPv6 addresses usable at once (no duplicate address detection), no
    /// forwarding.
    ///
    /// # Errors
    /// Those of the kernel; a name in use is `AlreadyExists`.
    pub fn create(name: &str) -> io::Result<Self> {
        fs::create_dir_all(FOLDER)?;
        let namespace = Self { name: name.to_owned() };
        let file = namespace.path();
        fs::OpenOptions::new().write(true).create_new(true).open(&file)?;
        // A thread of its own: what it unshares would otherwise stay with the caller.
        let made = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    unshare(CloneFlags::CLONE_NEWNET)?;
                    let own = Some("/proc/thread-self/ns/net");
                    mount(own, &file, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                })
                .join()
        });
        let made = made.map_err(|_| io::Error::other("the thread that makes a namespace panicked"));
        if let Err(error) = made.and_then(|result| result.map_err(io::Error::from)) {
            fs::remove_file(&file)?;
            return Err(error);
        }
        let ready = namespace.settle();
        if ready.is_err() {
            namespace.remove()?;
        }
        ready.map(|()| namespace)
    }

    fn settle(&self) -> io::Result<()> {
        self.try_ip("link set lo up").map_err(io::Error::other)?;
        for interfaces in ["all", "default"] {
            self.try_sysctl(&format!("net.ipv6.conf.{interfaces}.accept_dad"), "0")?;
        }
        Ok(())
    }

    /// A namespace that is there already.
    ///
    /// # Errors
    /// `NotFound` where no namespace has this name.
    pub fn open(name: &str) -> io::Result<Self> {
        let namespace = Self { name: name.to_owned() };
        fs::metadata(namespace.path()).map(|_| namespace)
    }

    /// Takes the name away. The namespace itself ends with the last process and socket in it.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn remove(&self) -> io::Result<()> {
        let file = self.path();
        // EINVAL: a file without a mount, left by a half-made namespace.
        match umount2(&file, MntFlags::MNT_DETACH) {
            Ok(()) | Err(nix::Error::EINVAL) => {}
            Err(error) => return Err(error.into()),
        }
        fs::remove_file(file)
    }

    /// The name that `ip -n NAME` takes.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for the namespace, for example as `CNI_NETNS`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new(FOLDER).join(&self.name)
    }

    /// A command that starts inside the namespace, with the mounts of the caller.
    ///
    /// # Panics
    /// Where the namespace has no name any more.
    #[track_caller]
    pub fn exec<S: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(program);
        command.args(args);
        if let Err(error) = namespace::enter_network_on_exec(&mut command, &self.path()) {
            panic!("network namespace {}: {error}", self.name);
        }
        command
    }

    /// Runs `ip` with these words inside the namespace and gives its output.
    ///
    /// # Panics
    /// Where `ip` fails, with the command and what it said.
    #[track_caller]
    pub fn ip(&self, words: &str) -> String {
        self.try_ip(words).unwrap_or_else(|message| panic!("{message}"))
    }

    /// Like [`Netns::ip`].
    ///
    /// # Errors
    /// The command and what it said.
    pub fn try_ip(&self, words: &str) -> Result<String, String> {
        let line = format!("ip -n {} {words}", self.name);
        let output = Command::new("ip").args(line.split_whitespace().skip(1)).output();
        let output = output.map_err(|error| format!("{line}: {error}"))?;
        if !output.status.success() {
            return Err(format!(
                "{line}: {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            ));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Sets a kernel parameter of the namespace: `net.ipv4.ip_forward`; slashes in place of dots also work.
    ///
    /// # Panics
    /// Where the kernel refuses it.
    #[track_caller]
    pub fn sysctl(&self, key: &str, value: &str) {
        if let Err(error) = self.try_sysctl(key, value) {
            panic!("{error}");
        }
    }

    /// Like [`Netns::sysctl`].
    ///
    /// # Errors
    /// Those of the kernel, with namespace, key and value.
    pub fn try_sysctl(&self, key: &str, value: &str) -> io::Result<()> {
        let file = sysctl_file(key);
        namespace::in_network(&self.path(), || fs::write(&file, value)).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: sysctl {key}={value}: {error}", self.name))
        })
    }

    /// Makes the namespace a router: both families forwarded, no reverse path filter, ECMP by ports too.
    ///
    /// # Panics
    /// Where the kernel refuses one of the settings.
    #[track_caller]
    pub fn forward(&self) {
        for (key, value) in ROUTER {
            self.sysctl(key, value);
        }
    }

    /// Runs `work` on a fresh thread inside the namespace; see [`namespace::in_network`].
    ///
    /// # Panics
    /// With the panic of `work`, and where the namespace has no name any more.
    #[track_caller]
    pub fn enter<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        namespace::in_network(&self.path(), work)
    }

    /// Wires two namespaces by a veth pair, both ends up.
    ///
    /// # Errors
    /// The command that failed and what it said.
    pub fn link(&self, end: &str, far: &Self, far_end: &str) -> Result<(), String> {
        self.try_ip(&format!("link add {end} type veth peer name {far_end} netns {}", far.name))?;
        self.try_ip(&format!("link set {end} up"))?;
        far.try_ip(&format!("link set {far_end} up"))?;
        Ok(())
    }
}

/// What a router's namespace needs of the kernel.
pub const ROUTER: [(&str, &str); 7] = [
    ("net.ipv4.ip_forward", "1"),
    ("net.ipv6.conf.all.forwarding", "1"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
    ("net.ipv4.fib_multipath_hash_policy", "1"),
    ("net.ipv6.fib_multipath_hash_policy", "1"),
    ("net.ipv6.conf.default.accept_ra", "0"),
];

fn sysctl_file(key: &str) -> PathBuf {
    let path = if key.contains('/') { key.to_owned() } else { key.replace('.', "/") };
    Path::new("/proc/sys").join(path)
}
