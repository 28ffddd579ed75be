//! The agent of the node.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::cluster;
use super::event::Event;
use crate::daemon::Daemon;
use crate::kubernetes::ApiServer;
use crate::netns::Netns;
use crate::sandbox::Sandbox;

/// What its objects say beside what they always say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Say {
    /// A peer that never answers.
    pub stranger: bool,
    /// The hold time in seconds; 3 if unset.
    pub hold: Option<u64>,
    /// Whether paths of tor1 get another preference.
    pub preferred: bool,
    /// The password of tor1.
    pub password: Option<&'static str>,
}

/// A running agent, or the place of one.
#[derive(Debug)]
pub struct Agent {
    netns: Netns,
    folder: PathBuf,
    program: PathBuf,
    name: String,
    daemon: Daemon,
    /// Where its objects are in no file.
    api: Option<ApiServer>,
    starts: usize,
}

impl Agent {
    /// Starts it on the node.
    ///
    /// # Errors
    /// Files that cannot be written.
    ///
    /// # Panics
    /// Where an API server is wanted and does not become ready.
    pub fn start(
        sandbox: &Sandbox,
        netns: &Netns,
        program: &Path,
        event: Event,
        run: usize,
    ) -> anyhow::Result<Self> {
        let name = format!("agent{run}");
        let folder = sandbox.folder().join(&name);
        fs::create_dir_all(folder.join("manifests")).with_context(|| folder.display().to_string())?;
        write(&folder, &Say::default())?;
        let api = match event {
            Event::ApiServer => Some(cluster::start(sandbox, netns, program, &objects(&Say::default()))?),
            _ => None,
        };
        let daemon = launch(sandbox, netns, &folder, program, (&name, api.as_ref()));
        Ok(Self { netns: netns.clone(), folder, program: program.to_owned(), name, daemon, api, starts: 1 })
    }

    /// Starts another one in the place of one that has ended.
    pub fn again(&mut self, sandbox: &Sandbox) {
        self.starts += 1;
        let name = format!("{}-{}", self.name, self.starts);
        // The socket of one that was killed is there yet.
        let _ = fs::remove_file(self.folder.join("status.sock"));
        let named = (&*name, self.api.as_ref());
        self.daemon = launch(sandbox, &self.netns, &self.folder, &self.program, named);
    }

    /// The process.
    pub const fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }

    /// Has another file be the program from the next start on; the earlier one may be gone then.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn upgrade(&mut self) -> anyhow::Result<()> {
        let file = self.folder.join("underlay-next");
        fs::copy(&self.program, &file).with_context(|| file.display().to_string())?;
        self.program = file;
        Ok(())
    }

    /// Changes what its objects say.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn says(&self, say: &Say) -> anyhow::Result<()> {
        write(&self.folder, say)
    }

    /// Takes the manifests away, or brings them back.
    ///
    /// # Errors
    /// A folder that cannot be moved.
    pub fn hide(&self, hidden: bool) -> io::Result<()> {
        let (here, away) = (self.folder.join("manifests"), self.folder.join("away"));
        if hidden { fs::rename(here, away) } else { fs::rename(away, here) }
    }

    /// The API server of its objects, if it has one.
    pub const fn api(&mut self) -> Option<&mut ApiServer> {
        self.api.as_mut()
    }

    /// Has the next one not know that there was one before.
    ///
    /// # Errors
    /// A marker that is not there.
    pub fn forget(&self) -> io::Result<()> {
        fs::remove_file(self.folder.join("restart.json"))
    }

    /// What the present one has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// What a verb prints.
    ///
    /// # Errors
    /// A verb that fails, with what it printed.
    pub fn ask(&self, words: &str) -> anyhow::Result<String> {
        let mut command = self.netns.exec(&self.program, words.split_whitespace());
        let output = command.arg("--socket").arg(self.folder.join("status.sock")).output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        ensure!(output.status.success(), "underlay {words}: {out}{error}");
        Ok(out)
    }
}

fn launch(
    sandbox: &Sandbox,
    netns: &Netns,
    folder: &Path,
    program: &Path,
    (name, api): (&str, Option<&ApiServer>),
) -> Daemon {
    let socket = folder.join("status.sock");
    let mut command = netns.exec(program, ["agent", "--node", "node", "--metrics", "off", "--socket"]);
    command.arg(&socket);
    match api {
        Some(api) => command.arg("--kubeconfig").arg(api.kubeconfig()),
        None => command.arg("--manifests").arg(folder.join("manifests")),
    };
    command.arg("--checkpoint").arg(folder.join("checkpoint"));
    let mut daemon = sandbox.daemon(name, command);
    daemon.wait_ready(|| socket.exists());
    daemon
}

fn write(folder: &Path, say: &Say) -> anyhow::Result<()> {
    let (file, beside) = (folder.join("manifests/objects.yaml"), folder.join("objects.new"));
    fs::write(&beside, objects(say)).with_context(|| beside.display().to_string())?;
    fs::rename(beside, &file).with_context(|| file.display().to_string())
}

fn objects(say: &Say) -> String {
    let peer = |at: u8| {
        let tor1 = at == 1;
        let rule = "\n  import: [{match: {}, action: Accept, set: {localPreference: 200}}]";
        let rule = if tor1 && say.preferred { rule } else { "" };
        let password = if tor1 && say.password.is_some() {
            "\n  passwordSecretRef: {name: tor, key: password}"
        } else {
            ""
        };
        format!(
            "---\napiVersion: underlay.dev/v1alpha1\nkind: FabricPeer\nmetadata: {{name: tor{at}}}\nspec:\n  \
             address: 10.0.{at}.1\n  asn: 6510{at}{rule}{password}\n"
        )
    };
    let stranger = "---\napiVersion: underlay.dev/v1alpha1\nkind: FabricPeer\nmetadata: {name: stranger}\nspec:\n  \
                    address: 10.0.1.99\n  asn: 65199\n";
    let secret = say.password.map(|password| {
        format!("---\napiVersion: v1\nkind: Secret\nmetadata: {{name: tor}}\nstringData: {{password: {password}}}\n")
    });
    format!(
        "apiVersion: v1\nkind: Node\nmetadata: {{name: node}}\nspec: {{podCIDR: 10.244.1.0/24, podCIDRs: [10.244.1.0/24]}}\n\
         status: {{addresses: [{{type: InternalIP, address: 10.0.1.2}}]}}\n---\n\
         apiVersion: underlay.dev/v1alpha1\nkind: Fabric\nmetadata: {{name: fabric}}\nspec:\n  \
         asn: {{value: 65001}}\n  mesh: None\n  podPrefixes: [10.244.0.0/16]\n  masquerade: {{enabled: false}}\n  \
         gracefulRestart: {{restartTime: 30s}}\n  timers: {{hold: {}s, keepalive: 1s, connectRetry: 1s}}\n{}{}{}{}",
        say.hold.unwrap_or(3),
        peer(1),
        peer(2),
        if say.stranger { stranger } else { "" },
        secret.unwrap_or_default()
    )
}
